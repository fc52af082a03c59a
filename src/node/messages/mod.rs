//! What users can ask of a running node: messages to the [`Router`](crate::Router), and their answers.
//!
//! Owns their shapes and promises; the Router performs them. Subscriptions have a file of their own
//! ([`subscribe`](subscribe)). Every message may also be answered with
//! [`MailboxError::Closed`](actix::MailboxError::Closed), once the node has shut down.

mod histogram;
#[cfg_attr(not(feature = "unstable"), allow(unreachable_pub))]
pub(crate) mod pass_on;
pub(crate) mod subscribe;
pub(crate) mod validate;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::mesh::{
    ConnectError, Direction, Event, Neighborhood, PassedMessage, Route, SendError, Sent, Stats,
    Traffic, Trouble, WhisperError, Whispered,
};
use crate::node::reply::Answer;
use crate::node::requests::pending::RequestStats;
use crate::wire::{
    Address, Flag, Generation, HostPort, Message, MessageId, Method, NodeId, Packet, Packets,
    Subnet, SubnetId,
};

pub use histogram::Histogram;

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
    /// Connects to whoever listens there: an [`Address`], a [`SocketAddr`], or text as `"example.org:4444"`. A text
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

/// Send to all connected peers; broadcasts are passed on by them, whispers are not.
///
/// Answers when the message has been handed to the connections: its id, the peers it was handed to and
/// those passed over. While this node's own messages fill its send budget, the answer waits until there is
/// room: await it, and the node sends as fast as its slowest peer takes. Who does not want to wait says
/// [`or_busy`](Self::or_busy); and if 32 MiB wait already (each message counts 512 bytes more than it has), as
/// where nobody awaits any answer, the answer is [`SendError::Busy`] in any case, and the message is not sent.
///
/// Fails if no peer is connected (unless allowed), if a packet is not valid UTF-8 (unless the node allows
/// binary), if the kind is one of the mesh's own, or if it does not fit a frame. The same payload sent again
/// within a second is stamped with the next free second, so that peers do not take it for a repetition.
///
/// # Errors
/// A [`SendError`] says whose turn it is: nobody is connected yet, the message is not one that can be sent, or too much
/// waits already. What was refused was handed to no peer.
///
/// ```
/// use std::time::Duration;
///
/// use actix_mesh::{Config, Recv, Send};
///
/// # #[actix::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let a = Config::new().start().await?;
/// let b = Config::new().connect(a.addr).start().await?;
/// a.ready(1, Duration::from_secs(5)).await?;
/// let sent = a.router.send(Send::new(["user/7", "is out of date"])).await??;
/// assert_eq!(sent.handed_to[..], [b.id.clone()]);
/// let heard = b.router.send(Recv::one().wait(Duration::from_secs(5))).await?;
/// assert_eq!(heard[0].packets()[1].as_str(), Some("user/7"));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, actix::Message)]
#[rtype(result = "Result<Sent, SendError>")]
#[non_exhaustive]
pub struct Send {
    /// What is sent: the payload without its packet 0.
    pub packets: Packets,
    /// How it travels: [`Flag::Broadcast`] by default, or [`Flag::Whisper`].
    pub flag: Flag,
    /// Packet 0 of the payload. By default the mesh's own sub-flag that belongs to `flag`, with which
    /// receivers queue the message for their users; anything else is for handlers that look for it.
    pub kind: Option<Packet>,
    /// Whether it is all right that nobody is connected.
    pub allow_empty: bool,
    /// Whether it is refused rather than kept waiting for room in the send budget.
    pub or_busy: bool,
}

impl Send {
    /// A broadcast of these packets: `"text"`, `["a", "b"]`, `("name", vec![1, 2])`, ...
    pub fn new(packets: impl Into<Packets>) -> Self {
        Self {
            packets: packets.into(),
            flag: Flag::Broadcast,
            kind: None,
            allow_empty: false,
            or_busy: false,
        }
    }

    /// Sets how it travels.
    #[must_use]
    pub fn flag(mut self, flag: Flag) -> Self {
        self.flag = flag;
        self
    }

    /// Sets packet 0 of the payload.
    #[must_use]
    pub fn kind(mut self, kind: impl Into<Packet>) -> Self {
        self.kind = Some(kind.into());
        self
    }

    /// Makes it no error that nobody is connected.
    #[must_use]
    pub fn allow_empty(mut self) -> Self {
        self.allow_empty = true;
        self
    }

    /// Has it refused with [`SendError::Busy`] if there is no room in the send budget at once.
    #[must_use]
    pub fn or_busy(mut self) -> Self {
        self.or_busy = true;
        self
    }
}

/// Send several messages to all connected peers, in this order.
///
/// Each is sent, refused and counted as it would be alone, as a [`Send`](struct@Send). Answers, in the same order, when
/// all of them are answered. For whoever has many to send at once: the way through a mailbox and back, which is a third
/// of what a short message costs its sender, is gone once for all of them. What does not fit the send budget waits in
/// line, where 32 MiB at most may wait (each message counts 512 bytes more than it has): send a few dozen, await the
/// answer of those before, go on.
///
/// # Errors
/// Each place of the answer is that of a [`Send`](struct@Send): one that is refused keeps none of the others from going out.
///
/// ```
/// use std::time::Duration;
///
/// use actix_mesh::{Config, Send, SendMany};
///
/// # #[actix::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let a = Config::new().start().await?;
/// let b = Config::new().connect(a.addr).start().await?;
/// a.ready(1, Duration::from_secs(5)).await?;
/// let lines = ["one", "two", "three"].map(Send::new);
/// for sent in a.router.send(SendMany::from_iter(lines)).await? {
///     assert_eq!(sent?.handed_to[..], [b.id.clone()]);
/// }
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, actix::Message)]
#[rtype(result = "Vec<Result<Sent, SendError>>")]
pub struct SendMany(
    /// What is sent.
    pub Vec<Send>,
);

impl FromIterator<Send> for SendMany {
    fn from_iter<I: IntoIterator<Item = Send>>(messages: I) -> Self {
        Self(messages.into_iter().collect())
    }
}

/// Send to one peer, connected or not.
///
/// A peer that is not connected is asked for in the mesh, dialled where it is said to be, and handed the
/// message once its handshake has proven its id. Answers when the message has been handed to the peer's
/// connection; or, at the latest when `within` is over, with what kept it from getting there. Waits for room
/// in the send budget as [`Send`](struct@Send) does.
///
/// # Errors
/// A [`WhisperError`] says how far it got: nobody knows the peer, it could not be reached in time, or, as for a
/// [`Send`](struct@Send), the message is not one that can be sent.
///
/// ```
/// use std::time::Duration;
///
/// use actix_mesh::{Config, Recv, Whisper};
///
/// # #[actix::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let a = Config::new().start().await?;
/// let b = Config::new().connect(a.addr).start().await?;
/// a.ready(1, Duration::from_secs(5)).await?;
/// let sent = a.router.send(Whisper::new(b.id.clone(), "for you alone")).await??;
/// assert!(!sent.discovered, "b is connected: nobody had to be asked for it");
/// let heard = b.router.send(Recv::one().wait(Duration::from_secs(5))).await?;
/// assert_eq!(heard[0].text(), "for you alone");
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, actix::Message)]
#[rtype(result = "Result<Whispered, WhisperError>")]
#[non_exhaustive]
pub struct Whisper {
    /// Whom to.
    pub to: NodeId,
    /// Packet 0 of the payload. Default `None`: the mesh's own `whisper`, with which receivers queue the message
    /// for their users; anything else is for those who look for it with [`Filter::kind`](super::Filter::kind).
    pub kind: Option<Packet>,
    /// What: the payload without its packet 0.
    pub packets: Packets,
    /// How long the peer may be looked for. Default 10 s.
    pub within: Duration,
    /// Whether it is refused rather than kept waiting for room in the send budget.
    pub or_busy: bool,
}

impl Whisper {
    /// These packets to this peer.
    pub fn new(to: NodeId, packets: impl Into<Packets>) -> Self {
        Self {
            to,
            kind: None,
            packets: packets.into(),
            within: Duration::from_secs(10),
            or_busy: false,
        }
    }

    /// Sets packet 0 of the payload.
    #[must_use]
    pub fn kind(mut self, kind: impl Into<Packet>) -> Self {
        self.kind = Some(kind.into());
        self
    }

    /// Sets how long the peer may be looked for.
    #[must_use]
    pub fn within(mut self, time: Duration) -> Self {
        self.within = time;
        self
    }

    /// Has it refused with [`SendError::Busy`] if there is no room in the send budget at once.
    #[must_use]
    pub fn or_busy(mut self) -> Self {
        self.or_busy = true;
        self
    }
}

impl Message {
    /// The same to the author of this message, also if it came here over others: send it to the Router.
    ///
    /// On this protocol the author's name is a claim: nothing proves that the message is theirs.
    pub fn reply(&self, packets: impl Into<Packets>) -> Whisper {
        Whisper::new(self.sender().clone(), packets)
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

/// List the connected peers, in the order of their ids. Answers when each connection has said what it has written.
///
/// ```
/// use std::time::Duration;
///
/// use actix_mesh::{Config, Peers};
///
/// # #[actix::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let a = Config::new().start().await?;
/// let b = Config::new().connect(a.addr).start().await?;
/// a.ready(1, Duration::from_secs(5)).await?;
/// let peers = a.router.send(Peers).await?;
/// assert_eq!(peers[0].id, b.id);
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, actix::Message)]
#[rtype(result = "Vec<Peer>")]
pub struct Peers;

/// A connected peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Peer {
    /// Its id, as it claims.
    pub id: NodeId,
    /// Its outward address if it named one, otherwise where it connects from.
    pub addr: Address,
    /// Who dialled.
    pub direction: Direction,
    /// How messages to it are compressed.
    pub compression: Option<Method>,
    /// Since when, in unix seconds.
    pub since: u64,
    /// What it sent us: messages, and bytes as they went over the wire.
    pub received: Traffic,
    /// What was written to it, likewise: what still waits in this node's queue is not counted, and a message written in part is not.
    pub sent: Traffic,
    /// Whether its key proves its id, as it does in a closed mesh.
    pub proven: bool,
}

impl Peer {
    /// What a `Router` answers: for an actor that stands in for one in a test. Nothing was said yet.
    pub fn new(id: NodeId, addr: impl Into<Address>, direction: Direction) -> Self {
        Self {
            id,
            addr: addr.into(),
            direction,
            compression: None,
            since: 0,
            received: Traffic::default(),
            sent: Traffic::default(),
            proven: false,
        }
    }
}

/// List the dials, and the connections whose handshake has not been accepted. Answers at once.
///
/// ```
/// use actix_mesh::{Awaiting, Config};
///
/// # #[actix::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let a = Config::new().start().await?;
/// for awaited in a.router.send(Awaiting).await? {
///     println!("{} is not a peer yet", awaited.addr);
/// }
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, actix::Message)]
#[rtype(result = "Vec<Awaited>")]
pub struct Awaiting;

/// A connection that is not a peer yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Awaited {
    /// Where it leads, or comes from.
    pub addr: Address,
    /// Who dialled.
    pub direction: Direction,
    /// Who has to be there, if anyone in particular.
    pub expect: Option<NodeId>,
    /// Whether it is connected already; otherwise it is being dialled.
    pub connected: bool,
}

impl Awaited {
    /// What a `Router` answers: for an actor that stands in for one in a test. It is being dialled, and anybody will do.
    pub fn new(addr: impl Into<Address>, direction: Direction) -> Self {
        Self {
            addr: addr.into(),
            direction,
            expect: None,
            connected: false,
        }
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

/// List what the connected peers said of their neighbours, and ask them again.
///
/// Answers at once with the last word of each; what is asked for now shows the next time. A peer is asked at most every
/// four seconds. Only nodes with [`Config::share_topology`](crate::Config::share_topology) ask and answer. It is hearsay:
/// a peer may say anything.
///
/// ```
/// use actix_mesh::{Config, Topology};
///
/// # #[actix::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let a = Config::new().share_topology(true).start().await?;
/// for neighborhood in a.router.send(Topology).await? {
///     println!("{neighborhood:?}");
/// }
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, actix::Message)]
#[rtype(result = "Vec<Neighborhood>")]
pub struct Topology;

/// List the last broadcasts that passed through this node, the newest first: who wrote each, and which neighbour it came
/// from.
///
/// At most so many of the 1,024 that are kept. They are kept only with
/// [`Config::share_topology`](crate::Config::share_topology); what a message carries never is.
///
/// ```
/// use actix_mesh::{Config, PassedMessages};
///
/// # #[actix::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let a = Config::new().share_topology(true).start().await?;
/// assert!(a.router.send(PassedMessages(10)).await?.is_empty(), "nothing passed yet");
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, actix::Message)]
#[rtype(result = "Vec<PassedMessage>")]
pub struct PassedMessages(pub usize);

/// Tell by which way a message went, and ask the connected peers.
///
/// Answers at once with what is known; what is asked for now shows the next time, a round trip later. A peer is asked once
/// for a message, again if it did not know it, and for another one after half a second. Only nodes with
/// [`Config::share_topology`](crate::Config::share_topology) ask and answer, of the last 1,024 broadcasts that passed
/// through them. What others say is hearsay.
///
/// ```
/// use actix_mesh::{Config, RouteOf, Send};
///
/// # #[actix::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let a = Config::new().share_topology(true).start().await?;
/// let sent = a.router.send(Send::new("to all").allow_empty()).await??;
/// println!("{:?}", a.router.send(RouteOf(sent.id)).await?);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, actix::Message)]
#[rtype(result = "Route")]
pub struct RouteOf(pub MessageId);

/// Ask how the node is. Answers at once.
///
/// ```
/// use actix_mesh::{Config, Status};
///
/// # #[actix::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let a = Config::new().start().await?;
/// let status = a.router.send(Status).await?;
/// assert_eq!((status.peers, status.stats.delivered), (0, 0));
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, actix::Message)]
#[rtype(result = "Box<StatusReport>")]
pub struct Status;

/// How a node is.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct StatusReport {
    /// Its id.
    pub id: NodeId,
    /// Where it listens.
    pub listen: SocketAddr,
    /// The outward address it tells its peers.
    pub address: Address,
    /// Its subnet.
    pub subnet: Subnet,
    /// The id of its subnet.
    pub subnet_id: SubnetId,
    /// The generation it speaks.
    pub wire: Generation,
    /// Since when it runs, in unix seconds.
    pub since: u64,
    /// Peers connected.
    pub peers: usize,
    /// Dials and connections without a handshake.
    pub awaiting: usize,
    /// Bytes of own messages that wait to be written.
    pub sending: usize,
    /// Own messages that wait for room in the send budget.
    pub waiting: usize,
    /// Own messages refused so far as [`SendError::Busy`].
    pub turned_away: u64,
    /// Messages that subscribers missed because their queues were full.
    pub missed: u64,
    /// What was asked for with `do_send` and refused, which nobody was told but by [`Event::NotSent`].
    pub unheard: u64,
    /// What was queued for peers and not written, because their connection ended before.
    pub unwritten: Traffic,
    /// Subscribers whose actor stopped without ending its subscription.
    pub subscribers_gone: u64,
    /// Questions and answers: those that wait, and what became of the others.
    pub requests: RequestStats,
    /// What was counted since the start.
    pub stats: Stats,
    /// Seconds between the stamps of messages and their delivery here. Stamps are whole seconds, and so is this.
    pub delivery_delay: Histogram,
    /// Seconds until whispers were handed to their peer, or failed.
    pub whisper_time: Histogram,
    /// Seconds until questions were answered, each answer counted.
    pub request_time: Histogram,
    /// Peers that own messages were handed to.
    pub fan_out: Histogram,
    /// What went wrong lately, oldest first; bounded.
    pub troubles: Vec<Trouble>,
    /// The settings in force, by their names in [`Config`](crate::Config).
    pub settings: Arc<serde_json::Map<String, serde_json::Value>>,
}

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

impl Answer for Peer {
    fn refusal(&self) -> Option<String> {
        None
    }
}

impl Answer for ShutdownReport {
    fn refusal(&self) -> Option<String> {
        None
    }
}
