//! The inputs of a [`Mesh`](super::Mesh), and the clocks and names they carry.
//!
//! Read this file first and [`effect`](super::effect) second: together they are the core's whole contract. Nothing here
//! knows a socket or an actor.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::tls_refusal::TlsRefusal;
use crate::wire::{Address, Batch, NodeId, StreamError};

/// The two clocks, read by the core's driver: the core never reads a clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Now {
    /// Time since some fixed moment. Never goes back. Timeouts use it.
    pub monotonic: Duration,
    /// Seconds since the Unix epoch, UTC. Message stamps use it.
    pub unix: u64,
}

/// One connection or one dial, from beginning to end. Never reused.
///
/// The core names them ([`Mesh::next_conn`](super::Mesh::next_conn)); a dial keeps its name when
/// it becomes a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(pub u64);

/// Identifies a command, so that its outcome can be answered. Chosen by the caller, returned in
/// [`Effect::Answer`](super::Effect::Answer).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// The name of a message proposed to a validator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProposalId(pub u64);

/// Why a dial failed. Reported by the core's driver.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, serde::Serialize)]
#[serde(tag = "code", content = "detail", rename_all = "snake_case")]
#[non_exhaustive]
pub enum DialError {
    /// Nobody listens there.
    #[error("no program listens there: check the address, and that the peer is running")]
    Refused,
    /// No answer within the time allowed.
    #[error("no answer within the time allowed")]
    Timeout,
    /// The name could not be resolved, or the network refused.
    #[error("could not be reached: {0}")]
    Unreachable(String),
}

/// How a connection's stream ended, as seen by its reader and writer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The peer closed it in order.
    ByPeer,
    /// The peer broke the framing.
    Broken(String),
    /// The operating system reported an error, or the stream ended inside a frame (peers crash).
    Failed(String),
    /// The peer read nothing for too long while data was queued for it.
    Stalled,
    /// The peer began a frame and did not finish it before the deadline.
    Unfinished,
    /// One end refused the other before, or instead of, securing the connection.
    Insecure {
        /// Why.
        refusal: TlsRefusal,
        /// Whether the peer refused us, rather than we the peer.
        by_peer: bool,
    },
    /// The first bytes belong to another protocol.
    OtherProtocol(OtherProtocol),
}

/// Another protocol, recognized by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum OtherProtocol {
    /// An HTTP request, as from health checks and browsers.
    Http,
    /// A TLS record.
    Tls,
    /// The SSH greeting.
    Ssh,
}

impl OtherProtocol {
    /// Recognizes the protocol of a stream's first bytes, if they cannot be a frame of ours.
    pub fn of(first: &[u8]) -> Option<Self> {
        const METHODS: [&[u8]; 9] = [
            b"GET ", b"HEAD", b"POST", b"PUT ", b"DELE", b"OPTI", b"TRAC", b"CONN", b"PATC",
        ];
        match first.first_chunk::<4>()? {
            [0x14..=0x17, 0x03, ..] => Some(Self::Tls),
            b"SSH-" => Some(Self::Ssh),
            four if METHODS.contains(&&four[..]) => Some(Self::Http),
            _ => None,
        }
    }
}

impl fmt::Display for OtherProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http => "HTTP",
            Self::Tls => "TLS",
            Self::Ssh => "SSH",
        })
    }
}

impl From<StreamError> for Ended {
    fn from(error: StreamError) -> Self {
        match error {
            error @ (StreamError::Io(_) | StreamError::Truncated { .. }) => {
                Ended::Failed(error.to_string())
            }
            StreamError::Oversize { announced, limit } => {
                let error = StreamError::Oversize { announced, limit };
                let first = u32::try_from(announced).unwrap_or_default().to_be_bytes();
                match OtherProtocol::of(&first) {
                    Some(protocol) => Ended::OtherProtocol(protocol),
                    None => Ended::Broken(error.to_string()),
                }
            }
            other => Ended::Broken(other.to_string()),
        }
    }
}

/// One thing that happened.
#[derive(Debug)]
pub enum Input {
    /// A stranger connected to us.
    Accepted {
        /// Named with [`Mesh::next_conn`](super::Mesh::next_conn).
        conn: ConnId,
        /// The address it connects from; it does not listen on that port.
        addr: Address,
    },
    /// A dial of ours connected.
    Dialed {
        /// The name in [`Effect::Dial`](super::Effect::Dial).
        conn: ConnId,
        /// The network address it reached, not a name.
        addr: Address,
    },
    /// A dial of ours failed.
    DialFailed {
        /// The name in [`Effect::Dial`](super::Effect::Dial).
        conn: ConnId,
        /// Why.
        why: DialError,
    },
    /// The key at the other end of a connection proved its id. Comes before anything is received on that connection.
    Proven {
        /// Which connection.
        conn: ConnId,
        /// The id of its key.
        id: NodeId,
    },
    /// Frames arrived.
    Received {
        /// The connection they came on.
        conn: ConnId,
        /// All whole frames of one read.
        batch: Batch,
    },
    /// A connection ended. Reported once for each, including those the core closed.
    Closed {
        /// The connection.
        conn: ConnId,
        /// How it ended.
        why: Ended,
    },
    /// A peer read some of its queued data, as asked with [`Effect::Watch`](super::Effect::Watch).
    Taking {
        /// Which connection.
        conn: ConnId,
    },
    /// The listener cannot accept connections for a while.
    AcceptFailed {
        /// The operating system's error.
        why: String,
    },
    /// About a second has passed. Late, frequent or bursty ticks do no harm.
    Tick,
}
