//! Base58 as this protocol defines it: an *integer* written in base 58, most significant digit first.
//!
//! It has no rule for leading zero bytes, no checksum and no padding: zero is `1`, and leading `1`s carry no value.
//! Besides the general routines there are fixed-size ones for digests (48 bytes, SHA-384) and times (`u64`), which a
//! relay needs for every frame; tests check them against the general ones.

mod digest;
pub(super) mod digits;

pub use digest::{decode_digest, encode_digest, encode_digests};
pub(crate) use digest::{spell, spell_each};
use digits::{ALPHABET, NONE, VALUES};
pub use digits::{DIGEST_LEN, Digits};

/// The longest input of [`encode`] and [`decode`], in bytes or characters: their cost is quadratic.
pub const MAX_LEN: usize = 1024;

/// The longest text of a `u64`.
pub const U64_LEN: usize = 11;

/// The text is not a base58 number of the requested kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Base58Error {
    /// A character outside the alphabet.
    #[error("character {at} is not a base58 digit")]
    BadDigit {
        /// Its index.
        at: usize,
    },
    /// More characters than are accepted.
    #[error("{len} characters exceed the maximum of {max}")]
    TooLong {
        /// The number of characters.
        len: usize,
        /// The maximum.
        max: usize,
    },
    /// The number does not fit in the requested type.
    #[error("the number does not fit")]
    TooLarge,
}

/// Whether every character is a base58 digit. True for an empty text.
pub fn is_base58(text: &[u8]) -> bool {
    const SIDE_BY_SIDE: usize = 16;
    let Some(end) = text.last_chunk::<SIDE_BY_SIDE>() else {
        return text.iter().fold(true, |all, &c| all & is_digit(c));
    };
    // The last chunk may overlap the one before it, so that no characters are left over.
    let (chunks, _) = text.as_chunks::<SIDE_BY_SIDE>();
    let mut others = [false; SIDE_BY_SIDE];
    for chunk in chunks.iter().chain([end]) {
        for (other, &c) in others.iter_mut().zip(chunk) {
            *other |= !is_digit(c);
        }
    }
    others == [false; SIDE_BY_SIDE]
}

/// Uses comparisons instead of a table, so that the compiler vectorizes them.
#[inline]
fn is_digit(c: u8) -> bool {
    let number = c.wrapping_sub(b'1') < 9;
    let letter = (c | 0x20).wrapping_sub(b'a') < 26;
    let left_out = (c == b'I') | (c == b'O') | (c == b'l');
    number | letter & !left_out
}

/// Encodes a big-endian integer. An input longer than [`MAX_LEN`] is truncated to its last `MAX_LEN` bytes.
pub fn encode(bytes_be: &[u8]) -> String {
    let bytes = &bytes_be[bytes_be.len().saturating_sub(MAX_LEN)..];
    let mut digits: Vec<u8> = Vec::with_capacity(bytes.len() * 138 / 100 + 1);
    for &byte in bytes {
        let mut carry = u32::from(byte);
        for digit in &mut digits {
            carry += u32::from(*digit) << 8;
            *digit = (carry % 58) as u8;
            carry /= 58;
        }
        while carry > 0 {
            digits.push((carry % 58) as u8);
            carry /= 58;
        }
    }
    if digits.is_empty() {
        digits.push(0);
    }
    digits
        .iter()
        .rev()
        .map(|&digit| char::from(ALPHABET[usize::from(digit)]))
        .collect()
}

/// Decodes a big-endian integer, without leading zero bytes: zero (`""`, `"1"`, `"11"`) is empty.
pub fn decode(text: &[u8]) -> Result<Vec<u8>, Base58Error> {
    if text.len() > MAX_LEN {
        return Err(Base58Error::TooLong {
            len: text.len(),
            max: MAX_LEN,
        });
    }
    let mut bytes: Vec<u8> = Vec::with_capacity(text.len());
    for (at, &c) in text.iter().enumerate() {
        let mut carry = u32::from(value(c).ok_or(Base58Error::BadDigit { at })?);
        for byte in &mut bytes {
            carry += u32::from(*byte) * 58;
            *byte = (carry & 0xff) as u8;
            carry >>= 8;
        }
        if carry > 0 {
            bytes.push((carry & 0xff) as u8);
        }
    }
    bytes.reverse();
    Ok(bytes)
}

#[inline]
fn value(c: u8) -> Option<u8> {
    let value = VALUES[usize::from(c)];
    (value != NONE).then_some(value)
}

/// Encodes a number.
pub fn encode_u64(mut number: u64) -> Digits {
    let mut text = [0; DIGEST_LEN];
    let mut start = DIGEST_LEN;
    loop {
        start -= 1;
        text[start] = ALPHABET[(number % 58) as usize];
        number /= 58;
        if number == 0 {
            break;
        }
    }
    Digits::new(text, start)
}

/// Decodes a number of at most [`U64_LEN`] characters: empty is 0, leading `1`s add nothing.
pub fn decode_u64(text: &[u8]) -> Result<u64, Base58Error> {
    if text.len() > U64_LEN {
        return Err(Base58Error::TooLong {
            len: text.len(),
            max: U64_LEN,
        });
    }
    let mut number: u64 = 0;
    for (at, &c) in text.iter().enumerate() {
        let digit = value(c).ok_or(Base58Error::BadDigit { at })?;
        number = number
            .checked_mul(58)
            .and_then(|n| n.checked_add(u64::from(digit)))
            .ok_or(Base58Error::TooLarge)?;
    }
    Ok(number)
}
