//! The back-off between dials of one address: how long it waits after each failure.
//!
//! Owns its growth and jitter. It does not know which addresses are dialled.

use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;

/// After `PERSISTENT` failures, an address that is not kept is dialled only every `SELDOM_FACTOR` times the back-off cap.
const PERSISTENT: u32 = 40;
const SELDOM_FACTOR: u32 = 20;

/// Exponential back-off with jitter of up to half of each pause, capped.
#[derive(Clone, Copy, Debug)]
pub(in crate::mesh) struct Backoff {
    pub(in crate::mesh) first: Duration,
    /// `None`: an address is dialled once, and not again.
    pub(in crate::mesh) cap: Option<Duration>,
}

impl Backoff {
    /// Returns the pause before the next dial of an address that has failed so often. `kept`: a user asked for it.
    pub(super) fn after(self, failures: u32, kept: bool, rng: &mut StdRng) -> Duration {
        let Some(cap) = self.cap else {
            return Duration::MAX;
        };
        let doubled = self.first.saturating_mul(1 << failures.min(16)).min(cap);
        // A peer that has been away for long is dialled seldom.
        let pause = if kept || failures < PERSISTENT {
            doubled
        } else {
            cap * SELDOM_FACTOR
        };
        pause.mul_f64(rng.random_range(0.5..1.0))
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;

    use super::*;

    #[test]
    fn each_failure_waits_longer_up_to_the_cap() {
        let mut rng = StdRng::seed_from_u64(1);
        const CAP: Duration = Duration::from_secs(30);
        let backoff = Backoff {
            first: Duration::from_secs(1),
            cap: Some(CAP),
        };
        for failures in 0..40 {
            let full = Duration::from_secs(1 << failures.min(5)).min(CAP);
            let wait = backoff.after(failures, true, &mut rng);
            assert!(full / 2 <= wait && wait <= full, "{failures}: {wait:?}");
        }
    }

    #[test]
    fn without_a_cap_no_address_is_dialled_again() {
        let backoff = Backoff {
            first: Duration::from_secs(1),
            cap: None,
        };
        let wait = backoff.after(0, true, &mut StdRng::seed_from_u64(1));
        assert_eq!(wait, Duration::MAX);
    }
}
