//! Announcements: a relay offers a large broadcast before sending it, so that each node gets one copy.
//!
//! Owns which messages are offered, and to which peers. The author sends its message to all its peers; a relay offers
//! it to its peers that take part, and sends it to the others. A message that does not fit into the store is relayed at
//! once: a full store costs copies, not messages. Nothing here knows what a message says.

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

/// A node with fewer peers relays everything at once: offers would save next to nothing.
const MIN_PEERS: usize = 3;

/// Smaller messages are never offered, whatever the setting: an offer and its answer take some 600 bytes.
pub(super) const SMALLEST: usize = 4 << 10;

/// A message is offered only if it stays valid for at least this many seconds more.
const VALID: u64 = 5;

/// Large messages remembered as received, in each of two generations. When the young generation is full, it replaces
/// the old one.
const GENERATION: usize = 8192;

/// Offers in both directions. Messages are stored under keyed digests of their names.
#[derive(Debug)]
pub(in crate::mesh) struct Announcements {
    store: Store,
    offers: BTreeMap<u64, Offer>,
    /// Offers whose messages came in the current batch.
    come: Vec<u64>,
    young: BTreeSet<u64>,
    old: BTreeSet<u64>,
}

/// A peer's part in announcements. Created when it first takes part.
#[derive(Debug)]
pub(in crate::mesh) struct AnnouncementLimits {
    /// Rate limit of our offers to it: half of what it accepts.
    offered: TokenBucket,
    /// Messages it has offered that have not come.
    open: usize,
    /// How often it recently failed to send what it had offered, and when it last did.
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

    /// The number of stored messages, and their bytes.
    #[cfg(test)]
    pub(in crate::mesh) fn kept_for(&self) -> (usize, usize) {
        self.store.kept()
    }

    /// The number of messages offered to us that have not come.
    #[cfg(test)]
    pub(in crate::mesh) fn offers_open(&self) -> usize {
        self.offers.len()
    }
}

impl Mesh {
    /// Returns which of the frames to be relayed are offered first. Almost always none.
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

    /// Whether a frame is large by its uncompressed size, so that all nodes agree. A payload that is not text may have
    /// two ids, one for each reference language: it is relayed at once.
    fn is_large(&self, frame: &Frame<'_>) -> bool {
        let least = self.params.announce_from.max(SMALLEST);
        frame.body.len() >= least && frame.is_text()
    }

    /// Offers another node's message to those of these peers that take part, and relays it to the others.
    pub(in crate::mesh) fn relay_large_frame(
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
        // A peer that offers it to us is told that we have it, and need not be sent it.
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

    /// Whether a peer takes part and its rate limit allows another offer.
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

    /// Notes the arrival of a broadcast that others may offer, whatever this node's setting.
    pub(in crate::mesh) fn note_large(&mut self, frame: &Frame<'_>) {
        // A message that is not text may have the id of a text.
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

    /// A peer sent a message we already have: it need not be stored for that peer.
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

    /// Sends a peer the offered messages it asks for, each once.
    pub(in crate::mesh) fn on_want(&mut self, conn: ConnId, wanted: &[Bytes], out: &mut Effects) {
        for name in wanted {
            let digest = self.key.digest(name);
            let Some(frames) = self.announcements.store.settle(digest, conn) else {
                // The request came too late, or the message was never offered.
                continue;
            };
            let to = Targets::from_elem(conn, 1);
            out.push(Effect::Transmit { to, frames });
        }
    }

    /// Drops stored messages nobody asked for in time, and asks the next peer for each overdue offer.
    pub(in crate::mesh) fn mind_announcements(&mut self, now: Now, out: &mut Effects) {
        self.announcements.store.expire(now.monotonic);
        let offers = self.announcements.offers.iter();
        let due = offers.filter(|(_, offer)| offer.until <= now.monotonic);
        for name in due.map(|(name, _)| *name).collect::<Vec<_>>() {
            self.on_overdue(now, name, out);
        }
    }
}
