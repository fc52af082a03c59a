//! Measures alternatives side by side: short alternating slices, CPU time, medians.
//!
//! The speed of a shared machine changes from second to second. Code that ran within the same milliseconds was slowed
//! alike, so the ratios hold where the times do not; time in which the thread did not run is not counted.

#![allow(dead_code, reason = "each benchmark uses a part of it")]

use std::hint::black_box;
use std::time::Duration;

/// The approximate length of one slice.
const SLICE: Duration = Duration::from_millis(1);
const ROUNDS: usize = 31;

/// Returns the CPU time of this thread.
#[cfg(unix)]
pub(crate) fn clock() -> Duration {
    use rustix::time::{ClockId, clock_gettime};
    clock_gettime(ClockId::ThreadCPUTime)
        .try_into()
        .expect("CPU time is never negative")
}

/// Returns elapsed time, on systems without easy access to CPU time.
#[cfg(not(unix))]
pub(crate) fn clock() -> Duration {
    static START: std::sync::LazyLock<std::time::Instant> =
        std::sync::LazyLock::new(std::time::Instant::now);
    START.elapsed()
}

/// Returns the CPU time of this process, over all threads.
#[cfg(unix)]
pub(crate) fn process_clock() -> Duration {
    use rustix::time::{ClockId, clock_gettime};
    clock_gettime(ClockId::ProcessCPUTime)
        .try_into()
        .expect("CPU time is never negative")
}

/// Returns elapsed time, on systems without easy access to CPU time.
#[cfg(not(unix))]
pub(crate) fn process_clock() -> Duration {
    clock()
}

/// Measures how long a call takes.
pub(crate) fn timed<R>(what: impl FnOnce() -> R) -> (Duration, R) {
    let start = clock();
    let result = what();
    (clock().saturating_sub(start), result)
}

/// One alternative.
pub(crate) struct Way<'a> {
    name: String,
    /// Runs one slice; returns how long it took and how many items it processed.
    slice: Box<dyn FnMut() -> (Duration, usize) + 'a>,
}

impl<'a> Way<'a> {
    /// Makes an alternative that processes that many items in each call and can be called repeatedly.
    pub(crate) fn new<R>(
        name: impl Into<String>,
        items: usize,
        mut call: impl FnMut() -> R + 'a,
    ) -> Way<'a> {
        let mut calls = 0_u32;
        let slice = move || {
            while calls == 0 || timed(|| repeat(calls, &mut call)).0 < SLICE / 2 && calls < 1 << 24
            {
                calls = calls * 2 + 1;
            }
            let (took, ()) = timed(|| repeat(calls, &mut call));
            (took, items * calls as usize)
        };
        let mut slice: Box<dyn FnMut() -> (Duration, usize) + 'a> = Box::new(slice);
        slice();
        Way {
            name: name.into(),
            slice,
        }
    }

    /// Makes an alternative that measures itself: it returns how long it took and how many items it processed.
    pub(crate) fn timing_itself(
        name: impl Into<String>,
        slice: impl FnMut() -> (Duration, usize) + 'a,
    ) -> Way<'a> {
        Way {
            name: name.into(),
            slice: Box::new(slice),
        }
    }
}

fn repeat<R>(calls: u32, call: &mut impl FnMut() -> R) {
    for _ in 0..calls {
        black_box(call());
    }
}

/// Runs all alternatives in turn and prints nanoseconds per item and the ratio to the first; returns the medians.
pub(crate) fn side_by_side(title: &str, ways: Vec<Way<'_>>) -> Vec<f64> {
    if !wanted(title) {
        return vec![f64::NAN; ways.len()];
    }
    side_by_side_for(ROUNDS, title, ways)
}

/// Runs all alternatives in turn for that many rounds.
pub(crate) fn side_by_side_for(rounds: usize, title: &str, mut ways: Vec<Way<'_>>) -> Vec<f64> {
    let mut taken = vec![Vec::with_capacity(rounds); ways.len()];
    for _ in 0..rounds {
        for (way, taken) in ways.iter_mut().zip(&mut taken) {
            let (took, items) = (way.slice)();
            taken.push(took.as_secs_f64() * 1e9 / items as f64);
        }
    }
    let medians: Vec<f64> = taken.iter_mut().map(|taken| median(taken)).collect();
    println!("\n{title}");
    for (way, median) in ways.iter().zip(&medians) {
        println!(
            "  {:44} {median:>12.1} ns {:>7.2}",
            way.name,
            median / medians[0]
        );
    }
    medians
}

/// Whether the command line selects this title: every title, unless it names parts of some.
pub(crate) fn wanted(title: &str) -> bool {
    let mut parts = std::env::args()
        .skip(1)
        .filter(|arg| !arg.starts_with('-'))
        .peekable();
    parts.peek().is_none() || parts.any(|part| title.contains(&part))
}

/// Sorts the values and returns the median.
pub(crate) fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
