//! The state of a contest for an id, kept at each connection that takes part.
//!
//! Owns the state only: [`simultaneous_dial`](crate::mesh::connections::simultaneous_dial) decides who wins.

use std::time::Duration;

use bytes::Bytes;

use crate::mesh::connections::awaiting::Pending;
use crate::wire::Batch;

/// A connection's part in a contest.
#[derive(Debug, Default)]
pub(in crate::mesh) struct Contest {
    /// Old connection: when it was last contested.
    pub(in crate::mesh) contested: Option<Duration>,
    /// Old connection: whether anything came in since it was asked.
    pub(in crate::mesh) alive: bool,
    /// When to send our handshake on it once more.
    pub(in crate::mesh) greet_at: Option<Duration>,
    /// The token to repeat on the peer's other connections, and when it came, while there is no other.
    pub(in crate::mesh) owed: Option<(Bytes, Duration)>,
    /// Whether we have sent, or heard, that nothing more is sent on it.
    pub(in crate::mesh) moved_sent: bool,
    pub(in crate::mesh) moved_heard: bool,
    /// New connection: its claim.
    pub(in crate::mesh) claim: Option<Box<Claim>>,
}

/// A second connection under an id that is connected.
#[derive(Debug)]
pub(in crate::mesh) struct Claim {
    pub(in crate::mesh) pending: Pending,
    /// The time in its handshake.
    pub(in crate::mesh) time: u64,
    /// When the claim was made.
    pub(in crate::mesh) since: Duration,
    pub(in crate::mesh) until: Duration,
    /// The token that the old connection was asked to repeat here.
    pub(in crate::mesh) token: Bytes,
    /// Whether it was repeated here.
    pub(in crate::mesh) echoed: bool,
    /// Whether the old connection confirms another one, dialled from this one's side.
    pub(in crate::mesh) vouched: bool,
    /// Inbound batches held back, and the first frame of each that counts.
    pub(in crate::mesh) held: Vec<(Batch, usize)>,
}

impl Claim {
    /// Whether both connections are known to belong to one node.
    pub(in crate::mesh) fn is_same_node(&self) -> bool {
        self.echoed && self.vouched
    }
}
