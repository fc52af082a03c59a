//! Errors: why what a user asked of the core was refused, or came to nothing.
//!
//! Each says what happened and what to change, and has a short stable code. Decides nothing.

use std::time::Duration;

use super::event::CloseReason;
use super::input::DialError;
use crate::wire::{Address, BadAddress, NodeId};

/// Why `connect` brought no peer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The dial came to nothing.
    #[error("{addr}: {why}")]
    Dial {
        /// Where to.
        addr: Address,
        /// Why not.
        why: DialError,
    },
    /// Connected, but the connection was closed before or by the handshake.
    #[error("{addr}: {reason}")]
    Closed {
        /// Where to.
        addr: Address,
        /// Why.
        reason: CloseReason,
    },
    /// The text given is no address.
    #[error(transparent)]
    BadAddress(#[from] BadAddress),
    /// That peer is connected already. Not answered by this version, in which whoever wants a connection to a connected peer
    /// has one; kept for programs that name it.
    #[error("{0} is already connected")]
    AlreadyConnected(NodeId),
    /// That address or id is this node's own.
    #[error("that is this node itself")]
    Oneself,
    /// Too many dials are under way.
    #[error("too many dials are under way ({0}): wait for some to end")]
    Busy(usize),
    /// The node is shutting down.
    #[error("the node is shutting down")]
    ShuttingDown,
}

impl ConnectError {
    /// A short stable name, as the program prints it.
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

/// Why a message of another mesh was not passed on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PassOnError {
    /// This mesh has it already: somebody else brought it, or it came from here.
    #[error("this mesh has the message already")]
    Known,
    /// Its author is this node: what a node writes itself is sent with `Send`.
    #[error("the message's author is this node itself")]
    OwnAuthor,
    /// It was written more than a minute ago, and every peer would drop it.
    #[error("the message is more than a minute old: every peer would drop it")]
    Expired,
    /// It is stamped more than a minute ahead, and every peer would drop it.
    #[error(
        "the message is stamped more than a minute ahead: its author's clock, or ours, is wrong"
    )]
    Premature,
    /// It may not be sent at all.
    #[error(transparent)]
    Refused(#[from] SendError),
}

impl PassOnError {
    /// A short stable name, as the program prints it.
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
    /// It may not be sent at all.
    #[error(transparent)]
    Refused(#[from] SendError),
    /// Not connected, and nobody connected who could be asked.
    #[error("{0} is not connected, and there is no peer to ask for it")]
    NoPeers(NodeId),
    /// Nobody answered in time.
    #[error("nobody said within {within:?} where {to} is")]
    NotFound {
        /// Whom we wanted.
        to: NodeId,
        /// How long we waited.
        within: Duration,
    },
    /// It was found, but could not be reached in time.
    #[error("{to} was found but not reached: {last}")]
    Unreachable {
        /// Whom we wanted.
        to: NodeId,
        /// What went wrong last.
        last: String,
    },
    /// It cannot be dialled, and no node on the path on which it was heard could pass the whisper on.
    #[error(
        "{0} cannot be dialled, and the path on which it was heard leads over nodes that pass on no whispers: have it \
         connect to this node"
    )]
    NoWay(NodeId),
    /// It was sent along the path on which its peer was heard, and nobody said what became of it.
    #[error(
        "the whisper to {0} went back along the path on which it was heard, and no receipt came: it may have arrived"
    )]
    NoReceipt(NodeId),
    /// Too many whispers wait for their peer to be found.
    #[error("too many whispers wait for their peer to be found ({0}): wait for some to end")]
    Busy(usize),
}

impl WhisperError {
    /// A short stable name, as the program prints it.
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
    /// Nobody is connected.
    #[error("no peer is connected: connect to one first")]
    NoPeers,
    /// A packet is not valid UTF-8, which in generation 0.4 hangs js2p peers for good.
    #[error(
        "packet {packet} is not valid UTF-8, which hangs js2p peers of generation 0.4 for good: \
         send text (hex or base64, say), or allow binary if no js2p peer can be reached"
    )]
    NotText {
        /// Its index; packet 0 is the kind.
        packet: usize,
    },
    /// Packet 0 is one the mesh itself gives a meaning to.
    #[error("this kind belongs to the mesh itself: choose another packet 0")]
    ReservedKind,
    /// Only `broadcast` and `whisper` may be sent.
    #[error("flag {0} is reserved: send broadcast or whisper")]
    ReservedFlag(String),
    /// The same payload was sent too often within a short time.
    #[error("the same payload took up every second of the next {0}: vary it, or wait")]
    TooOften(u64),
    /// It does not fit into a frame.
    #[error(transparent)]
    TooLarge(#[from] crate::wire::EncodeError),
    /// One cannot whisper to oneself.
    #[error("that is this node itself")]
    Oneself,
    /// Nothing more may wait to be sent, or this was not to wait. So many messages do.
    #[error(
        "no room to send, and {0} messages wait for some: await the answers of those sent before"
    )]
    Busy(usize),
    /// The node is shutting down.
    #[error("the node is shutting down")]
    ShuttingDown,
}

impl SendError {
    /// A short stable name, as the program prints it.
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
