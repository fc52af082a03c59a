//! Which peers are known, asked and kept.

mod clock_skew;
mod extensions;
mod keepalive;
mod peers;
