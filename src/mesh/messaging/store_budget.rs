//! The budget of what is stored for peers: large messages that they may ask for, and small ones that they have asked not to
//! be sent.
//!
//! Owns the count of bytes. What was handed out counts until nobody has it any more, so a peer that does not read uses up
//! this budget and no other.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::wire::Hold;

/// Bytes that are stored at most.
const STORE: usize = 8 << 20;

/// See the module. Clones count together.
#[derive(Clone, Debug, Default)]
pub(in crate::mesh) struct StoreBudget(Arc<AtomicUsize>);

/// The part of the budget that a message takes as long as anybody has its bytes.
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
    /// Room for so many bytes, until the last clone of what is given is gone; `None` if there is none.
    pub(super) fn take(&self, bytes: usize) -> Option<Hold> {
        if self.taken().saturating_add(bytes) > STORE {
            return None;
        }
        self.0.fetch_add(bytes, Ordering::Relaxed);
        let of = Arc::clone(&self.0);
        Some(Hold::new(Share { of, bytes }))
    }

    pub(super) fn taken(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}
