//! The mesh in simulated networks, each from a seed: its laws, and attackers that try to surround a node.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod announce;
mod degree;
mod eclipse;
mod laws;
mod prune;
