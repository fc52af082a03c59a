//! The attacks of the threat list, each against a live node over sockets.
//!
//! A test is named after its threat (T1 to T39) or fault (F1 to F23); `docs/reliability.md` has the list. The exact
//! bounds are tested where they are enforced, in `src` and in `tests/wire/limits.rs`; these tests show that the whole
//! node withstands the attack and still serves an honest peer.

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
