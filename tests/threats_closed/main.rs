//! The attacks of the threat list on a closed mesh: the attacker is a member, with a certificate of its own.
//!
//! The same tests as those of `tests/threats`, of which `tests/support/closed.rs` makes members. What only a stranger or a
//! reference peer can do, and what concerns ids that nobody proves, has its counterpart in `tests/tls`.

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
