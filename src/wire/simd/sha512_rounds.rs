//! The rounds of SHA-512, and so of SHA-384, for eight messages in each vector.
//!
//! Owns the arithmetic of FIPS 180-4. Does not know which message is in which lane.

use fearless_simd::{Simd, prelude::*, u64x8};

use super::lanes::{LANES, transpose, words_of};

/// Bytes of each message that are hashed at once.
pub(super) const BLOCK: usize = 128;

pub(super) type Block = [u8; BLOCK];

/// The eight words of the state, each for all lanes.
pub(super) type State = [[u64; LANES]; 8];

/// The state before the first block.
pub(super) const START: [u64; 8] = [
    0xcbbb_9d5d_c105_9ed8,
    0x629a_292a_367c_d507,
    0x9159_015a_3070_dd17,
    0x152f_ecd8_f70e_5939,
    0x6733_2667_ffc0_0b31,
    0x8eb4_4a87_6858_1511,
    0xdb0c_2e0d_64f9_8fa7,
    0x47b5_481d_befa_4fa4,
];

/// The round constants, in groups of sixteen rounds.
#[rustfmt::skip]
static K: [[u64; 16]; 5] = [
    [
        0x428a2f98d728ae22, 0x7137449123ef65cd, 0xb5c0fbcfec4d3b2f, 0xe9b5dba58189dbbc,
        0x3956c25bf348b538, 0x59f111f1b605d019, 0x923f82a4af194f9b, 0xab1c5ed5da6d8118,
        0xd807aa98a3030242, 0x12835b0145706fbe, 0x243185be4ee4b28c, 0x550c7dc3d5ffb4e2,
        0x72be5d74f27b896f, 0x80deb1fe3b1696b1, 0x9bdc06a725c71235, 0xc19bf174cf692694,
    ],
    [
        0xe49b69c19ef14ad2, 0xefbe4786384f25e3, 0x0fc19dc68b8cd5b5, 0x240ca1cc77ac9c65,
        0x2de92c6f592b0275, 0x4a7484aa6ea6e483, 0x5cb0a9dcbd41fbd4, 0x76f988da831153b5,
        0x983e5152ee66dfab, 0xa831c66d2db43210, 0xb00327c898fb213f, 0xbf597fc7beef0ee4,
        0xc6e00bf33da88fc2, 0xd5a79147930aa725, 0x06ca6351e003826f, 0x142929670a0e6e70,
    ],
    [
        0x27b70a8546d22ffc, 0x2e1b21385c26c926, 0x4d2c6dfc5ac42aed, 0x53380d139d95b3df,
        0x650a73548baf63de, 0x766a0abb3c77b2a8, 0x81c2c92e47edaee6, 0x92722c851482353b,
        0xa2bfe8a14cf10364, 0xa81a664bbc423001, 0xc24b8b70d0f89791, 0xc76c51a30654be30,
        0xd192e819d6ef5218, 0xd69906245565a910, 0xf40e35855771202a, 0x106aa07032bbd1b8,
    ],
    [
        0x19a4c116b8d2d0c8, 0x1e376c085141ab53, 0x2748774cdf8eeb99, 0x34b0bcb5e19b48a8,
        0x391c0cb3c5c95a63, 0x4ed8aa4ae3418acb, 0x5b9cca4f7763e373, 0x682e6ff3d6b2b8a3,
        0x748f82ee5defb2fc, 0x78a5636f43172f60, 0x84c87814a1f0ab72, 0x8cc702081a6439ec,
        0x90befffa23631e28, 0xa4506cebde82bde9, 0xbef9a3f7b2c67915, 0xc67178f2e372532b,
    ],
    [
        0xca273eceea26619c, 0xd186b8c721c0c207, 0xeada7dd6cde0eb1e, 0xf57d4f7fee6ed178,
        0x06f067aa72176fba, 0x0a637dc5a2c898a6, 0x113f9804bef90dae, 0x1b710b35131c471b,
        0x28db77f523047d84, 0x32caab7b40c72493, 0x3c9ebe0a15c9bebc, 0x431d67c49c100d4c,
        0x4cc5d4becb3e42b6, 0x597f299cfc657e2a, 0x5fcb6fab3ad6faec, 0x6c44198c4a475817,
    ],
];

/// Hashes further blocks of each message, as many as the first has.
///
/// If the lanes do not fit in one of the machine's vectors, they are hashed in several passes, so that the eight words
/// of a pass's state stay in registers: a machine with narrower vectors has sixteen. A pass with no lane in use is
/// skipped.
#[inline(always)]
pub(super) fn absorb<S: Simd>(
    simd: S,
    states: &mut State,
    blocks: &[&[Block]; LANES],
    in_use: &[bool; LANES],
) {
    // Loops, not closures: code that is not inlined here is compiled without wide vectors.
    for at in 0..blocks[0].len() {
        let block = load(simd, blocks, at);
        for (pass, lanes) in in_use.chunks(S::u64s::LEN).enumerate() {
            if lanes.contains(&true) {
                compress(simd, states, &block, pass * S::u64s::LEN);
            }
        }
    }
}

/// Loads the sixteen words of one block of each message, transposed so that a row has the same word of all messages.
#[inline(always)]
fn load<S: Simd>(simd: S, blocks: &[&[Block]; LANES], at: usize) -> [[u64; LANES]; 16] {
    let mut words = [[0; LANES]; 16];
    for half in 0..2 {
        let mut rows = [u64x8::splat(simd, 0); LANES];
        for (row, blocks) in rows.iter_mut().zip(blocks) {
            *row = words_of(simd, &blocks[at][64 * half..]);
        }
        transpose(simd, &mut rows);
        for (word, row) in words[8 * half..].iter_mut().zip(rows) {
            row.store_slice(word);
        }
    }
    words
}

#[inline(always)]
fn rotate<S: Simd, const BY: u32, const REST: u32>(word: S::u64s) -> S::u64s {
    (word >> BY) | (word << REST)
}

/// Hashes one block of the messages from `lane` on, as many as a vector holds.
#[inline(always)]
fn compress<S: Simd>(simd: S, states: &mut State, block: &[[u64; LANES]; 16], lane: usize) {
    let lanes = lane..lane + S::u64s::LEN;
    let mut state = [S::u64s::splat(simd, 0); 8];
    for (vector, word) in state.iter_mut().zip(states.iter()) {
        *vector = S::u64s::from_slice(simd, &word[lanes.clone()]);
    }
    let mut words = [S::u64s::splat(simd, 0); 16];
    for (vector, word) in words.iter_mut().zip(block) {
        *vector = S::u64s::from_slice(simd, &word[lanes.clone()]);
    }
    let before = state;
    let (turns, last) = (&K[..4], &K[4]);
    for k in turns {
        sixteen::<S, true>(simd, &mut state, &mut words, k);
    }
    sixteen::<S, false>(simd, &mut state, &mut words, last);
    for ((word, before), after) in states.iter_mut().zip(before).zip(state) {
        (before + after).store_slice(&mut word[lanes.clone()]);
    }
}

/// Computes sixteen rounds. If more rounds follow, each word is extended right after its use, so that neither chain of
/// additions waits for the other.
#[inline(always)]
fn sixteen<S: Simd, const AND_EXTEND: bool>(
    simd: S,
    state: &mut [S::u64s; 8],
    words: &mut [S::u64s; 16],
    k: &[u64; 16],
) {
    macro_rules! rounds {
        ($($t:literal)*) => { $(
            round::<S, $t>(state, words[$t], S::u64s::splat(simd, k[$t]));
            if AND_EXTEND {
                extend::<S>(words, $t);
            }
        )* };
    }
    rounds!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
}

/// Computes one round. The standard moves the letters on by one each round; here the words stay and the letters are
/// renamed.
///
/// The additions are ordered for short dependency chains: of the terms that depend on the last round, the slowest is
/// added last. The standard adds one sum to two words; here the second word is derived from the first, or the compiler
/// would compute the common part before the rest.
#[cfg_attr(debug_assertions, inline(never))]
#[cfg_attr(not(debug_assertions), inline(always))]
fn round<S: Simd, const T: usize>(state: &mut [S::u64s; 8], word: S::u64s, k: S::u64s) {
    let [a, b, c, d, e, f, g, h] = const { letters(T) };
    let [x, y, z] = [state[a], state[b], state[c]];
    let majority = y ^ ((x ^ y) & (y ^ z));
    let [p, q, r] = [state[e], state[f], state[g]];
    let choice = r ^ (p & (q ^ r));
    let before = state[d];
    state[d] = state[h] + k + word + before + choice + big_one::<S>(p);
    state[h] = (majority - before + big_zero::<S>(x)) + state[d];
}

/// Returns the positions of the letters a to h in that round.
const fn letters(round: usize) -> [usize; 8] {
    let mut letters = [0; 8];
    let mut i = 0;
    while i < 8 {
        letters[i] = (i + 16 - round) % 8;
        i += 1;
    }
    letters
}

#[inline(always)]
fn big_one<S: Simd>(e: S::u64s) -> S::u64s {
    rotate::<S, 14, 50>(e) ^ rotate::<S, 18, 46>(e) ^ rotate::<S, 41, 23>(e)
}

#[inline(always)]
fn big_zero<S: Simd>(a: S::u64s) -> S::u64s {
    rotate::<S, 28, 36>(a) ^ rotate::<S, 34, 30>(a) ^ rotate::<S, 39, 25>(a)
}

/// Replaces a word by the one sixteen later.
#[inline(always)]
fn extend<S: Simd>(words: &mut [S::u64s; 16], i: usize) {
    let (early, late) = (words[(i + 1) % 16], words[(i + 14) % 16]);
    words[i] = words[i] + small_zero::<S>(early) + words[(i + 9) % 16] + small_one::<S>(late);
}

#[inline(always)]
fn small_one<S: Simd>(word: S::u64s) -> S::u64s {
    rotate::<S, 19, 45>(word) ^ rotate::<S, 61, 3>(word) ^ (word >> 6)
}

#[inline(always)]
fn small_zero<S: Simd>(word: S::u64s) -> S::u64s {
    rotate::<S, 1, 63>(word) ^ rotate::<S, 8, 56>(word) ^ (word >> 7)
}
