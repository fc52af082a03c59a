//! Inbound: a byte stream becomes batches of frames.
//!
//! A batch holds the frames of one read, each a range of the bytes that were read. A fingerprint digests what a frame
//! claims to be; [`message_id`](super::message_id) verifies the claim.

pub(in crate::wire) mod batch;
pub(in crate::wire) mod batch_builder;
pub(in crate::wire) mod fingerprint;
pub(in crate::wire) mod frame;
pub(in crate::wire) mod stream;
