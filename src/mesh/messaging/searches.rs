//! Peers lists and requests: what others are told of our routing table.
//!
//! Owns the answers to `request *` and to requests for an id. What is done with the lists of others is not its
//! business.

use rand::seq::SliceRandom as _;

use crate::mesh::connections::routing_table::Entry;
use crate::mesh::effect::Effect;
use crate::mesh::input::{ConnId, Now};
use crate::mesh::machine::{Effects, Mesh};
use crate::wire::{Control, Flag, NodeId, PeerEntry, RequestId};

/// Entries of a peers list that we send.
pub(in crate::mesh) const MAX_TOLD: usize = 64;

impl Mesh {
    /// Asks every peer for its peers; how many were asked.
    pub fn request_peers(&mut self, now: Now, out: &mut Effects) -> usize {
        let conns = self.routing.conns();
        for conn in &conns {
            self.say(now, *conn, &Flag::Whisper, &Control::RequestPeers, out);
        }
        conns.len()
    }

    /// Tells a peer whom we are connected to: peers that named their address, itself included, in any order. Of
    /// many some at random, so that all get known.
    pub(in crate::mesh) fn send_peers(&mut self, now: Now, conn: ConnId, out: &mut Effects) {
        let named = self.routing.iter();
        let mut named: Vec<&Entry> = named.filter(|entry| entry.announced.is_some()).collect();
        let (told, _) = named.partial_shuffle(&mut self.rng, MAX_TOLD);
        let entries = told.iter().filter_map(|entry| {
            let (id, address) = (entry.id.clone(), entry.announced.clone()?);
            Some(PeerEntry { id, address })
        });
        let peers = Control::Peers {
            entries: entries.collect(),
            skipped: 0,
        };
        self.say(now, conn, &Flag::Whisper, &peers, out);
    }

    /// The same as an answer, which a peer may ask for only so often.
    pub(in crate::mesh) fn answer_peers(&mut self, now: Now, conn: ConnId, out: &mut Effects) {
        let Some(entry) = self.routing.get_mut(conn) else {
            return;
        };
        if entry.dealings().peers.spend(now.monotonic) {
            self.send_peers(now, conn, out);
        } else {
            self.over_budget(now, conn, out);
        }
    }

    /// A request for an id that came as a broadcast, and is relayed as such, or as a whisper.
    pub(in crate::mesh) fn on_request(
        &mut self,
        now: Now,
        conn: ConnId,
        request: RequestId,
        wanted: &NodeId,
        out: &mut Effects,
    ) {
        let known = self
            .routing
            .conn_of(wanted)
            .and_then(|known| self.routing.get(known));
        let Some(address) = known.and_then(|entry| entry.announced.clone()) else {
            return;
        };
        let Some(asker) = self.routing.get_mut(conn) else {
            return;
        };
        if !asker.dealings().responses.spend(now.monotonic) {
            self.over_budget(now, conn, out);
            return;
        }
        let response = Control::Response {
            request,
            id: wanted.clone(),
            address,
        };
        if let Some(frames) = self.compose_control(now, &response) {
            let to = [conn].into_iter().collect();
            out.push(Effect::Transmit { to, frames });
        }
    }
}
