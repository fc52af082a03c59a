//! The attacks of the threat list, each against a live node over sockets.
//!
//! A test is named after its threat (T1 to T25) or fault (F1 to F9); `docs/reliability.md` has the list. What
//! a bound is exactly is tested where it is kept, in `src` and in `tests/wire/limits.rs`; here it is shown
//! that the whole node withstands, and still serves a good peer.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../support/mod.rs"]
mod support;

mod bytes;
mod caps;
mod control;
mod crowds;
mod faults;
mod identity;
mod load;
mod mailboxes;
mod time;
mod websocket;

use support::raw::assert_serves;
