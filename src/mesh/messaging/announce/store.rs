//! The store: large messages that we offered, for whoever asks for them.
//!
//! Owns for whom each is kept. Whoever was offered a message gets it once. What was asked for counts until it is written: who
//! asks and does not read fills the store and nothing else.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;

use crate::mesh::effect::Targets;
use crate::mesh::input::ConnId;
use crate::mesh::messaging::store_budget::StoreBudget;
use crate::wire::{Frames, Hold};

/// Offered messages that are kept, and for how long.
const MAX_KEPT: usize = 1024;
const KEPT: Duration = Duration::from_secs(10);

/// What is smaller is kept in a copy of its own.
const COPIED: usize = 256 << 10;

/// A message that we offered.
#[derive(Debug)]
struct Kept {
    frames: Frames,
    /// Who was offered it and has neither asked for it nor said that they have it.
    open: Targets,
    until: Duration,
}

/// See the module. Messages go by keyed digests of their names.
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

    /// Keeps a message for those it was offered to; false, and it is not kept, if there is no room.
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

    /// A peer has it, or will have: what nobody else waits for need not be kept.
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

    /// A peer is gone.
    pub(super) fn settle_all(&mut self, peer: ConnId) {
        let open = self
            .kept
            .iter()
            .filter(|(_, kept)| kept.open.contains(&peer));
        for name in open.map(|(name, _)| *name).collect::<Vec<_>>() {
            self.settle(name, peer);
        }
    }

    /// Lets go of what nobody asked for in time.
    pub(super) fn expire(&mut self, now: Duration) {
        self.kept.retain(|_, kept| kept.until > now);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// Messages that are kept, and their bytes.
    #[cfg(test)]
    pub(super) fn kept(&self) -> (usize, usize) {
        (self.kept.len(), self.budget.taken())
    }
}

/// Kept with a share of the store's in the place of its permit, which belongs to what is being read. A small piece of a large
/// buffer would keep all of it.
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
