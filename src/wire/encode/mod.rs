//! Outbound: messages become frames, encoded once for all the peers that get them.

pub(in crate::wire) mod composer;
pub(in crate::wire) mod encoded;
mod relay;
