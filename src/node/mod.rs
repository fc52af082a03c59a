//! Floor 3: the actors. They read sockets and clocks, ask the core what to do, and do it.
//!
//! ```text
//!            users: Connect, Send, Whisper, Recv, ...        subscribers
//!                        |                                        ^
//!                        v                                        |
//!    Listener ------> Router: owns the Mesh, the links, the subscriptions
//!    dials    ------>    |                 ^
//!                        | Orders          | Received (one for each read), Gone
//!                        v                 |
//!                    Connection: one for each link; outbound queue down, reader up
//! ```
//!
//! # Who may wait on whom
//!
//! Requests go up and may wait: a Connection for the Router before the handshake is judged, and for permits
//! of its own account always; the Listener for the Router. Notices go down and never wait: the Router awaits
//! neither a Connection, nor a subscriber, nor whoever asked it for something. So nobody can wait in a circle.
//!
//! # What is bounded by what
//!
//! | what waits | is bounded by |
//! |---|---|
//! | batches in the Router's mailbox, frames in outbound queues, messages under `Pause` or before interceptors | the inbound budget of the connection they came from |
//! | messages that wait for validators | the core: 1,024 and 16 MiB, of one neighbour a quarter |
//! | own messages in outbound queues | the send budget |
//! | messages and events for subscribers, the inbox | their queues |
//! | a subscriber's mailbox | the burst that is sent ahead |
//! | frames larger than that, what they inflate to, what waits longer for peers that take next to nothing | the shared budget |
//! | a partial frame | a read, or the budgets above; and its time |
//! | questions of ours that wait, questions of others | the tables of [`requests`] |
//! | answers to control messages | the core's budgets, and last the outbound queue itself |

pub(crate) mod budget;
pub(crate) mod connection;
pub(crate) mod delivery;
pub(crate) mod messages;
pub(crate) mod reply;
pub(crate) mod requests;
pub(crate) mod router;
pub(crate) mod sending;
pub(crate) mod stop_on_last_addr;
pub(crate) mod transport;

pub use messages::subscribe::{
    Bundle, Filter, Intercept, KindFilter, Offer, Overflow, Queue, Recv, Subscribe,
    SubscribeEvents, SubscriptionId, Unsubscribe, Verdict,
};
pub use messages::validate::{Proposal, Validate};
pub use messages::{
    Awaited, Awaiting, Connect, Disconnect, Histogram, PassedMessages, Peer, Peers, RequestPeers,
    RouteOf, Send, SendMany, Shutdown, ShutdownReport, Status, StatusReport, Topology, Unsent,
    Whisper,
};
pub use reply::Reply;
pub use requests::pending::RequestStats;
pub use router::Router;
