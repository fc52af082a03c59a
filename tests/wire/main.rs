//! The wire from outside: the golden vectors of the reference peers, what a peer cannot do to it, and properties that
//! hold for all inputs.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../support/mod.rs"]
mod support;

mod generations;
mod limits;
mod properties;
mod vectors;
