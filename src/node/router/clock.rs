//! The two clocks the core is told: the only place that reads them.

use std::time::SystemTime;

use tokio::time::Instant;

use crate::mesh::Now;

/// Reads both clocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    started: Instant,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self {
            started: Instant::now(),
        }
    }

    pub(crate) fn now(self) -> Now {
        Now {
            monotonic: self.started.elapsed(),
            unix: unix(),
        }
    }
}

/// Seconds since the epoch. Read anew each time: when someone sets the machine's clock right, the
/// stamps of our messages must follow.
fn unix() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |time| time.as_secs())
}
