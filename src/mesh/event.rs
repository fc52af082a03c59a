//! Events: what a user is told about the mesh as it happens, and the reasons events carry.
//!
//! Owns their names and their JSON form, which is a contract. Decides nothing: each event is raised
//! where its cause is decided.

use serde::{Deserialize, Serialize};

use super::input::{DialError, OtherProtocol};
use super::stats::Traffic;
use super::tls_refusal::TlsRefusal;
use crate::wire::{Address, MessageId, NodeId, SubnetId};

/// Who opened a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
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
    /// One end has peers enough and the other can do without it: both agreed to part.
    #[error("both ends have links enough without this one")]
    Spare,
    /// One end refused the other before the connection was secured.
    #[error("{}: {refusal}", if *by_peer { "it refused us" } else { "we refused it" })]
    Insecure {
        /// Why.
        refusal: TlsRefusal,
        /// Whether the peer refused us, and not we the peer.
        by_peer: bool,
    },
    /// The peer claimed an id that its key does not stand for.
    #[error("it claims to be {claimed}, and its key is that of {proven}")]
    UnprovenId {
        /// The id in its handshake.
        claimed: Box<NodeId>,
        /// The id of its key.
        proven: Box<NodeId>,
    },
    /// What it said first was plainly another protocol.
    #[error("it speaks {0}: this port is for nodes of the mesh")]
    OtherProtocol(OtherProtocol),
    /// Validators of this node rejected too much of what it wrote.
    #[error("too much of what it wrote was rejected by a validator of this node")]
    Rejected,
    /// A user of this node disconnected it a moment ago.
    #[error("it was disconnected on request a moment ago, and is not let in again for a while")]
    Unwanted,
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
            Self::Spare => "spare",
            Self::Insecure { .. } => "insecure",
            Self::UnprovenId { .. } => "unproven_id",
            Self::OtherProtocol(_) => "other_protocol",
            Self::Rejected => "rejected",
            Self::Unwanted => "unwanted",
            Self::Failed(_) => "failed",
        }
    }
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
        /// What was queued for it and not written. What was written in part counts whole, so some of it may have arrived.
        #[serde(skip_serializing_if = "Traffic::is_nothing")]
        unwritten: Traffic,
    },
    /// What was queued for a peer whose connection this node closed could not be written any more. Follows its
    /// `PeerLeft`.
    Unwritten {
        /// Which.
        peer: NodeId,
        /// How much, of own messages and of others' that were to be passed on.
        unwritten: Traffic,
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
    /// This machine's clock was set, or the machine slept: it moved against the time that passed.
    ClockStepped {
        /// By how much, in seconds.
        seconds: i64,
    },
    /// A whisper did not reach its peer.
    Undeliverable {
        /// Whom it was for.
        to: NodeId,
        /// Why it did not.
        reason: String,
    },
    /// Somebody looks for a peer that is connected to nobody who heard of it here. Told only once asked for, and at most
    /// four times a second.
    Sought {
        /// Who is looked for.
        peer: NodeId,
    },
    /// Broadcasts were dropped because the cache of seen ones is full: somebody sends more than it holds. Told once a second
    /// at most.
    WaterfallFull {
        /// Broadcasts dropped for it since the node started.
        dropped: u64,
    },
    /// Messages were dropped, or requests not granted, for a reason that is counted. Told for each counter once in ten seconds
    /// at most.
    Dropped {
        /// Which counter of [`Stats`](crate::Stats) counts them.
        counter: &'static str,
        /// How many since this was last told.
        count: u64,
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
    /// What was asked for with `do_send` was refused, and nobody waits for the answer. At most 16 such events a second.
    NotSent {
        /// Why it was refused.
        reason: String,
    },
    /// A subscriber's actor has stopped without ending its subscription: it panicked, or was stopped. Nothing is sent to it any
    /// more.
    SubscriberGone {
        /// Which subscription.
        subscription: u64,
        /// How many messages, or events, it had not been known to have handled.
        lost: u64,
    },
    /// A value could not be read as what its kind says it is. At most 16 such events a second.
    Unreadable {
        /// The kind, cut after 64 characters.
        kind: String,
        /// Who wrote it, by its own word.
        sender: NodeId,
        /// Why not.
        reason: String,
    },
    /// A validator rejected a message: it was neither delivered nor relayed. At most four such events a second.
    Rejected {
        /// The message.
        id: MessageId,
        /// Its kind, cut after 64 characters.
        kind: String,
        /// Who wrote it, by its own word.
        sender: NodeId,
        /// The neighbour it came from.
        from: NodeId,
    },
    /// A validator did not decide about messages: it was late, had too many waiting, or is gone. Told once a second.
    Undecided {
        /// The name of its registration.
        validator: u64,
        /// How many messages since this was last told.
        messages: u64,
        /// Whether they were let pass, or dropped.
        accepted: bool,
    },
    /// An answer came after the time its question had. At most 16 such events a second.
    LateReply {
        /// Who answered.
        from: NodeId,
        /// The kind of the answer.
        kind: String,
    },
    /// A question was refused, because too many wait for their answerer. At most 16 such events a second.
    QuestionRefused {
        /// Who asked.
        from: NodeId,
        /// The kind of the question.
        kind: String,
    },
    /// The file of the peer book could not be read, or not be written; the node goes on without.
    PeerBookFailed {
        /// Which file.
        path: String,
        /// Why.
        reason: String,
    },
    /// The node could not be announced on the local network, and goes on without.
    MdnsFailed {
        /// Why.
        reason: String,
    },
    /// This node's certificate is about to expire, or has expired: told 30, 7 and 1 day before, and at the end.
    CertificateExpires {
        /// Days that are left.
        days: u64,
    },
    /// Certificates that were changed on disk could not be taken up; those in force stay.
    CertificatesUnreadable {
        /// Why.
        reason: String,
    },
    /// Accepting connections failed and is tried again after a pause.
    ListenerFailed {
        /// What the operating system said.
        reason: String,
    },
}
