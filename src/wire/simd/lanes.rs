//! Vectors of eight words, one from each of eight messages.
//!
//! Owns how the bytes of messages get into lanes, and whether to use lanes. Does not know what is computed in them.

use fearless_simd::{Simd, prelude::*, u8x64, u64x8};

/// Messages in one vector.
pub(super) const LANES: usize = 8;

/// Whether wide vectors are disabled: in debug builds, which do not keep them in registers, they gain nothing; other
/// builds disable them to measure the gain.
pub(super) const NARROW: bool = cfg!(any(debug_assertions, without_wide_vectors));

/// Swaps big-endian words to little-endian.
#[rustfmt::skip]
const SWAP: [u8; 64] = {
    let mut swap = [0; 64];
    let mut at = 0;
    while at < 64 {
        swap[at] = [7, 6, 5, 4, 3, 2, 1, 0, 15, 14, 13, 12, 11, 10, 9, 8][at % 16];
        at += 1;
    }
    swap
};

/// Loads eight big-endian words of one message, its first 64 bytes.
#[inline(always)]
pub(super) fn words_of<S: Simd>(simd: S, bytes: &[u8]) -> u64x8<S> {
    let swap = u8x64::from_slice(simd, &SWAP);
    let bytes = u8x64::from_slice(simd, &bytes[..64]);
    Bytes::from_bytes(simd.swizzle_dyn_within_blocks_u8x64(bytes, swap))
}

/// Converts a vector per message to a vector per word, and back: three perfect shuffles of an eight by eight square
/// exchange its rows and columns.
#[inline(always)]
pub(super) fn transpose<S: Simd>(simd: S, rows: &mut [u64x8<S>; LANES]) {
    for _ in 0..3 {
        let from = *rows;
        for i in 0..LANES / 2 {
            let (low, high) = simd.interleave_u64x8(from[i], from[i + LANES / 2]);
            rows[2 * i] = low;
            rows[2 * i + 1] = high;
        }
    }
}
