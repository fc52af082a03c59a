//! A peer-to-peer mesh under any actix system.
pub mod mesh;
pub mod wire;

pub use wire::NodeId;
