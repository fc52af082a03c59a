//! Replicated state: in a simulated network, and with a real py2p.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../support/mod.rs"]
mod support;

mod live;
mod simulated;
