//! Peers lists and requests: what others are told of our routing table, and what we do with theirs.
//!
//! Owns the answers to `request *` and to requests for an id, and the check of every address that a
//! peers list offers. A peers list is advice, not an order.

use rand::seq::SliceRandom as _;

use super::awaiting::Purpose;
use super::effect::Effect;
use super::input::{ConnId, Now};
use super::machine::{Effects, Mesh};
use super::reach::{Reach, reach};
use super::routing::Entry;
use crate::wire::{Address, Control, Flag, NodeId, PeerEntry, RequestId};

/// Entries of one peers list that are looked at.
const MAX_LISTED: usize = 32;

/// Entries of a peers list that we send.
pub(super) const MAX_TOLD: usize = 64;

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
    pub(super) fn send_peers(&mut self, now: Now, conn: ConnId, out: &mut Effects) {
        let named = self.routing.iter();
        let mut named: Vec<&Entry> = named.filter(|entry| entry.announced.is_some()).collect();
        let (told, _) = named.partial_shuffle(&mut self.rng, MAX_TOLD);
        let entries = told.iter().filter_map(|entry| {
            let (id, address) = (entry.peer.id.clone(), entry.announced.clone()?);
            Some(PeerEntry { id, address })
        });
        let peers = Control::Peers {
            entries: entries.collect(),
            skipped: 0,
        };
        self.say(now, conn, &Flag::Whisper, &peers, out);
    }

    /// The same as an answer, which a peer may ask for only so often.
    pub(super) fn answer_peers(&mut self, now: Now, conn: ConnId, out: &mut Effects) {
        let Some(entry) = self.routing.get_mut(conn) else {
            return;
        };
        if entry.budgets().peers.spend(now.monotonic) {
            self.send_peers(now, conn, out);
        } else {
            self.over_budget(now, conn, out);
        }
    }

    /// Dials peers we do not know, while fewer than `max_outgoing` are connected or being dialled.
    pub(super) fn on_peers(
        &mut self,
        now: Now,
        conn: ConnId,
        entries: Vec<PeerEntry>,
        out: &mut Effects,
    ) {
        let source = self.routing.get(conn).map(|entry| reach(&entry.reached));
        let Some(source) = source else {
            return;
        };
        for PeerEntry { id, address } in entries.into_iter().take(MAX_LISTED) {
            if self.routing.outgoing() + self.awaiting.listed() >= self.params.max_outgoing {
                return;
            }
            if !self.worth_dialing(&id, &address, source) {
                continue;
            }
            if !self.dial_budget.spend(now.monotonic) {
                self.stats.over_budget += 1;
                return;
            }
            self.dial(now, address, Purpose::Listed(id), out);
        }
    }

    fn worth_dialing(&self, id: &NodeId, address: &Address, source: Reach) -> bool {
        id != self.me()
            && *address != self.params.address
            && self.routing.conn_of(id).is_none()
            && !self.awaiting.expects(id)
            && !self.awaiting.dials(address)
            && may_offer(source, reach(address))
    }

    /// A request for an id that came as a broadcast, and is relayed as such, or as a whisper.
    pub(super) fn on_request(
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
        if !asker.budgets().responses.spend(now.monotonic) {
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

/// Who may send us where: what lies nearer than the one who offers it could be a trap.
fn may_offer(source: Reach, target: Reach) -> bool {
    match target {
        Reach::Nowhere => false,
        Reach::Global => true,
        Reach::Private | Reach::Name => source != Reach::Global,
        Reach::Loopback => source == Reach::Loopback,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_peer_cannot_send_us_into_our_own_network() {
        use Reach::{Global, Loopback, Name, Nowhere, Private};
        for target in [Private, Loopback, Name, Nowhere] {
            assert!(!may_offer(Global, target), "{target:?}");
        }
        assert!(may_offer(Global, Global) && may_offer(Loopback, Global));
        assert!(may_offer(Private, Private) && !may_offer(Private, Loopback));
        assert!(may_offer(Loopback, Loopback) && may_offer(Loopback, Name));
    }
}
