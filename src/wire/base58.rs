//! Base58 as this protocol means it: an *integer* written in base 58, most significant digit first.
//!
//! No rule for leading zero bytes, no checksum, no padding: zero is `1`, and leading `1`s carry no value. Beside the
//! general routines stand fixed-size ones for digests (48 bytes, SHA-384) and times (`u64`), which a relay needs for
//! every frame; tests hold them to the general ones.

use std::{fmt, ops::Deref};

const ALPHABET: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

/// Not a digit.
const NONE: u8 = 0xff;

static VALUES: [u8; 256] = {
    let mut values = [NONE; 256];
    let mut value = 0;
    while value < 58 {
        values[ALPHABET[value as usize] as usize] = value;
        value += 1;
    }
    values
};

/// The longest input of [`encode`] and [`decode`] in bytes or characters: their cost grows with its square.
pub const MAX_LEN: usize = 1024;

/// The longest text that a `u64` needs.
pub const U64_LEN: usize = 11;

/// The text is no base58 number of the kind asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Base58Error {
    /// A character outside of the alphabet.
    #[error("character {at} is not a base58 digit")]
    BadDigit {
        /// Its index.
        at: usize,
    },
    /// More characters than are read.
    #[error("{len} characters are more than the {max} read here")]
    TooLong {
        /// How many there are.
        len: usize,
        /// How many are allowed.
        max: usize,
    },
    /// The number is greater than the type it is read into.
    #[error("the number does not fit")]
    TooLarge,
}

/// Whether every character is a base58 digit. An empty text has none that is not.
pub fn is_base58(text: &[u8]) -> bool {
    text.iter().fold(true, |all, &c| all & is_digit(c))
}

/// Comparisons instead of a table, so that the compiler checks many characters at once.
#[inline]
fn is_digit(c: u8) -> bool {
    let number = c.wrapping_sub(b'1') < 9;
    let upper = (c.wrapping_sub(b'A') < 26) & (c != b'I') & (c != b'O');
    let lower = (c.wrapping_sub(b'a') < 26) & (c != b'l');
    number | upper | lower
}

/// The text of a big-endian integer. Inputs longer than [`MAX_LEN`] are cut to their last `MAX_LEN` bytes.
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

/// The big-endian integer that a text spells, without leading zero bytes: zero (`""`, `"1"`, `"11"`) is empty.
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

/// Base58 text of a number of fixed size, held in place.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Digits {
    text: [u8; DIGEST_LEN],
    start: usize,
}

/// The longest text that 48 bytes need.
pub const DIGEST_LEN: usize = 66;

impl Digits {
    /// The text.
    pub fn as_bytes(&self) -> &[u8] {
        &self.text[self.start..]
    }

    /// The text.
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

/// The text of a number.
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
    Digits { text, start }
}

/// The number that a text of at most [`U64_LEN`] characters spells: empty is 0, leading `1`s add nothing.
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

/// 58 to the fifth: the greatest power that fits 32 bits.
const LIMB: u64 = 58 * 58 * 58 * 58 * 58;
const WORDS: usize = 12;
const LIMBS: usize = 14;

/// Row `i`: the weight of the `i`th 32-bit word of a digest, in limbs of five digits, most significant first.
static POWERS: [[u32; LIMBS]; WORDS] = {
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

/// The text of a SHA-384 digest.
pub fn encode_digest(digest: &[u8; 48]) -> Digits {
    let (words, _) = digest.as_chunks::<4>();
    let mut limbs = [0_u64; LIMBS];
    for half in [0..WORDS / 2, WORDS / 2..WORDS] {
        // Six products of 32 and 30 bits, and what the carrying leaves, just fit a u64.
        for row in half {
            let word = u64::from(u32::from_be_bytes(words[row]));
            for (limb, power) in limbs.iter_mut().zip(&POWERS[row]) {
                *limb += word * u64::from(*power);
            }
        }
        carry_once(&mut limbs);
    }
    carry_once(&mut limbs);
    write_limbs(&carry_through(&limbs))
}

/// Carries from each limb to the next, all at once: a limb may still pass its range, but by far less.
#[inline]
fn carry_once(limbs: &mut [u64; LIMBS]) {
    let carries = limbs.map(|limb| limb / LIMB);
    for (limb, carry) in limbs.iter_mut().zip(carries) {
        *limb -= carry * LIMB;
    }
    for (limb, carry) in limbs.iter_mut().zip(&carries[1..]) {
        *limb += carry;
    }
}

/// Carries from the last limb to the first. None has more than one to give.
#[inline]
fn carry_through(limbs: &[u64; LIMBS]) -> [u32; LIMBS] {
    let mut carried = [0; LIMBS];
    let mut carry = 0;
    for (carried, limb) in carried.iter_mut().zip(limbs).rev() {
        let sum = limb + carry;
        carry = u64::from(sum >= LIMB);
        *carried = ((sum - carry * LIMB) & 0xffff_ffff) as u32;
    }
    carried
}

/// The digits of all limbs side by side, because each needs the one after it.
#[inline]
fn write_limbs(limbs: &[u32; LIMBS]) -> Digits {
    let mut rest = *limbs;
    let mut digits = [[0_u8; LIMBS]; 5];
    for digits in digits.iter_mut().rev() {
        for (digit, rest) in digits.iter_mut().zip(&mut rest) {
            *digit = (*rest % 58) as u8;
            *rest /= 58;
        }
    }
    let mut wide = [0; LIMBS * 5];
    let (groups, _) = wide.as_chunks_mut::<5>();
    for (limb, group) in groups.iter_mut().enumerate() {
        for (c, digits) in group.iter_mut().zip(&digits) {
            *c = ALPHABET[usize::from(digits[limb])];
        }
    }
    let zeros = wide.iter().take_while(|&&c| c == ALPHABET[0]).count();
    // 48 bytes never need more than DIGEST_LEN digits, so the first of the 70 are zero.
    const ABOVE: usize = LIMBS * 5 - DIGEST_LEN;
    let mut text = [0; DIGEST_LEN];
    text.copy_from_slice(&wide[ABOVE..]);
    let start = zeros.min(LIMBS * 5 - 1).saturating_sub(ABOVE);
    Digits { text, start }
}

/// Ten digits fit a `u64`.
const CHUNK: usize = 10;

/// The digest that a text spells; `None` unless the text is what [`encode_digest`] would write: base58 digits, no leading
/// `1` but for zero itself, a number of at most 48 bytes.
pub fn decode_digest(text: &[u8]) -> Option<[u8; 48]> {
    let canonical =
        !text.is_empty() && text.len() <= DIGEST_LEN && (text[0] != b'1' || text.len() == 1);
    if !canonical {
        return None;
    }
    let (head, chunks) = text.as_rchunks::<CHUNK>();
    let mut limbs = [0_u64; 6];
    limbs[0] = digits_value(head)?;
    for (used, chunk) in (1..).zip(chunks) {
        multiply_add(&mut limbs, used, chunk_value(chunk)?)?;
    }
    let mut digest = [0; 48];
    let (words, _) = digest.as_chunks_mut::<8>();
    for (word, limb) in words.iter_mut().rev().zip(limbs) {
        *word = limb.to_be_bytes();
    }
    Some(digest)
}

#[inline]
fn digits_value(text: &[u8]) -> Option<u64> {
    let mut sum = 0_u64;
    let mut seen = 0_u8;
    for &c in text {
        let value = VALUES[usize::from(c)];
        seen |= value;
        sum = sum.wrapping_mul(58).wrapping_add(u64::from(value));
    }
    // Digits are below 64: a high bit can only come from the mark of a character that is none.
    (seen < 64).then_some(sum)
}

/// The same for a whole chunk, by halves that need not wait for each other.
#[inline]
fn chunk_value(chunk: &[u8; CHUNK]) -> Option<u64> {
    let digits = chunk.map(|c| u64::from(VALUES[usize::from(c)]));
    let seen = digits.iter().fold(0, |seen, digit| seen | digit);
    let pair = |at: usize| digits[at] * 58 + digits[at + 1];
    let four = |at: usize| pair(at) * (58 * 58) + pair(at + 2);
    let value = (four(0) * (58 * 58 * 58 * 58) + four(4)) * (58 * 58) + pair(8);
    (seen < 64).then_some(value)
}

/// `limbs = limbs * 58^10 + chunk`, least significant limb first, where so many are in use; `None` when it overflows.
#[inline]
fn multiply_add(limbs: &mut [u64; 6], used: usize, chunk: u64) -> Option<()> {
    const SHIFT: u128 = (LIMB * LIMB) as u128;
    let mut carry = u128::from(chunk);
    for limb in limbs.iter_mut().take(used) {
        let sum = u128::from(*limb) * SHIFT + carry;
        *limb = (sum & 0xffff_ffff_ffff_ffff) as u64;
        carry = sum >> 64;
    }
    match limbs.get_mut(used) {
        Some(limb) => *limb = (carry & 0xffff_ffff_ffff_ffff) as u64,
        None if carry > 0 => return None,
        None => {}
    }
    Some(())
}
