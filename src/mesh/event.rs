//! Events: what users are told about the mesh as it happens, with the reasons.
//!
//! Owns the events' names and their JSON form, which is a contract. Decides nothing: each event is raised where its
//! cause is decided.

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

/// Why a connection was, or will be, closed. Rarely used ids are boxed to keep the enum small.
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
        "no handshake within the time allowed: the other end does not speak this protocol, or hangs"
    )]
    HandshakeTimeout,
    /// The peer sent another message before its handshake.
    #[error("it sent another message before its handshake")]
    SpokeTooSoon,
    /// The peer belongs to another subnet.
    #[error(
        "other subnet: theirs {theirs}, ours {ours}; subnet name, encryption and generation must all be the same"
    )]
    OtherSubnet {
        /// The subnet id it sent.
        theirs: String,
        /// Our own.
        ours: Box<SubnetId>,
    },
    /// The other end is this node itself.
    #[error("that is this node itself")]
    Oneself,
    /// Another connection to the same peer is kept.
    #[error("another connection to {0} is kept")]
    Duplicate(NodeId),
    /// The peer has another id than expected.
    #[error("expected {expected}, found {found}")]
    WrongId {
        /// The id we expected.
        expected: Box<NodeId>,
        /// The id it has.
        found: Box<NodeId>,
    },
    /// The peer sent a malformed frame, or one whose id does not match its contents.
    #[error("it sent a bad frame: {0}")]
    BadFrame(String),
    /// The peer read nothing for too long while data was queued for it.
    #[error("it read nothing for too long while data was queued for it")]
    SlowPeer,
    /// The peer began a frame and did not finish it before the deadline.
    #[error("it began a frame and did not finish it in time")]
    Unfinished,
    /// The peer did not answer a probe.
    #[error("it did not answer")]
    Unresponsive,
    /// Its host misbehaved too often and is banned for a while.
    #[error("its host is banned for a while")]
    Banned,
    /// Too many connections waited for their handshake, most of them from its host.
    #[error("too many connections from its host wait for their handshake")]
    Crowded,
    /// The node has as many peers as it may; its peers list names others.
    #[error("the node is full; its peers list names other peers")]
    Full,
    /// One end has enough peers and the other can do without this connection: both agreed to close it.
    #[error("both ends have enough peers without this connection")]
    Spare,
    /// One end refused the other before the connection was secured.
    #[error("{}: {refusal}", if *by_peer { "it refused us" } else { "we refused it" })]
    Insecure {
        /// Why.
        refusal: TlsRefusal,
        /// Whether the peer refused us, rather than we the peer.
        by_peer: bool,
    },
    /// The peer claimed an id that does not match its key.
    #[error("it claims to be {claimed}, and its key is that of {proven}")]
    UnprovenId {
        /// The id in its handshake.
        claimed: Box<NodeId>,
        /// The id of its key.
        proven: Box<NodeId>,
    },
    /// Its first bytes belong to another protocol.
    #[error("it speaks {0}: this port is for nodes of the mesh")]
    OtherProtocol(OtherProtocol),
    /// Validators of this node rejected too much of what the peer wrote.
    #[error("validators of this node rejected too many of its messages")]
    Rejected,
    /// A user of this node disconnected it a short while ago.
    #[error("it was disconnected on request and is refused for a while")]
    Unwanted,
    /// The operating system reported an error.
    #[error("the connection failed: {0}")]
    Failed(String),
}

impl CloseReason {
    /// Returns a short stable name, as the program prints it.
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

/// Why a peer was skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SkipReason {
    /// The peer is a js2p of a generation that hangs on payload that is not valid UTF-8.
    BinaryHangsIt,
    /// The payload is not valid UTF-8, and its id follows the other language's rule: the peer would close the
    /// connection.
    IdOfOtherLanguage,
}

/// Something that happened to the node or the mesh, told as it happens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// A peer's handshake was accepted.
    PeerJoined {
        /// Its id.
        peer: NodeId,
        /// Its outward address if it announced one, otherwise the address it connects from.
        addr: Address,
        /// Who dialled.
        direction: Direction,
    },
    /// A peer's connection ended.
    PeerLeft {
        /// Its id.
        peer: NodeId,
        /// Why.
        reason: CloseReason,
        /// What was queued for it and not written. A partly written message counts as a whole, so some of it may have
        /// arrived.
        #[serde(skip_serializing_if = "Traffic::is_nothing")]
        unwritten: Traffic,
    },
    /// Data queued for a peer could not be written after this node closed the connection. Follows its `PeerLeft`.
    Unwritten {
        /// The peer.
        peer: NodeId,
        /// How much, own and relayed messages.
        unwritten: Traffic,
    },
    /// A connection ended before its handshake was accepted.
    Refused {
        /// The address of the other end.
        addr: Address,
        /// Who dialled.
        direction: Direction,
        /// Why.
        reason: CloseReason,
    },
    /// A dial failed.
    DialFailed {
        /// The address dialled.
        addr: Address,
        /// Why.
        reason: DialError,
    },
    /// A connection claimed an id that another live connection holds, or changed its own id.
    IdConflict {
        /// The id.
        peer: NodeId,
        /// The address the claim came from.
        addr: Address,
    },
    /// A host misbehaved too often and is refused for a while.
    Banned {
        /// The host.
        host: String,
        /// How long it is banned.
        seconds: u64,
    },
    /// A peer's clock differs from ours. Beyond 60 seconds its messages are dropped.
    ClockSkew {
        /// The peer.
        peer: NodeId,
        /// Its clock minus ours, in seconds.
        seconds: i64,
    },
    /// This machine's clock moved against the elapsed time: it was set, or the machine slept.
    ClockStepped {
        /// By how much, in seconds.
        seconds: i64,
    },
    /// A whisper did not reach its peer.
    Undeliverable {
        /// The recipient.
        to: NodeId,
        /// Why it failed.
        reason: String,
    },
    /// Another node looks for a peer that is not connected here. Told only on request, and at most four times a second.
    Sought {
        /// The peer looked for.
        peer: NodeId,
    },
    /// Broadcasts were dropped because the waterfall cache is full: someone sends more than it holds. Told at most once
    /// a second.
    WaterfallFull {
        /// Broadcasts dropped for this reason since the node started.
        dropped: u64,
    },
    /// Messages were dropped, or requests denied, for a reason that has a counter. Told for each counter at
    /// most once in ten seconds.
    Dropped {
        /// The counter of [`Stats`](crate::Stats) that counts them.
        counter: &'static str,
        /// How many since the last such event.
        count: u64,
    },
    /// A relay skipped a peer that the message would harm.
    RelaySkipped {
        /// The message.
        id: MessageId,
        /// The peer skipped.
        peer: NodeId,
        /// Why.
        reason: SkipReason,
    },
    /// A subscriber missed messages because its queue was full.
    Lagged {
        /// The subscription.
        subscription: u64,
        /// How many it missed since the last such event.
        missed: u64,
        /// Whether the subscription was ended because of it.
        detached: bool,
    },
    /// A command sent with `do_send` was refused, so nobody gets the answer. At most 16 such events a second.
    NotSent {
        /// Why it was refused.
        reason: String,
    },
    /// A subscriber's actor has stopped without ending its subscription: it panicked, or was stopped. It gets no more
    /// messages.
    SubscriberGone {
        /// The subscription.
        subscription: u64,
        /// How many messages or events it may not have handled.
        lost: u64,
    },
    /// A value could not be decoded as its kind. At most 16 such events a second.
    Unreadable {
        /// The kind, cut after 64 characters.
        kind: String,
        /// Its author, as claimed.
        sender: NodeId,
        /// Why it failed.
        reason: String,
    },
    /// A validator rejected a message: it was neither delivered nor relayed. At most four such events a second.
    Rejected {
        /// The message.
        id: MessageId,
        /// Its kind, cut after 64 characters.
        kind: String,
        /// Its author, as claimed.
        sender: NodeId,
        /// The neighbour it came from.
        from: NodeId,
    },
    /// A validator did not decide about messages: it was late, its queue was full, or it is gone. Told once a second.
    Undecided {
        /// The id of its registration.
        validator: u64,
        /// How many messages since the last such event.
        messages: u64,
        /// Whether they were accepted rather than dropped.
        accepted: bool,
    },
    /// An answer came after the deadline of its question. At most 16 such events a second.
    LateReply {
        /// The node that answered.
        from: NodeId,
        /// The kind of the answer.
        kind: String,
    },
    /// A question was refused because too many are queued. At most 16 such events a second.
    QuestionRefused {
        /// The node that asked.
        from: NodeId,
        /// The kind of the question.
        kind: String,
    },
    /// The peer book's file could not be read or written; the node goes on without it.
    PeerBookFailed {
        /// The file.
        path: String,
        /// Why.
        reason: String,
    },
    /// The node could not be announced on the local network; it goes on without.
    MdnsFailed {
        /// Why.
        reason: String,
    },
    /// This node's certificate is about to expire, or has expired. Told 30, 7 and 1 day before, and on expiry.
    CertificateExpires {
        /// Days left.
        days: u64,
    },
    /// Certificates changed on disk could not be loaded; the node keeps the previous ones.
    CertificatesUnreadable {
        /// Why.
        reason: String,
    },
    /// Accepting connections failed; the node tries again after a pause.
    ListenerFailed {
        /// The operating system's error.
        reason: String,
    },
}
