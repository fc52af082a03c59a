//! Layer 3: the actors. They do I/O and read clocks, ask the core what to do, and do it.
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
//! # Deadlock freedom
//!
//! Upward requests may wait: a Connection waits for the Router's verdict on its handshake, and at any time for permits
//! of its budget; the Listener waits for the Router. Downward orders never wait: the Router awaits neither a
//! Connection, nor a subscriber, nor a user that waits for an answer. So there is no cyclic wait.
//!
//! # Bounds
//!
//! | queue or buffer | bounded by |
//! |---|---|
//! | batches in the Router's mailbox, frames in outbound queues, messages queued for subscribers with `Pause` or for interceptors | the inbound budget of the connection they came from |
//! | messages held for validators | the core: 1,024 and 16 MiB, one neighbour at most a quarter |
//! | own messages in outbound queues | the send budget |
//! | messages and events for subscribers, the inbox | their queues |
//! | a subscriber's mailbox | the number of unhandled messages sent ahead |
//! | frames beyond the inbound budget, what they inflate to, data queued for slow peers | the shared budget |
//! | a partial frame | the size of a read, beyond it the budgets above; in time, `frame_timeout` |
//! | pending requests of this node and of others | the tables of [`requests`] |
//! | answers to control messages | the core's budgets, then the outbound queue |

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

use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, Addr, AsyncContext as _, Context};
use tokio::net::TcpListener;

use crate::mesh::TokenBucket;
use crate::mesh::{
    ConnectError, Effects, Event, Mesh, Now, ProposalId, Ticket, Traffic, WhisperError, Whispered,
};
use crate::node::budget::Pool;
use crate::node::connection::{ConnectionSettings, Terms};
use crate::node::delivery::inbox::Inboxes;
use crate::node::delivery::interceptors::Interception;
use crate::node::delivery::subscriptions::Subscriptions;
use crate::node::delivery::validator_queues::Validators;
use crate::node::reply::Promise;
use crate::node::requests::exchange::Requests;
#[cfg(feature = "mdns")]
use crate::node::router::addresses::lan;
use crate::node::router::addresses::peer_book_file::PeerBook;
use crate::node::router::addresses::seeds::Seeds;
use crate::node::router::arbiters::Threads;
#[cfg(feature = "tls")]
use crate::node::router::certificates::Certificates;
use crate::node::router::clock::Clock;
use crate::node::router::connections::Links;
use crate::node::router::observability::distributions::Observed;
use crate::node::router::observability::log::{self, EventLog};
use crate::node::router::readiness::Readiness;
use crate::node::router::shutdown::Draining;
use crate::node::sending::coalesce::Coalescer;
use crate::node::sending::queue::Sending;
use crate::node::transport::listener::Listener;
use crate::node::transport::network::Network;
use crate::wire::{Generation, Message, NodeId};

/// The interval at which the core is told the time.
const TICK: Duration = Duration::from_secs(1);
/// How many messages of users the mailbox takes before their senders have to wait.
const MAILBOX: usize = 1024;

/// The user that waits for the end of an operation.
pub(crate) enum Asker {
    Connect(Promise<Result<NodeId, ConnectError>>),
    /// With the time of the request, on the node's own clock.
    Whisper(Promise<Result<Whispered, WhisperError>>, Duration),
}

/// What a Router is built from.
pub(crate) struct Parts {
    pub(crate) mesh: Mesh,
    /// `None`: connections arrive another way.
    pub(crate) socket: Option<TcpListener>,
    pub(crate) network: Network,
    pub(crate) clock: Clock,
    pub(crate) listen: SocketAddr,
    pub(crate) connect_timeout: Duration,
    pub(crate) connections: ConnectionSettings,
    pub(crate) pool: Arc<Pool>,
    pub(crate) sending: Sending,
    pub(crate) inbox: Inboxes,
    pub(crate) threads: Threads,
    pub(crate) peer_book: Option<PeerBook>,
    pub(crate) seeds: Seeds,
    /// A problem from before the Router started.
    pub(crate) early: Option<Event>,
    /// This node's own certificates, where connections show any.
    #[cfg(feature = "tls")]
    pub(crate) certificates: Option<Certificates>,
    /// Whether to announce the node on the local network.
    #[cfg(feature = "mdns")]
    pub(crate) mdns: bool,
    /// The settings in force, for [`Status`].
    pub(crate) settings: Arc<serde_json::Map<String, serde_json::Value>>,
}

/// The node's actor. Users hold its address ([`Node::router`](crate::Node)) and send it the messages of this crate.
///
/// It lives until [`Shutdown`](crate::Shutdown) or until its system ends, whether or not its address is still held.
pub struct Router {
    pub(crate) mesh: Mesh,
    pub(crate) clock: Clock,
    pub(crate) links: Links,
    /// How many refused requests nobody awaited (`do_send`); `unheard_events` limits the events about them.
    pub(crate) unheard: u64,
    /// What ended connections left unwritten, in total; `ending`: what the one that is ending now left.
    pub(crate) unwritten: Traffic,
    ending: Traffic,
    unheard_events: TokenBucket,
    #[cfg(feature = "tls")]
    certificates: Option<Certificates>,
    pub(crate) messages: Subscriptions<Message>,
    pub(crate) events: Subscriptions<Event>,
    pub(crate) interception: Interception,
    pub(crate) validators: Validators,
    /// Proposals that no validator will decide.
    undecided: Vec<ProposalId>,
    pub(crate) inbox: Inboxes,
    pub(crate) requests: Requests,
    pub(crate) readiness: Readiness,
    pub(crate) sending: Sending,
    pub(crate) coalescer: Coalescer,
    pub(crate) askers: HashMap<Ticket, Asker>,
    pub(crate) draining: Option<Draining>,
    pub(crate) listener: Option<Addr<Listener>>,
    pub(crate) listen: SocketAddr,
    pub(crate) started: Now,
    pub(crate) peer_book: Option<PeerBook>,
    pub(crate) seeds: Seeds,
    log: EventLog,
    pub(crate) observed: Box<Observed>,
    pub(crate) settings: Arc<serde_json::Map<String, serde_json::Value>>,
    /// Emitted at the first tick: subscribers come after the start.
    early: Option<Event>,
    connect_timeout: Duration,
    network: Network,
    socket: Option<TcpListener>,
    #[cfg(feature = "mdns")]
    mdns: bool,
    #[cfg(feature = "mdns")]
    lan: Option<lan::Lan>,
    /// The list of effects, reused to save allocations.
    effects: Effects,
    next_tick: Duration,
    names: u64,
}

impl Router {
    /// Starts the node's actors.
    pub(crate) fn run(parts: Parts) -> Addr<Self> {
        Self::create(|ctx| {
            ctx.set_mailbox_capacity(MAILBOX);
            Self::new(parts, ctx)
        })
    }

    fn new(parts: Parts, ctx: &mut Context<Self>) -> Self {
        let terms = Terms {
            router: ctx.address().downgrade(),
            pool: parts.pool,
            settings: parts.connections,
        };
        Self {
            #[cfg(feature = "tls")]
            certificates: parts.certificates,
            started: parts.clock.now(),
            clock: parts.clock,
            links: Links::new(terms, parts.threads),
            unheard: 0,
            unwritten: Traffic::default(),
            ending: Traffic::default(),
            unheard_events: TokenBucket::new(16.0, 16.0),
            messages: Subscriptions::default(),
            events: Subscriptions::default(),
            interception: Interception::default(),
            validators: Validators::default(),
            undecided: Vec::new(),
            inbox: parts.inbox,
            requests: Requests::default(),
            readiness: Readiness::default(),
            sending: parts.sending,
            coalescer: Coalescer::default(),
            askers: HashMap::new(),
            draining: None,
            listener: None,
            listen: parts.listen,
            connect_timeout: parts.connect_timeout,
            network: parts.network,
            peer_book: parts.peer_book,
            seeds: parts.seeds,
            early: parts.early,
            log: EventLog::default(),
            observed: Box::default(),
            settings: parts.settings,
            socket: parts.socket,
            #[cfg(feature = "mdns")]
            mdns: parts.mdns,
            #[cfg(feature = "mdns")]
            lan: None,
            effects: Effects::new(),
            next_tick: Duration::ZERO,
            names: 0,
            mesh: parts.mesh,
        }
    }

    pub(crate) fn generation(&self) -> Generation {
        self.mesh.params().generation
    }

    /// Returns a fresh number for a ticket or a subscription.
    pub(crate) fn next_name(&mut self) -> u64 {
        self.names += 1;
        self.names
    }

    /// Registers the asker of an operation, and returns its ticket.
    pub(crate) fn ticket(&mut self, asker: Asker) -> Ticket {
        let ticket = Ticket(self.next_name());
        self.askers.insert(ticket, asker);
        ticket
    }
}

impl fmt::Debug for Router {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Router")
            .field("id", self.mesh.me())
            .field("listen", &self.listen)
            .finish_non_exhaustive()
    }
}

impl Actor for Router {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        // If the system ends before the actor's first turn, actix calls this while dropping the actor, outside any
        // runtime.
        if tokio::runtime::Handle::try_current().is_err() {
            return;
        }
        let router = ctx.address().downgrade();
        self.listener = self
            .socket
            .take()
            .map(|socket| Listener::new(socket, router).start());
        self.apply_audience();
        log::started(self.mesh.me(), self.listen, &self.mesh.params().address);
        #[cfg(feature = "mdns")]
        self.announce(ctx);
        ctx.run_interval(TICK, Self::tick);
    }
}
