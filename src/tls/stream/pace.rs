//! Limits the CPU time spent on inbound handshakes.
//!
//! Owns the token buckets. A dialling peer decides how many handshakes begin, so these must not starve the established
//! links.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Seconds of CPU time per second for answering inbound peers.
const BEGIN: f64 = 0.4;
/// Seconds of CPU time per second for verifying what a peer sends after the answer. It is a separate bucket, so that
/// peers that only begin handshakes take nothing from those that continue.
const FINISH: f64 = 0.2;
/// Bytes sent after which a peer has been answered with a certificate and a signature. A request for another key share,
/// which costs a client nothing, takes fewer bytes.
const ANSWER: usize = 256;
/// The capacity of a bucket.
const BURST: Duration = Duration::from_millis(250);

/// The buckets, shared by all connections of a node.
#[derive(Clone, Debug)]
pub(crate) struct Pace(Arc<[Mutex<Account>; 2]>);

/// How far a handshake has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// The peer's first message may have arrived.
    Begun,
    /// The peer was answered.
    Answered,
}

impl Progress {
    /// Derives the progress from the number of bytes sent to the peer.
    pub(super) fn after(bytes: usize) -> Self {
        match bytes >= ANSWER {
            true => Self::Answered,
            false => Self::Begun,
        }
    }
}

#[derive(Debug)]
struct Account {
    /// Seconds gained per second.
    share: f64,
    /// Seconds available; negative after an overdraft.
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

    /// Returns how long a handshake has to wait before its next step.
    pub(super) fn wait(&self, progress: Progress) -> Option<Duration> {
        let mut account = self.account(progress);
        let left = account.spend(Instant::now(), Duration::ZERO);
        (left < 0.0).then(|| Duration::from_secs_f64(-left / account.share))
    }

    /// Records the time that a step of a handshake took.
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
        // A peer that has been answered continues.
        assert_eq!(pace.wait(Progress::Answered), None);
        tokio::time::advance(wait + Duration::from_millis(1)).await;
        assert_eq!(pace.wait(begun), None);
        // An idle time refills no more than the capacity.
        tokio::time::advance(Duration::from_secs(3600)).await;
        pace.spent(begun, BURST * 2);
        assert!(pace.wait(begun).is_some());
    }
}
