//! Typed values, questions and answers on loopback sockets: what arrives, and how what does not arrive is told.

#![allow(missing_docs, clippy::unwrap_used, reason = "a test may panic")]

mod names;
mod requests;
mod rig;
mod values;
