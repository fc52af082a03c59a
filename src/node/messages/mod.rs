//! The messages users send to a running node's [`Router`](crate::Router), and their answers.
//!
//! Owns their types and their documented behaviour; the Router carries them out. Connections and shutdown are here;
//! every other subject has its own file. Any message can also fail with
//! [`MailboxError::Closed`](actix::MailboxError::Closed) once the node has shut down.

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

/// Lets a [`Recipient<Message>`](actix::Recipient) receive messages: see
/// [`Subscribe::messages`](crate::Subscribe::messages).
impl actix::Message for Message {
    type Result = ();
}

/// Lets a [`Recipient<Event>`](actix::Recipient) receive events: see [`SubscribeEvents`](crate::SubscribeEvents).
impl actix::Message for Event {
    type Result = ();
}

/// Connects to a peer.
///
/// Answers with the peer's id once its handshake has been accepted, or with the reason why there is no connection:
/// refused, timeout, another subnet (theirs and ours), this node itself, another id than expected. The connection
/// timeout and the handshake timeout bound the wait.
///
/// # Errors
/// A [`ConnectError`] names the address and the cause: no program listens there, the attempt timed out, the subnets differ,
/// another id answered, or the text is not an address.
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
    /// The id the peer must have; `None` accepts any.
    pub expect: Option<NodeId>,
}

impl Connect {
    /// Connects to any node that listens there. Takes an [`Address`](crate::Address), a
    /// [`SocketAddr`](std::net::SocketAddr), or text such as `"example.org:4444"`. Text that is not an address fails
    /// with [`ConnectError::BadAddress`].
    pub fn to(addr: impl Into<HostPort>) -> Self {
        Self {
            addr: addr.into(),
            expect: None,
        }
    }

    /// Accepts only this peer: a connection to any other node is closed.
    #[must_use]
    pub fn expect(mut self, peer: NodeId) -> Self {
        self.expect = Some(peer);
        self
    }
}

/// Closes the connection to a peer, after flushing its outbound queue.
///
/// Answers at once: false if the peer was not connected. For [`Config::rejoin_delay`](crate::Config::rejoin_delay) (30
/// s) the node neither dials nor accepts that peer, unless a user [connects](Connect) to it.
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
    /// The peer.
    pub peer: NodeId,
}

impl Disconnect {
    /// Disconnects this peer.
    pub fn from(peer: NodeId) -> Self {
        Self { peer }
    }
}

/// Asks all connected peers for their peers lists, and dials the addresses they name (at most `max_outgoing`).
///
/// Answers at once with how many peers were asked; each new connection emits [`Event::PeerJoined`].
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

/// Stops the node: stops accepting connections, flushes what it has accepted for sending and delivery, and closes all
/// connections.
///
/// Answers when that is done or when `drain` has elapsed, with what was lost. Messages queued behind the send budget
/// are sent if time allows, and refused otherwise; requests made from now on are refused. After the answer the Router
/// is gone.
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
    /// The flush deadline. Default 5 s.
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
    /// Flushes for at most five seconds.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the flush deadline; zero closes at once.
    #[must_use]
    pub fn drain(mut self, drain: Duration) -> Self {
        self.drain = drain;
        self
    }
}

/// What a shutdown lost.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// Peers whose outbound queue was not flushed.
    pub unsent: Vec<Unsent>,
    /// Own messages queued behind the send budget that were refused.
    pub refused: usize,
    /// Messages that subscribers and interceptors had not taken, and those in the inbox if anything ever pulled from
    /// it.
    pub undelivered: usize,
}

impl ShutdownReport {
    /// Returns whether nothing was lost, as far as this node can know.
    pub fn is_clean(&self) -> bool {
        self.unsent.is_empty() && self.refused == 0 && self.undelivered == 0
    }
}

/// What was queued for a peer and not written. A partly written piece counts in full, so some of it may have arrived.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Unsent {
    /// The peer.
    pub peer: NodeId,
    /// How much was not written: own messages, and messages to relay.
    pub traffic: Traffic,
}

impl Unsent {
    /// Creates the report a `Router` gives, for tests that stand in for one.
    pub fn new(peer: NodeId, traffic: Traffic) -> Self {
        Self { peer, traffic }
    }
}

impl Answer for ShutdownReport {
    fn refusal(&self) -> Option<String> {
        None
    }
}
