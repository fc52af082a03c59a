//! Reliability: how the way of an author fares.
//!
//! Owns what tells that messages come late, and when a way has failed so often that no other is given up for it. Knows no link.

use std::time::Duration;

/// A way that failed so often within this time is not relied on.
const FAILURES: u8 = 3;
const FORGIVEN: Duration = Duration::from_secs(600);
/// What makes several peers send late messages at once is one failure.
const ONE_FAILURE: Duration = Duration::from_secs(5);

/// After this time ages are taken anew.
const AGES_COUNT: Duration = Duration::from_secs(60);

/// See the module.
#[derive(Debug)]
pub(super) struct Reliability {
    /// Times that messages came late because the way had failed, and when that was last.
    failures: u8,
    failed_at: Option<Duration>,
    /// The least age of late, by stamp and by this node's clock, and since when that counts.
    age: u64,
    age_since: Duration,
    /// When the first came that was older, since then.
    aged_at: Option<Duration>,
}

impl Reliability {
    pub(super) fn new(now: Duration) -> Self {
        Self {
            failures: 0,
            failed_at: None,
            age: u64::MAX,
            age_since: now,
            aged_at: None,
        }
    }

    /// Messages came late, from a peer that we had asked not to send them.
    pub(super) fn note_failure(&mut self, now: Duration) {
        if self.failed_at.is_some_and(|at| now < at + ONE_FAILURE) {
            return;
        }
        if self.failed_at.is_none_or(|at| at + FORGIVEN <= now) {
            self.failures = 0;
        }
        self.failures = self.failures.saturating_add(1);
        self.failed_at = Some(now);
    }

    /// Whether messages came late a moment ago: others may wait for them, too.
    pub(super) fn is_late(&self, now: Duration) -> bool {
        self.failed_at.is_some_and(|at| now < at + ONE_FAILURE)
    }

    /// Whether a message of this age, in seconds, is older than those of late: its way has failed somewhere, and others may wait
    /// for it, too. What clocks differ by is in all ages alike, until one is set. Where much is said all grows old: that does not
    /// count for long, because more copies would make it older.
    pub(super) fn is_aged(&mut self, age: u64, now: Duration) -> bool {
        if age < self.age || self.age_since + AGES_COUNT <= now {
            (self.age, self.age_since, self.aged_at) = (age, now, None);
        }
        age > self.age.saturating_add(1) && {
            let first = *self.aged_at.get_or_insert(now);
            now < first + ONE_FAILURE
        }
    }

    /// Whether the author's way fails too often for others to be given up.
    pub(super) fn is_unreliable(&self, now: Duration) -> bool {
        self.failures >= FAILURES && self.failed_at.is_some_and(|at| now < at + FORGIVEN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn what_is_two_seconds_older_than_others_is_aged_until_clocks_are_set() {
        let mut reliability = Reliability::new(at(0));
        let aged = |reliability: &mut Reliability, age, now| reliability.is_aged(age, at(now));
        assert!(!aged(&mut reliability, 40, 1) && !aged(&mut reliability, 41, 2));
        assert!(aged(&mut reliability, 42, 3));
        assert!(!aged(&mut reliability, 39, 4) && aged(&mut reliability, 41, 5));
        assert!(aged(&mut reliability, 41, 9) && !aged(&mut reliability, 41, 10));
        assert!(!aged(&mut reliability, 300, 63) && !aged(&mut reliability, 300, 64));
        assert!(!aged(&mut reliability, 40, 65) && aged(&mut reliability, 300, 66));
    }

    #[test]
    fn a_way_that_fails_three_times_is_not_relied_on_for_a_while() {
        let mut reliability = Reliability::new(at(0));
        (0..5).for_each(|_| reliability.note_failure(at(100)));
        assert!(reliability.is_late(at(104)) && !reliability.is_unreliable(at(104)));
        reliability.note_failure(at(200));
        reliability.note_failure(at(300));
        assert!(reliability.is_unreliable(at(899)) && !reliability.is_unreliable(at(900)));
        reliability.note_failure(at(950));
        assert!(!reliability.is_unreliable(at(951)));
    }
}
