//! Outbound: messages become frames, encoded once for all the peers that they are sent to.

pub(in crate::wire) mod composer;
pub(in crate::wire) mod encoded;
mod relay;
