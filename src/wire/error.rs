//! What can be wrong with bytes: with the stream, with one frame (the peer's fault), with what we would send (ours).

use std::io;

use super::{compression::Method, id::IdError};

/// A frame that cannot be understood. The stream behind it is intact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The packet lengths do not add up to the frame's size.
    #[error("the packet lengths do not add up to the frame")]
    SizesDisagree,
    /// Fewer than the four packets every message has.
    #[error("{0} packets where every message has at least 4")]
    TooFewPackets(usize),
    /// More packets than are taken.
    #[error("more than {0} packets")]
    TooManyPackets(usize),
    /// The sender is no id.
    #[error("bad sender: {0}")]
    BadSender(IdError),
    /// The message id is no id.
    #[error("bad message id: {0}")]
    BadId(IdError),
    /// The time is no base58 number of at most 11 characters that fits 64 bits.
    #[error("bad time")]
    BadTime,
    /// The id is not the hash of the message, by either rule.
    #[error("the id is not the hash of the message")]
    IdMismatch,
    /// Inflated, the frame passes the limit.
    #[error("inflates to more than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// The compressed bytes are corrupt.
    #[error("corrupt {0} data")]
    BadCompression(Method),
    /// This build does not know the compression method.
    #[error("{0} frames are not understood by this build")]
    UnknownCompression(Method),
    /// There is no frame of that number in the batch.
    #[error("no such frame in the batch")]
    NoSuchFrame,
}

impl DecodeError {
    /// As a user counts packets.
    pub(crate) fn of_users(self, limit: usize) -> DecodeError {
        match self {
            DecodeError::TooManyPackets(_) => DecodeError::TooManyPackets(limit),
            other => other,
        }
    }

    /// A stable name for programs.
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

/// A message that must not be sent: a mistake of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The frame passes the limit.
    #[error("a frame of {size} bytes is larger than the limit of {limit}")]
    TooLarge {
        /// Bytes after the length prefix.
        size: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// More packets than the limit.
    #[error("{count} packets are more than the limit of {limit}")]
    TooManyPackets {
        /// Packets behind the kind.
        count: usize,
        /// The limit.
        limit: usize,
    },
    /// A packet is a number, a list or another value, and the generation carries bytes.
    #[error(
        "packet {packet} is neither text nor binary, which generations before 0.6 do not carry: send it as text, JSON say"
    )]
    NeedsTypes {
        /// Which, counted from packet 0.
        packet: usize,
    },
}

impl EncodeError {
    /// A stable name for programs.
    pub fn code(&self) -> &'static str {
        match self {
            EncodeError::TooLarge { .. } => "too_large",
            EncodeError::TooManyPackets { .. } => "too_many_packets",
            EncodeError::NeedsTypes { .. } => "needs_types",
        }
    }
}

/// The end of a stream: after it no frame boundary can be trusted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StreamError {
    /// A frame is announced that is larger than any that is read.
    #[error("a frame of {announced} bytes is announced, the limit is {limit}")]
    Oversize {
        /// Bytes after the length prefix.
        announced: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// A frame is announced that is too large before the handshake. It would be read after it.
    #[error("a frame of {announced} bytes is announced before the handshake, the limit is {limit}")]
    BeforeHandshake {
        /// Bytes after the length prefix.
        announced: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// The stream ended within a frame.
    #[error("the stream ended {missing} bytes before the end of a frame")]
    Truncated {
        /// Bytes that are missing at least.
        missing: usize,
    },
    /// The socket failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl StreamError {
    /// A stable name for programs.
    pub fn code(&self) -> &'static str {
        match self {
            StreamError::Oversize { .. } => "oversize",
            StreamError::BeforeHandshake { .. } => "before_handshake",
            StreamError::Truncated { .. } => "truncated",
            StreamError::Io(_) => "io",
        }
    }
}

/// A message with a control sub-flag that does not say what it should.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ControlError {
    /// Arguments are missing.
    #[error("{got} packets where {needed} are needed")]
    TooFewPackets {
        /// Packets of the payload, the sub-flag included.
        got: usize,
        /// How many are needed.
        needed: usize,
    },
    /// An argument is no id.
    #[error("bad id: {0}")]
    BadId(IdError),
    /// An argument is no JSON, or too long.
    #[error("bad JSON")]
    BadJson,
    /// The JSON is not of the form that the sub-flag has.
    #[error("the JSON has another form than expected")]
    BadForm,
    /// The address is `null` or none that can be dialled.
    #[error("no usable address")]
    NoAddress,
}

// Its text has that of the id's error: it is not also its source.
impl From<IdError> for ControlError {
    fn from(error: IdError) -> Self {
        Self::BadId(error)
    }
}

impl ControlError {
    /// A stable name for programs.
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
