//! Tools for single frames: from bytes to JSON, and back.

pub(crate) mod decode;
pub(crate) mod encode;
