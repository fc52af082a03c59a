//! The budget for what is stored for peers: large messages they may ask for, and small ones they have asked not to be
//! sent.
//!
//! Owns the count of bytes. Bytes that were handed out count until their last holder drops them, so a peer that does
//! not read uses up this budget and no other.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::wire::Hold;

/// Maximum bytes stored.
const STORE: usize = 8 << 20;

/// See the module. Clones share one count.
#[derive(Clone, Debug, Default)]
pub(in crate::mesh) struct StoreBudget(Arc<AtomicUsize>);

/// A message's part of the budget, released when its bytes are dropped.
#[derive(Debug)]
struct Share {
    of: Arc<AtomicUsize>,
    bytes: usize,
}

impl Drop for Share {
    fn drop(&mut self) {
        self.of.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl StoreBudget {
    /// Reserves this many bytes until the last clone of the returned hold is dropped; `None` if there is no room.
    pub(super) fn take(&self, bytes: usize) -> Option<Hold> {
        if !self.has_room(bytes) {
            return None;
        }
        self.0.fetch_add(bytes, Ordering::Relaxed);
        let of = Arc::clone(&self.0);
        Some(Hold::new(Share { of, bytes }))
    }

    pub(super) fn has_room(&self, bytes: usize) -> bool {
        self.taken().saturating_add(bytes) <= STORE
    }

    /// Whether at most one part in this many is in use.
    pub(super) fn is_quiet(&self, part: usize) -> bool {
        self.taken() <= STORE / part
    }

    pub(super) fn taken(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}
