//! How much of a thread's time the handshakes of those who come may take.
//!
//! Owns the account of it. Whoever opens connections decides how many handshakes begin, so these must not take what
//! the links need that stand already.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Of each second, so much may go into answering those who come.
const BEGIN: f64 = 0.4;
/// And so much into looking at what they show then. An account of its own: whoever only begins, however often, takes nothing
/// from who goes on.
const FINISH: f64 = 0.2;
/// Whoever was sent so many bytes has been answered: with a certificate and a signature. To be asked for another key, which a
/// client can have us do for nothing, takes fewer.
const ANSWER: usize = 256;
/// What may be used at once after a rest.
const BURST: Duration = Duration::from_millis(250);

/// Shared by all connections of a node.
#[derive(Clone, Debug)]
pub(crate) struct Pace(Arc<[Mutex<Account>; 2]>);

/// How far a handshake is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// The peer may have said its first word.
    Begun,
    /// It was answered.
    Answered,
}

impl Progress {
    /// After so many bytes to the peer.
    pub(super) fn after(bytes: usize) -> Self {
        match bytes >= ANSWER {
            true => Self::Answered,
            false => Self::Begun,
        }
    }
}

#[derive(Debug)]
struct Account {
    /// Of a second.
    share: f64,
    /// Seconds that may be used; below zero, seconds that were used in advance.
    left: f64,
    at: Instant,
}

impl Pace {
    pub(super) fn new() -> Self {
        let account = |share| {
            Mutex::new(Account {
                share,
                left: BURST.as_secs_f64(),
                at: Instant::now(),
            })
        };
        Self(Arc::new([account(BEGIN), account(FINISH)]))
    }

    /// How long to wait before a handshake may go on.
    pub(super) fn wait(&self, progress: Progress) -> Option<Duration> {
        let mut account = self.account(progress);
        let left = account.spend(Instant::now(), Duration::ZERO);
        (left < 0.0).then(|| Duration::from_secs_f64(-left / account.share))
    }

    /// A step of a handshake took this long.
    pub(super) fn spent(&self, progress: Progress, time: Duration) {
        self.account(progress).spend(Instant::now(), time);
    }

    fn account(&self, progress: Progress) -> MutexGuard<'_, Account> {
        let account = &self.0[progress as usize];
        account.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Account {
    fn spend(&mut self, now: Instant, spent: Duration) -> f64 {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.at = now;
        self.left =
            (self.left + passed * self.share).min(BURST.as_secs_f64()) - spent.as_secs_f64();
        self.left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_used_in_advance_is_waited_for() {
        tokio::time::pause();
        let pace = Pace::new();
        let begun = Progress::Begun;
        assert_eq!(pace.wait(begun), None);
        let used = BURST + Duration::from_millis(100);
        pace.spent(begun, used);
        let wait = pace.wait(begun).unwrap();
        assert_eq!(wait.as_millis(), 250);
        // Whoever has been answered goes on.
        assert_eq!(pace.wait(Progress::Answered), None);
        tokio::time::advance(wait + Duration::from_millis(1)).await;
        assert_eq!(pace.wait(begun), None);
        // A rest gives back no more than a burst.
        tokio::time::advance(Duration::from_secs(3600)).await;
        pace.spent(begun, BURST * 2);
        assert!(pace.wait(begun).is_some());
    }
}
