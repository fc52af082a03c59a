//! All that a [`Mesh`](super::Mesh) can ask for and answer: its effects.
//!
//! Whoever drives the core performs the effects in their order. Nothing here knows a socket or an
//! actor. What users are told stands in [`event`](super::event), why they are refused in [`error`](super::error).

use std::sync::Arc;

use serde::Serialize;
use smallvec::SmallVec;

use super::error::{ConnectError, WhisperError};
use super::event::{CloseReason, Event, SkipReason};
use super::input::{ConnId, ProposalId, Ticket};
use super::stats::Traffic;
use crate::wire::{Address, Frames, Message, MessageId, Messages, Method, NodeId};

/// Connections a transmission goes to.
pub type Targets = SmallVec<[ConnId; 4]>;

/// Effects in the order they are to be performed.
pub type Effects = Vec<Effect>;

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
    /// See whether the peer takes some of what waits for it within four seconds, and report
    /// [`Taking`](super::Input::Taking) if it does. Where all was written at once, or nothing is taken, there is nothing to
    /// report.
    Watch {
        /// Which connection.
        conn: ConnId,
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
    /// Ask a validator about a message, and say its word with [`Mesh::judge`](super::Mesh::judge): always, and in time.
    Propose {
        /// The message's name.
        proposal: ProposalId,
        /// Whom to ask.
        validator: u64,
        /// The message.
        message: Message,
        /// Bytes that wait with it.
        cost: usize,
    },
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

impl Effect {
    /// Tells the user that a peer is gone. Whoever drives the core knows what was not written.
    pub(super) fn left(peer: NodeId, reason: CloseReason) -> Self {
        Self::Notify(Event::PeerLeft {
            peer,
            reason,
            unwritten: Traffic::default(),
        })
    }
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

impl Sent {
    /// What a `Router` answers: for an actor that stands in for one in a test.
    pub fn new(id: MessageId, time: u64, handed_to: impl IntoIterator<Item = NodeId>) -> Self {
        Self {
            id,
            time,
            handed_to: handed_to.into_iter().collect(),
            skipped: Vec::new(),
        }
    }
}

impl Whispered {
    /// What a `Router` answers: for an actor that stands in for one in a test.
    pub fn new(id: MessageId, to: NodeId, discovered: bool) -> Self {
        Self { id, to, discovered }
    }
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
