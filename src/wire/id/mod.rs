//! Ids: base58 text of checked shape, and the derivation of each kind.
//!
//! Nothing here proves who an id belongs to: in this protocol a node's id is a claim.

use std::{cmp::Ordering, fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha384};

use crate::wire::{base58, hex};

mod text;

use text::Text;

/// The longest id that is accepted, in characters.
pub(crate) const MAX_LEN: usize = 128;

/// The text is not an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdError {
    /// The text is empty.
    #[error("an id cannot be empty")]
    Empty,
    /// More than 128 characters.
    #[error("an id has at most 128 characters, not {0}")]
    TooLong(usize),
    /// A character outside the base58 alphabet.
    #[error("an id consists of base58 digits")]
    NotBase58,
}

pub(crate) fn check(text: &[u8]) -> Result<(), IdError> {
    match text.len() {
        0 => Err(IdError::Empty),
        1..=MAX_LEN if base58::is_base58(text) => Ok(()),
        1..=MAX_LEN => Err(IdError::NotBase58),
        len => Err(IdError::TooLong(len)),
    }
}

/// A message's id may also be the 64 hexadecimal digits of a hash.
fn check_message(text: &[u8]) -> Result<(), IdError> {
    let is_digit = |digit: &u8| matches!(digit, b'0'..=b'9' | b'a'..=b'f');
    match check(text) {
        Err(IdError::NotBase58) if text.len() == 64 && text.iter().all(is_digit) => Ok(()),
        checked => checked,
    }
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $check:ident) => {
        $(#[$doc])*
        ///
        /// 1 to 128 base58 characters. Up to 66, the length of a derived id, are stored in place, so that a clone
        /// allocates nothing.
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Text);

        impl $name {
            /// Parses an id, copying the text.
            pub fn parse(text: impl AsRef<[u8]>) -> Result<Self, IdError> {
                $check(text.as_ref())?;
                Ok($name(Text::new(text.as_ref())))
            }

            /// Returns the text.
            pub fn as_str(&self) -> &str {
                std::str::from_utf8(self.as_bytes()).expect("checked to be ASCII when made")
            }

            /// Returns the text as bytes.
            pub fn as_bytes(&self) -> &[u8] {
                self.0.as_bytes()
            }
        }

        impl From<base58::Digits> for $name {
            fn from(digits: base58::Digits) -> Self {
                $name(Text::new(&digits))
            }
        }

        impl AsRef<[u8]> for $name {
            fn as_ref(&self) -> &[u8] {
                self.as_bytes()
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::parse(text)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        /// Shows the first ten characters, which are enough to tell nodes apart in a log.
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let text = self.as_str();
                match text.get(..10) {
                    Some(start) if text.len() > 12 => write!(f, concat!(stringify!($name), "({}..)"), start),
                    _ => write!(f, concat!(stringify!($name), "({})"), text),
                }
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                Self::parse(text).map_err(serde::de::Error::custom)
            }
        }
    };
}

id! {
    /// The id of a node.
    NodeId, check
}
id! {
    /// The id of a message: the hash of its payload and its time, but not of its sender or flag. From generation 0.6
    /// on, the SHA-256 of the whole message, in 64 hexadecimal digits.
    MessageId, check_message
}
id! {
    /// The id of a request for an address, chosen by the requester and opaque to all others.
    RequestId, check
}
id! {
    /// The id of a subnet: the hash of its name, its encryption and the protocol's version.
    SubnetId, check
}

macro_rules! checked {
    ($name:ident) => {
        impl $name {
            /// Takes the first `len` bytes as the id. They are already checked.
            #[inline]
            pub(crate) fn checked(bytes: &[u8], len: usize) -> Self {
                debug_assert_eq!(check_message(&bytes[..len]), Ok(()));
                $name(Text::begins(bytes, len))
            }
        }
    };
}

checked!(NodeId);
checked!(MessageId);

impl MessageId {
    /// Makes the id from a digest.
    pub(crate) fn of_digest(digest: &[u8]) -> MessageId {
        match digest.try_into() {
            Ok(digest) => MessageId(Text::new(&hex::digest(digest))),
            Err(_) => MessageId(Text::new(hex::encode(digest).as_bytes())),
        }
    }
}

impl NodeId {
    /// Returns the first ten characters: enough to tell nodes apart in a log or on a screen, not to prove anything.
    pub fn short(&self) -> &str {
        let text = self.as_str();
        text.get(..10).unwrap_or(text)
    }

    /// Derives the id of the node at that address in that subnet: base58 of SHA-384 over address, subnet id and salt.
    ///
    /// The salt makes the id unique and must be random. Nobody can verify the derivation.
    pub fn derive(address: &str, subnet: &SubnetId, salt: &[u8]) -> NodeId {
        NodeId::from(digest(&[address.as_bytes(), subnet.as_bytes(), salt]))
    }

    /// Derives the id of the node with this public key (a `SubjectPublicKeyInfo` in DER): base58 of SHA-384 over it.
    ///
    /// In a closed mesh TLS proves the key, and so the id.
    pub fn of_key(public_key: &[u8]) -> NodeId {
        NodeId::from(digest(&[public_key]))
    }

    /// Compares ids as integers, the order that decides which of two crossing connections stays.
    pub fn cmp_numeric(&self, other: &NodeId) -> Ordering {
        let (ours, theirs) = (significant(self.as_bytes()), significant(other.as_bytes()));
        // The alphabet is in ASCII order, so texts of equal length compare as their numbers do.
        ours.len().cmp(&theirs.len()).then_with(|| ours.cmp(theirs))
    }
}

fn significant(digits: &[u8]) -> &[u8] {
    let zeros = digits.iter().take_while(|&&c| c == b'1').count();
    &digits[zeros..]
}

impl RequestId {
    /// Derives the id of a request for `wanted` made at `time` (Unix seconds). The salt keeps two requests in the same
    /// second apart.
    pub fn derive(wanted: &NodeId, time: u64, salt: &[u8]) -> RequestId {
        RequestId::from(digest(&[
            wanted.as_bytes(),
            &base58::encode_u64(time),
            salt,
        ]))
    }
}

fn digest(parts: &[&[u8]]) -> base58::Digits {
    let mut hash = Sha384::new();
    for part in parts {
        hash.update(part);
    }
    base58::encode_digest(&hash.finalize().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Generation, Subnet};

    #[test]
    fn derived_ids_differ_by_each_part() {
        let subnet = Subnet::default().id(Generation::V0_4);
        let id = NodeId::derive("127.0.0.1:1", &subnet, b"salt");
        assert_eq!(id, NodeId::derive("127.0.0.1:1", &subnet, b"salt"));
        assert_ne!(id, NodeId::derive("127.0.0.1:2", &subnet, b"salt"));
        assert_ne!(id, NodeId::derive("127.0.0.1:1", &subnet, b"pepper"));
        let request = RequestId::derive(&id, 1, b"");
        assert_ne!(request, RequestId::derive(&id, 2, b""));
        assert_ne!(request, RequestId::derive(&id, 1, b"x"));
    }

    #[test]
    fn logs_stay_short() {
        let id = NodeId::parse("9kjDBKJt4rRbqigZpDnDb6aX27ytjb1YhvcavpDtwBfMMiuMu3").unwrap();
        assert_eq!(format!("{id:?}"), "NodeId(9kjDBKJt4r..)");
        assert_eq!(format!("{:?}", NodeId::parse("A").unwrap()), "NodeId(A)");
    }

    #[test]
    fn leading_ones_do_not_count_in_the_order() {
        let id = |text| NodeId::parse(text).unwrap();
        assert_eq!(id("11z").cmp_numeric(&id("z")), Ordering::Equal);
        assert_eq!(id("1z").cmp_numeric(&id("21")), Ordering::Less);
        assert_eq!(id("b").cmp_numeric(&id("B")), Ordering::Greater);
    }
}
