//! The attacks of the threat list on a closed mesh: the attacker is a member with its own certificate.
//!
//! These are the tests of `tests/threats`, with members made by `tests/support/closed.rs`. Attacks open only to
//! strangers or reference peers, or on unproven ids, have their counterparts in `tests/tls`.

#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(dead_code, unused_imports, reason = "what the open mesh alone needs")]

#[path = "../support/mod.rs"]
mod support;

#[path = "../threats/bytes.rs"]
mod bytes;
#[path = "../threats/caps.rs"]
mod caps;
#[path = "../threats/control.rs"]
mod control;
#[path = "../threats/crowds.rs"]
mod crowds;
#[path = "../threats/faults.rs"]
mod faults;
#[path = "../threats/load.rs"]
mod load;
#[path = "../threats/mailboxes.rs"]
mod mailboxes;
mod strangers;
#[path = "../threats/time.rs"]
mod time;

use support::raw::assert_serves;
