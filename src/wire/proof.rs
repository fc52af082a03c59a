//! The proof of a message: its id is the hash of its payload and its time, by one of two rules.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha384};

use super::{
    base58::{self, Digits},
    error::DecodeError,
    frame::Frame,
    hashing::{self, Digest, Packets, Stamped},
    packet::Packet,
};

/// What an id was hashed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum IdRule {
    /// The payload's bytes: py2p, and everybody where each packet is valid UTF-8.
    #[serde(rename = "bytes")]
    Bytes,
    /// js2p: each packet read as UTF-8 by itself, every ill-formed sequence replaced by U+FFFD.
    #[serde(rename = "js-lossy-utf8")]
    LossyText,
}

/// The id by the rule of bytes.
pub(crate) fn id(payload: &[Packet], time: u64) -> Digits {
    base58::encode_digest(&stamped(payload, time).digest())
}

/// The same of several payloads, hashed together.
pub(crate) fn ids<'a>(messages: impl Iterator<Item = (&'a [Packet], u64)>) -> Vec<Digits> {
    let messages: Vec<_> = messages
        .map(|(payload, time)| stamped(payload, time))
        .collect();
    let digests = hashing::digests(&messages);
    digests.iter().map(base58::encode_digest).collect()
}

fn stamped<'a>(payload: &'a [Packet], time: u64) -> Stamped<impl Packets<'a>> {
    let packets = payload.iter().map(Packet::as_bytes);
    Stamped { packets, time }
}

/// Which rule makes the frame's id the id of its payload.
pub(crate) fn prove(frame: &Frame<'_>) -> Result<IdRule, DecodeError> {
    let claimed = claimed(frame)?;
    judge(frame, &claimed, &frame.stamped().digest())
}

/// The same of several frames, hashed together: one verdict for each.
pub(crate) fn prove_each(
    frames: &[Result<Frame<'_>, DecodeError>],
) -> impl Iterator<Item = Result<IdRule, DecodeError>> {
    let claims: Vec<_> = frames
        .iter()
        .map(|frame| {
            let frame = frame.as_ref().map_err(|error| *error)?;
            Ok((frame, claimed(frame)?))
        })
        .collect();
    // A frame whose id names no digest needs no hashing.
    let messages: Vec<_> = claims
        .iter()
        .flatten()
        .map(|(frame, _)| frame.stamped())
        .collect();
    let mut digests = hashing::digests(&messages).into_iter();
    claims.into_iter().map(move |claim| {
        let (frame, claimed) = claim?;
        let digest = digests.next().ok_or(DecodeError::IdMismatch)?;
        judge(frame, &claimed, &digest)
    })
}

/// The digest that the frame's id names.
fn claimed(frame: &Frame<'_>) -> Result<Digest, DecodeError> {
    base58::decode_digest(frame.id()).ok_or(DecodeError::IdMismatch)
}

/// Compares the digest claimed with that by the rule of bytes, then with that by the other.
fn judge(frame: &Frame<'_>, claimed: &Digest, digest: &Digest) -> Result<IdRule, DecodeError> {
    if digest == claimed {
        return Ok(IdRule::Bytes);
    }
    // For text the rules agree.
    if !frame.is_text() && lossy(frame.payload(), frame.time()) == *claimed {
        return Ok(IdRule::LossyText);
    }
    Err(DecodeError::IdMismatch)
}

/// Whether each packet by itself is valid UTF-8.
pub(crate) fn is_text<'a>(whole: &[u8], mut packets: impl Iterator<Item = &'a [u8]>) -> bool {
    whole.is_ascii() || packets.all(|packet| std::str::from_utf8(packet).is_ok())
}

fn lossy<'a>(packets: impl Iterator<Item = &'a [u8]>, time: u64) -> Digest {
    let mut hash = Sha384::new();
    for chunk in packets.flat_map(<[u8]>::utf8_chunks) {
        hash.update(chunk.valid());
        if !chunk.invalid().is_empty() {
            hash.update("\u{fffd}");
        }
    }
    hash.update(base58::encode_u64(time));
    hash.finalize().into()
}
