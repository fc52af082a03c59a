//! Schedules the warnings about an expiring certificate: 30, 7 and 1 day before it expires, and when it has.

/// Seconds in a day.
const DAY: u64 = 24 * 60 * 60;

/// How many days before expiry a warning is due; the last is the expiry itself.
const TOLD_AT: [u64; 4] = [30, 7, 1, 0];

/// The warnings already given for the certificate in force.
#[derive(Debug, Default)]
pub(crate) struct Expiry {
    not_after: u64,
    /// How many of `TOLD_AT` have been given.
    told: usize,
}

impl Expiry {
    /// Returns the days left if a warning is due now. Each is given once; if several are due, only the last. A renewed
    /// certificate starts over.
    pub(crate) fn due(&mut self, not_after: u64, now: u64) -> Option<u64> {
        if self.not_after != not_after {
            *self = Self { not_after, told: 0 };
        }
        let left = not_after.saturating_sub(now);
        let passed = TOLD_AT.iter().filter(|days| left <= **days * DAY).count();
        if passed <= self.told {
            return None;
        }
        self.told = passed;
        Some(left / DAY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_time_is_told_once_and_a_renewal_begins_again() {
        let mut expiry = Expiry::default();
        let end = 100 * DAY;
        assert_eq!(expiry.due(end, 60 * DAY), None);
        assert_eq!(expiry.due(end, 70 * DAY), Some(30));
        assert_eq!(expiry.due(end, 71 * DAY), None);
        assert_eq!(expiry.due(end, 93 * DAY + 5), Some(6));
        assert_eq!(expiry.due(end, 99 * DAY), Some(1));
        assert_eq!(expiry.due(end, 101 * DAY), Some(0));
        assert_eq!(expiry.due(end, 102 * DAY), None);
        assert_eq!(expiry.due(200 * DAY, 102 * DAY), None);
        assert_eq!(expiry.due(200 * DAY, 199 * DAY), Some(1));
    }

    #[test]
    fn a_clock_that_steps_back_repeats_nothing() {
        let mut expiry = Expiry::default();
        assert_eq!(expiry.due(100 * DAY, 95 * DAY), Some(5));
        assert_eq!(expiry.due(100 * DAY, 10 * DAY), None);
        assert_eq!(expiry.due(100 * DAY, 96 * DAY), None);
        assert_eq!(expiry.due(100 * DAY, u64::MAX), Some(0));
    }
}
