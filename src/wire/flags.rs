//! Flags: how a message travels (main flag) and what it means to the mesh (sub-flag).
//!
//! Owns the names only; the numbers belong to a generation.

use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::hex;

/// Main flag (packet 0 on the wire): how a message travels.
///
/// Only broadcast, waterfall and renegotiate change what a node does; any other value is treated like a whisper.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Flag {
    /// To all nodes, relayed once by each node.
    Broadcast,
    /// A broadcast that has been relayed (0.4 only).
    Waterfall,
    /// To the peer at the other end of the connection, not relayed.
    Whisper,
    /// About compression, or about sending the last message again.
    Renegotiate,
    /// Reserved by the protocol, unused.
    Ping,
    /// Reserved by the protocol, unused.
    Pong,
    /// Any other byte string; it travels like a whisper.
    Other(Bytes),
}

impl Flag {
    /// Returns the flag as reported to users: a relayed broadcast is a broadcast.
    pub(crate) fn told(self) -> Flag {
        if self.is_broadcast() {
            Flag::Broadcast
        } else {
            self
        }
    }

    /// Whether the mesh relays messages with this flag: broadcast or waterfall.
    pub fn is_broadcast(&self) -> bool {
        matches!(self, Flag::Broadcast | Flag::Waterfall)
    }

    fn name(&self) -> Option<&'static str> {
        NAMES
            .iter()
            .find(|(_, flag)| flag == self)
            .map(|(name, _)| *name)
    }
}

const NAMES: [(&str, Flag); 6] = [
    ("broadcast", Flag::Broadcast),
    ("waterfall", Flag::Waterfall),
    ("whisper", Flag::Whisper),
    ("renegotiate", Flag::Renegotiate),
    ("ping", Flag::Ping),
    ("pong", Flag::Pong),
];

/// Serializes as a name such as `"whisper"`, or as `{"hex": "666f6f"}` for any other byte string.
impl Serialize for Flag {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match (self, self.name()) {
            (Flag::Other(bytes), _) => hex::Hex::from(&bytes[..]).serialize(serializer),
            (_, name) => serializer.serialize_str(name.unwrap_or_default()),
        }
    }
}

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match hex::TextOrHex::deserialize(deserializer)? {
            hex::TextOrHex::Hex(bytes) => Ok(Flag::Other(Bytes::from(bytes))),
            hex::TextOrHex::Text(text) => NAMES
                .iter()
                .find(|(name, _)| *name == text)
                .map(|(_, flag)| flag.clone())
                .ok_or_else(|| serde::de::Error::custom(format_args!("unknown flag {text:?}"))),
        }
    }
}

/// Sub-flag (packet 0 of the payload) that has a meaning to the mesh.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SubFlag {
    /// A user's message.
    Broadcast,
    /// A list of compression methods.
    Compression,
    /// A user's message to one peer.
    Whisper,
    /// The first message on a connection.
    Handshake,
    /// Reserved, unused.
    Ping,
    /// Reserved, unused.
    Pong,
    /// Reserved, unused.
    Notify,
    /// A list of peers.
    Peers,
    /// A request for peers (`*`) or for the address of one id.
    Request,
    /// A request to send the last message again.
    Resend,
    /// The response to a request for an id.
    Response,
    /// Used by the distributed hash table built on the mesh.
    Store,
    /// Used by the distributed hash table built on the mesh.
    Retrieve,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_named_in_json() {
        for (name, flag) in NAMES {
            let json = format!("{name:?}");
            assert_eq!(serde_json::to_string(&flag).unwrap(), json);
            assert_eq!(serde_json::from_str::<Flag>(&json).unwrap(), flag);
        }
        let other = Flag::Other(Bytes::from_static(b"foo"));
        assert_eq!(
            serde_json::to_string(&other).unwrap(),
            r#"{"hex":"666f6f"}"#
        );
        assert_eq!(
            serde_json::from_str::<Flag>(r#"{"hex":"666f6f"}"#).unwrap(),
            other
        );
        assert!(serde_json::from_str::<Flag>("\"loud\"").is_err());
    }
}
