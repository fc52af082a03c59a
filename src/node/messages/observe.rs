//! Looking at a node: its peers, what waits, what passed, and how it is. Nothing here changes anything.

use std::net::SocketAddr;
use std::sync::Arc;

use serde::Serialize;

use super::Histogram;
use crate::mesh::{Direction, Neighborhood, PassedMessage, Route, Stats, Traffic, Trouble};
use crate::node::reply::Answer;
use crate::node::requests::pending::RequestStats;
use crate::wire::{Address, Generation, MessageId, Method, NodeId, Subnet, SubnetId};

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
    /// Own messages refused so far as [`SendError::Busy`](crate::SendError::Busy).
    pub turned_away: u64,
    /// Messages that subscribers missed because their queues were full.
    pub missed: u64,
    /// What was asked for with `do_send` and refused, which nobody was told but by [`Event::NotSent`](crate::Event::NotSent).
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

impl Answer for Peer {
    fn refusal(&self) -> Option<String> {
        None
    }
}
