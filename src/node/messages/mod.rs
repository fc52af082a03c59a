//! What users can ask of a running node: messages to the [`Router`](crate::Router), and their answers.
//!
//! Owns their shapes and promises; the Router performs them. Connections and the end of the node stand here, the others in a file
//! for each errand. Every message may also be answered with
//! [`MailboxError::Closed`](actix::MailboxError::Closed), once the node has shut down.

mod histogram;
pub(crate) mod observe;
#[cfg_attr(not(feature = "unstable"), allow(unreachable_pub))]
pub(crate) mod pass_on;
pub(crate) mod send;
pub(crate) mod subscribe;
pub(crate) mod validate;

use std::time::Duration;

use serde::Serialize;

use crate::mesh::{ConnectError, Event, Traffic};
use crate::node::reply::Answer;
use crate::wire::{HostPort, Message, NodeId};

pub use histogram::Histogram;
pub use observe::{
    Awaited, Awaiting, PassedMessages, Peer, Peers, RouteOf, Status, StatusReport, Topology,
};
pub use send::{Send, SendMany, Whisper};

/// What a [`Recipient<Message>`](actix::Recipient) is sent: see [`Subscribe::messages`](crate::Subscribe::messages).
impl actix::Message for Message {
    type Result = ();
}

/// What a [`Recipient<Event>`](actix::Recipient) is sent: see [`SubscribeEvents`](crate::SubscribeEvents).
impl actix::Message for Event {
    type Result = ();
}

/// Connect to a peer.
///
/// Answers when the peer's handshake has been accepted, with its id; or with the reason why there is no
/// connection: refused, timeout, another subnet (theirs and ours), this node itself,
/// another id than expected. The connection timeout and the handshake timeout bound the wait.
///
/// # Errors
/// A [`ConnectError`] names the address and says what went wrong there: nobody listens, it took too long, the subnets differ,
/// another id answered, or the text is no address.
///
/// ```
/// use actix_mesh::{Config, Connect};
///
/// # #[actix::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let a = Config::new().start().await?;
/// let b = Config::new().start().await?;
/// let peer = a.router.send(Connect::to(b.addr)).await??;
/// assert_eq!(peer, b.id);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, actix::Message)]
#[rtype(result = "Result<NodeId, ConnectError>")]
#[non_exhaustive]
pub struct Connect {
    /// Where the peer listens.
    pub addr: HostPort,
    /// Who must answer there; anybody, if `None`.
    pub expect: Option<NodeId>,
}

impl Connect {
    /// Connects to whoever listens there: an [`Address`](crate::Address), a [`SocketAddr`](std::net::SocketAddr), or text as `"example.org:4444"`. A text
    /// that is no address is answered with [`ConnectError::BadAddress`].
    pub fn to(addr: impl Into<HostPort>) -> Self {
        Self {
            addr: addr.into(),
            expect: None,
        }
    }

    /// Only to this peer: anyone else found there is closed again.
    #[must_use]
    pub fn expect(mut self, peer: NodeId) -> Self {
        self.expect = Some(peer);
        self
    }
}

/// Close the connection to a peer, after what is queued for it has been written.
///
/// Answers at once: false if it was not connected. For a while ([`Config::rejoin_delay`](crate::Config::rejoin_delay), 30 s) it is
/// neither dialled nor let in again, unless a user [connects](Connect) to it.
///
/// ```
/// use std::time::Duration;
///
/// use actix_mesh::{Config, Disconnect};
///
/// # #[actix::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let a = Config::new().start().await?;
/// let b = Config::new().connect(a.addr).start().await?;
/// a.ready(1, Duration::from_secs(5)).await?;
/// assert!(a.router.send(Disconnect::from(b.id.clone())).await?);
/// assert!(!a.router.send(Disconnect::from(b.id)).await?, "it is not connected any more");
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, actix::Message)]
#[rtype(result = "bool")]
#[non_exhaustive]
pub struct Disconnect {
    /// Which.
    pub peer: NodeId,
}

impl Disconnect {
    /// From this peer.
    pub fn from(peer: NodeId) -> Self {
        Self { peer }
    }
}

/// Ask all connected peers for their peers, and dial what they name (`max_outgoing` at most).
///
/// Answers at once with how many were asked; whom they lead to is told by
/// [`Event::PeerJoined`].
///
/// ```
/// use std::time::Duration;
///
/// use actix_mesh::{Config, RequestPeers};
///
/// # #[actix::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let a = Config::new().start().await?;
/// let b = Config::new().connect(a.addr).start().await?;
/// a.ready(1, Duration::from_secs(5)).await?;
/// assert_eq!(b.router.send(RequestPeers).await?, 1);
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, actix::Message)]
#[rtype(result = "usize")]
pub struct RequestPeers;

/// Stop the node: accept nobody, flush what was accepted for sending and delivery, close all connections.
///
/// Answers when that is done, or when `drain` is over, with what did not get through. Messages that still
/// wait for room in the send budget are sent first if there is time, and refused otherwise; everything asked
/// for from now on is refused. After the answer the Router is gone.
///
/// ```
/// use std::time::Duration;
///
/// use actix_mesh::{Config, Shutdown};
///
/// # #[actix::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let a = Config::new().start().await?;
/// let report = a.router.send(Shutdown::new().drain(Duration::from_secs(1))).await?;
/// assert!(report.is_clean());
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, actix::Message)]
#[rtype(result = "ShutdownReport")]
#[non_exhaustive]
pub struct Shutdown {
    /// How long to flush. Default 5 s.
    pub drain: Duration,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self {
            drain: Duration::from_secs(5),
        }
    }
}

impl Shutdown {
    /// Flush for at most five seconds.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets how long to flush; zero closes at once.
    #[must_use]
    pub fn drain(mut self, drain: Duration) -> Self {
        self.drain = drain;
        self
    }
}

/// What a shutdown could not get through.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// Peers that did not take all that was queued for them.
    pub unsent: Vec<Unsent>,
    /// Own messages that waited for room in the send budget and were refused.
    pub refused: usize,
    /// Messages that subscribers and interceptors had not taken, and those in the inbox if anybody ever pulled from it.
    pub undelivered: usize,
}

impl ShutdownReport {
    /// Whether everything got through, as far as this side can know.
    pub fn is_clean(&self) -> bool {
        self.unsent.is_empty() && self.refused == 0 && self.undelivered == 0
    }
}

/// What was queued for a peer and not written. A piece that was written in part counts whole, so some of it
/// may have arrived.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Unsent {
    /// Which.
    pub peer: NodeId,
    /// How much, of own messages and of others' that were to be passed on.
    pub traffic: Traffic,
}

impl Unsent {
    /// What a `Router` answers: for an actor that stands in for one in a test.
    pub fn new(peer: NodeId, traffic: Traffic) -> Self {
        Self { peer, traffic }
    }
}

impl Answer for ShutdownReport {
    fn refusal(&self) -> Option<String> {
        None
    }
}
