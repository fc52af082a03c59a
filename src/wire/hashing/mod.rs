//! What an id is hashed over, hashed: one message by itself, or several at once.
//!
//! Owns the choice between the two, which changes no digest. What a digest proves is not its business.

#[cfg(target_arch = "x86_64")]
mod lanes;
#[cfg(target_arch = "x86_64")]
mod rounds;

use sha2::{Digest as _, Sha384};

use super::base58;

/// SHA-384 of what an id is hashed over.
pub(crate) type Digest = [u8; 48];

/// What an id is hashed over: the payload's packets without gaps, then the time in base58.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stamped<'a> {
    pub(crate) payload: &'a [u8],
    pub(crate) time: u64,
}

impl Stamped<'_> {
    /// The digest of this one.
    pub(crate) fn digest(&self) -> Digest {
        let mut hash = Sha384::new();
        hash.update(self.payload);
        hash.update(base58::encode_u64(self.time));
        hash.finalize().into()
    }
}

/// The digest of each: as many at once as the processor's vectors hold, if it has wide ones.
pub(crate) fn digests(messages: &[Stamped<'_>]) -> Vec<Digest> {
    #[cfg(target_arch = "x86_64")]
    if let Some(digests) = lanes::digests(messages) {
        return digests;
    }
    messages.iter().map(Stamped::digest).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Both ways of hashing, and every width of vectors that this machine has.
    fn all_ways(messages: &[Stamped<'_>]) -> Vec<Vec<Digest>> {
        let mut ways = vec![digests(messages)];
        #[cfg(target_arch = "x86_64")]
        ways.extend(lanes::tests::in_every_width(messages));
        ways
    }

    fn one_by_one(messages: &[Stamped<'_>]) -> Vec<Digest> {
        messages.iter().map(Stamped::digest).collect()
    }

    fn hex(digest: &Digest) -> String {
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The examples of FIPS 180-4, whose last letter we take for the time.
    #[test]
    fn known_answers() {
        let stamped = |payload, last: u8| Stamped {
            payload,
            time: base58::decode_u64(&[last]).unwrap(),
        };
        let long: Vec<u8> = (b'a'..=b'n').flat_map(|c| c..c + 8).collect();
        let (last, long) = long.split_last().unwrap();
        let messages = [stamped(b"ab", b'c'), stamped(long, *last)].repeat(2);
        let expected = [
            "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed\
             8086072ba1e7cc2358baeca134c825a7",
            "09330c33f71147e83d192fc782cd1b4753111b173b3b05d22fa08086e3b0f712\
             fcc7c71a557e2db966c3e9fa91746039",
        ]
        .repeat(2);
        for digests in all_ways(&messages) {
            assert_eq!(digests.iter().map(hex).collect::<Vec<_>>(), expected);
        }
    }

    #[test]
    fn every_length_around_two_blocks_and_many_counts_of_messages() {
        let bytes: Vec<u8> = (0..=255).cycle().take(300).collect();
        let all: Vec<Stamped<'_>> = (0..300)
            .map(|len| Stamped {
                payload: &bytes[..len],
                time: if len % 3 == 0 { u64::MAX } else { len as u64 },
            })
            .collect();
        for count in [0, 1, 2, 3, 7, 8, 9, 16, 17, 31, 300] {
            let messages = &all[300 - count..];
            for digests in all_ways(messages) {
                assert_eq!(digests, one_by_one(messages), "{count}");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn no_way_of_hashing_changes_a_digest(
            payloads in prop::collection::vec(
                (prop::collection::vec(any::<u8>(), 0..2000), any::<u64>()), 0..40)
        ) {
            let messages: Vec<Stamped<'_>> = payloads
                .iter()
                .map(|(payload, time)| Stamped { payload, time: *time })
                .collect();
            for digests in all_ways(&messages) {
                prop_assert_eq!(digests, one_by_one(&messages));
            }
        }
    }
}
