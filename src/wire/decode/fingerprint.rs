//! Fingerprints: digests of what a frame claims to be, which tell seen frames from fresh ones before anything is
//! proven.

use std::{fmt, hash::Hasher as _};

use siphasher::sip::SipHasher13;

use crate::wire::decode::frame::Frame;

/// The key of fingerprints. Peers choose what is hashed; with a random key they cannot choose the result.
#[derive(Clone, Copy)]
pub struct FingerprintKey(u64, u64);

impl FingerprintKey {
    /// Makes a key from two random halves.
    pub fn new(k0: u64, k1: u64) -> FingerprintKey {
        FingerprintKey(k0, k1)
    }

    fn hasher(&self) -> SipHasher13 {
        SipHasher13::new_with_keys(self.0, self.1)
    }

    pub(crate) fn digest(&self, text: &[u8]) -> u64 {
        self.hasher().hash(text)
    }
}

/// Hides the key.
impl fmt::Debug for FingerprintKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FingerprintKey(..)")
    }
}

/// Keyed digests of what a frame claims. The main flag and the spelling of the time are left out: a message and its
/// relay have the same fingerprint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fingerprint {
    /// Digest of the id alone, which reference peers take for the message's identity; for a payload that is not text,
    /// of time and payload.
    pub id: u64,
    /// Digest of the same plus the sender and the lengths of the payload's packets: tells apart two authors, and two
    /// framings, of one text.
    pub strict: u64,
}

impl Frame<'_> {
    /// Digests what the frame claims to be.
    pub fn fingerprint(&self, key: &FingerprintKey) -> Fingerprint {
        Fingerprints::new(key).of(self)
    }
}

/// Characters of an id that are digested: 187 bits of a hash. A peer that claims another id with the same start cannot
/// prove it.
const TOLD_APART: usize = 32;

/// Takes the fingerprints of consecutive frames, digesting a repeated sender once.
#[derive(Debug)]
pub struct Fingerprints<'a> {
    key: FingerprintKey,
    sender: &'a [u8],
    digest: u64,
}

impl<'a> Fingerprints<'a> {
    /// Starts with no sender.
    pub fn new(key: &FingerprintKey) -> Fingerprints<'a> {
        Fingerprints {
            key: *key,
            sender: &[],
            digest: key.digest(&[]),
        }
    }

    /// Returns the same as [`Frame::fingerprint`].
    pub fn of(&mut self, frame: &Frame<'a>) -> Fingerprint {
        if frame.is_text() {
            self.fingerprint(frame.sender(), &frame.known_id(), frame.lengths())
        } else {
            self.of_bytes(frame.sender(), frame.time(), frame.payload())
        }
    }

    /// Digests the payload's bytes: a payload that is not text may have either of two ids, and one of the rules gives
    /// many such payloads the same id.
    pub(in crate::wire) fn of_bytes<'p>(
        &mut self,
        sender: &'a [u8],
        time: u64,
        payload: impl Iterator<Item = &'p [u8]>,
    ) -> Fingerprint {
        self.digest_sender(sender);
        let mut hash = self.key.hasher();
        hash.write_u64(time);
        for packet in payload {
            hash.write_u32(u32::try_from(packet.len()).unwrap_or(u32::MAX));
            hash.write(packet);
        }
        let id = hash.finish();
        hash.write_u64(self.digest);
        Fingerprint {
            id,
            strict: hash.finish(),
        }
    }

    fn digest_sender(&mut self, sender: &'a [u8]) {
        if sender != self.sender {
            self.sender = sender;
            self.digest = self.key.digest(sender);
        }
    }

    /// Returns the keyed digest of the last frame's sender.
    pub(crate) fn author(&self) -> u64 {
        self.digest
    }

    /// Hashes the sender's digest in place of the sender. No peer knows the digest, so none can shift the boundary
    /// between id and sender.
    pub(in crate::wire) fn fingerprint(
        &mut self,
        sender: &'a [u8],
        id: &[u8],
        lengths: impl Iterator<Item = usize>,
    ) -> Fingerprint {
        self.digest_sender(sender);
        let mut hash = self.key.hasher();
        hash.write(&id[..id.len().min(TOLD_APART)]);
        let id = hash.finish();
        hash.write_u64(self.digest);
        lengths.for_each(|length| hash.write_u32(u32::try_from(length).unwrap_or(u32::MAX)));
        Fingerprint {
            id,
            strict: hash.finish(),
        }
    }
}
