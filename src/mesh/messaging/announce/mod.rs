//! Announcements: a large broadcast is offered before it is passed on, so that each node hears one copy.
//!
//! Owns which messages are offered, and to whom. The author sends its message to all its peers; a relay offers it to
//! those of its peers that take part, and sends it to the others. What cannot be kept is passed on at once, so that a full
//! store costs copies, not messages. Nothing here knows what a message says.

mod name;
mod offers;
mod store;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;

pub(in crate::mesh) use self::name::Large;
use self::name::Name;
use self::offers::Offer;
use self::store::Store;
use crate::mesh::Mesh;
use crate::mesh::effect::{Effect, Effects, Targets};
use crate::mesh::input::{ConnId, Now};
use crate::mesh::membership::capability::Verb;
use crate::mesh::messaging::store_budget::StoreBudget;
use crate::mesh::token_bucket::TokenBucket;
use crate::wire::{Batch, Frame, Frames};

/// A node with fewer peers passes everything on at once: there is next to nothing to spare.
const MIN_PEERS: usize = 3;

/// Nobody offers smaller ones, whatever it is set to: an offer and its answer are some 600 bytes.
pub(super) const SMALLEST: usize = 4 << 10;

/// What is offered stays valid for so many seconds more at least.
const VALID: u64 = 5;

/// Large messages that are known to have come, in each of two generations: the older one is forgotten when the younger
/// is full.
const GENERATION: usize = 8192;

/// What was offered, by either side. Messages go by keyed digests of their names.
#[derive(Debug)]
pub(in crate::mesh) struct Announcements {
    store: Store,
    offers: BTreeMap<u64, Offer>,
    /// Of the offers, those that have come in the batch that is being taken in.
    come: Vec<u64>,
    young: BTreeSet<u64>,
    old: BTreeSet<u64>,
}

/// How a peer takes part. Made when it first does.
#[derive(Debug)]
pub(in crate::mesh) struct AnnouncementLimits {
    /// What we may offer it: half of what it lets us.
    offered: TokenBucket,
    /// Messages that it offered and that have not come.
    open: usize,
    /// Times of late that it did not send what it had offered, and when that was.
    broken: u8,
    broken_at: Duration,
}

impl Default for AnnouncementLimits {
    fn default() -> Self {
        Self {
            offered: TokenBucket::new(1024.0, 1024.0),
            open: 0,
            broken: 0,
            broken_at: Duration::ZERO,
        }
    }
}

impl Announcements {
    pub(in crate::mesh) fn new(budget: StoreBudget) -> Self {
        Self {
            store: Store::new(budget),
            offers: BTreeMap::new(),
            come: Vec::new(),
            young: BTreeSet::new(),
            old: BTreeSet::new(),
        }
    }

    fn knows(&self, name: u64) -> bool {
        self.young.contains(&name) || self.old.contains(&name)
    }

    fn know(&mut self, name: u64) {
        if self.young.len() >= GENERATION {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(name);
    }

    /// Messages that are kept, and their bytes.
    #[cfg(test)]
    pub(in crate::mesh) fn kept_for(&self) -> (usize, usize) {
        self.store.kept()
    }

    /// Messages that were offered to us and have not come.
    #[cfg(test)]
    pub(in crate::mesh) fn offers_open(&self) -> usize {
        self.offers.len()
    }
}

impl Mesh {
    /// Which of the frames to be passed on are offered first. None, nearly always.
    pub(in crate::mesh) fn large_of(
        &self,
        now: Now,
        batch: &Batch,
        picked: &[usize],
    ) -> Vec<usize> {
        let least = self.params.announce_from;
        let takes_part = self.takes_part() && least > 0 && self.routing.len() >= MIN_PEERS;
        if !takes_part || batch.cost() < least {
            return Vec::new();
        }
        let is_offered = |index: &&usize| {
            let frame = batch.get(**index);
            frame.is_ok_and(|frame| {
                let stays = frame.time().saturating_add(self.params.window) >= now.unix + VALID;
                stays && self.is_large(&frame)
            })
        };
        picked.iter().filter(is_offered).copied().collect()
    }

    fn takes_part(&self) -> bool {
        self.params.extensions && self.routing.has_extended()
    }

    /// As it is without compression, so that all nodes judge alike. Payload that is not text can go under two ids where the
    /// two languages disagree: it goes at once.
    fn is_large(&self, frame: &Frame<'_>) -> bool {
        let least = self.params.announce_from.max(SMALLEST);
        frame.body.len() >= least && frame.is_text()
    }

    /// Offers a message of another's to those of these peers that take part, and passes it on to the others.
    pub(in crate::mesh) fn pass_on_large(
        &mut self,
        now: Now,
        large: Large,
        frames: Frames,
        to: Targets,
        out: &mut Effects,
    ) {
        let Large { name, size } = large;
        let digest = self.key.digest(name.as_bytes());
        let (mut offered, mut at_once): (Targets, Targets) =
            to.into_iter().partition(|conn| self.may_offer(now, *conn));
        // Whoever offers it to us is told that we have it, and need not be sent it.
        let offer = self.announcements.offers.get(&digest);
        let has_it = |conn: &ConnId| offer.is_some_and(|offer| offer.by.contains(conn));
        let open: Targets = offered.iter().copied().filter(|it| !has_it(it)).collect();
        let store = &mut self.announcements.store;
        if !open.is_empty() && !store.keep(digest, &frames, open.clone(), now.monotonic) {
            offered.retain(|conn| !open.contains(conn));
            at_once.extend(open);
        }
        if !at_once.is_empty() {
            let to = at_once;
            out.push(Effect::Transmit { to, frames });
        }
        if !offered.is_empty() {
            self.stats.announced += offered.len() as u64;
            let said = Bytes::from(format!("{name}.{size}"));
            self.extend_all(now, offered, Verb::Have, vec![said], out);
        }
    }

    /// Whether a peer takes part, and has room for another offer.
    fn may_offer(&mut self, now: Now, conn: ConnId) -> bool {
        if !self.is_extended(conn) {
            return false;
        }
        let entry = self.routing.get_mut(conn);
        let entry = entry.filter(|entry| !entry.duplicate);
        entry.is_some_and(|entry| {
            let limits = entry.limits().announcements.get_or_insert_default();
            limits.offered.spend(now.monotonic)
        })
    }

    /// A broadcast has come that others may offer, whatever this node is set to.
    pub(in crate::mesh) fn note_large(&mut self, frame: &Frame<'_>) {
        // What is not text may go under the id of a text.
        if frame.body.len() < SMALLEST || !self.takes_part() || !frame.is_text() {
            return;
        }
        let name = Name::of(frame).text();
        let digest = self.key.digest(name.as_bytes());
        self.announcements.know(digest);
        if self.announcements.offers.contains_key(&digest) {
            self.announcements.come.push(digest);
        }
    }

    /// A peer sends what we have: it need not be kept for it.
    pub(in crate::mesh) fn note_copy(&mut self, conn: ConnId, frame: &Frame<'_>) {
        let may_be_kept = frame.body.len() >= SMALLEST && !self.announcements.store.is_empty();
        if may_be_kept && frame.is_text() {
            let digest = self.key.digest(Name::of(frame).text().as_bytes());
            self.announcements.store.settle(digest, conn);
        }
    }

    fn announcement_limits(&mut self, conn: ConnId) -> Option<&mut AnnouncementLimits> {
        let limits = self.routing.get_mut(conn)?.limits();
        Some(limits.announcements.get_or_insert_default())
    }

    /// A peer asks for messages that we offered: it is sent each once.
    pub(in crate::mesh) fn on_want(&mut self, conn: ConnId, wanted: &[Bytes], out: &mut Effects) {
        for name in wanted {
            let digest = self.key.digest(name);
            let Some(frames) = self.announcements.store.settle(digest, conn) else {
                // It took too long, or was never offered.
                continue;
            };
            let to = Targets::from_elem(conn, 1);
            out.push(Effect::Transmit { to, frames });
        }
    }

    /// Lets go of what nobody asked for in time, and asks the next where the last has not sent.
    pub(in crate::mesh) fn mind_announcements(&mut self, now: Now, out: &mut Effects) {
        self.announcements.store.expire(now.monotonic);
        let offers = self.announcements.offers.iter();
        let due = offers.filter(|(_, offer)| offer.until <= now.monotonic);
        for name in due.map(|(name, _)| *name).collect::<Vec<_>>() {
            self.on_overdue(now, name, out);
        }
    }
}
