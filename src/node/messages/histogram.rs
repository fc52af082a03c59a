//! A distribution in a fixed number of buckets: what a [`StatusReport`](super::StatusReport) has of times and
//! sizes.
//!
//! Owns the counting. Takes the same memory however much is counted.

use serde::Serialize;

/// Buckets of a histogram, the last of which has no upper bound.
const BUCKETS: usize = 12;

/// How often values were observed, by size.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Histogram {
    /// The upper bounds of the buckets, included; one more bucket has what is beyond the last.
    pub bounds: &'static [f64],
    /// How many values fell into each bucket: not added up.
    counts: [u64; BUCKETS],
    /// All values added up.
    pub sum: f64,
}

impl Histogram {
    /// Seconds between a message's stamp and its delivery.
    pub(crate) const DELAYS: &[f64] = &[0.0, 1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 30.0, 45.0, 60.0];
    /// Seconds until an answer.
    pub(crate) const TIMES: &[f64] = &[
        0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0,
    ];
    /// Peers.
    pub(crate) const PEERS: &[f64] = &[0.0, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 64.0, 256.0];

    /// An empty one.
    pub(crate) fn new(bounds: &'static [f64]) -> Self {
        debug_assert!(
            bounds.len() < BUCKETS,
            "there is a bucket for each bound and one beyond"
        );
        Self {
            bounds,
            counts: [0; BUCKETS],
            sum: 0.0,
        }
    }

    /// Counts a value.
    pub(crate) fn observe(&mut self, value: f64) {
        let at = self.bounds.partition_point(|bound| *bound < value);
        self.counts[at] += 1;
        self.sum += value;
    }

    /// How many values fell into each bucket, not added up: one more than there are bounds.
    pub fn counts(&self) -> &[u64] {
        &self.counts[..=self.bounds.len()]
    }

    /// How many values there were.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_value_falls_into_the_bucket_whose_bound_it_does_not_exceed() {
        for bounds in [Histogram::DELAYS, Histogram::TIMES, Histogram::PEERS] {
            let mut histogram = Histogram::new(bounds);
            for bound in bounds {
                histogram.observe(*bound);
            }
            histogram.observe(1e9);
            assert!(histogram.counts().iter().all(|count| *count == 1));
            assert_eq!(histogram.count(), bounds.len() as u64 + 1);
        }
    }
}
