//! What a bridge asks of a node: pass on messages from another mesh, and answer for the peers there.
//!
//! Owns the types of these messages; [`Bridge`](crate::Bridge) sends them, and so may any other actor.

use std::time::Duration;

use crate::mesh::{Foreign, PassOnError, Sent, WhisperError, Whispered};
use crate::wire::{Address, Message, NodeId, Packets};

/// Passes a broadcast of another mesh on to all connected peers, under its author's name and time.
///
/// It travels as if this node had relayed it. Several bridges may bring the same message: it has the same id from each,
/// and every peer takes it once. This node's own subscribers do not get it. Waits for room in the send budget as
/// [`Send`](struct@crate::Send) does.
///
/// # Errors
///
/// [`PassOnError::Known`] if this mesh already has the message, which normally ends an echo; otherwise why it cannot be
/// sent.
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
    /// The author, as claimed in its mesh.
    pub author: NodeId,
    /// When it was written, in unix seconds.
    pub time: u64,
    /// The whole payload: packet 0 is its kind.
    pub payload: Packets,
}

impl PassOn {
    /// Creates a broadcast by this author, with this payload: packet 0 is its kind.
    pub fn new(author: NodeId, time: u64, payload: impl Into<Packets>) -> Self {
        Self {
            author,
            time,
            payload: payload.into(),
        }
    }

    /// Copies a message that was received in another mesh of the same generation.
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

/// Passes a whisper of another mesh on to one peer, under its author's name.
///
/// Finds the peer as [`Whisper`](crate::Whisper) does.
///
/// # Errors
///
/// As [`Whisper`](crate::Whisper).
#[derive(Clone, Debug, actix::Message)]
#[rtype(result = "Result<Whispered, WhisperError>")]
#[non_exhaustive]
pub struct PassOnTo {
    /// The recipient.
    pub to: NodeId,
    /// The message and its author.
    pub message: PassOn,
    /// The deadline for finding the peer. Default 10 s.
    pub within: Duration,
}

impl PassOnTo {
    /// Creates a whisper of this message to this peer.
    pub fn new(to: NodeId, message: PassOn) -> Self {
        Self {
            to,
            message,
            within: Duration::from_secs(10),
        }
    }
}

/// Turns on [`Event::Sought`](crate::Event::Sought), which names peers that others look for and that are not connected
/// here.
#[derive(Clone, Copy, Debug, Default, actix::Message)]
#[rtype(result = "()")]
pub struct TellSought;

/// Answers discovery of this peer with this address, from now on, until 1,024 other peers have been vouched for since.
///
/// The node that asked dials the address and expects the peer's id there: the node that listens on it must have been
/// given [that id](crate::Config::id).
#[derive(Clone, Debug, actix::Message)]
#[rtype(result = "()")]
#[non_exhaustive]
pub struct Vouch {
    /// The peer.
    pub peer: NodeId,
    /// The peer's address; `None`: this node no longer answers for it.
    pub addr: Option<Address>,
}

impl Vouch {
    /// Vouches that this peer can be reached at this address.
    pub fn at(peer: NodeId, addr: impl Into<Address>) -> Self {
        Self {
            peer,
            addr: Some(addr.into()),
        }
    }

    /// Stops answering for that peer.
    pub fn withdraw(peer: NodeId) -> Self {
        Self { peer, addr: None }
    }
}
