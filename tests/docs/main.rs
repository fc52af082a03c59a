//! Holds the documents to the code: README, limits, reliability, the names in all of them, and the guide from js2p.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod coming_from_js2p;
mod fixed_bounds;
mod limits;
mod names;
mod readme;
mod reliability;
