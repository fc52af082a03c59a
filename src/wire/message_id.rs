//! Verification of message ids: an id is the hash of payload and time, by one of two rules.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256, Sha384};

use super::{
    base58::{self, Digits},
    decode::frame::Frame,
    error::DecodeError,
    packet::Packet,
    sha384,
    sha384::stamped::{Digest, Packets, Stamped},
};

/// The rule by which an id was hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum IdRule {
    /// The payload's bytes: py2p, and every implementation if each packet is valid UTF-8.
    #[serde(rename = "bytes")]
    Bytes,
    /// js2p: each packet decoded as UTF-8, with every ill-formed sequence replaced by U+FFFD.
    #[serde(rename = "js-lossy-utf8")]
    LossyText,
}

/// Returns the id by the rule of bytes.
pub(crate) fn id(payload: &[Packet], time: u64) -> Digits {
    base58::encode_digest(&stamped(payload, time).digest())
}

/// Returns the ids of several payloads, hashed together.
pub(crate) fn ids<'a>(messages: impl Iterator<Item = (&'a [Packet], u64)>) -> Vec<Digits> {
    let messages: Vec<_> = messages
        .map(|(payload, time)| stamped(payload, time))
        .collect();
    base58::encode_digests(&sha384::digests(&messages))
}

fn stamped<'a>(payload: &'a [Packet], time: u64) -> Stamped<impl Packets<'a>> {
    let packets = payload.iter().map(Packet::as_bytes);
    Stamped { packets, time }
}

impl Frame<'_> {
    /// Verifies that the id is the hash of payload and time; returns the rule. A payload that is not text has different
    /// ids by the two rules: peers of one language refuse the ids of the other.
    pub fn verify(&self) -> Result<IdRule, DecodeError> {
        verify(self)
    }
}

/// Returns the rule by which the frame's id is the hash of its payload.
fn verify(frame: &Frame<'_>) -> Result<IdRule, DecodeError> {
    if !frame.generation.profile().text_only {
        let digest = Sha256::digest(frame.hashed_body());
        return match digest[..] == *frame.id() {
            true => Ok(IdRule::Bytes),
            false => Err(DecodeError::IdMismatch),
        };
    }
    judge(frame, base58::spell(frame.id(), &frame.stamped().digest()))
}

/// Verifies several frames, hashed together; returns one result for each.
pub(crate) fn verify_each(
    frames: &[Result<Frame<'_>, DecodeError>],
) -> impl Iterator<Item = Result<IdRule, DecodeError>> {
    let decoded = || frames.iter().flatten();
    // Even an id that cannot be a digest is checked: a wrong digest, which any peer can send, costs as much.
    let messages: Vec<_> = decoded().map(Frame::stamped).collect();
    let digests = sha384::digests(&messages);
    let mut verdicts = base58::spell_each(decoded().map(Frame::id), &digests).into_iter();
    frames.iter().map(move |frame| {
        let frame = frame.as_ref().map_err(|error| *error)?;
        judge(frame, verdicts.next().unwrap_or_default())
    })
}

/// A frame not proven by the rule of bytes may be proven by the other.
fn judge(frame: &Frame<'_>, by_bytes: bool) -> Result<IdRule, DecodeError> {
    if by_bytes {
        return Ok(IdRule::Bytes);
    }
    // For text the two rules agree.
    if !frame.is_text() && base58::spell(frame.id(), &lossy(frame.payload(), frame.time())) {
        return Ok(IdRule::LossyText);
    }
    Err(DecodeError::IdMismatch)
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
