//! Code shared by the tests: deadlines, and the parts that tests are built from.
//!
//! `browser` drives Chromium, `closed` makes members of closed meshes, `victim` is a node in this process, `raw` a peer
//! made of a bare socket, `coprocess` and `peer` are nodes in their own processes, `package` installs py2p, `vectors`
//! reads the golden vectors.

#![allow(dead_code, reason = "each test program uses some of it")]

use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub(crate) mod browser;
pub(crate) mod closed;
pub(crate) mod coprocess;
pub(crate) mod package;
pub(crate) mod peer;
pub(crate) mod plain;
pub(crate) mod raw;
pub(crate) mod vectors;
pub(crate) mod victim;

/// The deadline of anything that must happen: far longer than it takes, so that a busy machine slows a test down and
/// does not fail it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// How long to watch that something does not happen, once its cause has had its effect elsewhere.
pub(crate) const QUIET: Duration = Duration::from_millis(700);

/// The interval between two polls.
pub(crate) const GLANCE: Duration = Duration::from_millis(20);

/// Seconds since the epoch.
pub(crate) fn unix() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

/// Polls until the condition holds.
pub(crate) fn until(what: &str, mut so: impl FnMut() -> bool) {
    let deadline = std::time::Instant::now() + PATIENCE;
    while !so() {
        assert!(std::time::Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Returns the most sockets a program may open here.
pub(crate) fn open_files() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    line.and_then(|line| line.split_whitespace().nth(3)?.parse().ok())
        .unwrap_or(256)
}

/// Returns the usage at rest: the least over a second, in which a timer may run.
pub(crate) fn at_rest(used: impl Fn() -> usize) -> usize {
    let readings = (0..10).map(|_| {
        std::thread::sleep(Duration::from_millis(100));
        used()
    });
    readings.min().unwrap_or_default()
}
