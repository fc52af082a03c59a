//! The program `actix-mesh` in meshes with real py2p 0.4.516 nodes, and against peers that send malformed bytes.
//!
//! Every case starts fresh processes on free loopback ports and drives them by JSON lines; there is one file for each
//! subject of the protocol. The cases know the crate only as its program, so that they do not depend on the code they
//! check.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../support/mod.rs"]
mod support;

mod neighbour;
mod proxy;
mod py2p;
mod wire;

mod conversations;
mod crossing;
mod flood;
mod hostile;
mod leaving;

use support::{GLANCE, PATIENCE, QUIET, coprocess, package, peer};
