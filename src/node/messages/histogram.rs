//! A histogram with a fixed number of buckets, for the times and sizes in a [`StatusReport`](super::StatusReport).
//!
//! Owns the counting. Its memory does not grow with the number of values.

use serde::Serialize;

/// Number of buckets; the last has no upper bound.
const BUCKETS: usize = 12;

/// How many observed values fell into each bucket.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Histogram {
    /// The inclusive upper bounds of the buckets; one more bucket counts the values above the last bound.
    pub bounds: &'static [f64],
    /// Values per bucket, not cumulative.
    counts: [u64; BUCKETS],
    /// The sum of all values.
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

    /// Creates an empty histogram.
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

    /// Returns the number of values in each bucket, not cumulative: one bucket more than there are bounds.
    pub fn counts(&self) -> &[u64] {
        &self.counts[..=self.bounds.len()]
    }

    /// Returns the number of values.
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
