//! The mesh as known from one node: itself, its peers, and what reporting nodes say of theirs.
//!
//! Owns the merging and its bounds. What other nodes say is unverified, and stays marked as such.

use std::collections::{BTreeMap, BTreeSet};

use super::snapshot::{Link, NodeInfo, Origin, Peer, Topology, TopologyNode};
use crate::mesh::{Direction, Neighbor, Neighborhood, printable};

/// Maximum nodes shown.
const NODES: usize = 512;
/// Maximum connections shown.
const LINKS: usize = 2048;

/// Merges what this node knows with what its peers say.
pub(crate) fn of(node: &NodeInfo, peers: &[Peer], said: &[Neighborhood]) -> Topology {
    let mut merged = Merged::default();
    merged.node(&node.id, Some(&node.address), Origin::Own);
    for peer in peers {
        merged.node(&peer.id, Some(&peer.addr), Origin::Peer);
        merged.link(own_link(&node.id, peer));
    }
    for neighborhood in said {
        let of = neighborhood.of.to_string();
        merged.reports.insert(of.clone());
        for neighbor in &neighborhood.neighbors {
            let id = neighbor.id.to_string();
            if id == node.id {
                continue;
            }
            let addr = printable(&neighbor.address.to_string(), 270);
            merged.node(&id, Some(&addr), Origin::Heard);
            merged.link(heard_link(&of, id, neighbor));
        }
    }
    let reports = merged.reports;
    let mut nodes = merged.nodes;
    for node in &mut nodes {
        node.reports = node.origin == Origin::Own || reports.contains(&node.id);
    }
    Topology {
        nodes,
        links: merged.links.into_values().collect(),
        omitted: merged.omitted.len(),
    }
}

#[derive(Default)]
struct Merged {
    nodes: Vec<TopologyNode>,
    known: BTreeSet<String>,
    reports: BTreeSet<String>,
    links: BTreeMap<(String, String), Link>,
    omitted: BTreeSet<String>,
}

impl Merged {
    fn node(&mut self, id: &str, addr: Option<&str>, origin: Origin) {
        if self.known.contains(id) {
            return;
        }
        if self.nodes.len() >= NODES {
            if self.omitted.len() < LINKS {
                self.omitted.insert(id.to_owned());
            }
            return;
        }
        self.known.insert(id.to_owned());
        self.nodes.push(TopologyNode {
            id: id.to_owned(),
            addr: addr.map(str::to_owned),
            origin,
            reports: false,
            rates: None,
        });
    }

    /// The first report of a link wins: this node's own, if it has that link.
    fn link(&mut self, link: Link) {
        let drawn = self.known.contains(&link.from) && self.known.contains(&link.to);
        let turned = (link.to.clone(), link.from.clone());
        if drawn && self.links.len() < LINKS && !self.links.contains_key(&turned) {
            let key = (link.from.clone(), link.to.clone());
            self.links.entry(key).or_insert(link);
        }
    }
}

fn own_link(own: &str, peer: &Peer) -> Link {
    let (received, sent) = (
        peer.received.messages_per_second,
        peer.sent.messages_per_second,
    );
    let outgoing = peer.direction == "outgoing";
    let (from, to) = if outgoing {
        (own.to_owned(), peer.id.clone())
    } else {
        (peer.id.clone(), own.to_owned())
    };
    Link {
        from,
        to,
        compression: peer.compression.clone(),
        round_trip: peer.round_trip,
        forth: if outgoing { sent } else { received },
        back: if outgoing { received } else { sent },
        own: true,
    }
}

fn heard_link(of: &str, id: String, neighbor: &Neighbor) -> Link {
    let (from, to) = match neighbor.direction {
        Direction::Outgoing => (of.to_owned(), id),
        Direction::Incoming => (id, of.to_owned()),
    };
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of a round trip")]
    let round_trip = neighbor.round_trip.map(|ms| ms.min(3_600_000) as f64);
    Link {
        from,
        to,
        compression: neighbor.compression.map(|method| method.to_string()),
        round_trip,
        forth: 0.0,
        back: 0.0,
        own: false,
    }
}
