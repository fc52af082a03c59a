//! Which connections are accepted, under which id, and which of two is kept.

mod admission;
mod contest;
mod degree;
mod handshake;
mod links;
