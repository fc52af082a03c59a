//! The measured cost and spread of broadcasts in a virtual network: copies, hops, times.
//!
//! Owns the figures of a round. Hops are tracked in the simulator: none is on the wire.

use std::collections::HashMap;
use std::time::Duration;

use super::Node;
use crate::wire::{Batch, Control, Generation, Message, MessageId, NodeId};

/// Cost and delivery of the broadcasts between [`begin_round`](super::Network::begin_round) and
/// [`finish_round`](super::Network::finish_round).
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Round {
    /// Nodes that were up.
    pub nodes: u64,
    /// Broadcasts that were sent.
    pub messages: u64,
    /// Copies of users' broadcasts received, by all nodes.
    pub copies: u64,
    /// Bytes of those copies on the wire, uncompressed.
    pub payload_bytes: u64,
    /// All other bytes received.
    pub control_bytes: u64,
    /// Deliveries of those broadcasts.
    pub delivered: u64,
    /// Deliveries that did not happen.
    pub missed: u64,
    /// Hops from the author: median, 99th percentile and maximum.
    pub hops: Spread<u32>,
    /// Time from sending to delivery: median, 99th percentile and maximum.
    pub times: Spread<Duration>,
}

/// Median, 99th percentile and maximum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spread<T> {
    /// The median.
    pub p50: T,
    /// The 99th percentile.
    pub p99: T,
    /// The maximum.
    pub last: T,
}

impl<T: Ord + Copy + Default> Spread<T> {
    /// Returns the spread of these values; of none, the default for each.
    pub fn of(mut all: Vec<T>) -> Self {
        all.sort_unstable();
        let at = |share: usize| {
            let index = (all.len() * share).div_ceil(100).saturating_sub(1);
            all.get(index).copied().unwrap_or_default()
        };
        Self {
            p50: at(50),
            p99: at(99),
            last: at(100),
        }
    }
}

impl Round {
    /// Returns the relative message redundancy: received payload copies beyond the one that each node needs, per needed
    /// copy. Follows iroh-gossip's simulator, which subtracts one from the needed.
    pub fn rmr(&self) -> f64 {
        let needed = (self.messages * self.nodes.saturating_sub(1))
            .saturating_sub(self.missed)
            .saturating_sub(1);
        match needed {
            0 => 0.0,
            needed => ratio(self.copies, needed) - 1.0,
        }
    }
}

/// Counts in a simulation are far below the limit of exact floats.
#[expect(clippy::cast_precision_loss, reason = "see the comment")]
fn ratio(a: u64, b: u64) -> f64 {
    a as f64 / b as f64
}

/// How many peers nodes have.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Degrees {
    /// The minimum.
    pub min: u32,
    /// The mean.
    pub mean: f64,
    /// Median, 99th percentile and maximum.
    pub spread: Spread<u32>,
}

impl Degrees {
    pub(super) fn of(all: Vec<u32>) -> Self {
        let sum: u64 = all.iter().map(|degree| u64::from(*degree)).sum();
        Self {
            min: all.iter().copied().min().unwrap_or_default(),
            mean: ratio(sum, all.len().max(1) as u64),
            spread: Spread::of(all),
        }
    }
}

/// A broadcast in progress.
struct Track {
    sent: Duration,
    /// For each node the number of hops, or [`NEVER`].
    hops: Vec<u16>,
}

const NEVER: u16 = u16::MAX;

/// Measures the current round.
#[derive(Default)]
pub(super) struct Meter {
    tracks: HashMap<(MessageId, NodeId), Track>,
    round: Round,
    hops: Vec<u32>,
    times: Vec<Duration>,
}

impl Meter {
    /// Records that a broadcast was sent.
    pub(super) fn on_sent(&mut self, id: MessageId, author: (Node, NodeId), now: Duration) {
        let mut track = Track {
            sent: now,
            hops: Vec::new(),
        };
        track.set(author.0, 0);
        self.tracks.insert((id, author.1), track);
        self.round.messages += 1;
    }

    /// Records received bytes.
    pub(super) fn on_received(&mut self, batch: &Batch, generation: Generation) {
        let mut payload = 0;
        for frame in batch.iter().flatten() {
            if frame.is_broadcast() && Control::read(&frame, generation).is_none() {
                self.round.copies += 1;
                payload += frame.wire_len();
            }
        }
        self.round.payload_bytes += payload as u64;
        self.round.control_bytes += (batch.wire_len() - payload) as u64;
    }

    /// Records a message that a node received from another.
    pub(super) fn on_delivered(&mut self, to: Node, from: Node, message: &Message, now: Duration) {
        let key = (message.id().clone(), message.sender().clone());
        let Some(track) = self.tracks.get_mut(&key) else {
            return;
        };
        let hops = track.get(from).saturating_add(1);
        if track.get(to) == NEVER {
            track.set(to, hops);
            self.round.delivered += 1;
            self.hops.push(u32::from(hops));
            self.times.push(now.saturating_sub(track.sent));
        }
    }

    /// Returns the deliveries so far.
    pub(super) fn delivered(&self) -> u64 {
        self.round.delivered
    }

    pub(super) fn messages(&self) -> u64 {
        self.round.messages
    }

    pub(super) fn finish(self, nodes: u64) -> Round {
        let wanted = self.round.messages * nodes.saturating_sub(1);
        Round {
            nodes,
            missed: wanted.saturating_sub(self.round.delivered),
            hops: Spread::of(self.hops),
            times: Spread::of(self.times),
            ..self.round
        }
    }
}

impl Track {
    fn get(&self, node: Node) -> u16 {
        self.hops.get(node.0).copied().unwrap_or(NEVER)
    }

    fn set(&mut self, node: Node, hops: u16) {
        if self.hops.len() <= node.0 {
            self.hops.resize(node.0 + 1, NEVER);
        }
        self.hops[node.0] = hops;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_is_of_what_there_is() {
        let spread = Spread::of((1..=200_u32).collect());
        assert_eq!((spread.p50, spread.p99, spread.last), (100, 198, 200));
        assert_eq!(Spread::of(vec![7_u32]).p50, 7);
        assert_eq!(Spread::<u32>::of(Vec::new()).last, 0);
    }

    #[test]
    fn redundancy_counts_copies_beyond_the_needed() {
        let round = Round {
            nodes: 101,
            messages: 1,
            copies: 198,
            ..Round::default()
        };
        assert!((round.rmr() - 1.0).abs() < 1e-9);
    }
}
