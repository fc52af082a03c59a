//! Tools for single frames: bytes to JSON and back.

pub(crate) mod decode;
pub(crate) mod encode;
