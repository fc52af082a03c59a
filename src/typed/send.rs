//! Sending values: builds a [`Send`] or a [`Whisper`] from a value.

use super::payload::format::{FormatError, write};
use super::payload::tag::fresh;
use super::payload::{Payload, kind};
use crate::mesh::{SendError, WhisperError};
use crate::node::{Send, Whisper};
use crate::wire::{NodeId, Packet, Packets};

/// Returns the packets after the kind.
pub(super) fn packets<T: Payload>(value: &T) -> Result<Packets, FormatError> {
    let tag = Packet::from(fresh("id"));
    Ok(Packets::from_iter([write(value)?, tag]))
}

impl Send {
    /// Broadcasts a value under its type's kind; [`kind`](Self::kind) sets another, for example a room's.
    ///
    /// # Errors
    ///
    /// If the type's format cannot represent the value.
    pub fn typed<T: Payload>(value: &T) -> Result<Self, FormatError> {
        Ok(Self::new(packets(value)?).kind(Packet::of_static(kind::<T>())))
    }
}

impl Whisper {
    /// Whispers a value to one node under its type's kind; [`kind`](Self::kind) sets another.
    ///
    /// # Errors
    ///
    /// If the type's format cannot represent the value.
    pub fn typed<T: Payload>(to: NodeId, value: &T) -> Result<Self, FormatError> {
        Ok(Self::new(to, packets(value)?).kind(Packet::of_static(kind::<T>())))
    }
}

/// Why a value was not published.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The type's format cannot represent it.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// The node refused to send it.
    #[error(transparent)]
    Send(#[from] SendError),
}

impl PublishError {
    /// Returns a short, stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Format(_) => "format",
            Self::Send(error) => error.code(),
        }
    }
}

/// Why a value was not handed to its recipient's connection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TellError {
    /// The type's format cannot represent it.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// The node refused to send it, or the peer was not found or not reached.
    #[error(transparent)]
    Whisper(#[from] WhisperError),
}

impl TellError {
    /// Returns a short, stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Format(_) => "format",
            Self::Whisper(error) => error.code(),
        }
    }
}
