//! Errors: why a user's command was refused or failed.
//!
//! Each says what happened and what to change, and has a short stable code. Decides nothing.

use std::time::Duration;

use super::event::CloseReason;
use super::input::DialError;
use crate::wire::{Address, BadAddress, NodeId};

/// Why `connect` failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The dial failed.
    #[error("{addr}: {why}")]
    Dial {
        /// The address dialled.
        addr: Address,
        /// Why it failed.
        why: DialError,
    },
    /// The connection was closed before its handshake was accepted.
    #[error("{addr}: {reason}")]
    Closed {
        /// The address dialled.
        addr: Address,
        /// Why.
        reason: CloseReason,
    },
    /// The text given is not an address.
    #[error(transparent)]
    BadAddress(#[from] BadAddress),
    /// That peer is connected already. This version never returns it: connecting to a connected peer succeeds. Kept for
    /// programs that name it.
    #[error("{0} is already connected")]
    AlreadyConnected(NodeId),
    /// The address or id is this node's own.
    #[error("that is this node itself")]
    Oneself,
    /// Too many dials are in progress.
    #[error("too many dials are under way ({0}): wait for some to end")]
    Busy(usize),
    /// The node is shutting down.
    #[error("the node is shutting down")]
    ShuttingDown,
}

impl ConnectError {
    /// Returns a short stable name, as the program prints it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Dial {
                why: DialError::Refused,
                ..
            } => "refused",
            Self::Dial {
                why: DialError::Timeout,
                ..
            } => "timeout",
            Self::Dial {
                why: DialError::Unreachable(_),
                ..
            } => "unreachable",
            Self::Closed { reason, .. } => reason.code(),
            Self::BadAddress(_) => "bad_address",
            Self::AlreadyConnected(_) => "already_connected",
            Self::Oneself => "oneself",
            Self::Busy(_) => "busy",
            Self::ShuttingDown => "shutting_down",
        }
    }
}

/// Why a message of another mesh was not relayed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PassOnError {
    /// This mesh has the message already: another node brought it, or it originated here.
    #[error("this mesh has the message already")]
    Known,
    /// Its author is this node: send a node's own messages with `Send`.
    #[error("the message's author is this node itself")]
    OwnAuthor,
    /// It is more than a minute old: every peer would drop it.
    #[error("the message is more than a minute old: every peer would drop it")]
    Expired,
    /// It is stamped more than a minute ahead: every peer would drop it.
    #[error(
        "the message is stamped more than a minute ahead: its author's clock, or ours, is wrong"
    )]
    Premature,
    /// The message may not be sent.
    #[error(transparent)]
    Refused(#[from] SendError),
}

impl PassOnError {
    /// Returns a short stable name, as the program prints it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Known => "known",
            Self::OwnAuthor => "own_author",
            Self::Expired => "expired",
            Self::Premature => "premature",
            Self::Refused(error) => error.code(),
        }
    }
}

/// Why a whisper was not handed to its peer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WhisperError {
    /// The message may not be sent.
    #[error(transparent)]
    Refused(#[from] SendError),
    /// The peer is not connected, and there is no peer to ask for it.
    #[error("{0} is not connected, and there is no peer to ask for it")]
    NoPeers(NodeId),
    /// No peer knew the recipient in time.
    #[error("no peer knew {to} within {within:?}")]
    NotFound {
        /// The recipient.
        to: NodeId,
        /// How long the search took.
        within: Duration,
    },
    /// The recipient was found, but not reached in time.
    #[error("{to} was found but not reached: {last}")]
    Unreachable {
        /// The recipient.
        to: NodeId,
        /// The last failure.
        last: String,
    },
    /// The recipient cannot be dialled, and no node on the path its messages came along relays whispers.
    #[error(
        "{0} cannot be dialled, and no node on the path of its messages relays whispers: have it connect to this node"
    )]
    NoWay(NodeId),
    /// The whisper was sent along the path its recipient's messages came along, and no receipt came.
    #[error(
        "the whisper to {0} went along the path of its messages, and no receipt came: it may have arrived"
    )]
    NoReceipt(NodeId),
    /// Too many whispers are queued until their recipient is found.
    #[error("too many whispers are queued for a search ({0}): wait for some to end")]
    Busy(usize),
}

impl WhisperError {
    /// Returns a short stable name, as the program prints it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Refused(error) => error.code(),
            Self::NoPeers(_) => "no_peers",
            Self::NotFound { .. } => "not_found",
            Self::Unreachable { .. } => "unreachable",
            Self::NoWay(_) => "no_way",
            Self::NoReceipt(_) => "no_receipt",
            Self::Busy(_) => "busy",
        }
    }
}

/// Why a message may not be sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// No peer is connected.
    #[error("no peer is connected: connect to one first")]
    NoPeers,
    /// A packet is not valid UTF-8, which hangs js2p peers of generation 0.4 for good.
    #[error(
        "packet {packet} is not valid UTF-8, which hangs js2p peers of generation 0.4 for good: \
         send text (hex or base64, say), or allow binary if no js2p peer can be reached"
    )]
    NotText {
        /// The packet's index; packet 0 is the kind.
        packet: usize,
    },
    /// Packet 0 is a kind the mesh uses itself.
    #[error("this kind is reserved for the mesh: choose another packet 0")]
    ReservedKind,
    /// Only the flags `broadcast` and `whisper` may be sent.
    #[error("flag {0} is reserved: send broadcast or whisper")]
    ReservedFlag(String),
    /// The same payload was sent too often within a short time.
    #[error(
        "identical messages are limited to one a second, and the next {0} seconds are taken: vary the payload, or wait"
    )]
    TooOften(u64),
    /// The message does not fit into a frame.
    #[error(transparent)]
    TooLarge(#[from] crate::wire::EncodeError),
    /// The recipient is this node itself.
    #[error("that is this node itself")]
    Oneself,
    /// The send queue is full, or the message was not to wait. Holds the number of queued messages.
    #[error("the send queue is full ({0} messages queued): await the answers of earlier messages")]
    Busy(usize),
    /// The node is shutting down.
    #[error("the node is shutting down")]
    ShuttingDown,
}

impl SendError {
    /// Returns a short stable name, as the program prints it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoPeers => "no_peers",
            Self::NotText { .. } => "not_text",
            Self::ReservedKind => "reserved_kind",
            Self::ReservedFlag(_) => "reserved_flag",
            Self::TooOften(_) => "too_often",
            Self::TooLarge(error) => error.code(),
            Self::Oneself => "oneself",
            Self::Busy(_) => "busy",
            Self::ShuttingDown => "shutting_down",
        }
    }
}
