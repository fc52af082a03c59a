//! Slow peers, and when they are closed.
//!
//! | a peer | is closed |
//! |---|---|
//! | reads less than [`Patience::rate`] | after [`Patience::time`] |
//! | does so while the budget of slow peers is used up and few peers are slow | after [`HASTE`] |
//! | reads more, but stays behind | when data is queued for [`STALE`], or [`Patience::time`] if longer |

use std::future::Future as _;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

use super::OutboundQueue;
use crate::mesh::Ended;
use crate::node::budget::Backlogged;

/// How often a peer with queued data is checked.
pub(super) const LOOK: Duration = Duration::from_millis(100);
/// A peer this far behind is closed when the budget of slow peers is used up, unless most peers are slow.
pub(super) const HASTE: Duration = Duration::from_secs(1);
/// Queued data must be written within this time, whatever the peer reads: every receiver drops a broadcast that was
/// queued longer as expired.
pub(super) const STALE: Duration = Duration::from_secs(60);

/// A peer to which less was written between two checks is written to in pieces of `SLOW_WRITE`: the system takes a write
/// whole, and takes nothing more until most of it is sent.
const SLOW_BYTES: u64 = 64 << 10;
const SLOW_WRITE: usize = 8 << 10;

/// How slow a peer may be, and for how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    pub(crate) time: Duration,
    /// Bytes a second; a peer that reads less is slow.
    pub(crate) rate: u32,
}

/// The state of a peer that does not read all its data.
#[derive(Debug)]
pub(super) struct Stall {
    look: Pin<Box<Sleep>>,
    /// The time of the last check, and the bytes written by then.
    looked: (Instant, u64),
    /// How far the peer is behind the minimum rate.
    behind: Duration,
    /// Whether little was written since the last check.
    slow: bool,
    /// Set while the peer is far behind.
    counted: Option<Backlogged>,
    /// A moment, and the number of bytes that will have been written once everything queued then is.
    mark: (Instant, u64),
}

impl OutboundQueue {
    pub(super) fn behind(&self) -> Duration {
        self.stall
            .as_ref()
            .map_or(Duration::ZERO, |stall| stall.behind)
    }

    /// Returns the most bytes to write at once.
    pub(super) fn most_at_once(&self) -> usize {
        match &self.stall {
            Some(stall) if stall.slow => SLOW_WRITE,
            _ => usize::MAX,
        }
    }

    pub(super) fn poll_stall(&mut self, cx: &mut Context<'_>) -> Poll<Ended> {
        while let Poll::Ready(behind) = self.poll_look(cx) {
            if behind >= self.patience.time || self.is_unwelcome(behind) || self.is_stale() {
                return Poll::Ready(Ended::Stalled);
            }
        }
        Poll::Pending
    }

    /// Waits for the next check; returns how far the peer is behind.
    fn poll_look(&mut self, cx: &mut Context<'_>) -> Poll<Duration> {
        let (written, rate) = (self.written, self.patience.rate);
        let all = self.all();
        let look = LOOK.min(self.patience.time);
        let stall = self.stall.get_or_insert_with(|| {
            Box::new(Stall {
                look: Box::pin(tokio::time::sleep(look)),
                looked: (Instant::now(), written),
                behind: Duration::ZERO,
                slow: false,
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

    /// Returns whether a peer this far behind must be closed for lack of room.
    fn is_unwelcome(&mut self, behind: Duration) -> bool {
        self.count(behind >= HASTE);
        behind >= LOOK.min(self.patience.time)
            && !self.move_over()
            && behind >= HASTE
            && self.pool.few_are_behind()
    }

    /// Returns the number of bytes that will have been written once the queue is empty.
    fn all(&self) -> u64 {
        self.written + self.waiting as u64
    }

    /// Returns whether data has been queued too long. A single large frame holds back nobody and may take its time.
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

    /// Tells the pool whether the peer is slow.
    fn count(&mut self, behind: bool) {
        if let Some(stall) = &mut self.stall {
            let counted = stall.counted.take();
            stall.counted = behind.then(|| counted.unwrap_or_else(|| self.pool.one_behind()));
        }
    }
}

impl Stall {
    /// Compares the bytes written since the last check with the minimum rate; returns how far the peer is behind.
    fn note(&mut self, now: Instant, written: u64, rate: u32) -> Duration {
        let (then, before) = mem::replace(&mut self.looked, (now, written));
        self.slow = written - before < SLOW_BYTES;
        let taken = (written - before) as f64 / f64::from(rate.max(1));
        let taken = Duration::try_from_secs_f64(taken).unwrap_or(Duration::MAX);
        let passed = now.saturating_duration_since(then);
        self.behind = (self.behind + passed).saturating_sub(taken);
        self.behind
    }
}
