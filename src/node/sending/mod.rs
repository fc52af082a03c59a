//! This node's own messages on their way out: who waits for room, and what is sent together.

pub(crate) mod coalesce;
pub(crate) mod queue;
