//! Claims: what a frame says it is, digested before anything is proven, for telling seen frames from fresh ones.

use std::{fmt, hash::Hasher as _};

use siphasher::sip::SipHasher13;

/// The key under which claims are digested. Peers choose what is hashed; with a key from a source of randomness they
/// do not choose where it lands.
#[derive(Clone, Copy)]
pub struct ClaimKey(u64, u64);

impl ClaimKey {
    /// A key of two random halves.
    pub fn new(k0: u64, k1: u64) -> ClaimKey {
        ClaimKey(k0, k1)
    }
}

/// Hides the key.
impl fmt::Debug for ClaimKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClaimKey(..)")
    }
}

/// Keyed digests of what a frame claims. Main flag and spelling of the time are not part of it: a message and its relay
/// make the same claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Claim {
    /// Of the id alone: what the reference peers take for the message's identity.
    pub id: u64,
    /// Of id, sender and the lengths of the payload's packets: keeps apart two authors, and two framings, of one text.
    pub strict: u64,
}

impl Claim {
    pub(crate) fn new(
        key: &ClaimKey,
        id: &[u8],
        sender: &[u8],
        lengths: impl Iterator<Item = usize>,
    ) -> Claim {
        let mut hash = SipHasher13::new_with_keys(key.0, key.1);
        hash.write_usize(id.len());
        hash.write(id);
        let id = hash.finish();
        hash.write_usize(sender.len());
        hash.write(sender);
        lengths.for_each(|length| hash.write_usize(length));
        Claim {
            id,
            strict: hash.finish(),
        }
    }
}
