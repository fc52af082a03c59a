//! The digits of base58 and the tables for its arithmetic.

use std::{fmt, ops::Deref};

pub(in crate::wire) const ALPHABET: &[u8; 58] =
    b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

/// The value of a character that is not a digit.
pub(super) const NONE: u8 = 0xff;

pub(super) static VALUES: [u8; 256] = {
    let mut values = [NONE; 256];
    let mut value = 0;
    while value < 58 {
        values[ALPHABET[value as usize] as usize] = value;
        value += 1;
    }
    values
};

/// 58 to the fifth: the greatest power that fits in 32 bits.
pub(in crate::wire) const LIMB: u64 = 58 * 58 * 58 * 58 * 58;
pub(in crate::wire) const WORDS: usize = 12;
pub(in crate::wire) const LIMBS: usize = 14;

/// Row `i`: the weight of the `i`th 32-bit word of a digest, in limbs of five digits, most significant first.
pub(in crate::wire) static POWERS: [[u32; LIMBS]; WORDS] = {
    let mut table = [[0; LIMBS]; WORDS];
    table[WORDS - 1][LIMBS - 1] = 1;
    let mut row = WORDS - 1;
    while row > 0 {
        let mut carry: u64 = 0;
        let mut limb = LIMBS;
        while limb > 0 {
            limb -= 1;
            let product = ((table[row][limb] as u64) << 32) + carry;
            table[row - 1][limb] = (product % LIMB) as u32;
            carry = product / LIMB;
        }
        row -= 1;
    }
    table
};

/// The base58 text of a number of fixed size, stored in place.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Digits {
    pub(in crate::wire) text: [u8; DIGEST_LEN],
    pub(in crate::wire) start: usize,
}

/// The longest text of a 48-byte number.
pub const DIGEST_LEN: usize = 66;

impl Digits {
    /// Takes the digits from `start` on.
    pub(super) fn new(text: [u8; DIGEST_LEN], start: usize) -> Digits {
        Digits { text, start }
    }

    /// Returns the text as bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.text[self.start..]
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).expect("the alphabet is ASCII")
    }
}

impl Deref for Digits {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl AsRef<[u8]> for Digits {
    fn as_ref(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl fmt::Display for Digits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for Digits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}
