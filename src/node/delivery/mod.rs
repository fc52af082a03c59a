//! Delivery of inbound messages to the node's users: validators, interceptors, filters, queues, subscribers, the inbox.

pub(crate) mod filter;
pub(crate) mod inbox;
pub(crate) mod interceptors;
pub(crate) mod queue;
pub(crate) mod subscriptions;
pub(crate) mod validator_queues;
