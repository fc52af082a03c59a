//! Hashes the input of message ids: one message alone, or several at once.
//!
//! Owns the choice between the two, which changes no digest. Does not know what a digest proves.

pub(crate) mod stamped;

use self::stamped::{Digest, Packets, Stamped};
use super::simd;

/// Returns the digest of each message: on a processor with wide vectors, as many at once as a vector holds.
pub(crate) fn digests<'a, P: Packets<'a>>(messages: &[Stamped<P>]) -> Vec<Digest> {
    if let Some(digests) = simd::digests(messages) {
        return digests;
    }
    messages.iter().map(Stamped::digest).collect()
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;
    use crate::wire::base58;

    fn stamped<'a>(packets: &'a [&'a [u8]], time: u64) -> Stamped<impl Packets<'a>> {
        let packets = packets.iter().copied();
        Stamped { packets, time }
    }

    /// Every way of hashing them gives `expected`.
    fn check<'a, P: Packets<'a>>(messages: &[Stamped<P>], expected: &[Digest]) {
        assert_eq!(digests(messages), expected);
        #[cfg(target_arch = "x86_64")]
        for digests in simd::hash_in_every_width(messages) {
            assert_eq!(digests, expected);
        }
    }

    fn one_by_one<'a, P: Packets<'a>>(messages: &[Stamped<P>]) -> Vec<Digest> {
        messages.iter().map(Stamped::digest).collect()
    }

    /// The examples of FIPS 180-4, with the last letter as the time.
    #[test]
    fn known_answers() {
        let digit = |last: u8| base58::decode_u64(&[last]).unwrap();
        let long: Vec<u8> = (b'a'..=b'n').flat_map(|c| c..c + 8).collect();
        let (last, long) = long.split_last().unwrap();
        let (short, long) = ([&b"a"[..], b"b"], [&long[..50], &long[50..]]);
        let [abc, long] = [stamped(&short, digit(b'c')), stamped(&long, digit(*last))];
        let messages = [abc.clone(), long.clone(), abc, long];
        let expected = [
            "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed\
             8086072ba1e7cc2358baeca134c825a7",
            "09330c33f71147e83d192fc782cd1b4753111b173b3b05d22fa08086e3b0f712\
             fcc7c71a557e2db966c3e9fa91746039",
        ];
        let byte = |hex: &str, at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap();
        let expected = expected.map(|hex| std::array::from_fn(|at| byte(hex, at)));
        let expected = expected.repeat(2);
        assert_eq!(one_by_one(&messages), expected);
        check(&messages, &expected);
    }

    #[test]
    fn every_length_around_two_blocks_and_many_counts_of_messages() {
        let bytes: Vec<u8> = (0..=255).cycle().take(300).collect();
        let cuts: Vec<[&[u8]; 2]> = (0..300)
            .map(|len| <[&[u8]; 2]>::from(bytes[..len].split_at(len / 3)))
            .collect();
        let all: Vec<_> = cuts
            .iter()
            .zip([0, 57, 58, 1_700_000_000, u64::MAX].into_iter().cycle())
            .map(|(cut, time)| stamped(cut, time))
            .collect();
        for count in [0, 1, 2, 3, 7, 8, 9, 16, 17, 31, 300] {
            let messages = &all[300 - count..];
            check(messages, &one_by_one(messages));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn no_way_of_hashing_changes_a_digest(
            given in vec((vec(vec(any::<u8>(), 0..400), 0..6), any::<u64>()), 0..40)
        ) {
            let packets: Vec<Vec<&[u8]>> = given
                .iter()
                .map(|(packets, _)| packets.iter().map(Vec::as_slice).collect())
                .collect();
            let messages: Vec<_> = packets
                .iter()
                .zip(&given)
                .map(|(packets, (_, time))| stamped(packets, *time))
                .collect();
            check(&messages, &one_by_one(&messages));
        }
    }
}
