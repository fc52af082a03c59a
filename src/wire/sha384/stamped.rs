//! The hash input of a message id: a payload's packets and their time, and its digest.
//!
//! Does not know how several are hashed at once.

use sha2::{Digest as _, Sha384};

use crate::wire::base58;

/// With fewer messages, hashing one by one is faster on every machine.
pub(crate) const FEWEST: usize = 2;

/// The SHA-384 of a hash input.
pub(crate) type Digest = [u8; 48];

/// The packets of a payload, in order. Boundaries between them do not affect the hash.
pub(crate) trait Packets<'a>: Iterator<Item = &'a [u8]> + Clone {}

impl<'a, P: Iterator<Item = &'a [u8]> + Clone> Packets<'a> for P {}

/// The hash input of a message id: the payload, then the time in base58.
#[derive(Clone, Debug)]
pub(crate) struct Stamped<P> {
    pub(crate) packets: P,
    pub(crate) time: u64,
}

impl<'a, P: Packets<'a>> Stamped<P> {
    /// Hashes this message.
    pub(crate) fn digest(&self) -> Digest {
        let mut hash = Sha384::new();
        self.packets.clone().for_each(|packet| hash.update(packet));
        hash.update(base58::encode_u64(self.time));
        hash.finalize().into()
    }
}
