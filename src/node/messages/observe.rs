//! Observation of a node: its peers, its queues, what passed through it, and its status. Read-only.

use std::net::SocketAddr;
use std::sync::Arc;

use serde::Serialize;

use super::Histogram;
use crate::mesh::{Direction, Neighborhood, PassedMessage, Route, Stats, Traffic, Trouble};
use crate::node::reply::Answer;
use crate::node::requests::pending::RequestStats;
use crate::wire::{Address, Generation, MessageId, Method, NodeId, Subnet, SubnetId};

/// Lists the connected peers, in order of id. Answers when each connection has reported what it has written.
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
    /// Which side dialled.
    pub direction: Direction,
    /// How messages to it are compressed.
    pub compression: Option<Method>,
    /// When it connected, in unix seconds.
    pub since: u64,
    /// What it sent to this node: messages, and bytes on the wire.
    pub received: Traffic,
    /// What was written to it, likewise. Excludes what is still in this node's queue, and a partly written message.
    pub sent: Traffic,
    /// Whether its key proves its id, as it does in a closed mesh.
    pub proven: bool,
}

impl Peer {
    /// Creates a peer with empty counters, for tests that stand in for a `Router`.
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

/// Lists the dials, and the connections whose handshake has not been accepted. Answers at once.
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
    /// The remote address.
    pub addr: Address,
    /// Which side dialled.
    pub direction: Direction,
    /// The id it must have, if any.
    pub expect: Option<NodeId>,
    /// Whether it is connected; if not, it is being dialled.
    pub connected: bool,
}

impl Awaited {
    /// Creates a dial that accepts any id, for tests that stand in for a `Router`.
    pub fn new(addr: impl Into<Address>, direction: Direction) -> Self {
        Self {
            addr: addr.into(),
            direction,
            expect: None,
            connected: false,
        }
    }
}

/// Lists what the connected peers last said about their neighbours, and asks them again.
///
/// Answers at once with the last answer of each peer; the new answers show up in the next call. A peer is asked at most
/// once in four seconds. Only nodes with [`Config::share_topology`](crate::Config::share_topology) ask and answer. A
/// peer may claim anything.
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

/// Lists the last broadcasts that passed through this node, newest first: their authors, and the neighbours they came
/// from.
///
/// The argument limits the list; 1,024 are kept, and only with
/// [`Config::share_topology`](crate::Config::share_topology). Payloads are never kept.
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

/// Returns the route a message took, and asks the connected peers about it.
///
/// Answers at once with what is known; the new answers show up in a call one round trip later. A peer is asked once
/// about a message, again if it did not know it, and about another message after half a second. Only nodes with
/// [`Config::share_topology`](crate::Config::share_topology) ask and answer, about the last 1,024 broadcasts that
/// passed through them. A peer may claim anything.
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

/// Asks for the node's status. Answers at once.
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

/// The status of a node.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct StatusReport {
    /// Its id.
    pub id: NodeId,
    /// The address it listens on.
    pub listen: SocketAddr,
    /// The outward address it tells its peers.
    pub address: Address,
    /// Its subnet.
    pub subnet: Subnet,
    /// The id of its subnet.
    pub subnet_id: SubnetId,
    /// The generation it speaks.
    pub wire: Generation,
    /// When it started, in unix seconds.
    pub since: u64,
    /// Peers connected.
    pub peers: usize,
    /// Dials and connections without a handshake.
    pub awaiting: usize,
    /// Bytes of own messages in outbound queues.
    pub sending: usize,
    /// Own messages queued behind the send budget.
    pub waiting: usize,
    /// Own messages refused so far as [`SendError::Busy`](crate::SendError::Busy).
    pub turned_away: u64,
    /// Messages that subscribers missed because their queues were full.
    pub missed: u64,
    /// Requests made with `do_send` and refused; only [`Event::NotSent`](crate::Event::NotSent) reported them.
    pub unheard: u64,
    /// What was queued for peers and not written, because the connection ended.
    pub unwritten: Traffic,
    /// Subscribers whose actor stopped without ending its subscription.
    pub subscribers_gone: u64,
    /// Requests and answers: how many are in progress, and the outcomes of the others.
    pub requests: RequestStats,
    /// Counters since the start.
    pub stats: Stats,
    /// Seconds between the stamps of messages and their delivery here, in whole seconds as the stamps are.
    pub delivery_delay: Histogram,
    /// Seconds until whispers were handed to their peer, or failed.
    pub whisper_time: Histogram,
    /// Seconds until requests were answered, one value per answer.
    pub request_time: Histogram,
    /// How many peers each own message was handed to.
    pub fan_out: Histogram,
    /// Recent problems, oldest first; bounded.
    pub troubles: Vec<Trouble>,
    /// The settings in force, by their names in [`Config`](crate::Config).
    pub settings: Arc<serde_json::Map<String, serde_json::Value>>,
}

impl Answer for Peer {
    fn refusal(&self) -> Option<String> {
        None
    }
}
