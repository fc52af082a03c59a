//! Peer exchange: the addresses that peers lists name, and which of them are dialled.
//!
//! Owns the check of every address in a peers list, and the choice among them. A peers list is advice: its sender may
//! want to eclipse us, or to have us attack another host.

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

/// Maximum entries in a peers list that we send.
pub(in crate::mesh) const MAX_TOLD: usize = 64;

/// Maximum entries considered from one peers list.
const MAX_LISTED: usize = 32;

/// Connections that peers lists may lead to per network of the internet.
const LINKS_A_NETWORK: usize = 1;

/// Listed entries kept as spares for failed dials; beyond it the oldest are dropped.
const MAX_OFFERS: usize = 64;

/// While connections are wanted, peers are asked for their lists at this interval, which doubles up to `MAX_ASK_PAUSE`.
pub(in crate::mesh) const MIN_ASK_PAUSE: Duration = Duration::from_secs(5);

const MAX_ASK_PAUSE: Duration = Duration::from_secs(300);

/// Minimum interval between dials of an address that a list named.
const LISTED_AGAIN: Duration = Duration::from_secs(600);

/// Minimum interval between dials of an address that discovery found.
const MET_AGAIN: Duration = Duration::from_secs(60);

/// Minimum interval between dials of an address where a wanted peer is said to be.
const WANTED_AGAIN: Duration = Duration::from_secs(5);

/// The outcome of dialling an address that others named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::mesh) enum Named {
    /// The dial has started.
    Dialled,
    /// Rate-limited: try again later.
    Later,
    /// The address must not be dialled.
    Refused(&'static str),
}

impl Mesh {
    /// Dials listed peers we do not know, while fewer than `max_outgoing` are connected or being dialled.
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

    /// Dials listed addresses while more connections are wanted, and keeps the rest as spares. False if the rate limit
    /// of dials is exhausted.
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

    /// While connections are wanted: dials the spares, then asks one peer for its list again, less often as long as
    /// that leads to nothing.
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

    /// Resets the back-off for asking, because peers came or went.
    pub(in crate::mesh) fn seek_links_soon(&mut self, now: Now) {
        self.ask_pause = MIN_ASK_PAUSE;
        if self.ask_at <= now.monotonic || self.ask_at > now.monotonic + MIN_ASK_PAUSE {
            self.ask_at = now.monotonic + MIN_ASK_PAUSE;
        }
    }

    /// Dials an address that only others have named, for any purpose. All such dials share one rate limit and one
    /// record of recent attempts. An address in a narrower scope than the peer that named it is refused.
    pub(in crate::mesh) fn dial_named(
        &mut self,
        now: Now,
        source: Scope,
        address: Address,
        purpose: Purpose,
        out: &mut Effects,
    ) -> Named {
        if !may_name(source, scope_of(&address)) {
            return Named::Refused("its scope is narrower than that of the peer that named it");
        }
        let pause = match purpose {
            Purpose::Listed(_) => LISTED_AGAIN,
            _ => WANTED_AGAIN,
        };
        if !self.book.knows(&address) && self.tried.is_recent(&address, now.monotonic, pause) {
            return Named::Refused("it was dialled recently");
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

    /// Dials addresses where the user's names or the local network say nodes of this mesh may be, unless they are
    /// connected. Keeps to `max_outgoing`, and to the rate limit that dials of listed addresses share.
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
                    && self.who_answers_at(address).is_none()
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
            // Any host on the local network can announce anything, just as a peers list can name anything.
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

    /// Returns one entry per network of the internet, in random order: many addresses in few networks raise nobody's
    /// chances.
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

    /// Whether one more connection may lead into the address's network. Our own network may hold half of them, because
    /// a whole mesh may lie in one network.
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

    /// Asks every peer for its peers; returns how many were asked.
    pub fn request_peers(&mut self, now: Now, out: &mut Effects) -> usize {
        let conns = self.routing.conns();
        for conn in &conns {
            self.say(now, *conn, &Flag::Whisper, &Control::RequestPeers, out);
        }
        conns.len()
    }

    /// Sends a peer the addresses of our peers that announced one, itself included, in random order. If there are too
    /// many, sends a random selection, so that all become known.
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

    /// Sends a peers list as an answer, which is rate-limited for each peer.
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

/// Whether a peer of scope `source` may name a target: one in a narrower scope could be a trap.
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
