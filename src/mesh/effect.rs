//! What a [`Mesh`](super::Mesh) asks its driver to do, and its answers.
//!
//! The driver performs the effects in order. Nothing here knows a socket or an actor. Events for users are in
//! [`event`](super::event), the reasons of refusals in [`error`](super::error).

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

/// One thing the driver has to do.
#[derive(Debug)]
pub enum Effect {
    /// Connect to this address. Report [`Dialed`](super::Input::Dialed) or [`DialFailed`](super::Input::DialFailed)
    /// under this name.
    Dial {
        /// The name of the dial and of the connection it may become.
        conn: ConnId,
        /// The address to dial.
        addr: Address,
    },
    /// Write these frames to each of these connections, with the compression set for each.
    Transmit {
        /// The connections.
        to: Targets,
        /// The frames.
        frames: Frames,
    },
    /// The handshake is done: accept larger frames from now on.
    Establish {
        /// Which connection.
        conn: ConnId,
        /// The peer on it.
        peer: NodeId,
    },
    /// Compress what is written to this connection from now on.
    SetCompression {
        /// Which connection.
        conn: ConnId,
        /// `None`: uncompressed.
        method: Option<Method>,
    },
    /// If data is queued for the peer, report [`Taking`](super::Input::Taking) when the peer reads some of it within
    /// four seconds. Report nothing if nothing is queued or nothing is read.
    Watch {
        /// Which connection.
        conn: ConnId,
    },
    /// Flush, then close. The core has already forgotten the connection.
    Close {
        /// The connection or dial.
        conn: ConnId,
        /// The peer on it, if its handshake was accepted.
        peer: Option<NodeId>,
        /// Why.
        reason: CloseReason,
    },
    /// Deliver these messages to the user, in this order.
    Deliver(Messages),
    /// Ask a validator about a message, and always report its verdict in time with [`Mesh::judge`](super::Mesh::judge).
    Propose {
        /// The message's name.
        proposal: ProposalId,
        /// The validator to ask.
        validator: u64,
        /// The message.
        message: Message,
        /// Bytes held until the verdict.
        cost: usize,
    },
    /// Tell the user of an event.
    Notify(Event),
    /// The command with this ticket is done.
    Answer {
        /// The ticket given with the command.
        ticket: Ticket,
        /// The outcome.
        answer: Answer,
    },
}

impl Effect {
    /// Returns the event for a lost peer. The driver fills in what was not written.
    pub(super) fn left(peer: NodeId, reason: CloseReason) -> Self {
        Self::Notify(Event::PeerLeft {
            peer,
            reason,
            unwritten: Traffic::default(),
        })
    }
}

/// The outcome of a command that takes time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A `connect`: the peer's id, or why there is none.
    Connect(Result<NodeId, ConnectError>),
    /// A `whisper`: the id of the message and the peer it was handed to, or why it was not.
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
    /// Whether the peer was found by asking others first.
    pub discovered: bool,
}

/// The outcome of sending a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Sent {
    /// Its id, the same for every peer.
    pub id: MessageId,
    /// The second it is stamped with: now, or the next free one for this payload.
    pub time: u64,
    /// The peers whose connections took it.
    pub handed_to: Arc<[NodeId]>,
    /// The peers it was not sent to, and why.
    pub skipped: Vec<Skipped>,
}

impl Sent {
    /// Builds the answer of a `Router`, for an actor that replaces one in a test.
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
    /// Builds the answer of a `Router`, for an actor that replaces one in a test.
    pub fn new(id: MessageId, to: NodeId, discovered: bool) -> Self {
        Self { id, to, discovered }
    }
}

/// A peer that was skipped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Skipped {
    /// The peer.
    pub peer: NodeId,
    /// Why.
    pub reason: SkipReason,
}
