//! The JSON that the API, the page and `actix-mesh top` share: what a node looks like at one moment.
//!
//! Owns the names of the fields. They may grow; what is there keeps its name and meaning.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::mesh::Severity;

/// A node at one moment.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Snapshot {
    /// When, in unix milliseconds of the node's clock.
    pub time: u64,
    /// Whether the node runs. After its end the last snapshot is kept.
    pub running: bool,
    /// The node itself.
    pub node: NodeInfo,
    /// Whether it is ready.
    pub health: Health,
    /// What happens in a second, over the last second.
    pub rates: Rates,
    /// Every counter and gauge, by its name in [`Stats`](crate::Stats) and [`StatusReport`](crate::StatusReport).
    pub stats: BTreeMap<String, u64>,
    /// Connected peers, by id.
    pub peers: Vec<Peer>,
    /// Dials, and connections whose handshake has not been accepted.
    pub awaiting: Vec<Awaited>,
    /// The mesh as far as it is known from here.
    pub topology: Topology,
    /// What is wrong, worst first.
    pub problems: Vec<Problem>,
    /// The settings in force.
    pub settings: Vec<Setting>,
}

/// What a node is.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct NodeInfo {
    /// Its id.
    pub id: String,
    /// Where it listens.
    pub listen: String,
    /// The address it tells its peers.
    pub address: String,
    /// The name of its subnet.
    pub subnet: String,
    /// How it encrypts, which is part of the subnet.
    pub encryption: String,
    /// The id of its subnet.
    pub subnet_id: String,
    /// The generation it speaks.
    pub wire: String,
    /// Since when it runs, unix seconds.
    pub since: u64,
    /// The version of this crate.
    pub version: String,
}

/// Whether a node is ready.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Health {
    /// Whether it has enough peers.
    pub ready: bool,
    /// Peers connected.
    pub peers: usize,
    /// Peers wanted.
    pub wanted: usize,
}

/// What happens in a second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Rates {
    /// Messages received, of any kind.
    pub received: f64,
    /// Messages handed to the user.
    pub delivered: f64,
    /// Own messages sent.
    pub sent: f64,
    /// Broadcasts of others passed on.
    pub relayed: f64,
    /// Broadcasts heard again.
    pub duplicates: f64,
    /// Bytes received.
    pub bytes_in: f64,
    /// Bytes handed to connections.
    pub bytes_out: f64,
    /// Mean seconds between a message's stamp and its delivery here; `None` if none was delivered.
    pub delay: Option<f64>,
}

/// One second of a node's life.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Sample {
    /// When, in unix milliseconds.
    pub time: u64,
    /// Peers connected.
    pub peers: usize,
    /// What happened.
    #[serde(flatten)]
    pub rates: Rates,
}

/// What came in or went out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Traffic {
    /// Messages in all.
    pub messages: u64,
    /// Bytes in all, as they are on the wire.
    pub bytes: u64,
    /// Messages in the last second.
    pub messages_per_second: f64,
    /// Bytes in the last second.
    pub bytes_per_second: f64,
}

/// A connected peer.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Peer {
    /// Its id, as it claims.
    pub id: String,
    /// Its outward address if it named one, otherwise where it connects from.
    pub addr: String,
    /// `incoming` or `outgoing`: who dialled.
    pub direction: String,
    /// How messages to it are compressed.
    pub compression: Option<String>,
    /// Since when, unix seconds.
    pub since: u64,
    /// What it sent.
    pub received: Traffic,
    /// What was handed to its connection.
    pub sent: Traffic,
    /// The last measured round trip in milliseconds, queues included.
    #[serde(default)]
    pub round_trip: Option<f64>,
}

/// A connection that is not a peer yet.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Awaited {
    /// Where it leads, or comes from.
    pub addr: String,
    /// `incoming` or `outgoing`: who dialled.
    pub direction: String,
    /// Whether it is connected already; otherwise it is being dialled.
    pub connected: bool,
}

/// How a node of the topology is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Origin {
    /// It is the node that is asked.
    Own,
    /// It is connected to it.
    Peer,
    /// It tells about itself.
    Reports,
    /// Another node names it; nothing proves that it is there.
    Heard,
}

/// The mesh as far as it is known from one node.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Topology {
    /// The nodes, the asked one first.
    pub nodes: Vec<TopologyNode>,
    /// The links between them.
    pub links: Vec<Link>,
    /// Nodes left out because there are too many.
    pub omitted: usize,
}

/// A node of the topology.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TopologyNode {
    /// Its id, as it claims or is said to have.
    pub id: String,
    /// Where it can be dialled, if that is known.
    pub addr: Option<String>,
    /// How it is known.
    pub origin: Origin,
    /// Whether it tells about itself and its links.
    pub reports: bool,
    /// What it says of itself, if it reports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rates: Option<Rates>,
}

/// A link between two nodes.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Link {
    /// Who dialled.
    pub from: String,
    /// Who was dialled.
    pub to: String,
    /// How `from` compresses what it sends, as far as is known.
    pub compression: Option<String>,
    /// Round trip in milliseconds.
    pub round_trip: Option<f64>,
    /// Messages a second from `from` to `to`.
    pub forth: f64,
    /// Messages a second from `to` to `from`.
    pub back: f64,
    /// Whether the asked node has this link itself; otherwise another tells of it.
    pub own: bool,
}

/// Something that is wrong, in words.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Problem {
    /// A stable name for its kind.
    pub code: String,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong, in a sentence.
    pub what: String,
    /// What to do about it.
    pub advice: String,
    /// When it was first seen, unix seconds.
    pub since: u64,
    /// When it was last seen, unix seconds.
    pub last: u64,
    /// How often it was seen.
    pub count: u64,
}

/// An event, numbered and in words.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Told {
    /// Its number, counted from 1.
    pub seq: u64,
    /// When, in unix milliseconds.
    pub time: u64,
    /// Its name, as in the JSON lines of the program.
    pub event: String,
    /// How bad it is.
    pub severity: Severity,
    /// What happened, in a sentence.
    pub what: String,
    /// Its fields, as in the JSON lines of the program.
    pub detail: serde_json::Value,
}

/// A setting in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Setting {
    /// Its name, as in [`Config`](crate::Config).
    pub name: String,
    /// Its value, in words.
    pub value: String,
    /// Its default, if the value differs from it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
}
