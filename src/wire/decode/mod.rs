//! Inbound: a stream of bytes becomes batches of frames.
//!
//! A batch holds the frames of one read, each a range of the bytes that were read. What a frame claims to be is digested
//! to a fingerprint; whether it is that, [`message_id`](super::message_id) verifies.

pub(in crate::wire) mod batch;
pub(in crate::wire) mod batch_builder;
pub(in crate::wire) mod fingerprint;
pub(in crate::wire) mod frame;
pub(in crate::wire) mod stream;
