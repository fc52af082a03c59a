//! Hearsay: the addresses that peers lists name, and which of them are dialled.
//!
//! Owns the check of every address that a peers list offers and the choice among them. A peers list is advice,
//! not an order: whoever sends us somewhere may mean harm to us, by surrounding us, or to whoever is there.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rand::seq::SliceRandom as _;

use crate::mesh::connections::admission::network;
use crate::mesh::connections::awaiting::Purpose;
use crate::mesh::effect::Direction;
use crate::mesh::input::{ConnId, Now};
use crate::mesh::machine::{Effects, Mesh};
use crate::mesh::membership::address_scope::{Reach, reach};
use crate::wire::{Address, NodeId, PeerEntry};

/// Entries of one peers list that are looked at.
const MAX_LISTED: usize = 32;

/// An address that only lists know is dialled once in this time.
const AGAIN: Duration = Duration::from_secs(600);

/// Such addresses remembered. The budget of dials lets fewer be dialled within that time.
const MAX_TRIED: usize = 4096;

/// Links that peers lists lead to in one network of the internet.
const LINKS_A_NETWORK: usize = 1;

/// Addresses that lists named and that were dialled, and when.
#[derive(Debug, Default)]
pub(in crate::mesh) struct Tried(BTreeMap<Address, Duration>);

impl Tried {
    fn is_recent(&self, address: &Address, now: Duration) -> bool {
        self.0.get(address).is_some_and(|at| now < *at + AGAIN)
    }

    fn note(&mut self, address: &Address, now: Duration) {
        if self.0.len() >= MAX_TRIED {
            self.0.retain(|_, at| now < *at + AGAIN);
        }
        if self.0.len() < MAX_TRIED {
            self.0.insert(address.clone(), now);
        }
    }
}

impl Mesh {
    /// Dials peers we do not know, while fewer than `max_outgoing` are connected or being dialled.
    pub(in crate::mesh) fn on_peers(
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
        if !self.wants_more() {
            return;
        }
        for PeerEntry { id, address } in self.choose(entries) {
            if !self.wants_more() {
                return;
            }
            if !self.worth_dialing(now, &id, &address, source) {
                continue;
            }
            if !self.dial_budget.spend(now.monotonic) {
                self.stats.over_budget += 1;
                return;
            }
            self.tried.note(&address, now.monotonic);
            self.dial(now, address, Purpose::Listed(id), out);
        }
    }

    fn wants_more(&self) -> bool {
        self.routing.outgoing() + self.awaiting.listed() < self.params.max_outgoing
    }

    /// One of each network of the internet, in any order: who has many addresses in few networks is chosen no
    /// likelier for it.
    fn choose(&mut self, mut entries: Vec<PeerEntry>) -> impl Iterator<Item = PeerEntry> + use<> {
        entries.shuffle(&mut self.rng);
        let mut networks = BTreeSet::new();
        entries.retain(|entry| {
            reach(&entry.address) != Reach::Global || networks.insert(network(&entry.address.host))
        });
        entries.shuffle(&mut self.rng);
        entries.into_iter().take(MAX_LISTED)
    }

    fn worth_dialing(&self, now: Now, id: &NodeId, address: &Address, source: Reach) -> bool {
        id != self.me()
            && *address != self.params.address
            && self.routing.conn_of(id).is_none()
            && !self.awaiting.expects(id)
            && !self.awaiting.dials(address)
            && may_offer(source, reach(address))
            && (self.book.knows(address) || !self.tried.is_recent(address, now.monotonic))
            && self.has_room_in_network_of(address)
    }

    /// Whether a link more may lead into an address's network. In our own there may be half of all: a mesh may
    /// lie in one network.
    fn has_room_in_network_of(&self, address: &Address) -> bool {
        if reach(address) != Reach::Global {
            return true;
        }
        let there = network(&address.host);
        let outgoing = |direction| direction == Direction::Outgoing;
        let links = self.routing.all();
        let links = links.filter(|entry| outgoing(entry.direction));
        let links = links.map(|entry| &entry.reached);
        let dials = self.awaiting.iter();
        let dials = dials.filter(|(_, newcomer)| outgoing(newcomer.purpose.direction()));
        let dials = dials.map(|(_, newcomer)| &newcomer.address);
        let taken = links
            .chain(dials)
            .filter(|taken| network(&taken.host) == there);
        let most = match network(&self.params.address.host) == there {
            true => (self.params.max_outgoing / 2).max(LINKS_A_NETWORK),
            false => LINKS_A_NETWORK,
        };
        taken.count() < most
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

    #[test]
    fn t16_what_was_tried_is_remembered_within_a_bound() {
        let mut tried = Tried::default();
        let address = |n: usize| Address {
            host: format!("host{n}"),
            port: 1,
        };
        let (start, later) = (Duration::from_secs(1), Duration::from_secs(1) + AGAIN);
        for n in 0..2 * MAX_TRIED {
            tried.note(&address(n), start);
        }
        assert_eq!(tried.0.len(), MAX_TRIED);
        assert!(tried.is_recent(&address(0), later - Duration::from_millis(1)));
        assert!(!tried.is_recent(&address(0), later));
        tried.note(&address(9_999), later);
        assert_eq!(tried.0.len(), 1);
    }
}
