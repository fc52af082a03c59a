//! Sending values: what becomes a [`Send`] or a [`Whisper`] of packets.

use super::payload::format::{FormatError, write};
use super::payload::tag::fresh;
use super::payload::{Payload, kind};
use crate::mesh::{SendError, WhisperError};
use crate::node::{Send, Whisper};
use crate::wire::{NodeId, Packet, Packets};

/// The packets behind the kind.
pub(super) fn packets<T: Payload>(value: &T) -> Result<Packets, FormatError> {
    let tag = Packet::from(fresh("id"));
    Ok(Packets::from_iter([write(value)?, tag]))
}

impl Send {
    /// A broadcast of a value, under the kind of its type; [`kind`](Self::kind) sets another, a room's for example.
    ///
    /// # Errors
    ///
    /// If the value has no form in the format of its type.
    pub fn typed<T: Payload>(value: &T) -> Result<Self, FormatError> {
        Ok(Self::new(packets(value)?).kind(Packet::of_static(kind::<T>())))
    }
}

impl Whisper {
    /// A value for this peer, under the kind of its type; [`kind`](Self::kind) sets another.
    ///
    /// # Errors
    ///
    /// If the value has no form in the format of its type.
    pub fn typed<T: Payload>(to: NodeId, value: &T) -> Result<Self, FormatError> {
        Ok(Self::new(to, packets(value)?).kind(Packet::of_static(kind::<T>())))
    }
}

/// Why a value was not published.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// It has no form in the format of its type.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// It may not be sent.
    #[error(transparent)]
    Send(#[from] SendError),
}

impl PublishError {
    /// A short stable name.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Format(_) => "format",
            Self::Send(error) => error.code(),
        }
    }
}

/// Why a value was not handed to the peer it is for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TellError {
    /// It has no form in the format of its type.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// It may not be sent, or the peer was not found or not reached.
    #[error(transparent)]
    Whisper(#[from] WhisperError),
}

impl TellError {
    /// A short stable name.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Format(_) => "format",
            Self::Whisper(error) => error.code(),
        }
    }
}
