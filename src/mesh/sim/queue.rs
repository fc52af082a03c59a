//! What is on its way, in the order of its arrival.
//!
//! Owns virtual time's queue. It does not know what arriving means.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::time::Duration;

use bytes::Bytes;

use super::{End, Node};
use crate::mesh::input::DialError;
use crate::mesh::{Acceptance, ProposalId};
use crate::wire::Address;

/// What is on its way.
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
    /// A node's validator has judged, in this life of it.
    Verdict {
        node: Node,
        life: u32,
        proposal: ProposalId,
        verdict: Option<Acceptance>,
    },
    /// Connections break by chance.
    Weather,
    /// Nodes crash by chance.
    Churn,
    /// A node that crashed is started again.
    Return(Node),
    /// The node's clock, in this life of it.
    Tick(Node, u32),
}

#[derive(Debug)]
struct Scheduled {
    at: Duration,
    /// The order among equals.
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

/// The earliest is the greatest.
impl Ord for Scheduled {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.order).cmp(&(self.at, self.order))
    }
}

/// See the module.
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

    /// The next to arrive, unless that is later than `until`.
    pub(super) fn next(&mut self, until: Duration) -> Option<(Duration, Transit)> {
        if self.heap.peek()?.at > until {
            return None;
        }
        self.heap.pop().map(|next| (next.at, next.transit))
    }
}
