//! The store: large messages that we offered, kept for the peers that ask for them.
//!
//! Owns which peers each message is kept for. Each peer that was offered a message gets it once. Requested bytes count
//! until they are written: a peer that asks and does not read fills the store and nothing else.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;

use crate::mesh::effect::Targets;
use crate::mesh::input::ConnId;
use crate::mesh::messaging::store_budget::StoreBudget;
use crate::wire::{Frames, Hold};

/// Maximum number of offered messages stored, and for how long.
const MAX_KEPT: usize = 1024;
const KEPT: Duration = Duration::from_secs(10);

/// Smaller messages are copied out of their buffer.
const COPIED: usize = 256 << 10;

/// A message that we offered.
#[derive(Debug)]
struct Kept {
    frames: Frames,
    /// The peers that were offered it and have neither asked for it nor said that they have it.
    open: Targets,
    until: Duration,
}

/// See the module. Messages are stored under keyed digests of their names.
#[derive(Debug)]
pub(super) struct Store {
    kept: BTreeMap<u64, Kept>,
    budget: StoreBudget,
}

impl Store {
    pub(super) fn new(budget: StoreBudget) -> Self {
        Self {
            kept: BTreeMap::new(),
            budget,
        }
    }

    /// Stores a message for the peers it was offered to; returns false, and stores nothing, if there is no room.
    pub(super) fn keep(
        &mut self,
        name: u64,
        frames: &Frames,
        open: Targets,
        now: Duration,
    ) -> bool {
        let compressed = frames.compressed.as_ref();
        let bytes = frames.plain.len() + compressed.map_or(0, |(_, bytes)| bytes.len());
        if self.kept.len() >= MAX_KEPT || self.kept.contains_key(&name) {
            return false;
        }
        let Some(share) = self.budget.take(bytes) else {
            return false;
        };
        let kept = Kept {
            frames: to_be_kept(frames, share),
            open,
            until: now + KEPT,
        };
        self.kept.insert(name, kept);
        true
    }

    /// Marks a peer as served. A message that no other peer may ask for is dropped.
    pub(super) fn settle(&mut self, name: u64, peer: ConnId) -> Option<Frames> {
        let kept = self.kept.get_mut(&name)?;
        let place = kept.open.iter().position(|conn| *conn == peer)?;
        kept.open.swap_remove(place);
        let frames = kept.frames.clone();
        if kept.open.is_empty() {
            self.kept.remove(&name);
        }
        Some(frames)
    }

    /// Marks a departed peer as served for every message.
    pub(super) fn settle_all(&mut self, peer: ConnId) {
        let open = self
            .kept
            .iter()
            .filter(|(_, kept)| kept.open.contains(&peer));
        for name in open.map(|(name, _)| *name).collect::<Vec<_>>() {
            self.settle(name, peer);
        }
    }

    /// Drops messages that nobody asked for in time.
    pub(super) fn expire(&mut self, now: Duration) {
        self.kept.retain(|_, kept| kept.until > now);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// The number of stored messages, and their bytes.
    #[cfg(test)]
    pub(super) fn kept(&self) -> (usize, usize) {
        (self.kept.len(), self.budget.taken())
    }
}

/// Frames for the store: their permit, which belongs to the inbound budget, is replaced with a share of the store's.
/// Small pieces are copied, because a slice would keep the whole buffer alive.
fn to_be_kept(frames: &Frames, hold: Hold) -> Frames {
    let apart = |bytes: &Bytes| match bytes.len() < COPIED {
        true => Bytes::copy_from_slice(bytes),
        false => bytes.clone(),
    };
    let compressed = frames.compressed.as_ref();
    Frames {
        plain: apart(&frames.plain),
        compressed: compressed.map(|(method, bytes)| (*method, apart(bytes))),
        count: frames.count,
        compressible: frames.compressible,
        hold,
    }
}
