//! Topology: the neighbours of our neighbours, as far as they share them.
//!
//! Owns the question, the answer, and the last answer of each neighbour. A node that does not share its own neighbours
//! asks nobody. Answers are hearsay, and kept apart from what this node knows.

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::capability::Verb;
use crate::mesh::Mesh;
use crate::mesh::effect::Effects;
use crate::mesh::event::Direction;
use crate::mesh::input::{ConnId, Now};
use crate::wire::{Address, Method, NodeId};

/// Maximum neighbours in one answer.
const MAX_NEIGHBOURS: usize = 64;

/// Minimum interval between questions to a neighbour.
const ASK_AFTER: Duration = Duration::from_secs(4);

/// A neighbour of a node, as that node reports it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Neighbor {
    /// Its id.
    pub id: NodeId,
    /// Where it can be dialled, or where it connects from.
    pub address: Address,
    /// Who dialled.
    pub direction: Direction,
    /// How the node compresses what it sends to it.
    pub compression: Option<Method>,
    /// The round trip of the last question and answer, in milliseconds; `None` if never measured.
    pub round_trip: Option<u64>,
}

/// The neighbours that one of our peers reports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Neighborhood {
    /// The peer that reports them.
    pub of: NodeId,
    /// When it reported them, in Unix seconds.
    pub at: u64,
    /// The round trip of our question and its answer, in milliseconds.
    pub round_trip: u64,
    /// At most 64.
    pub neighbors: Vec<Neighbor>,
}

/// The last question to a peer, and its last answer.
#[derive(Debug, Default)]
pub(in crate::mesh) struct TopologyState {
    asked: Option<Duration>,
    awaits: bool,
    said: Option<Neighborhood>,
}

impl Mesh {
    /// Asks our peers that take part for their neighbours; returns how many were asked. A peer that was asked within
    /// the last four seconds is skipped. Answers show in [`neighborhoods`](Self::neighborhoods).
    pub fn ask_topology(&mut self, now: Now, out: &mut Effects) -> usize {
        if !self.params.share_topology {
            return 0;
        }
        let mut asked = 0;
        for conn in self.routing.conns() {
            let Some(entry) = self.routing.get_mut(conn) else {
                continue;
            };
            if !entry.extended {
                continue;
            }
            let state = &mut entry.limits().topology;
            let again = state.as_ref().and_then(|state| state.asked);
            if again.is_some_and(|at| now.monotonic < at + ASK_AFTER) {
                continue;
            }
            let state = state.get_or_insert_default();
            (state.asked, state.awaits) = (Some(now.monotonic), true);
            asked += usize::from(self.extend(now, conn, Verb::AskTopology, Vec::new(), out));
        }
        asked
    }

    /// Returns each peer's last report of its neighbours.
    pub fn neighborhoods(&self) -> Vec<Neighborhood> {
        let limits = self
            .routing
            .iter()
            .filter_map(|entry| entry.limits.as_ref());
        let said = limits.filter_map(|limits| limits.topology.as_ref()?.said.clone());
        said.collect()
    }

    pub(super) fn answer_topology(&mut self, now: Now, conn: ConnId, out: &mut Effects) {
        if !self.params.share_topology {
            return;
        }
        let neighbors = self.routing.iter().take(MAX_NEIGHBOURS);
        let neighbors: Vec<Neighbor> = neighbors
            .map(|entry| {
                let limits = entry.limits.as_ref();
                let said = limits.and_then(|limits| limits.topology.as_ref()?.said.as_ref());
                Neighbor {
                    id: entry.id.clone(),
                    address: entry.address().clone(),
                    direction: entry.direction,
                    compression: entry.compression,
                    round_trip: said.map(|said| said.round_trip),
                }
            })
            .collect();
        if let Ok(text) = serde_json::to_vec(&neighbors) {
            self.extend(now, conn, Verb::Topology, vec![Bytes::from(text)], out);
        }
    }

    pub(super) fn on_topology(
        &mut self,
        now: Now,
        conn: ConnId,
        arguments: &[Bytes],
        out: &mut Effects,
    ) {
        let neighbors = arguments
            .first()
            .map(|text| serde_json::from_slice::<Vec<Neighbor>>(text));
        let Some(Ok(mut neighbors)) = neighbors else {
            return self.malformed(now, conn, "list of neighbours", out);
        };
        neighbors.truncate(MAX_NEIGHBOURS);
        neighbors.shrink_to_fit();
        let Some(entry) = self.routing.get_mut(conn) else {
            return;
        };
        let of = entry.id.clone();
        let state = entry.limits().topology.get_or_insert_default();
        if !std::mem::take(&mut state.awaits) {
            return self.misplaced(now, conn, out);
        }
        let took = now
            .monotonic
            .saturating_sub(state.asked.unwrap_or_default());
        state.said = Some(Neighborhood {
            of,
            at: now.unix,
            round_trip: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            neighbors,
        });
    }
}
