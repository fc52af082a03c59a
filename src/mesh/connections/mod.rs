//! Connections: from a dial or an accept, through the handshake, to a peer in the routing table and its end.
//!
//! Owns which peers are admitted, under which id, and on which of two connections. It must not know what peers say to
//! each other once they are connected.

pub(super) mod admission;
pub(super) mod awaiting;
pub(super) mod bans;
pub(super) mod closing;
pub(super) mod degree;
pub(super) mod dials;
pub(super) mod handshake;
pub(super) mod id_contest;
pub(super) mod routing_table;
pub(super) mod simultaneous_dial;
