//! This node's own outbound messages: the send budget with its queue, and batching.

pub(crate) mod coalesce;
pub(crate) mod queue;
