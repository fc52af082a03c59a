//! The settings of a node's core, and their defaults.
//!
//! Owns nothing else: what each leads to is decided in the file of its noun.

use std::time::Duration;

use crate::wire::{Address, Generation, Limits, Method, Subnet};

/// What the core is told once, at its making.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Params {
    /// The subnet: only nodes with the same one are let in.
    pub subnet: Subnet,
    /// The generation spoken.
    pub generation: Generation,
    /// Sizes a frame may have.
    pub limits: Limits,
    /// The outward address: where others can dial this node.
    pub address: Address,
    /// The methods we announce and use, most preferred first.
    pub methods: Vec<Method>,
    /// Connections we open because peers lists name them: at most this many. Default 4, as the
    /// reference peers.
    pub max_outgoing: usize,
    /// Peers beyond which those that came on their own account are asked to go elsewhere, as far as they can: or three times
    /// `max_outgoing`, if that is more. Default 12; zero: none is asked.
    pub soft_max_peers: usize,
    /// Peers that may come to us. Default 1,024. Beyond it the largest network gives way to smaller
    /// ones, and who cannot stay is told whom else to ask.
    pub max_incoming: usize,
    /// Connections from strangers that may wait for their handshake. Default 64. Beyond it the
    /// oldest of the host with the most of them goes.
    pub max_pending: usize,
    /// Whether hosts of this machine can be banned. Default no: everybody on it would be.
    pub ban_loopback: bool,
    /// A connection must have handed in its handshake after this time. Default 5 s.
    pub handshake_timeout: Duration,
    /// Broadcasts are accepted this many seconds around now, and remembered as long. Default 60,
    /// as the reference peers; they must agree.
    pub window: u64,
    /// Broadcasts remembered at once. Default 2^19, at most 18 MB; beyond it the oldest
    /// are forgotten early and could be delivered twice.
    pub waterfall_capacity: usize,
    /// Whether payload that is not valid UTF-8 may be sent. Default no: in generation 0.4 it hangs
    /// js2p peers.
    pub allow_binary: bool,
    /// The same payload may be stamped at most this many seconds ahead to keep its id unique.
    /// Default 30.
    pub seconds_ahead: u64,
    /// Lost addresses are dialled again after at most this time; zero: never. Default 30 s.
    pub max_reconnect_delay: Duration,
    /// A peer that a user disconnected is neither dialled nor let in for this long, unless a user asks for it; zero: no
    /// while. Default 30 s.
    pub rejoin_delay: Duration,
    /// A peer silent for this long is asked for a sign of life, and closed if it gives none within
    /// half of it again; zero: never. Default 20 s.
    pub keepalive_interval: Duration,
    /// Whispers that may wait for their peer to be found. Default 1,024.
    pub max_waiting_whispers: usize,
    /// Whether our own nodes may say more to each other than the protocol has. Default yes: reference peers see none
    /// of it.
    pub extensions: bool,
    /// Broadcasts of others of at least so many bytes are offered to our own nodes before they are sent. Default 16 KiB, at
    /// least 4 KiB; zero: each is sent at once.
    pub announce_from: usize,
    /// Whether peers are asked not to send what others send sooner, and may ask for that.
    pub prune: bool,
    /// Whether we ask our peers for their neighbours and tell them ours. Default no.
    pub share_topology: bool,
}

impl Params {
    /// The defaults named at each field.
    pub fn new(subnet: Subnet, address: Address) -> Self {
        Self {
            subnet,
            generation: Generation::default(),
            limits: Limits::default(),
            address,
            methods: Method::available_in(Generation::default()),
            max_outgoing: 4,
            soft_max_peers: 12,
            max_incoming: 1024,
            max_pending: 384,
            ban_loopback: false,
            handshake_timeout: Duration::from_secs(5),
            window: 60,
            waterfall_capacity: 1 << 19,
            allow_binary: false,
            seconds_ahead: 30,
            max_reconnect_delay: Duration::from_secs(30),
            rejoin_delay: Duration::from_secs(30),
            keepalive_interval: Duration::from_secs(20),
            max_waiting_whispers: 1024,
            extensions: true,
            announce_from: 16 << 10,
            prune: false,
            share_topology: false,
        }
    }
}
