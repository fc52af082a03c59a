//! All that a [`Mesh`](super::Mesh) can ask for, tell and answer: effects, events and reasons.
//!
//! Whoever drives the core performs the effects in their order. Nothing here knows a socket or an
//! actor; everything a user is told about peers is defined here.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use smallvec::SmallVec;

use super::input::{ConnId, DialError, Ticket};
use crate::wire::{Address, Frames, MessageId, Messages, Method, NodeId, SubnetId};

/// Connections a transmission goes to.
pub type Targets = SmallVec<[ConnId; 4]>;

/// Everything that can be asked of whoever drives the core, in the order it is to be done.
#[derive(Debug)]
pub enum Effect {
    /// Connect to this address, and report [`Dialed`](super::Input::Dialed) or
    /// [`DialFailed`](super::Input::DialFailed) under this name.
    Dial {
        /// The name of the dial and of the connection it may become.
        conn: ConnId,
        /// Where to.
        addr: Address,
    },
    /// Write these frames to each of these connections, in the method each has been set to.
    Transmit {
        /// Whom to.
        to: Targets,
        /// What.
        frames: Frames,
    },
    /// The handshake is done: larger frames may be read from now on.
    Establish {
        /// Which connection.
        conn: ConnId,
        /// Who is at its other end.
        peer: NodeId,
    },
    /// Compress what is written to this connection from now on like this.
    SetCompression {
        /// Which connection.
        conn: ConnId,
        /// `None`: send plain.
        method: Option<Method>,
    },
    /// Write what is queued, then close. The core has already forgotten the connection.
    Close {
        /// Which connection, or dial.
        conn: ConnId,
        /// Who is at its other end, if that was a peer.
        peer: Option<NodeId>,
        /// Why.
        reason: CloseReason,
    },
    /// Hand these messages to the user, in this order.
    Deliver(Messages),
    /// Tell the user.
    Notify(Event),
    /// What was asked under this ticket has come to its end.
    Answer {
        /// As given with the command.
        ticket: Ticket,
        /// The end.
        answer: Answer,
    },
}

/// The end of something that took time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A `connect`: the peer's id, or why there is none.
    Connect(Result<NodeId, ConnectError>),
    /// A `whisper`: the id of the message handed to the peer, or why it was not.
    Whisper(Result<Whispered, WhisperError>),
}

/// A whisper that was handed to its peer's connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Whispered {
    /// The message's id.
    pub id: MessageId,
    /// The peer it was handed to.
    pub to: NodeId,
    /// Whether the peer had to be found by asking the others first.
    pub discovered: bool,
}

/// Who opened a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// The peer dialled us.
    Incoming,
    /// We dialled the peer.
    Outgoing,
}

/// Why a connection was, or is to be, closed. Ids that are rarely named are in boxes, so that no reason is large.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(tag = "code", content = "detail", rename_all = "snake_case")]
#[non_exhaustive]
pub enum CloseReason {
    /// The peer closed it.
    #[error("the peer closed the connection")]
    ByPeer,
    /// The user asked for it.
    #[error("closed on request")]
    Requested,
    /// The node is shutting down.
    #[error("the node is shutting down")]
    ShuttingDown,
    /// No handshake within the time allowed.
    #[error(
        "no handshake within the time allowed: who is there is no node of this protocol, or hangs"
    )]
    HandshakeTimeout,
    /// The peer said something else before its handshake.
    #[error("it spoke before its handshake")]
    SpokeTooSoon,
    /// The peer belongs to another subnet.
    #[error(
        "other subnet: theirs {theirs}, ours {ours}; subnet name, encryption and generation must all be the same"
    )]
    OtherSubnet {
        /// The id it named.
        theirs: String,
        /// Our own.
        ours: Box<SubnetId>,
    },
    /// It was ourselves at the other end.
    #[error("that is this node itself")]
    Oneself,
    /// Another connection to the same peer is kept.
    #[error("another connection to {0} is kept")]
    Duplicate(NodeId),
    /// The peer is not the one that was expected.
    #[error("expected {expected}, found {found}")]
    WrongId {
        /// Whom we wanted.
        expected: Box<NodeId>,
        /// Who answered.
        found: Box<NodeId>,
    },
    /// The peer sent a frame that is not one, or whose id does not fit its contents.
    #[error("it sent a bad frame: {0}")]
    BadFrame(String),
    /// The peer took nothing for too long while something waited for it.
    #[error("it read nothing for too long while something waited for it")]
    SlowPeer,
    /// The peer began a frame and did not finish it in time.
    #[error("it began a frame and did not finish it in time")]
    Unfinished,
    /// The peer did not answer a probe.
    #[error("it did not answer")]
    Unresponsive,
    /// It did too much wrong of late.
    #[error("its host is banned for a while")]
    Banned,
    /// Too many waited to hand in their handshake, most of them from its host.
    #[error("too many of its host wait for their handshake")]
    Crowded,
    /// The node has as many peers as it may; the peers list said where else to go.
    #[error("the node is full; its peers list says where else to go")]
    Full,
    /// The operating system reported an error.
    #[error("the connection failed: {0}")]
    Failed(String),
}

impl CloseReason {
    /// A short stable name, as the program prints it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::ByPeer => "by_peer",
            Self::Requested => "requested",
            Self::ShuttingDown => "shutting_down",
            Self::HandshakeTimeout => "handshake_timeout",
            Self::SpokeTooSoon => "spoke_too_soon",
            Self::OtherSubnet { .. } => "other_subnet",
            Self::Oneself => "oneself",
            Self::Duplicate(_) => "duplicate",
            Self::WrongId { .. } => "wrong_id",
            Self::BadFrame(_) => "bad_frame",
            Self::SlowPeer => "slow_peer",
            Self::Unfinished => "unfinished",
            Self::Unresponsive => "unresponsive",
            Self::Banned => "banned",
            Self::Crowded => "crowded",
            Self::Full => "full",
            Self::Failed(_) => "failed",
        }
    }
}

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
    /// That peer is connected already, or being dialled.
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
            Self::AlreadyConnected(_) => "already_connected",
            Self::Oneself => "oneself",
            Self::Busy(_) => "busy",
            Self::ShuttingDown => "shutting_down",
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

/// What became of a message that was sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Sent {
    /// Its id, the same for every peer.
    pub id: MessageId,
    /// The second it is stamped with: now, or the next that was free for this payload.
    pub time: u64,
    /// The peers whose connections it was handed to.
    pub handed_to: Arc<[NodeId]>,
    /// The peers it was not handed to, and why.
    pub skipped: Vec<Skipped>,
}

/// A peer that was passed over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Skipped {
    /// Which.
    pub peer: NodeId,
    /// Why.
    pub reason: SkipReason,
}

/// Why a peer was passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SkipReason {
    /// It is a js2p of a generation that hangs on payload that is not valid UTF-8.
    BinaryHangsIt,
    /// The payload is not valid UTF-8 and its id was made by the other language's rule: it would
    /// close the connection.
    IdOfOtherLanguage,
}

/// What a user is told about the mesh as it happens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// A peer's handshake was accepted.
    PeerJoined {
        /// Its id.
        peer: NodeId,
        /// Its outward address if it named one, otherwise where it connects from.
        addr: Address,
        /// Who dialled.
        direction: Direction,
    },
    /// A peer is gone.
    PeerLeft {
        /// Its id.
        peer: NodeId,
        /// Why.
        reason: CloseReason,
    },
    /// A connection ended before its handshake was accepted.
    Refused {
        /// The other end.
        addr: Address,
        /// Who dialled.
        direction: Direction,
        /// Why.
        reason: CloseReason,
    },
    /// A dial came to nothing.
    DialFailed {
        /// Where to.
        addr: Address,
        /// Why.
        reason: DialError,
    },
    /// A connection claimed an id that another live connection holds, or changed its own.
    IdConflict {
        /// The id.
        peer: NodeId,
        /// Where the claim came from.
        addr: Address,
    },
    /// A host did too much wrong and is not let in for a while.
    Banned {
        /// Which.
        host: String,
        /// For how long.
        seconds: u64,
    },
    /// A peer's clock differs from ours; beyond 60 seconds its messages are dropped as expired.
    ClockSkew {
        /// The peer.
        peer: NodeId,
        /// Its clock minus ours, in seconds.
        seconds: i64,
    },
    /// A whisper did not reach its peer.
    Undeliverable {
        /// Whom it was for.
        to: NodeId,
        /// Why it did not.
        reason: String,
    },
    /// A relay passed peers over, to do them no harm.
    RelaySkipped {
        /// The message.
        id: MessageId,
        /// The peer passed over.
        peer: NodeId,
        /// Why.
        reason: SkipReason,
    },
    /// A subscriber missed messages because its queue was full.
    Lagged {
        /// Which subscription.
        subscription: u64,
        /// How many it missed since the last such event.
        missed: u64,
        /// Whether the subscription was ended for it.
        detached: bool,
    },
    /// The file of the peer book could not be read, or not be written; the node goes on without.
    PeerBookFailed {
        /// Which file.
        path: String,
        /// Why.
        reason: String,
    },
    /// Accepting connections failed and is tried again after a pause.
    ListenerFailed {
        /// What the operating system said.
        reason: String,
    },
}
