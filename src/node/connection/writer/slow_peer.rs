//! When a peer takes too little, and what follows.
//!
//! | a peer | is closed |
//! |---|---|
//! | that takes next to nothing (less than [`Patience::rate`]) | after [`Patience::time`] |
//! | that does, while there is no room left for slow peers and few are slow | after [`HASTE`] |
//! | that takes more, and is behind all the same | when what waited at one moment still waits after [`STALE`] |

use std::future::Future as _;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

use super::OutboundQueue;
use crate::mesh::Ended;
use crate::node::budget::Backlogged;

/// How often a peer for which something waits is looked at.
pub(super) const LOOK: Duration = Duration::from_millis(100);
/// A peer so far behind is closed when there is no room left for slow ones, unless most are.
pub(super) const HASTE: Duration = Duration::from_secs(1);
/// What waits at one moment must have been written so much later, whatever the peer takes: a broadcast that waited
/// for longer is dropped as expired wherever it arrives.
pub(super) const STALE: Duration = Duration::from_secs(60);

/// How little a peer may take, and for how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    pub(crate) time: Duration,
    /// Bytes a second; less is next to nothing.
    pub(crate) rate: u32,
}

/// While the peer does not take all there is.
#[derive(Debug)]
pub(super) struct Stall {
    look: Pin<Box<Sleep>>,
    /// When it was last looked at, and what was written then.
    looked: (Instant, u64),
    /// How far it is behind what it has to take at least.
    behind: Duration,
    /// While that is much.
    counted: Option<Backlogged>,
    /// At some moment, how much will have been written once all that waited then is.
    mark: (Instant, u64),
}

impl OutboundQueue {
    pub(super) fn behind(&self) -> Duration {
        self.stall
            .as_ref()
            .map_or(Duration::ZERO, |stall| stall.behind)
    }

    pub(super) fn poll_stall(&mut self, cx: &mut Context<'_>) -> Poll<Ended> {
        while let Poll::Ready(behind) = self.poll_look(cx) {
            if behind >= self.patience.time || self.is_unwelcome(behind) || self.is_stale() {
                return Poll::Ready(Ended::Stalled);
            }
        }
        Poll::Pending
    }

    /// Waits until it is time to look, and says how far the peer is behind.
    fn poll_look(&mut self, cx: &mut Context<'_>) -> Poll<Duration> {
        let (written, rate) = (self.written, self.patience.rate);
        let all = self.all();
        let look = LOOK.min(self.patience.time);
        let stall = self.stall.get_or_insert_with(|| {
            Box::new(Stall {
                look: Box::pin(tokio::time::sleep(look)),
                looked: (Instant::now(), written),
                behind: Duration::ZERO,
                counted: None,
                mark: (Instant::now(), all),
            })
        });
        stall.look.as_mut().poll(cx).map(|()| {
            let now = Instant::now();
            stall.look.as_mut().reset(now + look);
            stall.note(now, written, rate)
        })
    }

    /// Whether there is no room for what waits for a peer that is so far behind.
    fn is_unwelcome(&mut self, behind: Duration) -> bool {
        self.count(behind >= HASTE);
        behind >= LOOK.min(self.patience.time)
            && !self.move_over()
            && behind >= HASTE
            && self.pool.few_are_behind()
    }

    /// What will have been written when nothing waits any more.
    fn all(&self) -> u64 {
        self.written + self.waiting as u64
    }

    /// Whether something has waited too long. A large frame alone holds back nobody and may take its time.
    fn is_stale(&mut self) -> bool {
        let (now, all) = (Instant::now(), self.all());
        let Some(stall) = &mut self.stall else {
            return false;
        };
        if self.written >= stall.mark.1 {
            stall.mark = (now, all);
        }
        let waited = now.saturating_duration_since(stall.mark.0);
        self.queue.len() > 1 && waited >= STALE.max(self.patience.time)
    }

    /// Lets the pool know whether the peer takes next to nothing.
    fn count(&mut self, behind: bool) {
        if let Some(stall) = &mut self.stall {
            let counted = stall.counted.take();
            stall.counted = behind.then(|| counted.unwrap_or_else(|| self.pool.one_behind()));
        }
    }
}

impl Stall {
    /// Reckons what was taken since it was last looked at against what should have been.
    fn note(&mut self, now: Instant, written: u64, rate: u32) -> Duration {
        let (then, before) = mem::replace(&mut self.looked, (now, written));
        let taken = (written - before) as f64 / f64::from(rate.max(1));
        let taken = Duration::try_from_secs_f64(taken).unwrap_or(Duration::MAX);
        let passed = now.saturating_duration_since(then);
        self.behind = (self.behind + passed).saturating_sub(taken);
        self.behind
    }
}
