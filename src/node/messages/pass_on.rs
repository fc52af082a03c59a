//! What a bridge asks of a node: to pass on messages that were written in another mesh, and to answer for the peers that
//! live there.
//!
//! Owns the shapes of these messages; [`Bridge`](crate::Bridge) sends them, and so may any other actor.

use std::time::Duration;

use crate::mesh::{Foreign, PassOnError, Sent, WhisperError, Whispered};
use crate::wire::{Address, Message, NodeId, Packets};

/// Pass a broadcast of another mesh on to all connected peers, under its author's name and time.
///
/// It travels as if this node had relayed it, so several bridges may bring the same message: it has the same id from each of
/// them, and every peer takes it once. This node's own subscribers are not handed it. Waits for room in the send budget as
/// [`Send`](struct@crate::Send) does.
///
/// # Errors
///
/// [`PassOnError::Known`] if this mesh has the message already, which is the ordinary end of an echo; otherwise why it may not
/// be sent.
///
/// ```
/// use actix_mesh::Config;
/// use actix_mesh::bridge::PassOn;
/// # #[actix::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let node = Config::new().start().await?;
/// let author = "2oNpBWZ".parse()?;
/// let refused = node.router.send(PassOn::new(author, 1_500_000_000, ["\0", "hello"])).await?;
/// assert_eq!(refused.unwrap_err().code(), "expired");
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, actix::Message)]
#[rtype(result = "Result<Sent, PassOnError>")]
#[non_exhaustive]
pub struct PassOn {
    /// Who wrote it, as it was said in its mesh.
    pub author: NodeId,
    /// When it was written, in unix seconds.
    pub time: u64,
    /// The whole payload: packet 0 is its kind.
    pub payload: Packets,
}

impl PassOn {
    /// A broadcast by this author, with this payload: packet 0 is its kind.
    pub fn new(author: NodeId, time: u64, payload: impl Into<Packets>) -> Self {
        Self {
            author,
            time,
            payload: payload.into(),
        }
    }

    /// A message that was received in another mesh of the same generation.
    pub fn message(message: &Message) -> Self {
        Self::new(message.sender().clone(), message.time(), message.packets())
    }

    pub(crate) fn foreign(self) -> Foreign {
        Foreign {
            author: self.author,
            time: self.time,
            payload: self.payload,
        }
    }
}

/// Pass a whisper of another mesh on to one peer, under its author's name. The peer is looked for as by
/// [`Whisper`](crate::Whisper).
///
/// # Errors
///
/// As [`Whisper`](crate::Whisper).
#[derive(Clone, Debug, actix::Message)]
#[rtype(result = "Result<Whispered, WhisperError>")]
#[non_exhaustive]
pub struct PassOnTo {
    /// Whom to.
    pub to: NodeId,
    /// What, and by whom.
    pub message: PassOn,
    /// How long the peer may be looked for. Default 10 s.
    pub within: Duration,
}

impl PassOnTo {
    /// This message to this peer.
    pub fn new(to: NodeId, message: PassOn) -> Self {
        Self {
            to,
            message,
            within: Duration::from_secs(10),
        }
    }
}

/// From now on, tell as [`Event::Sought`](crate::Event::Sought) which peers others look for that are not connected here.
#[derive(Clone, Copy, Debug, Default, actix::Message)]
#[rtype(result = "()")]
pub struct TellSought;

/// Answer those who look for this peer with this address, now and later, until 1,024 others have been vouched for since.
///
/// Whoever asked dials that address and expects the peer's id there: let a node listen on it that was given
/// [that id](crate::Config::id).
#[derive(Clone, Debug, actix::Message)]
#[rtype(result = "()")]
#[non_exhaustive]
pub struct Vouch {
    /// Which peer.
    pub peer: NodeId,
    /// Where it is reached; `None`: this node answers for it no longer.
    pub addr: Option<Address>,
}

impl Vouch {
    /// This peer is reached there.
    pub fn at(peer: NodeId, addr: impl Into<Address>) -> Self {
        Self {
            peer,
            addr: Some(addr.into()),
        }
    }

    /// This node answers for that peer no longer.
    pub fn withdraw(peer: NodeId) -> Self {
        Self { peer, addr: None }
    }
}
