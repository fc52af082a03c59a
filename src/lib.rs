//! A peer-to-peer mesh under any actix system.
pub mod wire;
