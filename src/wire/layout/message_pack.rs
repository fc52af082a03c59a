//! The id in 32 bytes, then one MessagePack array: main flag, sender, time, and the payload's values. `split` finds
//! each value as it is encoded, so that packets are contiguous.

use super::{Found, Piece};
use crate::wire::{
    error::DecodeError,
    value::{self, value_len},
};

/// Bytes of the id, which is the SHA-256 of everything after it.
pub(crate) const ID: usize = 32;

pub(super) fn split(body: &[u8], max: usize, ends: &mut Vec<u32>) -> Result<Found, DecodeError> {
    let before = ends.len();
    let found = walk(body, max, ends);
    if found.is_err() {
        ends.truncate(before);
    }
    found
}

fn walk(body: &[u8], max: usize, ends: &mut Vec<u32>) -> Result<Found, DecodeError> {
    let packed = body.get(ID..).ok_or(DecodeError::SizesDisagree)?;
    let (head, count) = match *packed {
        [marker @ 0x90..=0x9f, ..] => (1, usize::from(marker & 0x0f)),
        [0xdc, high, low, ..] => (3, usize::from(u16::from_be_bytes([high, low]))),
        [0xdd, a, b, c, d, ..] => {
            let count = u32::from_be_bytes([a, b, c, d]);
            (5, usize::try_from(count).unwrap_or(usize::MAX))
        }
        _ => return Err(DecodeError::SizesDisagree),
    };
    if count > max {
        return Err(DecodeError::TooManyPackets(max));
    }
    let values = &packed[head..];
    let mut at = 0;
    for _ in 0..count {
        let len = value_len(&values[at..]).ok_or(DecodeError::SizesDisagree)?;
        at += len;
        ends.push(u32::try_from(at).map_err(|_| DecodeError::SizesDisagree)?);
    }
    let count = u32::try_from(count).map_err(|_| DecodeError::SizesDisagree)?;
    let start = u32::try_from(ID + head).map_err(|_| DecodeError::SizesDisagree)?;
    Ok(Found { start, count })
}

/// Says how to read a value: text and binary by their contents, any other value as it is encoded.
pub(super) fn piece(raw: &[u8]) -> Piece {
    let (skip, form) = value::form(raw);
    Piece { skip, form }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn nothing_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut ends = Vec::new();
            if let Some(len) = value_len(&bytes) {
                prop_assert!(len <= bytes.len());
                let _ = value::to_json(&bytes[..len]);
                let _ = (piece(&bytes[..len]), value::whole_number(&bytes[..len]));
            }
            let body = [&[0; ID], &bytes[..]].concat();
            if split(&body, 1024, &mut ends).is_err() {
                prop_assert!(ends.is_empty());
            }
        }
    }
}
