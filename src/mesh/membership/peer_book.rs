//! The peer book: the addresses of peers, and when to dial them next.
//!
//! Owns the addresses that a user asked to keep, and those where peers were seen. It does not dial, and reads no file:
//! what is kept between runs is handed in and out.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Duration;

use rand::rngs::StdRng;
use serde::{Deserialize, Serialize};

use crate::mesh::membership::backoff::Backoff;
use crate::wire::{Address, NodeId};

/// Addresses remembered besides the kept ones; the one last good longest ago is evicted first.
const MAX_SEEN: usize = 256;

/// Addresses kept: those a user connected to and did not disconnect from.
const MAX_KEPT: usize = 1024;

/// Places of an earlier run that are dialled at once, whatever else the node learns.
const ANCHORS: usize = 2;

/// How long dialled addresses that only others named are remembered.
const REMEMBERED: Duration = Duration::from_secs(600);

/// Maximum number of those. The rate limit allows fewer dials within that time.
const MAX_TRIED: usize = 4096;

/// An address in the book, as saved between runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Place {
    /// The address.
    pub address: Address,
    /// When a peer was last there, in Unix seconds.
    pub last_good: u64,
    /// Whether we dialled it: strangers cannot add such places by connecting to us.
    #[serde(default)]
    pub dialled: bool,
}

/// What the book knows of an address.
#[derive(Clone, Debug, Default)]
struct BookEntry {
    /// The peer that was there last.
    id: Option<NodeId>,
    /// We dialled it and a peer answered. Addresses that incoming peers announced are evicted first.
    dialled: bool,
    /// It is dialled repeatedly until it is connected.
    kept: bool,
    /// Its connection failed, as in a network partition, and has not been restored.
    lost: bool,
    failures: u32,
    /// The earliest time of the next dial.
    next: Duration,
    last_good: u64,
}

/// See the module.
#[derive(Debug, Default)]
pub(in crate::mesh) struct PeerBook(BTreeMap<Address, BookEntry>);

impl PeerBook {
    /// Loads places of an earlier run. The last ones that we dialled ourselves count as lost: an attacker can eclipse a
    /// restarted node only if it had eclipsed it before.
    pub(in crate::mesh) fn learn(&mut self, mut places: Vec<Place>) {
        places.sort_by_key(|place| Reverse((place.dialled, place.last_good)));
        let seen = self.0.values().filter(|line| !line.kept).count();
        let places = places.into_iter().take(MAX_SEEN.saturating_sub(seen));
        for (rank, place) in places.enumerate() {
            let line = self.0.entry(place.address).or_default();
            line.last_good = line.last_good.max(place.last_good);
            line.dialled |= place.dialled;
            line.lost |= place.dialled && rank < ANCHORS;
        }
    }

    /// Whether a peer was seen at this address, or it is kept.
    pub(in crate::mesh) fn knows(&self, address: &Address) -> bool {
        self.0.contains_key(address)
    }

    /// Whether a user asked to keep this address connected, or a peer answered when we dialled it.
    pub(in crate::mesh) fn is_ours(&self, address: &Address) -> bool {
        self.ours(address).is_some()
    }

    /// Returns the peer that answered last when we dialled this address.
    pub(in crate::mesh) fn answerer(&self, address: &Address) -> Option<&NodeId> {
        self.ours(address)?.id.as_ref()
    }

    fn ours(&self, address: &Address) -> Option<&BookEntry> {
        self.0.get(address).filter(|line| line.kept || line.dialled)
    }

    /// Returns the places to save for a later run: those we dialled first, and the last good ones first.
    pub(in crate::mesh) fn places(&self) -> Vec<Place> {
        let good = self.0.iter().filter(|(_, line)| line.last_good > 0);
        let mut places: Vec<Place> = good
            .map(|(address, line)| Place {
                address: address.clone(),
                last_good: line.last_good,
                dialled: line.dialled,
            })
            .collect();
        places.sort_by_key(|place| Reverse((place.dialled, place.last_good)));
        places
    }

    /// Notes that a peer is at this address; `dialled`: we dialled it there.
    pub(in crate::mesh) fn found(
        &mut self,
        address: &Address,
        id: &NodeId,
        dialled: bool,
        unix: u64,
    ) {
        if !self.0.contains_key(address) {
            self.make_room();
        }
        let line = self.0.entry(address.clone()).or_default();
        line.id = Some(id.clone());
        line.dialled |= dialled;
        line.last_good = unix;
        line.lost = false;
    }

    /// Notes that a peer connected elsewhere answers here: the address is not dialled while it is connected.
    pub(in crate::mesh) fn answers_at(&mut self, address: &Address, id: &NodeId) {
        if let Some(line) = self.0.get_mut(address) {
            line.id = Some(id.clone());
            line.lost = false;
        }
    }

    /// Notes that a peer left this address. `proved`: it was there long enough to reset the back-off.
    pub(in crate::mesh) fn left(&mut self, address: &Address, unix: u64, proved: bool) {
        if let Some(line) = self.0.get_mut(address) {
            line.last_good = unix;
            if proved {
                line.failures = 0;
            }
        }
    }

    /// Keeps this address: from now on it is dialled whenever no peer there is connected.
    pub(in crate::mesh) fn keep(&mut self, address: &Address) {
        let kept = self.0.values().filter(|line| line.kept).count();
        if kept < MAX_KEPT {
            self.0.entry(address.clone()).or_default().kept = true;
        }
    }

    /// Removes this peer's addresses, and the address we dialled for it.
    pub(in crate::mesh) fn release(&mut self, id: &NodeId, dialled: Option<&Address>) {
        self.0
            .retain(|address, line| line.id.as_ref() != Some(id) && dialled != Some(address));
    }

    /// Removes an address that leads to ourselves.
    pub(in crate::mesh) fn strike(&mut self, address: &Address) {
        self.0.remove(address);
    }

    /// Defers an address that could not be reached, or was lost.
    pub(in crate::mesh) fn defer(
        &mut self,
        address: &Address,
        now: Duration,
        backoff: Backoff,
        rng: &mut StdRng,
    ) {
        if let Some(line) = self.0.get_mut(address) {
            line.next = now.saturating_add(backoff.after(line.failures, line.kept, rng));
            line.failures = line.failures.saturating_add(1);
        }
    }

    /// Notes that the connection to this address failed.
    pub(in crate::mesh) fn lose(&mut self, address: &Address) {
        if let Some(line) = self.0.get_mut(address) {
            line.lost = true;
        }
    }

    /// Notes an orderly close: unless it is kept, the address is not dialled for the whole back-off cap.
    pub(in crate::mesh) fn leave_alone(
        &mut self,
        address: &Address,
        now: Duration,
        backoff: Backoff,
    ) {
        if let Some(line) = self.0.get_mut(address)
            && !line.kept
        {
            line.next = now.saturating_add(backoff.cap.unwrap_or(Duration::MAX));
        }
    }

    /// Returns the addresses that are due: kept and lost ones whose peer is not connected, or all of them if the node
    /// has no peers.
    pub(in crate::mesh) fn due(
        &self,
        now: Duration,
        alone: bool,
        connected: impl Fn(&NodeId) -> bool,
    ) -> Vec<Address> {
        let due = self.0.iter().filter(|(_, line)| {
            (line.kept || line.lost || alone)
                && line.next <= now
                && !line.id.as_ref().is_some_and(&connected)
        });
        due.map(|(address, _)| address.clone()).collect()
    }

    fn make_room(&mut self) {
        let seen = || self.0.iter().filter(|(_, line)| !line.kept);
        if seen().count() >= MAX_SEEN
            && let Some((address, _)) =
                seen().min_by_key(|(_, line)| (line.dialled, line.last_good))
        {
            let address = address.clone();
            self.0.remove(&address);
        }
    }
}

/// When dialled addresses that only others named were last dialled, and which peer answered that was connected already.
#[derive(Debug, Default)]
pub(in crate::mesh) struct Tried(BTreeMap<Address, (Duration, Option<NodeId>)>);

impl Tried {
    /// Whether this address was dialled within that time.
    pub(in crate::mesh) fn is_recent(
        &self,
        address: &Address,
        now: Duration,
        within: Duration,
    ) -> bool {
        self.0
            .get(address)
            .is_some_and(|(at, _)| now < *at + within)
    }

    pub(in crate::mesh) fn note(&mut self, address: &Address, now: Duration) {
        if self.0.len() >= MAX_TRIED {
            self.0.retain(|_, (at, _)| now < *at + REMEMBERED);
        }
        if self.0.len() < MAX_TRIED {
            self.0.insert(address.clone(), (now, None));
        }
    }

    pub(in crate::mesh) fn answers_at(&mut self, address: &Address, id: &NodeId) {
        if let Some((_, answerer)) = self.0.get_mut(address) {
            *answerer = Some(id.clone());
        }
    }

    pub(in crate::mesh) fn answerer(&self, address: &Address) -> Option<&NodeId> {
        self.0.get(address)?.1.as_ref()
    }
}

#[cfg(test)]
mod tests {

    use super::*;

    fn address(port: u16) -> Address {
        Address {
            host: "10.0.0.1".into(),
            port,
        }
    }

    fn id(name: &str) -> NodeId {
        NodeId::parse(name).unwrap()
    }

    #[test]
    fn a_kept_address_is_due_until_its_peer_is_connected_again() {
        let mut book = PeerBook::default();
        book.keep(&address(1));
        book.found(&address(1), &id("A"), true, 7);
        book.found(&address(2), &id("B"), true, 8);
        let due = |book: &PeerBook, alone| book.due(Duration::ZERO, alone, |_| false);
        assert_eq!(due(&book, false), [address(1)]);
        assert_eq!(due(&book, true), [address(1), address(2)]);
        assert!(
            book.due(Duration::ZERO, false, |peer| *peer == id("A"))
                .is_empty()
        );
        book.release(&id("A"), None);
        assert!(due(&book, false).is_empty());
    }

    #[test]
    fn the_book_is_bounded() {
        let mut book = PeerBook::default();
        for port in 1..2000 {
            book.found(&address(port), &id("A"), true, u64::from(port));
        }
        assert_eq!(book.0.len(), MAX_SEEN);
        assert_eq!(book.places()[0].address, address(1999));
    }

    #[test]
    fn t17_strangers_that_come_displace_nobody_we_dialled() {
        let mut book = PeerBook::default();
        for port in 1..4 {
            book.found(&address(port), &id("A"), true, u64::from(port));
        }
        for port in 1000..3000 {
            book.found(&address(port), &id("B"), false, u64::from(port));
        }
        let places = book.places();
        assert_eq!(places.len(), MAX_SEEN);
        let mut again = PeerBook::default();
        again.learn(places);
        // The node is not alone: only kept and lost addresses are due.
        let due = again.due(Duration::ZERO, false, |_| false);
        assert_eq!(due, [address(2), address(3)], "the last two we dialled");
    }

    #[test]
    fn t16_what_was_tried_is_remembered_within_a_bound() {
        let mut tried = Tried::default();
        let address = |n: usize| Address {
            host: format!("host{n}"),
            port: 1,
        };
        let (start, later) = (Duration::from_secs(1), Duration::from_secs(1) + REMEMBERED);
        for n in 0..2 * MAX_TRIED {
            tried.note(&address(n), start);
        }
        assert_eq!(tried.0.len(), MAX_TRIED);
        assert!(tried.is_recent(&address(0), later - Duration::from_millis(1), REMEMBERED));
        assert!(!tried.is_recent(&address(0), later, REMEMBERED));
        tried.note(&address(9_999), later);
        assert_eq!(tried.0.len(), 1);
    }
}
