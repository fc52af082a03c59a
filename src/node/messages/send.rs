//! Sending: to all connected peers, to one peer wherever it is, and in answer to a message.

use std::time::Duration;

use crate::mesh::{SendError, Sent, WhisperError, Whispered};
use crate::wire::{Flag, Message, NodeId, Packet, Packets};

/// Send to all connected peers; broadcasts are passed on by them, whispers are not.
///
/// Answers when the message has been handed to the connections: its id, the peers it was handed to and
/// those passed over. While this node's own messages fill its send budget, the answer waits until there is
/// room: await it, and the node sends as fast as its slowest peer takes. Who does not want to wait says
/// [`or_busy`](Self::or_busy); and if 32 MiB wait already (each message counts 512 bytes more than it has), as
/// where nobody awaits any answer, the answer is [`SendError::Busy`] in any case, and the message is not sent.
///
/// Fails if no peer is connected (unless allowed), if a packet is not valid UTF-8 (unless the node allows
/// binary), if the kind is one of the mesh's own, or if it does not fit a frame. The same payload sent again
/// within a second is stamped with the next free second, so that peers do not take it for a repetition.
///
/// # Errors
/// A [`SendError`] says whose turn it is: nobody is connected yet, the message is not one that can be sent, or too much
/// waits already. What was refused was handed to no peer.
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
    /// What is sent: the payload without its packet 0.
    pub packets: Packets,
    /// How it travels: [`Flag::Broadcast`] by default, or [`Flag::Whisper`].
    pub flag: Flag,
    /// Packet 0 of the payload. By default the mesh's own sub-flag that belongs to `flag`, with which
    /// receivers queue the message for their users; anything else is for handlers that look for it.
    pub kind: Option<Packet>,
    /// Whether it is all right that nobody is connected.
    pub allow_empty: bool,
    /// Whether it is refused rather than kept waiting for room in the send budget.
    pub or_busy: bool,
}

impl Send {
    /// A broadcast of these packets: `"text"`, `["a", "b"]`, `("name", vec![1, 2])`, ...
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

    /// Makes it no error that nobody is connected.
    #[must_use]
    pub fn allow_empty(mut self) -> Self {
        self.allow_empty = true;
        self
    }

    /// Has it refused with [`SendError::Busy`] if there is no room in the send budget at once.
    #[must_use]
    pub fn or_busy(mut self) -> Self {
        self.or_busy = true;
        self
    }
}

/// Send several messages to all connected peers, in this order.
///
/// Each is sent, refused and counted as it would be alone, as a [`Send`](struct@Send). Answers, in the same order, when
/// all of them are answered. For whoever has many to send at once: the way through a mailbox and back, which is a third
/// of what a short message costs its sender, is gone once for all of them. What does not fit the send budget waits in
/// line, where 32 MiB at most may wait (each message counts 512 bytes more than it has): send a few dozen, await the
/// answer of those before, go on.
///
/// # Errors
/// Each place of the answer is that of a [`Send`](struct@Send): one that is refused keeps none of the others from going out.
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
    /// What is sent.
    pub Vec<Send>,
);

impl FromIterator<Send> for SendMany {
    fn from_iter<I: IntoIterator<Item = Send>>(messages: I) -> Self {
        Self(messages.into_iter().collect())
    }
}

/// Send to one peer, connected or not.
///
/// A peer that is not connected is asked for in the mesh, dialled where it is said to be, and handed the
/// message once its handshake has proven its id. Answers when the message has been handed to the peer's
/// connection; or, at the latest when `within` is over, with what kept it from getting there. Waits for room
/// in the send budget as [`Send`](struct@Send) does.
///
/// # Errors
/// A [`WhisperError`] says how far it got: nobody knows the peer, it could not be reached in time, or, as for a
/// [`Send`](struct@Send), the message is not one that can be sent.
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
    /// Whom to.
    pub to: NodeId,
    /// Packet 0 of the payload. Default `None`: the mesh's own `whisper`, with which receivers queue the message
    /// for their users; anything else is for those who look for it with [`Filter::kind`](crate::Filter::kind).
    pub kind: Option<Packet>,
    /// What: the payload without its packet 0.
    pub packets: Packets,
    /// How long the peer may be looked for. Default 10 s.
    pub within: Duration,
    /// Whether it is refused rather than kept waiting for room in the send budget.
    pub or_busy: bool,
}

impl Whisper {
    /// These packets to this peer.
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

    /// Sets how long the peer may be looked for.
    #[must_use]
    pub fn within(mut self, time: Duration) -> Self {
        self.within = time;
        self
    }

    /// Has it refused with [`SendError::Busy`] if there is no room in the send budget at once.
    #[must_use]
    pub fn or_busy(mut self) -> Self {
        self.or_busy = true;
        self
    }
}

impl Message {
    /// The same to the author of this message, also if it came here over others: send it to the Router.
    ///
    /// On this protocol the author's name is a claim: nothing proves that the message is theirs.
    pub fn reply(&self, packets: impl Into<Packets>) -> Whisper {
        Whisper::new(self.sender().clone(), packets)
    }
}
