//! What a contest for an id leaves at each connection that has part in it.
//!
//! Owns nothing but what is remembered: who wins is decided in
//! [`simultaneous_dial`](crate::mesh::connections::simultaneous_dial).

use std::time::Duration;

use bytes::Bytes;

use crate::mesh::connections::awaiting::Pending;
use crate::wire::Batch;

/// What a contest leaves at each connection that has part in it.
#[derive(Debug, Default)]
pub(in crate::mesh) struct Contest {
    /// Of the old connection: when it was last contested.
    pub(in crate::mesh) contested: Option<Duration>,
    /// Of the old connection: something came in on it since it was asked.
    pub(in crate::mesh) alive: bool,
    /// Our handshake is to be said on it once more, no earlier than then.
    pub(in crate::mesh) greet_at: Option<Duration>,
    /// What the peer asked us to repeat on its other connections, and when, while there is none.
    pub(in crate::mesh) owed: Option<(Bytes, Duration)>,
    /// We have said, or heard, that nothing more is said on it.
    pub(in crate::mesh) moved_sent: bool,
    pub(in crate::mesh) moved_heard: bool,
    /// Of the new connection.
    pub(in crate::mesh) claim: Option<Box<Claim>>,
}

/// A second connection under an id that is connected.
#[derive(Debug)]
pub(in crate::mesh) struct Claim {
    pub(in crate::mesh) pending: Pending,
    /// The time in its handshake.
    pub(in crate::mesh) time: u64,
    /// Since when it waits.
    pub(in crate::mesh) since: Duration,
    pub(in crate::mesh) until: Duration,
    /// What the old connection was asked to have repeated on this one.
    pub(in crate::mesh) token: Bytes,
    /// It was repeated on this one.
    pub(in crate::mesh) echoed: bool,
    /// The old connection says that there is another one, dialled from this connection's side.
    pub(in crate::mesh) vouched: bool,
    /// What came in: each read, and which of its frames is the first that counts.
    pub(in crate::mesh) held: Vec<(Batch, usize)>,
}

impl Claim {
    /// Whether both connections are known to be those of one node.
    pub(in crate::mesh) fn is_same_node(&self) -> bool {
        self.echoed && self.vouched
    }
}
