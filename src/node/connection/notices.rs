//! What a connection tells the Router.

use std::sync::Arc;

use crate::mesh::{ConnId, Ended, QueuedWhisper, Traffic};
use crate::node::budget::{BatchSlot, MemoryPermit};
use crate::wire::Batch;
#[cfg(feature = "tls")]
use crate::wire::NodeId;

/// A batch of frames came in on a link. Answers whether the link's handshake is done, once all that the
/// batch led to has been ordered.
#[derive(actix::Message)]
#[rtype(result = "bool")]
pub(crate) struct Received {
    pub(crate) conn: ConnId,
    pub(crate) batch: Batch,
    /// What the batch costs its connection.
    pub(crate) charge: Arc<MemoryPermit>,
    /// Given back when the batch was handled.
    pub(crate) turn: BatchSlot,
}

/// The peer took some of what waited for it, as the Router wished to know.
#[derive(Debug, actix::Message)]
#[rtype(result = "()")]
pub(crate) struct Taking {
    pub(crate) conn: ConnId,
}

/// A link's actor has ended.
#[derive(Debug, actix::Message)]
#[rtype(result = "()")]
pub(crate) struct Gone {
    pub(crate) conn: ConnId,
    pub(crate) why: Ended,
    pub(crate) unsent: Traffic,
    /// Those among what was not written that were whispers of ours.
    pub(crate) whispers: Vec<QueuedWhisper>,
}

/// The other end of a link has proven who it is.
#[cfg(feature = "tls")]
#[derive(Debug, actix::Message)]
#[rtype(result = "()")]
pub(crate) struct Proven {
    pub(crate) conn: ConnId,
    pub(crate) id: NodeId,
}
