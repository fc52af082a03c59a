//! Typed values, questions and answers on loopback sockets: what arrives, and how failures are reported.

#![allow(missing_docs, clippy::unwrap_used, reason = "a test may panic")]

mod names;
mod requests;
mod rig;
mod values;
