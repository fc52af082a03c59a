//! All that can happen to a [`Mesh`](super::Mesh): its inputs, and the clocks and names they carry.
//!
//! Read this file first and [`effect`](super::effect) second: together they are the whole contract
//! of the core. Nothing here knows a socket or an actor.

use std::time::Duration;

use crate::wire::{Address, Batch, StreamError};

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

/// Why a dial came to nothing. Raised by whoever dials for the core.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, serde::Serialize)]
#[serde(tag = "code", content = "detail", rename_all = "snake_case")]
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
}

impl From<StreamError> for Ended {
    fn from(error: StreamError) -> Self {
        match error {
            error @ (StreamError::Io(_) | StreamError::Truncated { .. }) => {
                Ended::Failed(error.to_string())
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
    /// Strangers cannot be accepted for a while.
    AcceptFailed {
        /// What the operating system said.
        why: String,
    },
    /// A second or so has passed. Saying it late, often or in bursts does no harm.
    Tick,
}
