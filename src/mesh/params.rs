//! The settings of a node's core, and their defaults.
//!
//! Owns nothing else: each setting takes effect in the file of its noun.

use std::time::Duration;

use crate::wire::{Address, Generation, Limits, Method, Subnet};

/// The settings given to the core once, when it is created.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Params {
    /// The subnet. Only nodes of the same subnet are accepted.
    pub subnet: Subnet,
    /// The generation spoken.
    pub generation: Generation,
    /// Size limits of a frame.
    pub limits: Limits,
    /// The outward address: where others can dial this node.
    pub address: Address,
    /// The methods we announce and use, most preferred first.
    pub methods: Vec<Method>,
    /// Maximum connections opened because peers lists name the peer. Default 4, as the reference peers.
    pub max_outgoing: usize,
    /// Above this many peers, or three times `max_outgoing` if that is more, some incoming peers are asked to go
    /// elsewhere, if they can. Default 12; zero: none is asked.
    pub soft_max_peers: usize,
    /// Maximum incoming peers. Default 1,024. When full, a peer from the most represented network is evicted in favour
    /// of one from a smaller network, and a refused peer is given a peers list.
    pub max_incoming: usize,
    /// Maximum incoming connections waiting for their handshake. Default 384. Beyond it the oldest one of the host with
    /// the most of them is closed.
    pub max_pending: usize,
    /// Whether hosts of this machine can be banned. Default no: a ban would hit every node on it.
    pub ban_loopback: bool,
    /// Time within which a connection must complete its handshake. Default 5 s.
    pub handshake_timeout: Duration,
    /// Broadcasts stamped within this many seconds of now are accepted, and remembered for as long. Default 60, as the
    /// reference peers; they must agree.
    pub window: u64,
    /// Broadcasts remembered at once. Default 2^19, at most 18 MB. Beyond it the oldest second is forgotten early:
    /// until it is over a repeat may be delivered twice, afterwards its messages are dropped.
    pub waterfall_capacity: usize,
    /// Whether payload that is not valid UTF-8 may be sent. Default no: in generation 0.4 it hangs js2p peers.
    pub allow_binary: bool,
    /// How many seconds ahead the same payload may be stamped to keep its id unique. Default 30.
    pub seconds_ahead: u64,
    /// Longest back-off before a lost address is dialled again; zero: never. Default 30 s.
    pub max_reconnect_delay: Duration,
    /// How long a peer that a user disconnected is neither dialled nor accepted, unless a user asks for it; zero: not
    /// refused. Default 30 s.
    pub rejoin_delay: Duration,
    /// A peer silent for this long is probed, and closed if it does not answer within half of it; zero: never. Default
    /// 20 s.
    pub keepalive_interval: Duration,
    /// Maximum whispers queued until their recipient is found. Default 1,024.
    pub max_waiting_whispers: usize,
    /// Whether nodes of this crate may use extensions of the protocol with each other. Default yes: reference peers see
    /// none.
    pub extensions: bool,
    /// Size in bytes from which broadcasts of others are offered to peers of this crate before they are sent. Default
    /// 16 KiB, at least 4 KiB; zero: each is sent at once.
    pub announce_from: usize,
    /// Whether peers are asked not to send what others send sooner, and may ask us the same. Default yes.
    pub prune: bool,
    /// Whether we exchange our neighbours with our peers. Default no.
    pub share_topology: bool,
}

impl Params {
    /// Returns the defaults named at each field.
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
            prune: true,
            share_topology: false,
        }
    }
}
