//! The address book: where peers are to be found again, and when to try next.
//!
//! Owns the addresses that are kept because a user asked for them, and those that peers were seen
//! at. Dials nothing itself, and reads no file: what is kept between runs is handed in and out.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;
use serde::{Deserialize, Serialize};

use crate::wire::{Address, NodeId};

/// Addresses remembered beside the kept ones; the one least recently of use is dropped first.
const MAX_SEEN: usize = 256;

/// Addresses kept: those a user connected to and did not disconnect from.
const MAX_KEPT: usize = 1024;

/// Of the places of an earlier run, so many are dialled at once, whatever else the node learns.
const ANCHORS: usize = 2;

/// After so many failures an address that is not kept is tried so many times less often than the cap says.
const PERSISTENT: u32 = 40;
const SELDOM: u32 = 20;

/// Addresses that only others named are remembered for this long.
const REMEMBERED: Duration = Duration::from_secs(600);

/// So many of them. The budget of dials lets fewer be dialled within that time.
const MAX_TRIED: usize = 4096;

/// An address in the book, as it is kept between runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Place {
    /// Where.
    pub address: Address,
    /// When a peer was last there, unix seconds.
    pub last_good: u64,
    /// Whether we dialled it: strangers cannot put such places into the book by coming to us.
    #[serde(default)]
    pub dialled: bool,
}

/// What the book knows of an address.
#[derive(Clone, Debug, Default)]
struct BookEntry {
    /// The peer that was there last.
    id: Option<NodeId>,
    /// It was dialled, and a peer answered. Who only came to us and says where it is to be found gives way first.
    dialled: bool,
    /// It is dialled again and again until it is connected.
    kept: bool,
    /// Its connection failed, as it does when the network parts; until it was reached again.
    lost: bool,
    failures: u32,
    /// Not to be dialled before.
    next: Duration,
    last_good: u64,
}

/// When to try again: longer after each failure, up to a cap, and never all at the same time.
#[derive(Clone, Copy, Debug)]
pub(in crate::mesh) struct Backoff {
    pub(in crate::mesh) first: Duration,
    pub(in crate::mesh) cap: Duration,
}

impl Backoff {
    fn after(self, failures: u32, kept: bool, rng: &mut StdRng) -> Duration {
        let doubled = self
            .first
            .saturating_mul(1 << failures.min(16))
            .min(self.cap);
        // What was not there for long is looked for seldom.
        let pause = if kept || failures < PERSISTENT {
            doubled
        } else {
            self.cap * SELDOM
        };
        pause.mul_f64(rng.random_range(0.5..1.0))
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(in crate::mesh) struct PeerBook(BTreeMap<Address, BookEntry>);

impl PeerBook {
    /// Takes in what was kept from an earlier run. The last places that we dialled ourselves count as lost: whoever
    /// wants to surround a node that starts again would have had to surround it before.
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

    /// Whether a peer was at this address, or it is kept.
    pub(in crate::mesh) fn knows(&self, address: &Address) -> bool {
        self.0.contains_key(address)
    }

    /// What to keep for a later run, those we dialled first, and the last good ones of them.
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

    /// A peer is there; `dialled`: because we dialled it.
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

    /// This peer, who is connected elsewhere, answers there: it is not dialled while it is.
    pub(in crate::mesh) fn answers_at(&mut self, address: &Address, id: &NodeId) {
        if let Some(line) = self.0.get_mut(address) {
            line.id = Some(id.clone());
        }
    }

    /// A peer was there until now. `proved`: for long enough to begin anew with the pauses between dials.
    pub(in crate::mesh) fn left(&mut self, address: &Address, unix: u64, proved: bool) {
        if let Some(line) = self.0.get_mut(address) {
            line.last_good = unix;
            if proved {
                line.failures = 0;
            }
        }
    }

    /// From now on this address is dialled again whenever nobody there is connected.
    pub(in crate::mesh) fn keep(&mut self, address: &Address) {
        let kept = self.0.values().filter(|line| line.kept).count();
        if kept < MAX_KEPT {
            self.0.entry(address.clone()).or_default().kept = true;
        }
    }

    /// This peer, and whoever is at the address we dialled for it, is not to be dialled again.
    pub(in crate::mesh) fn release(&mut self, id: &NodeId, dialled: Option<&Address>) {
        self.0
            .retain(|address, line| line.id.as_ref() != Some(id) && dialled != Some(address));
    }

    /// An address leads to ourselves.
    pub(in crate::mesh) fn strike(&mut self, address: &Address) {
        self.0.remove(address);
    }

    /// It could not be reached, or was lost: later.
    pub(in crate::mesh) fn defer(
        &mut self,
        address: &Address,
        now: Duration,
        backoff: Backoff,
        rng: &mut StdRng,
    ) {
        if let Some(line) = self.0.get_mut(address) {
            line.next = now + backoff.after(line.failures, line.kept, rng);
            line.failures = line.failures.saturating_add(1);
        }
    }

    /// Its connection failed without a word.
    pub(in crate::mesh) fn lose(&mut self, address: &Address) {
        if let Some(line) = self.0.get_mut(address) {
            line.lost = true;
        }
    }

    /// It closed in order: unless it is kept, it is left alone for as long as the back-off goes.
    pub(in crate::mesh) fn leave_alone(
        &mut self,
        address: &Address,
        now: Duration,
        backoff: Backoff,
    ) {
        if let Some(line) = self.0.get_mut(address)
            && !line.kept
        {
            line.next = now + backoff.cap;
        }
    }

    /// Addresses whose time has come: the kept and the lost ones whose peer is not connected, or, for
    /// a node with no peers at all, every one.
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

/// Addresses that lists named and that were dialled, and when.
#[derive(Debug, Default)]
pub(in crate::mesh) struct Tried(BTreeMap<Address, Duration>);

impl Tried {
    /// Whether this address was dialled within that time.
    pub(in crate::mesh) fn is_recent(
        &self,
        address: &Address,
        now: Duration,
        within: Duration,
    ) -> bool {
        self.0.get(address).is_some_and(|at| now < *at + within)
    }

    pub(in crate::mesh) fn note(&mut self, address: &Address, now: Duration) {
        if self.0.len() >= MAX_TRIED {
            self.0.retain(|_, at| now < *at + REMEMBERED);
        }
        if self.0.len() < MAX_TRIED {
            self.0.insert(address.clone(), now);
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

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
    fn each_failure_waits_longer_up_to_the_cap() {
        let mut rng = StdRng::seed_from_u64(1);
        let backoff = Backoff {
            first: Duration::from_secs(1),
            cap: Duration::from_secs(30),
        };
        for failures in 0..40 {
            let full = Duration::from_secs(1 << failures.min(5)).min(backoff.cap);
            let wait = backoff.after(failures, true, &mut rng);
            assert!(full / 2 <= wait && wait <= full, "{failures}: {wait:?}");
        }
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
        // Found again beside others, as a node that is not alone does.
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
