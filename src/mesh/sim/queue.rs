//! The queue of virtual time: what is in transit, in the order of arrival.
//!
//! Owns that order. Does not know what an arrival means.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::time::Duration;

use bytes::Bytes;

use super::{End, Node};
use crate::mesh::input::DialError;
use crate::mesh::{Acceptance, ProposalId};
use crate::wire::Address;

/// One thing in transit.
#[derive(Debug)]
pub(super) enum Transit {
    /// A dial reaches the other node.
    Knock {
        from: End,
        addr: Address,
    },
    /// The dialler learns that it is connected.
    Dialed {
        to: End,
        addr: Address,
    },
    DialFailed {
        to: End,
        why: DialError,
    },
    Bytes {
        to: End,
        bytes: Bytes,
    },
    Closed {
        to: End,
    },
    /// The verdict of a validator of this life of a node.
    Verdict {
        node: Node,
        life: u32,
        proposal: ProposalId,
        verdict: Option<Acceptance>,
    },
    /// Connections break at random.
    Weather,
    /// Nodes crash at random.
    Churn,
    /// A crashed node restarts.
    Return(Node),
    /// A tick for this life of a node.
    Tick(Node, u32),
}

#[derive(Debug)]
struct Scheduled {
    at: Duration,
    /// Breaks ties, in the order of posting.
    order: u64,
    transit: Transit,
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Scheduled {}

impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Reversed, since the heap pops its greatest.
impl Ord for Scheduled {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.order).cmp(&(self.at, self.order))
    }
}

/// The queue of virtual time.
#[derive(Debug, Default)]
pub(super) struct Queue {
    heap: BinaryHeap<Scheduled>,
    order: u64,
}

impl Queue {
    pub(super) fn post(&mut self, at: Duration, transit: Transit) {
        self.order += 1;
        self.heap.push(Scheduled {
            at,
            order: self.order,
            transit,
        });
    }

    /// Removes the next arrival, unless it is later than `until`.
    pub(super) fn next(&mut self, until: Duration) -> Option<(Duration, Transit)> {
        if self.heap.peek()?.at > until {
            return None;
        }
        self.heap.pop().map(|next| (next.at, next.transit))
    }
}
