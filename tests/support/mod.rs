//! What the tests share: how long they wait, and the parts that they are built of.
//!
//! `browser` is Chromium, `closed` makes members of closed meshes, `victim` is a node of this process, `raw` a peer made of nothing but a socket, `coprocess` and `peer` are nodes in
//! processes of their own, `package` installs py2p, `vectors` reads the golden vectors.

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

/// Whatever must happen happens within this time: far more than it takes, so that a busy machine makes a
/// test slower and not red.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// How long something that must not happen is watched for once its cause has had its effect elsewhere.
pub(crate) const QUIET: Duration = Duration::from_millis(700);

/// Between two looks at something that is polled.
pub(crate) const GLANCE: Duration = Duration::from_millis(20);

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

/// What is used when nothing is under way: the least of a second, in which some timer may be at work.
pub(crate) fn at_rest(used: impl Fn() -> usize) -> usize {
    let readings = (0..10).map(|_| {
        std::thread::sleep(Duration::from_millis(100));
        used()
    });
    readings.min().unwrap_or_default()
}
