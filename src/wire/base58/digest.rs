//! Digests (48 bytes, SHA-384) and their base58 text.
//!
//! Owns the arithmetic for a single digest, and the choice to convert several at once, which changes no text.

use super::digits::{ALPHABET, DIGEST_LEN, Digits, LIMB, LIMBS, POWERS, VALUES, WORDS};
use crate::wire::simd;

/// Encodes a SHA-384 digest.
pub fn encode_digest(digest: &[u8; 48]) -> Digits {
    let (words, _) = digest.as_chunks::<4>();
    let mut limbs = [0_u64; LIMBS];
    for half in [0..WORDS / 2, WORDS / 2..WORDS] {
        // Six products of 32 and 30 bits, plus what carrying leaves, just fit in a u64.
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

/// Encodes several digests, in order: on a processor with wide vectors, as many at once as a vector holds.
pub fn encode_digests(digests: &[[u8; 48]]) -> Vec<Digits> {
    simd::encode_digests(digests).unwrap_or_else(|| digests.iter().map(encode_digest).collect())
}

/// Whether the text encodes the digest.
pub(crate) fn spell(text: &[u8], digest: &[u8; 48]) -> bool {
    decode_digest(text).as_ref() == Some(digest)
}

/// Whether each text encodes its digest. Each digest has only one accepted text, so encoding the digests gives the same
/// answer as decoding the texts, and encoding can be vectorized.
pub(crate) fn spell_each<'a>(
    texts: impl Iterator<Item = &'a [u8]>,
    digests: &[[u8; 48]],
) -> Vec<bool> {
    match simd::encode_digests(digests) {
        Some(spelled) => texts
            .zip(spelled)
            .map(|(text, spelled)| *text == *spelled)
            .collect(),
        None => texts
            .zip(digests)
            .map(|(text, digest)| spell(text, digest))
            .collect(),
    }
}

/// Carries from each limb to the next, all in parallel. A limb may still exceed its range, but by far less.
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

/// Carries from the last limb to the first. No limb carries more than one.
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

/// Writes the digits of all limbs in parallel, because the digits of one limb depend on each other.
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
    Digits::new(text, start)
}

/// Ten digits fit in a `u64`.
const CHUNK: usize = 10;

/// Decodes a digest; `None` unless the text is what [`encode_digest`] would write: base58 digits, no leading `1` except
/// for zero itself, a number of at most 48 bytes.
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
    // Digit values are below 64: a high bit can only come from the mark for a character that is not a digit.
    (seen < 64).then_some(sum)
}

/// Computes the same for a whole chunk, in halves that do not depend on each other.
#[inline]
fn chunk_value(chunk: &[u8; CHUNK]) -> Option<u64> {
    let digits = chunk.map(|c| u64::from(VALUES[usize::from(c)]));
    let seen = digits.iter().fold(0, |seen, digit| seen | digit);
    let pair = |at: usize| digits[at] * 58 + digits[at + 1];
    let four = |at: usize| pair(at) * (58 * 58) + pair(at + 2);
    let value = (four(0) * (58 * 58 * 58 * 58) + four(4)) * (58 * 58) + pair(8);
    (seen < 64).then_some(value)
}

/// Computes `limbs = limbs * 58^10 + chunk` over the limbs in use, least significant first; `None` on overflow.
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

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;
    use crate::wire::base58::{decode, encode};

    /// Every way of encoding them gives the same as the general routine.
    fn check(digests: &[[u8; 48]]) {
        let general: Vec<String> = digests.iter().map(|digest| encode(digest)).collect();
        let same = |texts: Vec<Digits>| {
            let texts: Vec<&str> = texts.iter().map(Digits::as_str).collect();
            assert_eq!(texts, general);
        };
        same(digests.iter().map(encode_digest).collect());
        same(encode_digests(digests));
        #[cfg(target_arch = "x86_64")]
        simd::encode_in_every_width(digests)
            .into_iter()
            .for_each(same);
    }

    /// Decodes a text, truncated to the size of a digest.
    fn number(text: &str) -> [u8; 48] {
        let bytes = decode(text.as_bytes()).unwrap();
        let mut digest = [0; 48];
        digest[48 - bytes.len().min(48)..]
            .copy_from_slice(&bytes[bytes.len().saturating_sub(48)..]);
        digest
    }

    /// Returns the number and its neighbours, with wrap-around.
    fn around(digest: [u8; 48]) -> [[u8; 48]; 3] {
        let (mut less, mut more) = (digest, digest);
        for byte in less.iter_mut().rev() {
            *byte = byte.wrapping_sub(1);
            if *byte != 0xff {
                break;
            }
        }
        for byte in more.iter_mut().rev() {
            *byte = byte.wrapping_add(1);
            if *byte != 0 {
                break;
            }
        }
        [less, digest, more]
    }

    /// The boundaries of digits, limbs, words and bytes, and both ends, each with its neighbours.
    fn edges() -> Vec<[u8; 48]> {
        let powers = (0..DIGEST_LEN).map(|zeros| number(&format!("2{}", "1".repeat(zeros))));
        let greatest = (0..65).map(|digits| number(&"z".repeat(digits)));
        let limbs = (0..13).map(|limbs| number(&"zzzzz".repeat(limbs)));
        let turns = (0..13).map(|limbs| number(&"21111".repeat(limbs)));
        let bits = (0..384).map(|bit| {
            let mut digest = [0; 48];
            digest[bit / 8] = 0x80 >> (bit % 8);
            digest
        });
        let ends = [[0; 48], [0xff; 48]];
        powers
            .chain(greatest)
            .chain(limbs)
            .chain(turns)
            .chain(bits)
            .chain(ends)
            .flat_map(around)
            .collect()
    }

    #[test]
    fn no_way_of_spelling_changes_a_text_at_the_edges() {
        let edges = edges();
        check(&edges);
        for count in 0..=17 {
            check(&edges[..count]);
        }
    }

    #[test]
    fn a_text_is_its_digest_s_alone_and_in_one_spelling() {
        let digests: Vec<[u8; 48]> = [[0; 48], [0xff; 48]]
            .into_iter()
            .chain((0..14).map(|byte| {
                let mut digest = [byte; 48];
                digest[..usize::from(byte)].fill(0);
                digest
            }))
            .collect();
        let texts: Vec<String> = digests.iter().map(|digest| encode(digest)).collect();
        let each = |spelled: &dyn Fn(&String) -> String| {
            let spelled: Vec<String> = texts.iter().map(spelled).collect();
            spell_each(spelled.iter().map(String::as_bytes), &digests)
        };
        assert_eq!(each(&String::clone), vec![true; digests.len()]);
        let others: [&dyn Fn(&String) -> String; 4] = [
            &|text| format!("1{text}"),
            &|text| format!("{text}1"),
            &|text| text[1..].to_owned(),
            // Greater than the greatest digest: a number of 49 bytes.
            &|_| "z".repeat(DIGEST_LEN),
        ];
        for other in others {
            assert_eq!(each(other), vec![false; digests.len()]);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn no_way_of_spelling_changes_a_text(
            given in vec((vec(any::<u8>(), 48), 0..96_usize), 0..40)
        ) {
            let digests: Vec<[u8; 48]> = given
                .iter()
                .map(|(bytes, zeros)| {
                    let mut digest = <[u8; 48]>::try_from(bytes.as_slice()).unwrap();
                    digest[..zeros.saturating_sub(48)].fill(0);
                    digest
                })
                .collect();
            check(&digests);
        }

        #[test]
        fn limbs_near_their_ends_carry_right(
            given in vec(vec("11111|11112|zzzzz|zzzzy|[1-9A-HJ-NP-Za-km-z]{5}", 13), 8..17)
        ) {
            let digests: Vec<[u8; 48]> = given.iter().map(|limbs| number(&limbs.concat())).collect();
            check(&digests);
        }
    }
}
