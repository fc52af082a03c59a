//! The notices of a connection to the Router.

use std::sync::Arc;

use crate::mesh::{ConnId, Ended, QueuedWhisper, Traffic};
use crate::node::budget::{BatchSlot, MemoryPermit};
use crate::wire::Batch;
#[cfg(feature = "tls")]
use crate::wire::NodeId;

/// A batch of inbound frames. Answers whether the connection's handshake was accepted, after all orders that the batch
/// caused.
#[derive(actix::Message)]
#[rtype(result = "bool")]
pub(crate) struct Received {
    pub(crate) conn: ConnId,
    pub(crate) batch: Batch,
    /// The charge of the batch to its connection.
    pub(crate) charge: Arc<MemoryPermit>,
    /// Returned when the batch has been handled.
    pub(crate) turn: BatchSlot,
}

/// The peer has read some of its outbound queue, as the Router asked to know.
#[derive(Debug, actix::Message)]
#[rtype(result = "()")]
pub(crate) struct Taking {
    pub(crate) conn: ConnId,
}

/// A connection's actor has ended.
#[derive(Debug, actix::Message)]
#[rtype(result = "()")]
pub(crate) struct Gone {
    pub(crate) conn: ConnId,
    pub(crate) why: Ended,
    pub(crate) unsent: Traffic,
    /// This node's whispers among what was not written.
    pub(crate) whispers: Vec<QueuedWhisper>,
}

/// The remote end has proven its id.
#[cfg(feature = "tls")]
#[derive(Debug, actix::Message)]
#[rtype(result = "()")]
pub(crate) struct Proven {
    pub(crate) conn: ConnId,
    pub(crate) id: NodeId,
}
