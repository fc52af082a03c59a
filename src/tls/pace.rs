//! How much of a thread's time the handshakes of those who come may take.
//!
//! Owns the account of it. Whoever opens connections decides how many handshakes begin, so these must not take what
//! the links need that stand already.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Of each second, so much may go into handshakes of those who come.
const SHARE: f64 = 0.5;
/// What may be used at once after a rest.
const BURST: Duration = Duration::from_millis(250);

/// Shared by all connections of a node.
#[derive(Clone, Debug)]
pub(crate) struct Pace(Arc<Mutex<Account>>);

#[derive(Debug)]
struct Account {
    /// Seconds that may be used; below zero, seconds that were used in advance.
    left: f64,
    at: Instant,
}

impl Pace {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(Account {
            left: BURST.as_secs_f64(),
            at: Instant::now(),
        })))
    }

    /// How long to wait before a handshake may go on.
    pub(super) fn wait(&self) -> Option<Duration> {
        let left = self.account(Instant::now(), Duration::ZERO);
        (left < 0.0).then(|| Duration::from_secs_f64(-left / SHARE))
    }

    /// A step of a handshake took this long.
    pub(super) fn spent(&self, time: Duration) {
        self.account(Instant::now(), time);
    }

    fn account(&self, now: Instant, spent: Duration) -> f64 {
        let mut account = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = now.saturating_duration_since(account.at).as_secs_f64();
        account.at = now;
        account.left =
            (account.left + passed * SHARE).min(BURST.as_secs_f64()) - spent.as_secs_f64();
        account.left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_used_in_advance_is_waited_for() {
        tokio::time::pause();
        let pace = Pace::new();
        assert_eq!(pace.wait(), None);
        pace.spent(BURST + Duration::from_millis(100));
        let wait = pace.wait().unwrap();
        assert_eq!(wait.as_millis(), 200);
        tokio::time::advance(wait + Duration::from_millis(1)).await;
        assert_eq!(pace.wait(), None);
        // A rest gives back no more than a burst.
        tokio::time::advance(Duration::from_secs(3600)).await;
        pace.spent(BURST * 2);
        assert!(pace.wait().is_some());
    }
}
