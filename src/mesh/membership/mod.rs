//! Membership: which addresses are known, which are dialled, and when a silent peer is dropped.
//!
//! Owns the peer book, peer exchange, reconnecting and keepalive. It must not know what a handshake or a broadcast
//! looks like.

pub(super) mod address_scope;
pub(super) mod backoff;
pub(super) mod capability;
pub(super) mod clock_skew;
pub(super) mod keepalive;
pub(super) mod peer_book;
pub(super) mod peer_exchange;
pub(super) mod reconnect;
pub(super) mod topology;
