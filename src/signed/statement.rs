//! The signed bytes, and the text form of a proof.

use std::sync::LazyLock;

use rustls::SignatureScheme;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::SignatureVerificationAlgorithm;

use crate::wire::NodeId;
use crate::wire::base58;

/// The prefix of an Ed25519 key in its `SubjectPublicKeyInfo` (RFC 8410).
pub(super) const SPKI: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];
const CONTEXT: &str = "actix-mesh signed 1";
/// The most characters a proof may have.
const MAX_CHARACTERS: usize = 200;

/// What a signature covers: see the module's table.
pub(super) struct Statement<'a> {
    pub(super) subnet: &'a str,
    /// `None`: a broadcast.
    pub(super) to: Option<&'a str>,
    pub(super) counter: u64,
    pub(super) packets: &'a [&'a [u8]],
}

impl Statement<'_> {
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let text = |text: &[u8], bytes: &mut Vec<u8>| {
            bytes.extend_from_slice(&count(text.len()));
            bytes.extend_from_slice(text);
        };
        text(CONTEXT.as_bytes(), &mut bytes);
        text(self.subnet.as_bytes(), &mut bytes);
        let way = if self.to.is_some() {
            "whisper"
        } else {
            "broadcast"
        };
        text(way.as_bytes(), &mut bytes);
        text(self.to.unwrap_or_default().as_bytes(), &mut bytes);
        bytes.extend_from_slice(&self.counter.to_be_bytes());
        bytes.extend_from_slice(&count(self.packets.len()));
        for packet in self.packets {
            text(packet, &mut bytes);
        }
        bytes
    }
}

/// A frame is too short to overflow this.
fn count(number: usize) -> [u8; 4] {
    u32::try_from(number).unwrap_or(u32::MAX).to_be_bytes()
}

/// A parsed proof.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Proof {
    key: [u8; 32],
    pub(super) counter: u64,
    signature: [u8; 64],
}

impl Proof {
    pub(super) fn read(text: &str) -> Option<Self> {
        if text.len() > MAX_CHARACTERS {
            return None;
        }
        let mut parts = text.strip_prefix("signed:1:")?.split(':');
        let (key, counter, signature) = (parts.next()?, parts.next()?, parts.next()?);
        let bytes = |text: &str| base58::decode(text.as_bytes()).ok();
        Some(Self {
            key: padded(&bytes(key)?)?,
            counter: counter.parse().ok()?,
            signature: padded(&bytes(signature)?)?,
        })
        .filter(|_| parts.next().is_none())
    }

    /// Returns the id of the key's owner.
    pub(super) fn author(&self) -> NodeId {
        NodeId::of_key(&[&SPKI[..], &self.key].concat())
    }

    /// Whether the key's owner signed this statement.
    pub(super) fn holds(&self, statement: &Statement<'_>) -> bool {
        static ED25519: LazyLock<Option<&'static dyn SignatureVerificationAlgorithm>> =
            LazyLock::new(|| {
                let known = default_provider().signature_verification_algorithms;
                let mut mapping = known.mapping.iter();
                let ours = mapping.find(|(scheme, _)| *scheme == SignatureScheme::ED25519);
                ours.and_then(|(_, algorithms)| algorithms.first().copied())
            });
        ED25519.is_some_and(|ed25519| {
            ed25519
                .verify_signature(&self.key, &statement.bytes(), &self.signature)
                .is_ok()
        })
    }
}

/// Base58 of a number drops leading zeros; this restores them.
fn padded<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
    let missing = N.checked_sub(bytes.len())?;
    let mut padded = [0; N];
    padded[missing..].copy_from_slice(bytes);
    Some(padded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_signed_is_as_documented() {
        let statement = Statement {
            subnet: "S",
            to: Some("B"),
            counter: 0x0102,
            packets: &[b"k1", b"{}", b"id:x"],
        };
        let expected = [
            &b"\0\0\0\x13actix-mesh signed 1"[..],
            b"\0\0\0\x01S",
            b"\0\0\0\x07whisper",
            b"\0\0\0\x01B",
            b"\0\0\0\0\0\0\x01\x02",
            b"\0\0\0\x03",
            b"\0\0\0\x02k1",
            b"\0\0\0\x02{}",
            b"\0\0\0\x04id:x",
        ];
        assert_eq!(statement.bytes(), expected.concat());
        let broadcast = Statement {
            to: None,
            ..statement
        };
        assert!(
            broadcast
                .bytes()
                .windows(17)
                .any(|it| it == b"\0\0\0\tbroadcast\0\0\0\0")
        );
    }

    /// The example's signature comes from another implementation of Ed25519.
    #[test]
    fn the_example_of_the_documentation_holds() {
        let page = include_str!("mod.rs");
        let example = page.lines().find_map(|line| {
            let text = line.strip_prefix("//! ")?;
            text.starts_with("signed:1:F").then_some(text)
        });
        let proof = Proof::read(example.unwrap()).unwrap();
        let mut statement = Statement {
            subnet: "S",
            to: None,
            counter: 1_700_000_000_000_001,
            packets: &[b"order/1", br#"{"pizza":7}"#, b"id:7"],
        };
        assert!(proof.holds(&statement));
        assert_eq!(proof.counter, statement.counter);
        assert!(page.contains(proof.author().as_str()));
        statement.subnet = "T";
        assert!(!proof.holds(&statement));
    }

    #[test]
    fn proofs_are_read_strictly() {
        let key = base58::encode(&[7; 32]);
        let signature = base58::encode(&[9; 64]);
        let good = format!("signed:1:{key}:5:{signature}");
        let proof = Proof::read(&good).unwrap();
        assert_eq!(
            (proof.key, proof.counter, proof.signature),
            ([7; 32], 5, [9; 64])
        );
        assert_eq!(
            proof.author().as_str(),
            "5xEnVifzQXAc5MY6ozMtViY715kosntYcAsdQeDoEVaqg24MiHUZiq2mFnMHiiaZFd"
        );
        for bad in [
            String::new(),
            format!("signed:2:{key}:5:{signature}"),
            format!("signed:1:{key}:-5:{signature}"),
            format!("signed:1:{key}:5"),
            format!("{good}:6"),
            format!("signed:1:{key}1:5:{signature}{}", "1".repeat(200)),
            format!("signed:1:{signature}:5:{key}"),
            format!("signed:1:0:5:{signature}"),
        ] {
            assert_eq!(Proof::read(&bad), None, "{bad}");
        }
    }
}
