//! The two clocks that the core is told: nothing else reads them.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use actix::{Context, Handler};
use tokio::time::Instant;

use crate::mesh::Now;
use crate::node::Router;

/// A monotonic and a wall clock.
#[derive(Clone, Debug)]
pub(crate) struct Clock {
    started: Instant,
    wall: Wall,
}

/// The source of the wall clock.
#[derive(Clone, Debug)]
enum Wall {
    Machine,
    /// `at_start` seconds, plus the time that timers have passed, plus the current `skew`.
    Simulated {
        at_start: u64,
        skew: Arc<AtomicI64>,
    },
}

impl Clock {
    /// Creates a clock that reads the machine's clocks.
    pub(crate) fn start() -> Self {
        Self {
            started: Instant::now(),
            wall: Wall::Machine,
        }
    }

    /// Creates a clock whose wall time follows the timers, which may be paused and resumed.
    #[cfg_attr(
        not(feature = "sim"),
        expect(dead_code, reason = "simulations are a feature")
    )]
    pub(crate) fn simulated(at_start: u64, skew: Arc<AtomicI64>) -> Self {
        Self {
            started: Instant::now(),
            wall: Wall::Simulated { at_start, skew },
        }
    }

    pub(crate) fn now(&self) -> Now {
        let monotonic = self.started.elapsed();
        let unix = self.since_epoch(monotonic).as_secs();
        Now { monotonic, unix }
    }

    /// Returns the wall clock in microseconds since the epoch.
    #[cfg(feature = "tls")]
    pub(crate) fn micros(&self) -> u64 {
        let since = self.since_epoch(self.started.elapsed());
        u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
    }

    fn since_epoch(&self, monotonic: Duration) -> Duration {
        match &self.wall {
            // Read each time: when the machine's clock is corrected, the stamps of own messages must follow.
            Wall::Machine => {
                let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
                since.unwrap_or_default()
            }
            Wall::Simulated { at_start, skew } => {
                let passed = monotonic.saturating_add(Duration::from_secs(*at_start));
                let skew = skew.load(Ordering::Relaxed);
                let off = Duration::from_secs(skew.unsigned_abs());
                if skew < 0 {
                    passed.saturating_sub(off)
                } else {
                    passed.saturating_add(off)
                }
            }
        }
    }
}

/// Asks for the wall clock that a Router stamps with.
#[derive(Clone, Copy, Debug, actix::Message)]
#[rtype(result = "u64")]
pub(crate) struct UnixTime;

impl Handler<UnixTime> for Router {
    type Result = u64;

    fn handle(&mut self, _: UnixTime, _: &mut Context<Self>) -> u64 {
        self.clock.now().unix
    }
}
