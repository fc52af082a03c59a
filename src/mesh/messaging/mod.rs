//! Messaging: what peers say to each other once they are connected.
//!
//! Owns broadcasts and their relay, the cache of seen messages, whispers and the searches for their peers, and
//! renegotiation. It must not know how a connection came about.

pub(super) mod announce;
pub(super) mod broadcast;
pub(super) mod held_for_validation;
pub(super) mod pass_on;
pub(super) mod prune;
pub(super) mod receive;
pub(super) mod relay;
pub(super) mod renegotiate;
pub(super) mod route;
pub(super) mod send_many;
pub(super) mod store_budget;
pub(super) mod waterfall;
pub(super) mod whisper;
