//! Floor 2: the protocol's decisions, pure. What happens goes in, what is to be done comes out.
//!
//! Read [`input`] first, [`effect`] second; then [`Mesh`], which dispatches to one file for each of
//! the protocol's nouns. This floor uses the messages of [`wire`](crate::wire) but no layout, no
//! flag number and no generation; it reads no clock, opens no socket and knows no actor.
//!
//! # The life of a connection
//!
//! ```text
//!   connect, peers list,                a stranger
//!   wanted by a whisper                 comes to us
//!          |                                |
//!      [dialing] --Dialed--> [awaiting] <---+
//!          |                     |  our handshake has been said; nothing else is
//!          |                     |
//!          |          its handshake: same subnet, not ourselves, the one we expect?
//!          |                     |                       \
//!          |                     | yes                     no: Close, Refused
//!          |            is there a connection to that id?
//!          |               /                \
//!          |              no                yes, and they crossed: the one dialled by the larger
//!          |              |                 id stays, on both sides; otherwise the first stays
//!          |              v
//!          |        [routing table] --- peers, request, response, renegotiate, broadcast, whisper
//!          |              |
//!          +--DialFailed  +--Closed, Disconnect, a bad frame---> gone: PeerLeft
//! ```
//!
//! # Where we differ from the reference peers
//!
//! | the reference peers | here | because |
//! |---|---|---|
//! | list and use a dialled peer before its handshake | the awaiting list and the routing table are different things | its id may turn out another, and it could be of another subnet |
//! | relay back to where a message came from | never | it is dropped there anyway |
//! | obey control messages under any main flag | only under the one they are sent with | one broadcast could rename everybody's links |
//! | know a broadcast by its id alone | by id, author and packet boundaries | the id covers neither, so one message could hide another |
//! | stamp a broadcast anew for each link | one second, one id, for all | a second that rolls over in between made it two messages |
//! | lose the same payload sent twice in a second | the later takes the next free second | the id has no finer clock |
//! | accept any time in the future | at most 60 seconds ahead | it could never be forgotten |
//! | let the newest claim take over an id | the first live connection keeps it, crossings apart | nobody can be unseated by a claim |
//! | may lose both of two crossing connections (py2p) | probe the one that is left, and dial anew | one must remain |
//! | dial whatever a peers list says | check each entry, within a budget | a list is advice |
//! | answer every `request *` | at a bounded rate | a confused peer floods us with them |
//! | wait for ever for the answer to a request | until a deadline, then say why | nothing may fail silently |
//! | relay payload that is not UTF-8 to js2p | pass it over, and say so | it would hang for good |
//! | ask for a resend of what they cannot read | close, and say why | every js2p closes on being asked |

mod connections;
pub mod effect;
pub mod error;
pub mod event;
mod event_text;
pub mod input;
mod machine;
mod membership;
mod messaging;
mod params;
#[cfg(any(test, feature = "sim"))]
pub mod sim;
mod stats;
#[cfg(test)]
mod tests;
mod tls_refusal;
mod token_bucket;
pub(crate) mod trace;

pub use connections::awaiting::Awaiting;
pub use connections::routing_table::{Peer, Traffic};
pub use effect::{Answer, Effect, Effects, Sent, Skipped, Targets, Whispered};
pub use error::{ConnectError, PassOnError, SendError, WhisperError};
pub use event::{CloseReason, Direction, Event, SkipReason};
pub use event_text::{Severity, printable};
pub use input::{ConnId, DialError, Ended, Input, Now, OtherProtocol, Ticket};
pub use machine::Mesh;
pub use membership::peer_book::Place;
pub use membership::topology::{Neighbor, Neighborhood};
pub use messaging::broadcast::Outgoing;
pub use messaging::foreign::Foreign;
pub use messaging::route::{Hop, PassedMessage, Route};
pub use messaging::validation::{Acceptance, ProposalId, ValidationRule};
#[cfg(feature = "node")]
pub(crate) use messaging::whisper::QueuedWhisper;
pub use params::Params;
pub use stats::{Stats, Trouble};
pub use tls_refusal::TlsRefusal;
#[cfg(feature = "node")]
pub(crate) use token_bucket::TokenBucket;
