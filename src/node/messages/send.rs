//! Sending: broadcasts, whispers, and replies.
//!
//! Owns the types of these messages; the Router carries them out.

use std::time::Duration;

use crate::mesh::{SendError, Sent, WhisperError, Whispered};
use crate::wire::{Flag, Message, NodeId, Packet, Packets};

/// Sends a message to all connected peers. They relay a broadcast; they do not relay a whisper.
///
/// Answers when the message is in the connections' outbound queues, with its id, the peers it was handed to and those
/// skipped. While this node's own messages fill its send budget, the answer waits for room: a sender that awaits each
/// answer runs at the pace of the slowest peer. [`or_busy`](Self::or_busy) fails instead of waiting. When 32 MiB are
/// queued behind the budget (each message counts 512 bytes on top of its own), as happens when no answer is awaited,
/// the message is not sent and the answer is [`SendError::Busy`].
///
/// Fails if no peer is connected (unless allowed), if a packet is not valid UTF-8 (unless the node allows binary), if
/// the kind is reserved by the mesh, or if the message does not fit a frame. A payload repeated within a second is
/// stamped with the next free second, so that peers do not drop it as a duplicate.
///
/// # Errors
/// A [`SendError`] gives the cause: no peer is connected yet, the message cannot be sent, or too much is queued
/// already. A refused message was handed to no peer.
///
/// ```
/// use std::time::Duration;
///
/// use actix_mesh::{Config, Recv, Send};
///
/// # #[actix::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let a = Config::new().start().await?;
/// let b = Config::new().connect(a.addr).start().await?;
/// a.ready(1, Duration::from_secs(5)).await?;
/// let sent = a.router.send(Send::new(["user/7", "is out of date"])).await??;
/// assert_eq!(sent.handed_to[..], [b.id.clone()]);
/// let heard = b.router.send(Recv::one().wait(Duration::from_secs(5))).await?;
/// assert_eq!(heard[0].packets()[1].as_str(), Some("user/7"));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, actix::Message)]
#[rtype(result = "Result<Sent, SendError>")]
#[non_exhaustive]
pub struct Send {
    /// The payload without its packet 0.
    pub packets: Packets,
    /// How it travels: [`Flag::Broadcast`] by default, or [`Flag::Whisper`].
    pub flag: Flag,
    /// Packet 0 of the payload. By default the mesh's sub-flag for `flag`, which makes receivers queue the message for
    /// their users; any other value reaches only handlers that look for it.
    pub kind: Option<Packet>,
    /// Whether to succeed when no peer is connected.
    pub allow_empty: bool,
    /// Whether to fail instead of waiting for room in the send budget.
    pub or_busy: bool,
}

impl Send {
    /// Creates a broadcast of these packets: `"text"`, `["a", "b"]`, `("name", vec![1, 2])`, ...
    pub fn new(packets: impl Into<Packets>) -> Self {
        Self {
            packets: packets.into(),
            flag: Flag::Broadcast,
            kind: None,
            allow_empty: false,
            or_busy: false,
        }
    }

    /// Sets how it travels.
    #[must_use]
    pub fn flag(mut self, flag: Flag) -> Self {
        self.flag = flag;
        self
    }

    /// Sets packet 0 of the payload.
    #[must_use]
    pub fn kind(mut self, kind: impl Into<Packet>) -> Self {
        self.kind = Some(kind.into());
        self
    }

    /// Succeeds even when no peer is connected.
    #[must_use]
    pub fn allow_empty(mut self) -> Self {
        self.allow_empty = true;
        self
    }

    /// Fails with [`SendError::Busy`] instead of waiting for room in the send budget.
    #[must_use]
    pub fn or_busy(mut self) -> Self {
        self.or_busy = true;
        self
    }
}

/// Sends several messages to all connected peers, in order.
///
/// Each is sent, refused and counted like a single [`Send`](struct@Send). Answers when all have been answered, in the
/// same order. The batch costs one mailbox round trip, which is a third of what a short message costs its sender.
/// Messages that do not fit the send budget are queued; that queue holds at most 32 MiB (each message counts 512 bytes
/// on top of its own). Send a few dozen, await their answer, then send the next batch.
///
/// # Errors
/// Each element of the answer is that of one [`Send`](struct@Send). A refused message does not hold back the others.
///
/// ```
/// use std::time::Duration;
///
/// use actix_mesh::{Config, Send, SendMany};
///
/// # #[actix::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let a = Config::new().start().await?;
/// let b = Config::new().connect(a.addr).start().await?;
/// a.ready(1, Duration::from_secs(5)).await?;
/// let lines = ["one", "two", "three"].map(Send::new);
/// for sent in a.router.send(SendMany::from_iter(lines)).await? {
///     assert_eq!(sent?.handed_to[..], [b.id.clone()]);
/// }
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, actix::Message)]
#[rtype(result = "Vec<Result<Sent, SendError>>")]
pub struct SendMany(
    /// The messages.
    pub Vec<Send>,
);

impl FromIterator<Send> for SendMany {
    fn from_iter<I: IntoIterator<Item = Send>>(messages: I) -> Self {
        Self(messages.into_iter().collect())
    }
}

/// Sends a message to one peer, connected or not.
///
/// For a peer that is not connected, the node asks the mesh for its address, dials it, and hands over the message once
/// the peer's handshake has confirmed its id. Answers when the message is in the connection's outbound queue or, at the
/// latest after `within`, with the cause of the failure. Waits for room in the send budget as [`Send`](struct@Send)
/// does.
///
/// # Errors
/// A [`WhisperError`] gives the cause: no peer knows the id, the peer could not be reached in time, or, as for a
/// [`Send`](struct@Send), the message cannot be sent.
///
/// ```
/// use std::time::Duration;
///
/// use actix_mesh::{Config, Recv, Whisper};
///
/// # #[actix::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let a = Config::new().start().await?;
/// let b = Config::new().connect(a.addr).start().await?;
/// a.ready(1, Duration::from_secs(5)).await?;
/// let sent = a.router.send(Whisper::new(b.id.clone(), "for you alone")).await??;
/// assert!(!sent.discovered, "b is connected: nobody had to be asked for it");
/// let heard = b.router.send(Recv::one().wait(Duration::from_secs(5))).await?;
/// assert_eq!(heard[0].text(), "for you alone");
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, actix::Message)]
#[rtype(result = "Result<Whispered, WhisperError>")]
#[non_exhaustive]
pub struct Whisper {
    /// The recipient.
    pub to: NodeId,
    /// Packet 0 of the payload. Default `None`: the mesh's own `whisper`, which makes receivers queue the message for
    /// their users; any other value reaches only those who select it with [`Filter::kind`](crate::Filter::kind).
    pub kind: Option<Packet>,
    /// The payload without its packet 0.
    pub packets: Packets,
    /// The deadline for finding the peer. Default 10 s.
    pub within: Duration,
    /// Whether to fail instead of waiting for room in the send budget.
    pub or_busy: bool,
}

impl Whisper {
    /// Creates a whisper of these packets to this peer.
    pub fn new(to: NodeId, packets: impl Into<Packets>) -> Self {
        Self {
            to,
            kind: None,
            packets: packets.into(),
            within: Duration::from_secs(10),
            or_busy: false,
        }
    }

    /// Sets packet 0 of the payload.
    #[must_use]
    pub fn kind(mut self, kind: impl Into<Packet>) -> Self {
        self.kind = Some(kind.into());
        self
    }

    /// Sets the deadline for finding the peer.
    #[must_use]
    pub fn within(mut self, time: Duration) -> Self {
        self.within = time;
        self
    }

    /// Fails with [`SendError::Busy`] instead of waiting for room in the send budget.
    #[must_use]
    pub fn or_busy(mut self) -> Self {
        self.or_busy = true;
        self
    }
}

impl Message {
    /// Creates a whisper to the author of this message, also if it was relayed: send it to the Router.
    ///
    /// The protocol proves no authorship: the author's name is a claim.
    pub fn reply(&self, packets: impl Into<Packets>) -> Whisper {
        Whisper::new(self.sender().clone(), packets)
    }
}
