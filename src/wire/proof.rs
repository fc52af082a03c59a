//! The proof of a message: its id is the hash of its payload and its time, by one of two rules.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha384};

use super::{
    base58::{self, Digits},
    error::DecodeError,
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
pub(crate) fn id<'a>(payload: impl Iterator<Item = &'a [u8]>, time: u64) -> Digits {
    let mut hash = Sha384::new();
    payload.for_each(|packet| hash.update(packet));
    hash.update(base58::encode_u64(time));
    base58::encode_digest(&hash.finalize().into())
}

/// Which rule makes `claimed` the id of the payload. `whole` is the payload's packets without gaps.
pub(crate) fn prove<'a>(
    claimed: &[u8],
    whole: &[u8],
    packets: impl Iterator<Item = &'a [u8]> + Clone,
    time: u64,
) -> Result<IdRule, DecodeError> {
    let claimed = base58::decode_digest(claimed).ok_or(DecodeError::IdMismatch)?;
    let time = base58::encode_u64(time);
    let digest = Sha384::new()
        .chain_update(whole)
        .chain_update(time)
        .finalize();
    if digest[..] == claimed {
        return Ok(IdRule::Bytes);
    }
    // For text the rules agree.
    if !is_text(whole, packets.clone()) && lossy(packets, &time) == claimed {
        return Ok(IdRule::LossyText);
    }
    Err(DecodeError::IdMismatch)
}

/// Whether each packet by itself is valid UTF-8.
pub(crate) fn is_text<'a>(whole: &[u8], mut packets: impl Iterator<Item = &'a [u8]>) -> bool {
    whole.is_ascii() || packets.all(|packet| std::str::from_utf8(packet).is_ok())
}

fn lossy<'a>(packets: impl Iterator<Item = &'a [u8]>, time: &[u8]) -> [u8; 48] {
    let mut hash = Sha384::new();
    for chunk in packets.flat_map(<[u8]>::utf8_chunks) {
        hash.update(chunk.valid());
        if !chunk.invalid().is_empty() {
            hash.update("\u{fffd}");
        }
    }
    hash.update(time);
    hash.finalize().into()
}
