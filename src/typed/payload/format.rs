//! Formats of values: text by default, which every peer can carry.

use std::fmt;

#[cfg(any(feature = "messagepack", feature = "postcard"))]
use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD as BASE64};
use serde::Serialize;

use super::{Payload, kind, raw};
use crate::node::requests::envelope::Envelope;
use crate::wire::{Message, Packet};

/// The format of a [`Payload`]'s values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Format {
    /// JSON text, which every language reads.
    #[default]
    Json,
    /// The type's bytes or text, unchanged: for a type that serializes as one string or one byte string, such as
    /// `struct Line(String)`. Bytes that are not UTF-8 need [`Config::allow_binary`](crate::Config::allow_binary).
    Raw,
    /// MessagePack with field names, in base64 (standard alphabet, no padding) because generation 0.4 carries text
    /// only.
    #[cfg(feature = "messagepack")]
    MessagePack,
    /// Postcard, in base64 like MessagePack. The smallest; both ends must have the same definition of the type.
    #[cfg(feature = "postcard")]
    Postcard,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Json => "JSON",
            Self::Raw => "raw",
            #[cfg(feature = "messagepack")]
            Self::MessagePack => "MessagePack",
            #[cfg(feature = "postcard")]
            Self::Postcard => "postcard",
        })
    }
}

/// A value cannot be written or read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FormatError {
    /// The type's format cannot represent the value, for example a map with non-string keys in JSON.
    #[error("a value of kind {kind} cannot be written as {format}: {why}")]
    Write {
        /// The kind of the type.
        kind: &'static str,
        /// Its format.
        format: Format,
        /// The error of the format's library.
        why: String,
    },
    /// The bytes do not parse as the type.
    #[error("the payload cannot be read as kind {kind} in {format}: {why}")]
    Read {
        /// The kind that was expected.
        kind: &'static str,
        /// Its format.
        format: Format,
        /// The error of the format's library.
        why: String,
    },
    /// The message has another kind than expected.
    #[error("expected kind {expected}, found {found:?}")]
    Kind {
        /// The kind that was expected.
        expected: &'static str,
        /// The kind that came, truncated to 64 bytes.
        found: String,
    },
}

/// Writes a value.
pub(in crate::typed) fn write<T: Payload>(value: &T) -> Result<Packet, FormatError> {
    let written = match T::FORMAT {
        Format::Json => serde_json::to_string(value)
            .map(Packet::from)
            .map_err(|error| error.to_string()),
        Format::Raw => raw::to_bytes(value)
            .map(Packet::from)
            .map_err(|error| error.to_string()),
        #[cfg(feature = "messagepack")]
        Format::MessagePack => rmp_serde::to_vec_named(value)
            .map(|bytes| Packet::from(BASE64.encode(bytes)))
            .map_err(|error| error.to_string()),
        #[cfg(feature = "postcard")]
        Format::Postcard => postcard::to_stdvec(value)
            .map(|bytes| Packet::from(BASE64.encode(bytes)))
            .map_err(|error| error.to_string()),
    };
    written.map_err(|why| FormatError::Write {
        kind: kind::<T>(),
        format: T::FORMAT,
        why,
    })
}

/// Reads a value.
pub(in crate::typed) fn read<T: Payload>(bytes: &[u8]) -> Result<T, FormatError> {
    let read = match T::FORMAT {
        Format::Json => serde_json::from_slice(bytes).map_err(|error| error.to_string()),
        Format::Raw => raw::from_bytes(bytes).map_err(|error| error.to_string()),
        #[cfg(feature = "messagepack")]
        Format::MessagePack => BASE64
            .decode(bytes)
            .map_err(|error| error.to_string())
            .and_then(|bytes| rmp_serde::from_slice(&bytes).map_err(|error| error.to_string())),
        #[cfg(feature = "postcard")]
        Format::Postcard => BASE64
            .decode(bytes)
            .map_err(|error| error.to_string())
            .and_then(|bytes| postcard::from_bytes(&bytes).map_err(|error| error.to_string())),
    };
    read.map_err(|why| FormatError::Read {
        kind: kind::<T>(),
        format: T::FORMAT,
        why,
    })
}

/// Reads the value of a message in either form, without checking its kind.
pub(crate) fn read_message<T: Payload>(message: &Message) -> Result<T, FormatError> {
    read(Envelope::read(message).map_or(&[][..], |envelope| envelope.value.as_bytes()))
}

/// Reads the value of a message, which must be of the type's kind.
pub(in crate::typed) fn read_kind<T: Payload>(message: &Message) -> Result<T, FormatError> {
    let found = Envelope::read(message).map_or(&[][..], |envelope| envelope.kind.as_bytes());
    if found != kind::<T>().as_bytes() {
        return Err(FormatError::Kind {
            expected: kind::<T>(),
            found: String::from_utf8_lossy(&found[..found.len().min(64)]).into_owned(),
        });
    }
    read_message(message)
}
