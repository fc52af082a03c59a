//! All that can happen to a [`Mesh`](super::Mesh): its inputs, and the clocks and names they carry.
//!
//! Read this file first and [`effect`](super::effect) second: together they are the whole contract
//! of the core. Nothing here knows a socket or an actor.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::tls_refusal::TlsRefusal;
use crate::wire::{Address, Batch, NodeId, StreamError};

/// The two clocks, read by whoever drives the core: it never reads one itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Now {
    /// Time since some fixed moment, never going back. Timeouts are measured on it.
    pub monotonic: Duration,
    /// Seconds since the Unix epoch, UTC. Messages are stamped and judged by it.
    pub unix: u64,
}

/// One connection or one dial, from its beginning to its end. Never used twice.
///
/// The core names them ([`Mesh::next_conn`](super::Mesh::next_conn)); a dial keeps its name when
/// it becomes a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(pub u64);

/// Whom to tell when something asked for comes to its end: chosen by the asker, given back in
/// [`Effect::Answer`](super::Effect::Answer).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// A message that a validator is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProposalId(pub u64);

/// Why a dial came to nothing. Raised by whoever dials for the core.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, serde::Serialize)]
#[serde(tag = "code", content = "detail", rename_all = "snake_case")]
#[non_exhaustive]
pub enum DialError {
    /// Nobody listens there.
    #[error("nobody listens there: check the address, and that the peer is running")]
    Refused,
    /// No answer within the time allowed.
    #[error("no answer within the time allowed")]
    Timeout,
    /// The name could not be resolved, or the network refused.
    #[error("could not be reached: {0}")]
    Unreachable(String),
}

/// How a connection's stream came to its end, as seen by whoever reads and writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The peer closed it in order.
    ByPeer,
    /// The peer broke the framing.
    Broken(String),
    /// The operating system reported an error, or the stream ended in the middle of a frame: peers crash.
    Failed(String),
    /// The peer took nothing for too long while something waited for it.
    Stalled,
    /// The peer began a frame and did not finish it in time.
    Unfinished,
    /// One end refused the other before, or instead of, securing the connection.
    Insecure {
        /// Why.
        refusal: TlsRefusal,
        /// Whether the peer refused us, and not we the peer.
        by_peer: bool,
    },
    /// What came first was plainly another protocol.
    OtherProtocol(OtherProtocol),
}

/// A protocol that is not this one, as its first bytes tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum OtherProtocol {
    /// A request of HTTP, as health checks and browsers send.
    Http,
    /// A record of TLS.
    Tls,
    /// The greeting of SSH.
    Ssh,
}

impl OtherProtocol {
    /// What the first bytes of a stream are, if they are plainly no frame of ours.
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

/// Everything that can happen.
#[derive(Debug)]
pub enum Input {
    /// A stranger connected to us.
    Accepted {
        /// Named with [`Mesh::next_conn`](super::Mesh::next_conn).
        conn: ConnId,
        /// Where it connects from; its port is not one it listens on.
        addr: Address,
    },
    /// A dial we asked for is connected.
    Dialed {
        /// The name in [`Effect::Dial`](super::Effect::Dial).
        conn: ConnId,
        /// Where it led, as an address of the network and not a name.
        addr: Address,
    },
    /// A dial we asked for came to nothing.
    DialFailed {
        /// The name in [`Effect::Dial`](super::Effect::Dial).
        conn: ConnId,
        /// Why.
        why: DialError,
    },
    /// The other end of a connection has proven by its key who it is. Said before anything is received on it.
    Proven {
        /// Which connection.
        conn: ConnId,
        /// The id that its key stands for.
        id: NodeId,
    },
    /// Frames came in.
    Received {
        /// On which connection.
        conn: ConnId,
        /// All whole frames of one read.
        batch: Batch,
    },
    /// A connection is gone. Said once for each, also for those the core closed.
    Closed {
        /// Which.
        conn: ConnId,
        /// How it ended.
        why: Ended,
    },
    /// A peer took some of what waited for it, as was asked with [`Effect::Watch`](super::Effect::Watch).
    Taking {
        /// Which connection.
        conn: ConnId,
    },
    /// Strangers cannot be accepted for a while.
    AcceptFailed {
        /// What the operating system said.
        why: String,
    },
    /// A second or so has passed. Saying it late, often or in bursts does no harm.
    Tick,
}
