//! The state of a node at one moment, as JSON for the API, the page and `actix-mesh top`.
//!
//! Owns the field names. Fields may be added; existing ones keep their name and meaning.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::mesh::Severity;

/// A node at one moment.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Snapshot {
    /// When, in Unix milliseconds of the node's clock.
    pub time: u64,
    /// Whether the node runs. After its end the last snapshot is kept.
    pub running: bool,
    /// The node itself.
    pub node: NodeInfo,
    /// Whether it is ready.
    pub health: Health,
    /// Rates over the last second.
    pub rates: Rates,
    /// Every counter and gauge, by its name in [`Stats`](crate::Stats) and [`StatusReport`](crate::StatusReport).
    pub stats: BTreeMap<String, u64>,
    /// Connected peers, by id.
    pub peers: Vec<Peer>,
    /// Dials, and connections whose handshake has not been accepted.
    pub awaiting: Vec<Awaited>,
    /// The mesh as known from this node.
    pub topology: Topology,
    /// Current problems, worst first.
    pub problems: Vec<Problem>,
    /// The settings in force.
    pub settings: Vec<Setting>,
}

/// The identity and addresses of a node.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct NodeInfo {
    /// Its id.
    pub id: String,
    /// The address it listens on.
    pub listen: String,
    /// The address it announces to its peers.
    pub address: String,
    /// The name of its subnet.
    pub subnet: String,
    /// Its encryption, which is part of the subnet.
    pub encryption: String,
    /// The id of its subnet.
    pub subnet_id: String,
    /// The generation it speaks.
    pub wire: String,
    /// When it started, in Unix seconds.
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
    /// Connected peers.
    pub peers: usize,
    /// Peers required.
    pub wanted: usize,
}

/// Rates per second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Rates {
    /// Messages received, of any kind.
    pub received: f64,
    /// Messages handed to the user.
    pub delivered: f64,
    /// Own messages sent.
    pub sent: f64,
    /// Broadcasts of others relayed.
    pub relayed: f64,
    /// Duplicate broadcasts.
    pub duplicates: f64,
    /// Bytes received.
    pub bytes_in: f64,
    /// Bytes queued for connections.
    pub bytes_out: f64,
    /// Mean seconds between a message's stamp and its delivery here; `None` if none was delivered.
    pub delay: Option<f64>,
}

/// One second of a node.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Sample {
    /// When, in Unix milliseconds.
    pub time: u64,
    /// Connected peers.
    pub peers: usize,
    /// The rates in that second.
    #[serde(flatten)]
    pub rates: Rates,
}

/// An amount of traffic, in total and per second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Traffic {
    /// Total messages.
    pub messages: u64,
    /// Total bytes on the wire.
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
    /// Its id, as claimed.
    pub id: String,
    /// Its outward address if it announced one, otherwise the address it connects from.
    pub addr: String,
    /// `incoming` or `outgoing`: who dialled.
    pub direction: String,
    /// The compression of messages to it.
    pub compression: Option<String>,
    /// When it joined, in Unix seconds.
    pub since: u64,
    /// Traffic from it.
    pub received: Traffic,
    /// Traffic queued for its connection.
    pub sent: Traffic,
    /// The last measured round trip in milliseconds, queues included.
    #[serde(default)]
    pub round_trip: Option<f64>,
}

/// A dial, or a connection whose handshake has not been accepted.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Awaited {
    /// The address dialled, or the one it comes from.
    pub addr: String,
    /// `incoming` or `outgoing`: who dialled.
    pub direction: String,
    /// Whether it is connected; otherwise it is being dialled.
    pub connected: bool,
}

/// How a node of the topology is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Origin {
    /// It is the observed node.
    Own,
    /// It is a peer of the observed node.
    Peer,
    /// It reports about itself.
    Reports,
    /// Another node names it; nothing proves that it exists.
    Heard,
}

/// The mesh as known from one node.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Topology {
    /// The nodes, the observed one first.
    pub nodes: Vec<TopologyNode>,
    /// The connections between them.
    pub links: Vec<Link>,
    /// Nodes left out because of the limit.
    pub omitted: usize,
}

/// A node of the topology.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TopologyNode {
    /// Its id, as claimed or as others say.
    pub id: String,
    /// An address to dial it, if known.
    pub addr: Option<String>,
    /// How it is known.
    pub origin: Origin,
    /// Whether it reports its own state and connections.
    pub reports: bool,
    /// Its own rates, if it reports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rates: Option<Rates>,
}

/// A connection between two nodes.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Link {
    /// The node that dialled.
    pub from: String,
    /// The node dialled.
    pub to: String,
    /// The compression of what `from` sends, if known.
    pub compression: Option<String>,
    /// Round trip in milliseconds.
    pub round_trip: Option<f64>,
    /// Messages a second from `from` to `to`.
    pub forth: f64,
    /// Messages a second from `to` to `from`.
    pub back: f64,
    /// Whether the observed node has this connection; otherwise another node reports it.
    pub own: bool,
}

/// A problem, in words.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Problem {
    /// A stable name for this kind of problem.
    pub code: String,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong, in a sentence.
    pub what: String,
    /// What to do about it.
    pub advice: String,
    /// When it was first seen, in Unix seconds.
    pub since: u64,
    /// When it was last seen, in Unix seconds.
    pub last: u64,
    /// How often it was seen.
    pub count: u64,
}

/// A numbered event, in words.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Told {
    /// Its number, counted from 1.
    pub seq: u64,
    /// When, in Unix milliseconds.
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
