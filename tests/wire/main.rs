//! The wire layer from outside: the golden vectors of the reference peers, attacks by a peer, and properties that hold
//! for all inputs.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../support/mod.rs"]
mod support;

mod generations;
mod limits;
mod properties;
mod vectors;
