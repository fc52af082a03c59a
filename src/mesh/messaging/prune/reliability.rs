//! Reliability: whether an author's messages come in time on their way.
//!
//! Owns what tells that messages come late, and when a way has failed too often to spare the others. Knows no
//! connection.

use std::time::Duration;

/// A way that failed this often within `FORGIVEN` is not relied on.
const FAILURES: u8 = 3;
const FORGIVEN: Duration = Duration::from_secs(600);
/// Late messages from several peers within this time count as one failure.
const ONE_FAILURE: Duration = Duration::from_secs(5);

/// The minimum age is measured anew after this time.
const AGES_COUNT: Duration = Duration::from_secs(60);

/// See the module.
#[derive(Debug)]
pub(super) struct Reliability {
    /// How often messages came late because the way had failed, and when last.
    failures: u8,
    failed_at: Option<Duration>,
    /// The minimum recent age, by stamp and this node's clock, and when it was measured.
    age: u64,
    age_since: Duration,
    /// When the first older message came since then.
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

    /// Notes that messages came late, from a peer that we had asked not to send them.
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

    /// Whether messages came late a moment ago: other nodes may be waiting for them, too.
    pub(super) fn is_late(&self, now: Duration) -> bool {
        self.failed_at.is_some_and(|at| now < at + ONE_FAILURE)
    }

    /// Whether a message is more than a second older than the recent minimum: its way has failed somewhere, and other
    /// nodes may be waiting for it, too. Clock differences are part of every age until a clock is set. Under load all
    /// messages age: this counts for `ONE_FAILURE` only, because more copies would add to the load.
    pub(super) fn is_aged(&mut self, age: u64, now: Duration) -> bool {
        if age < self.age || self.age_since + AGES_COUNT <= now {
            (self.age, self.age_since, self.aged_at) = (age, now, None);
        }
        age > self.age.saturating_add(1) && {
            let first = *self.aged_at.get_or_insert(now);
            now < first + ONE_FAILURE
        }
    }

    /// Whether the author's way fails too often to spare the others.
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
