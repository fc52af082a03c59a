//! What attacks are made of: a node to attack, and peers made of nothing but a socket.
//!
//! The frames are made by the crate's own `wire`: here it is the node that is checked, and what bytes mean
//! is checked elsewhere.

#![allow(dead_code, reason = "each test program uses some of it")]

use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub(crate) mod raw;
pub(crate) mod victim;

/// Whatever must happen happens within this time: far more than it takes, so that a busy machine makes a
/// test slower and not red.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Seconds since the epoch.
pub(crate) fn unix() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

/// Looks until it is so.
pub(crate) fn until(what: &str, mut so: impl FnMut() -> bool) {
    let deadline = std::time::Instant::now() + PATIENCE;
    while !so() {
        assert!(std::time::Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Sockets a program may have open here, in all.
pub(crate) fn open_files() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    line.and_then(|line| line.split_whitespace().nth(3)?.parse().ok())
        .unwrap_or(256)
}
