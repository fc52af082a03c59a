//! Hearsay: the addresses that peers lists name, and which of them are dialled.
//!
//! Owns the check of every address that a peers list offers and the choice among them. A peers list is advice,
//! not an order: whoever sends us somewhere may mean harm to us, by surrounding us, or to whoever is there.

use std::collections::BTreeSet;
use std::time::Duration;

use rand::seq::{IndexedRandom as _, SliceRandom as _};

use crate::mesh::Mesh;
use crate::mesh::connections::awaiting::Purpose;
use crate::mesh::connections::routing_table::Entry;
use crate::mesh::effect::Effects;
use crate::mesh::event::Direction;
use crate::mesh::input::{ConnId, Now};
use crate::mesh::membership::address_scope::{Scope, network, scope_of};
use crate::wire::{Address, Control, Flag, NodeId, PeerEntry};

/// Entries of a peers list that we send.
pub(in crate::mesh) const MAX_TOLD: usize = 64;

/// Entries of one peers list that are looked at.
const MAX_LISTED: usize = 32;

/// Links that peers lists lead to in one network of the internet.
const LINKS_A_NETWORK: usize = 1;

/// Entries of lists kept for when those dialled first come to nothing; of more, the oldest go.
const MAX_OFFERS: usize = 64;

/// While there are fewer links than wanted, a peer is asked for its list again after this time, then ever later.
pub(in crate::mesh) const MIN_ASK_PAUSE: Duration = Duration::from_secs(5);

const MAX_ASK_PAUSE: Duration = Duration::from_secs(300);

/// An address that a list named is dialled once in this time.
const LISTED_AGAIN: Duration = Duration::from_secs(600);

/// An address that a name of the user's leads to is dialled once in this time.
const MET_AGAIN: Duration = Duration::from_secs(60);

/// An address at which a wanted peer is said to be is dialled once in this time.
const WANTED_AGAIN: Duration = Duration::from_secs(5);

/// What became of a dial to where others sent us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::mesh) enum Named {
    /// It is under way.
    Dialled,
    /// There were too many of late.
    Later,
    /// It is not to be dialled.
    Refused(&'static str),
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
        let source = self.routing.get(conn).map(|entry| scope_of(&entry.reached));
        let Some(source) = source else {
            return;
        };
        let others = entries.iter().filter(|entry| entry.id != *self.me());
        self.stats.listed += others.count() as u64;
        if !self.wants_more() {
            return;
        }
        let chosen = self.choose(entries);
        self.offers.extend(chosen.map(|entry| (entry, source)));
        let beyond = self.offers.len().saturating_sub(MAX_OFFERS);
        self.offers.drain(..beyond);
        if !self.take_offers(now, out) {
            self.stats.over_budget += 1;
        }
    }

    /// Dials what lists named as long as more links are wanted; what is left is kept for when those come to nothing. False
    /// if the budget of dials is used up.
    fn take_offers(&mut self, now: Now, out: &mut Effects) -> bool {
        while self.wants_more() {
            let Some((PeerEntry { id, address }, source)) = self.offers.pop_back() else {
                break;
            };
            if !self.worth_dialing(now, &id, &address, source) {
                continue;
            }
            let purpose = Purpose::Listed(id.clone());
            if self.dial_named(now, source, address.clone(), purpose, out) == Named::Later {
                self.offers.push_back((PeerEntry { id, address }, source));
                return false;
            }
        }
        true
    }

    /// While there are fewer links than wanted: goes on through what lists named, then asks one peer for its list again,
    /// ever more seldom as long as that leads to nothing.
    pub(in crate::mesh) fn seek_links(&mut self, now: Now, out: &mut Effects) {
        if self.closing || !self.wants_more() {
            self.offers.clear();
            return;
        }
        self.take_offers(now, out);
        if self.awaiting.listed() > 0 || now.monotonic < self.ask_at {
            return;
        }
        let conns = self.routing.conns();
        let Some(conn) = conns.choose(&mut self.rng) else {
            return;
        };
        let jitter = rand::RngExt::random_range(&mut self.rng, 0.5..1.0);
        self.ask_at = now.monotonic + self.ask_pause.mul_f64(jitter);
        self.ask_pause = (self.ask_pause * 2).min(MAX_ASK_PAUSE);
        self.say(now, *conn, &Flag::Whisper, &Control::RequestPeers, out);
    }

    /// Peers came or went: asking for lists may be worth while again.
    pub(in crate::mesh) fn seek_links_soon(&mut self, now: Now) {
        self.ask_pause = MIN_ASK_PAUSE;
        if self.ask_at <= now.monotonic || self.ask_at > now.monotonic + MIN_ASK_PAUSE {
            self.ask_at = now.monotonic + MIN_ASK_PAUSE;
        }
    }

    /// Dials an address that only others have named, whatever for. All such dials share one budget and one memory of what
    /// was tried, and none leads nearer than where it was named from.
    pub(in crate::mesh) fn dial_named(
        &mut self,
        now: Now,
        source: Scope,
        address: Address,
        purpose: Purpose,
        out: &mut Effects,
    ) -> Named {
        if !may_name(source, scope_of(&address)) {
            return Named::Refused("it lies nearer than whoever named it");
        }
        let pause = match purpose {
            Purpose::Listed(_) => LISTED_AGAIN,
            _ => WANTED_AGAIN,
        };
        if !self.book.knows(&address) && self.tried.is_recent(&address, now.monotonic, pause) {
            return Named::Refused("it was tried a moment ago");
        }
        if !self.dial_budget.spend(now.monotonic) {
            return Named::Later;
        }
        self.tried.note(&address, now.monotonic);
        match self.dial(address, purpose, out) {
            Some(_) => Named::Dialled,
            None => Named::Later,
        }
    }

    /// Nodes of this mesh may be at these addresses, as names of the user's or the local network tell: dials those that
    /// are not connected, while fewer than `max_outgoing` are, at the rate at which peers lists may have us dial.
    pub fn meet(
        &mut self,
        now: Now,
        addresses: impl IntoIterator<Item = Address>,
        out: &mut Effects,
    ) {
        let mut fresh: Vec<Address> = addresses
            .into_iter()
            .filter(|address| {
                *address != self.params.address
                    && self.routing.at(address).is_none()
                    && !self.awaiting.dials(address)
                    && !self.tried.is_recent(address, now.monotonic, MET_AGAIN)
            })
            .collect();
        fresh.shuffle(&mut self.rng);
        let outgoing = self.awaiting.outgoing() + self.routing.outgoing();
        let wanted = self.params.max_outgoing.saturating_sub(outgoing);
        if self.closing {
            return;
        }
        for address in fresh.into_iter().take(wanted) {
            // Whoever is on the local network can announce anything, as a peers list can name anything.
            if !self.dial_budget.spend(now.monotonic) {
                return;
            }
            self.tried.note(&address, now.monotonic);
            if self.dial(address, Purpose::Met, out).is_none() {
                return;
            }
        }
    }

    pub(crate) fn wants_more(&self) -> bool {
        self.routing.outgoing() + self.awaiting.listed() < self.params.max_outgoing
    }

    /// One of each network of the internet, in any order: who has many addresses in few networks is chosen no
    /// likelier for it.
    fn choose(&mut self, mut entries: Vec<PeerEntry>) -> impl Iterator<Item = PeerEntry> + use<> {
        entries.shuffle(&mut self.rng);
        let mut networks = BTreeSet::new();
        entries.retain(|entry| {
            scope_of(&entry.address) != Scope::Global
                || networks.insert(network(&entry.address.host))
        });
        entries.shuffle(&mut self.rng);
        entries.into_iter().take(MAX_LISTED)
    }

    fn worth_dialing(&self, now: Now, id: &NodeId, address: &Address, source: Scope) -> bool {
        id != self.me()
            && *address != self.params.address
            && self.routing.conn_of(id).is_none()
            && !self.awaiting.expects(id)
            && !self.awaiting.dials(address)
            && !self.is_shunned(now, id)
            && may_name(source, scope_of(address))
            && (self.book.knows(address)
                || !self.tried.is_recent(address, now.monotonic, LISTED_AGAIN))
            && self.has_room_in_network_of(address)
    }

    /// Whether a link more may lead into an address's network. In our own there may be half of all: a mesh may
    /// lie in one network.
    fn has_room_in_network_of(&self, address: &Address) -> bool {
        if scope_of(address) != Scope::Global {
            return true;
        }
        let there = network(&address.host);
        let outgoing = |direction| direction == Direction::Outgoing;
        let links = self.routing.all();
        let links = links.filter(|entry| outgoing(entry.direction));
        let links = links.map(|entry| &entry.reached);
        let dials = self.awaiting.iter();
        let dials = dials.filter(|(_, pending)| outgoing(pending.purpose.direction()));
        let dials = dials.map(|(_, pending)| &pending.address);
        let taken = links
            .chain(dials)
            .filter(|taken| network(&taken.host) == there);
        let most = match network(&self.params.address.host) == there {
            true => (self.params.max_outgoing / 2).max(LINKS_A_NETWORK),
            false => LINKS_A_NETWORK,
        };
        taken.count() < most
    }

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
        if entry.limits().peers.spend(now.monotonic) {
            self.send_peers(now, conn, out);
        } else {
            self.over_budget(now, conn, out);
        }
    }
}

/// Who may send us where: what lies nearer than the one who offers it could be a trap.
fn may_name(source: Scope, target: Scope) -> bool {
    match target {
        Scope::Nowhere => false,
        Scope::Global => true,
        Scope::Private | Scope::Name => source != Scope::Global,
        Scope::Loopback => source == Scope::Loopback,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_peer_cannot_send_us_into_our_own_network() {
        use Scope::{Global, Loopback, Name, Nowhere, Private};
        for target in [Private, Loopback, Name, Nowhere] {
            assert!(!may_name(Global, target), "{target:?}");
        }
        assert!(may_name(Global, Global) && may_name(Loopback, Global));
        assert!(may_name(Private, Private) && !may_name(Private, Loopback));
        assert!(may_name(Loopback, Loopback) && may_name(Loopback, Name));
    }
}
