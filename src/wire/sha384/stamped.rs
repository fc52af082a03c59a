//! What an id is hashed over: a payload's packets and the second they are stamped with, and the digest of it.
//!
//! How several are hashed at once is not its business.

use sha2::{Digest as _, Sha384};

use crate::wire::base58;

/// With fewer messages one by one is faster, on all machines.
pub(crate) const FEWEST: usize = 2;

/// SHA-384 of what an id is hashed over.
pub(crate) type Digest = [u8; 48];

/// The packets of a payload, in order. Gaps between them do not count.
pub(crate) trait Packets<'a>: Iterator<Item = &'a [u8]> + Clone {}

impl<'a, P: Iterator<Item = &'a [u8]> + Clone> Packets<'a> for P {}

/// What an id is hashed over: the payload, then the time in base58.
#[derive(Clone, Debug)]
pub(crate) struct Stamped<P> {
    pub(crate) packets: P,
    pub(crate) time: u64,
}

impl<'a, P: Packets<'a>> Stamped<P> {
    /// The digest of this one.
    pub(crate) fn digest(&self) -> Digest {
        let mut hash = Sha384::new();
        self.packets.clone().for_each(|packet| hash.update(packet));
        hash.update(base58::encode_u64(self.time));
        hash.finalize().into()
    }
}
