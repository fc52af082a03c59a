//! Errors in bytes: in a stream, in one frame (the peer's fault), or in a message to send (our fault).

use std::io;

use super::{compression::Method, id::IdError};

/// A frame that cannot be decoded. The stream after it is intact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The packet lengths do not add up to the frame's size.
    #[error("the packet lengths do not add up to the frame")]
    SizesDisagree,
    /// Fewer packets than every message has: four, or three from generation 0.6 on.
    #[error("{0} packets are too few for a message")]
    TooFewPackets(usize),
    /// More packets than the limit.
    #[error("more than {0} packets")]
    TooManyPackets(usize),
    /// The sender is not an id.
    #[error("bad sender: {0}")]
    BadSender(IdError),
    /// The message id is not an id.
    #[error("bad message id: {0}")]
    BadId(IdError),
    /// The time is not a base58 number of at most 11 characters that fits in 64 bits; from generation 0.6 on, not a
    /// whole number.
    #[error("bad time")]
    BadTime,
    /// The id is not the hash of the message, by either rule.
    #[error("the id is not the hash of the message")]
    IdMismatch,
    /// The inflated frame exceeds the limit.
    #[error("inflates to more than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// The compressed bytes are corrupt.
    #[error("corrupt {0} data")]
    BadCompression(Method),
    /// This build lacks the compression method.
    #[error("this build lacks {0} compression")]
    UnknownCompression(Method),
    /// The batch has no frame with that index.
    #[error("no such frame in the batch")]
    NoSuchFrame,
}

impl DecodeError {
    /// States the limit as a user counts packets.
    pub(crate) fn of_users(self, limit: usize) -> DecodeError {
        match self {
            DecodeError::TooManyPackets(_) => DecodeError::TooManyPackets(limit),
            other => other,
        }
    }

    /// Returns a stable name for programs.
    pub fn code(&self) -> &'static str {
        match self {
            DecodeError::SizesDisagree => "sizes_disagree",
            DecodeError::TooFewPackets(_) => "too_few_packets",
            DecodeError::TooManyPackets(_) => "too_many_packets",
            DecodeError::BadSender(_) => "bad_sender",
            DecodeError::BadId(_) => "bad_id",
            DecodeError::BadTime => "bad_time",
            DecodeError::IdMismatch => "id_mismatch",
            DecodeError::TooLarge { .. } => "too_large",
            DecodeError::BadCompression(_) => "bad_compression",
            DecodeError::UnknownCompression(_) => "unknown_compression",
            DecodeError::NoSuchFrame => "no_such_frame",
        }
    }
}

/// A message that must not be sent: our own mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The frame exceeds the limit.
    #[error("a frame of {size} bytes exceeds the limit of {limit} bytes")]
    TooLarge {
        /// Bytes after the length prefix.
        size: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// More packets than the limit.
    #[error("{count} packets exceed the limit of {limit}")]
    TooManyPackets {
        /// Packets after the kind.
        count: usize,
        /// The limit.
        limit: usize,
    },
    /// A packet is a number, a list or another value, but the generation carries only bytes.
    #[error(
        "packet {packet} is neither text nor binary; generations before 0.6 carry only those: send it as text, for example as JSON"
    )]
    NeedsTypes {
        /// The packet, counted from packet 0.
        packet: usize,
    },
}

impl EncodeError {
    /// Returns a stable name for programs.
    pub fn code(&self) -> &'static str {
        match self {
            EncodeError::TooLarge { .. } => "too_large",
            EncodeError::TooManyPackets { .. } => "too_many_packets",
            EncodeError::NeedsTypes { .. } => "needs_types",
        }
    }
}

/// The end of a stream: no frame boundary after it can be trusted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StreamError {
    /// The announced frame exceeds the limit.
    #[error("the peer announced a frame of {announced} bytes; the limit is {limit}")]
    Oversize {
        /// Bytes after the length prefix.
        announced: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// The announced frame exceeds the limit before the handshake, but not the one after it.
    #[error(
        "the peer announced a frame of {announced} bytes before the handshake; the limit is {limit}"
    )]
    BeforeHandshake {
        /// Bytes after the length prefix.
        announced: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// The stream ended within a frame.
    #[error("the stream ended {missing} bytes before the end of a frame")]
    Truncated {
        /// At least this many bytes are missing.
        missing: usize,
    },
    /// The socket failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl StreamError {
    /// Returns a stable name for programs.
    pub fn code(&self) -> &'static str {
        match self {
            StreamError::Oversize { .. } => "oversize",
            StreamError::BeforeHandshake { .. } => "before_handshake",
            StreamError::Truncated { .. } => "truncated",
            StreamError::Io(_) => "io",
        }
    }
}

/// A message with a control sub-flag and invalid arguments.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ControlError {
    /// Arguments are missing.
    #[error("{got} packets, but {needed} are needed")]
    TooFewPackets {
        /// Packets of the payload, the sub-flag included.
        got: usize,
        /// The number needed.
        needed: usize,
    },
    /// An argument is not an id.
    #[error("bad id: {0}")]
    BadId(IdError),
    /// An argument is not JSON, or too long.
    #[error("bad JSON")]
    BadJson,
    /// The JSON does not have the form that the sub-flag requires.
    #[error("the JSON does not have the expected form")]
    BadForm,
    /// The address is `null` or cannot be dialled.
    #[error("no usable address")]
    NoAddress,
}

// The text includes that of the id's error, so that error is not also the source.
impl From<IdError> for ControlError {
    fn from(error: IdError) -> Self {
        Self::BadId(error)
    }
}

impl ControlError {
    /// Returns a stable name for programs.
    pub fn code(&self) -> &'static str {
        match self {
            ControlError::TooFewPackets { .. } => "too_few_packets",
            ControlError::BadId(_) => "bad_id",
            ControlError::BadJson => "bad_json",
            ControlError::BadForm => "bad_form",
            ControlError::NoAddress => "no_address",
        }
    }
}
