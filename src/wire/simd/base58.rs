//! Base58 of several digests at once, one in each lane of the processor's vectors.
//!
//! Owns the arithmetic of [`encode_digest`](crate::wire::base58::encode_digest) in lanes, which have neither division
//! nor the high half of a product. Does not know what was hashed.

use fearless_simd::{Level, Simd, prelude::*, u8x64, u64x8};

use super::lanes::{LANES, NARROW, transpose, words_of};
use crate::wire::base58::digits::{ALPHABET, DIGEST_LEN, Digits, LIMB, POWERS, WORDS};

/// A single digest is faster without vectors.
const FEWEST: usize = 2;

/// One word of each digest.
type Words<S> = [u64x8<S>; WORDS];

/// The texts: the first characters in the last vector, all others in the first eight.
type Texts<S> = [u64x8<S>; LANES + 1];

/// Characters of a text that do not fit in its eight words.
const HEAD: usize = DIGEST_LEN - 8 * LANES;

const LOW: u64 = 0xffff_ffff;

/// Encodes each digest; `None` if one by one is faster: too few digests or no wide vectors.
pub(in crate::wire) fn encode_digests(digests: &[[u8; 48]]) -> Option<Vec<Digits>> {
    if digests.len() < FEWEST || NARROW {
        return None;
    }
    match Level::new() {
        Level::Avx512(simd) => Some(run(simd, digests)),
        Level::Avx2(simd) => Some(run(simd, digests)),
        _ => None,
    }
}

fn run<S: Simd>(simd: S, digests: &[[u8; 48]]) -> Vec<Digits> {
    let text = [0; DIGEST_LEN];
    let mut texts = vec![Digits { text, start: 0 }; digests.len()];
    for (at, texts) in (0..).step_by(LANES).zip(texts.chunks_mut(LANES)) {
        let digests = &digests[at..];
        simd.vectorize(
            #[inline(always)]
            || spell(simd, digests, texts),
        );
    }
    texts
}

/// Encodes one digest for each place. May read the digests after them.
#[inline(always)]
fn spell<S: Simd>(simd: S, digests: &[[u8; 48]], places: &mut [Digits]) {
    let words = load(simd, digests);
    let mut texts = [u64x8::splat(simd, 0); LANES + 1];
    let mut carry = u64x8::splat(simd, 0);
    macro_rules! limbs {
        ($($at:literal)*) => { $(
            let limb = take_limb::<S, $at>(simd, &words, &mut carry);
            put_limb::<S, $at>(&mut texts, limb);
        )* };
    }
    limbs!(13 12 11 10 9 8 7 6 5 4 3 2 1);
    // 58^66 exceeds 48 bytes: of the first limb only one digit can be in use, and nothing else adds to it.
    put(&mut texts, 0, carry << 32);
    store(simd, texts, places);
}

/// Loads the 32-bit words of each digest, the most significant first.
#[inline(always)]
fn load<S: Simd>(simd: S, digests: &[[u8; 48]]) -> Words<S> {
    let mut pairs = [u64x8::splat(simd, 0); LANES];
    for (at, (pair, digest)) in pairs.iter_mut().zip(digests).enumerate() {
        // A vector reads past the digest; the bytes after it are not used.
        *pair = match digests.as_flattened().get(48 * at..48 * at + 64) {
            Some(bytes) => words_of(simd, bytes),
            None => {
                let mut bytes = [0; 64];
                bytes[..48].copy_from_slice(digest);
                words_of(simd, &bytes)
            }
        };
    }
    transpose(simd, &mut pairs);
    let mut words = [u64x8::splat(simd, 0); WORDS];
    for (i, pair) in pairs.iter().take(WORDS / 2).enumerate() {
        words[2 * i] = *pair >> 32;
        words[2 * i + 1] = *pair & LOW;
    }
    words
}

/// Multiplying by this and shifting divides by a limb's range: 58^5 is 2^5 times an odd number. Rounded down, as here,
/// the quotient is never too large; rounded up, it is exact for numbers below 2^37.
const MAGIC: u64 = (1 << 56) / (LIMB >> 5);

/// Computes one limb, adding the carry from the limb after it; leaves in `carry` the carry to the limb before it.
#[cfg_attr(debug_assertions, inline(never))]
#[cfg_attr(not(debug_assertions), inline(always))]
fn take_limb<S: Simd, const AT: usize>(
    simd: S,
    words: &Words<S>,
    carry: &mut u64x8<S>,
) -> u64x8<S> {
    let (front, front_carry) = loosely(sum::<S, AT, 0>(simd, words));
    let (back, back_carry) = loosely(sum::<S, AT, { WORDS / 2 }>(simd, words));
    // Two remainders of less than 16 ranges each, and a carry of less than 86 ranges, the most that all sums can give.
    let limb = front + back + *carry;
    let exact = (((limb >> 5) & LOW) * (MAGIC + 1)) >> 56;
    *carry = front_carry + back_carry + exact;
    limb - exact * LIMB
}

/// Returns the sum of six products of 32 and 30 bits, which just fits in 64.
#[inline(always)]
fn sum<S: Simd, const AT: usize, const FROM: usize>(simd: S, words: &Words<S>) -> u64x8<S> {
    let mut sum = u64x8::splat(simd, 0);
    for row in FROM..FROM + WORDS / 2 {
        let power = POWERS[row][AT];
        if power > 0 {
            sum += words[row] * u64::from(power);
        }
    }
    sum
}

/// Divides by a limb's range: returns the remainder, and a quotient that is too small by less than 16.
#[inline(always)]
fn loosely<S: Simd>(sum: u64x8<S>) -> (u64x8<S>, u64x8<S>) {
    let quotient = ((sum >> 32) * MAGIC) >> 29;
    (sum - quotient * LIMB, quotient)
}

/// Writes the five digits of a limb.
#[cfg_attr(debug_assertions, inline(never))]
#[cfg_attr(not(debug_assertions), inline(always))]
fn put_limb<S: Simd, const AT: usize>(texts: &mut Texts<S>, limb: u64x8<S>) {
    // The high half has the first digit, the low half the others as a fraction, rounded up by less than one unit of the
    // last digit.
    const SCALE: u64 = (1_u64 << 55).div_ceil(LIMB / 58);
    let mut rest = (((limb & LOW) * SCALE) >> 23) + 1;
    for digit in 5 * AT - 4..5 * AT + 1 {
        put(texts, digit, rest);
        rest = (rest & LOW) * 58;
    }
}

/// Writes the digit in the high half.
#[inline(always)]
fn put<S: Simd>(texts: &mut Texts<S>, digit: usize, halves: u64x8<S>) {
    let (word, byte) = match digit.checked_sub(HEAD) {
        Some(digit) => (digit / 8, digit % 8),
        None => (LANES, digit),
    };
    const SHIFTS: [u32; 8] = [0, 8, 16, 24, 32, 40, 48, 56];
    let shift = SHIFTS[byte];
    let moved = match shift.checked_sub(32) {
        Some(left) => halves << left,
        None => halves >> (32 - shift),
    };
    texts[word] |= moved & (0xff << shift);
}

/// Maps digits to characters, and lanes to places.
#[inline(always)]
fn store<S: Simd>(simd: S, texts: Texts<S>, places: &mut [Digits]) {
    const CHARACTERS: [u8; 64] = {
        let mut characters = [0; 64];
        characters.split_at_mut(58).0.copy_from_slice(ALPHABET);
        characters
    };
    let characters = u8x64::from_slice(simd, &CHARACTERS);
    let mut turned = [u64x8::splat(simd, 0); LANES];
    for (turned, text) in turned.iter_mut().zip(&texts) {
        *turned = Bytes::from_bytes(simd.swizzle_dyn_u8x64(characters, text.to_bytes()));
    }
    transpose(simd, &mut turned);
    let mut heads = [0; LANES];
    let head: u64x8<S> =
        Bytes::from_bytes(simd.swizzle_dyn_u8x64(characters, texts[LANES].to_bytes()));
    head.store_slice(&mut heads);
    for (place, (turned, head)) in places.iter_mut().zip(turned.into_iter().zip(heads)) {
        place.text[..HEAD].copy_from_slice(&head.to_le_bytes()[..HEAD]);
        turned.to_bytes().store_slice(&mut place.text[HEAD..]);
        place.start = match place.text[0] == ALPHABET[0] {
            true => zeros(&place.text),
            false => 0,
        };
    }
}

/// Counts the leading zero digits, except the last digit. Not inlined, because only one text in ten has any.
#[inline(never)]
fn zeros(text: &[u8; DIGEST_LEN]) -> usize {
    let zeros = text.iter().take_while(|&&c| c == ALPHABET[0]).count();
    zeros.min(DIGEST_LEN - 1)
}

#[cfg(test)]
pub(in crate::wire) mod tests {
    use super::*;

    /// Encodes in every vector width of this machine; every machine has the narrowest.
    pub(in crate::wire) fn in_every_width(digests: &[[u8; 48]]) -> Vec<Vec<Digits>> {
        let level = Level::new();
        let sse2 = level.as_sse2().map(|simd| run(simd, digests));
        let avx2 = level.as_avx2().map(|simd| run(simd, digests));
        let avx512 = level.as_avx512().map(|simd| run(simd, digests));
        [sse2, avx2, avx512].into_iter().flatten().collect()
    }
}
