//! The settings of a node: what each one does, its default, and when to change it.
//!
//! Composes the parameters of the layers below, and knows the purpose of each. No layer below knows this file.

mod check;
mod parameters;

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use crate::node::transport::encryption::Encryption;
#[cfg(feature = "tls")]
use crate::tls::Tls;
use crate::wire::{Generation, HostPort, Limits, Method, NodeId, Subnet};

/// The settings of a node. Start from [`Config::new`], change what differs, then [`start`](Config::start).
///
/// Serializes to a map from the names of all settings but `tls` to their values, for programs that show the settings in
/// force.
///
/// ```
/// # #[actix::main] async fn main() -> Result<(), actix_mesh::StartError> {
/// let node = actix_mesh::Config::new().subnet("chat", "Plaintext").listen("127.0.0.1:0").start().await?;
/// println!("{} listens on {}", node.id, node.addr);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, Serialize)]
pub struct Config {
    pub(crate) listen: String,
    pub(crate) advertise: Option<HostPort>,
    pub(crate) subnet: String,
    pub(crate) encryption: Encryption,
    #[cfg(feature = "websocket")]
    pub(crate) origins: Vec<String>,
    #[cfg(feature = "tls")]
    #[serde(skip)]
    pub(crate) tls: Option<Tls>,
    #[cfg(feature = "tls")]
    pub(crate) unauthenticated_ssl: bool,
    pub(crate) generation: Generation,
    pub(crate) connect: Vec<HostPort>,
    pub(crate) peer_book: Option<PathBuf>,
    pub(crate) connect_timeout: Duration,
    pub(crate) handshake_timeout: Duration,
    pub(crate) keepalive_interval: Option<Duration>,
    pub(crate) max_reconnect_delay: Option<Duration>,
    pub(crate) rejoin_delay: Option<Duration>,
    pub(crate) stall_timeout: Duration,
    pub(crate) min_peer_drain_rate: u32,
    pub(crate) frame_timeout: Duration,
    pub(crate) max_peer_message_rate: Option<NonZeroU32>,
    pub(crate) max_peer_byte_rate: Option<NonZeroU32>,
    pub(crate) max_outgoing: usize,
    pub(crate) soft_max_peers: usize,
    pub(crate) max_incoming: usize,
    pub(crate) max_pending: usize,
    pub(crate) ban_loopback: bool,
    pub(crate) compression: Vec<Method>,
    pub(crate) allow_binary: bool,
    pub(crate) extensions: bool,
    pub(crate) announce_from: usize,
    pub(crate) prune: bool,
    pub(crate) share_topology: bool,
    #[cfg(feature = "mdns")]
    pub(crate) mdns: bool,
    pub(crate) limits: Limits,
    pub(crate) waterfall_capacity: usize,
    pub(crate) inbound_budget: usize,
    pub(crate) shared_budget: usize,
    pub(crate) send_budget: usize,
    pub(crate) inbox_capacity: Option<usize>,
    pub(crate) inbox_kinds: Vec<&'static str>,
    pub(crate) socket_buffer: u32,
    pub(crate) listen_backlog: u32,
    pub(crate) arbiters: usize,
    pub(crate) seed: Option<u64>,
    pub(crate) id: Option<NodeId>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: String::from("127.0.0.1:0"),
            advertise: None,
            subnet: Subnet::default().name,
            encryption: Encryption::default(),
            #[cfg(feature = "websocket")]
            origins: Vec::new(),
            #[cfg(feature = "tls")]
            tls: None,
            #[cfg(feature = "tls")]
            unauthenticated_ssl: false,
            generation: Generation::default(),
            connect: Vec::new(),
            peer_book: None,
            connect_timeout: Duration::from_secs(5),
            handshake_timeout: Duration::from_secs(5),
            keepalive_interval: Some(Duration::from_secs(20)),
            max_reconnect_delay: Some(Duration::from_secs(30)),
            rejoin_delay: Some(Duration::from_secs(30)),
            stall_timeout: Duration::from_secs(10),
            min_peer_drain_rate: 8 << 10,
            frame_timeout: Duration::from_secs(60),
            max_peer_message_rate: None,
            max_peer_byte_rate: None,
            max_outgoing: 4,
            soft_max_peers: 12,
            max_incoming: 1024,
            max_pending: 384,
            ban_loopback: false,
            compression: Method::available().to_vec(),
            allow_binary: false,
            extensions: true,
            announce_from: 16 << 10,
            prune: true,
            share_topology: false,
            #[cfg(feature = "mdns")]
            mdns: false,
            limits: Limits::default(),
            waterfall_capacity: 1 << 19,
            inbound_budget: 1 << 20,
            shared_budget: 16 << 20,
            send_budget: 512 << 10,
            inbox_capacity: Some(1024),
            inbox_kinds: Vec::new(),
            socket_buffer: 256 << 10,
            listen_backlog: 1024,
            arbiters: 0,
            seed: None,
            id: None,
        }
    }
}

/// Addresses and identity.
impl Config {
    /// Returns the defaults: subnet `mesh`, generation 0.4, listening on a free loopback port.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets where to listen, as `host:port`; port 0 picks a free one. Default `127.0.0.1:0`.
    ///
    /// The default is loopback because plaintext authenticates nobody. Set `0.0.0.0:4444` or `[::]:4444` when other
    /// machines have to reach the node.
    #[must_use]
    pub fn listen(mut self, listen: impl ToString) -> Self {
        self.listen = listen.to_string();
        self
    }

    /// Sets the outward address, which peers are told to dial. Default: the bound address, with `0.0.0.0` or `[::]`
    /// replaced by this machine's address in its local network.
    ///
    /// Set it behind a NAT or a proxy. If it is wrong, no peer can dial this node, and it meets only nodes that it
    /// dials.
    #[must_use]
    pub fn advertise(mut self, address: impl Into<HostPort>) -> Self {
        self.advertise = Some(address.into());
        self
    }

    /// Sets the name and the encryption of the subnet. Default `mesh`, [`Encryption::Plaintext`], as in the reference
    /// peers.
    ///
    /// Nodes of different subnets refuse each other, and the encryption is part of a subnet's identity. With an
    /// encryption that this build does not support, the node does not start.
    #[must_use]
    pub fn subnet(mut self, name: impl Into<String>, encryption: impl Into<Encryption>) -> Self {
        self.subnet = name.into();
        self.encryption = encryption.into();
        self
    }

    /// Closes the mesh: TLS 1.3 secures connections, both ends show certificates, and keys prove ids. Default: none,
    /// and connections are plaintext.
    ///
    /// Sets the encryption to [`Encryption::Tls`] and derives the node's id from its key. A stranger sees this node's
    /// certificate, as TLS 1.3 shows it to anyone who dials, and an alert, but no byte of the mesh. See
    /// [`tls`](crate::tls).
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.encryption = Encryption::Tls;
        self.tls = Some(tls);
        self
    }

    /// Uses the reference peers' encryption `SSL`: TLS with certificates that nobody checks.
    ///
    /// It **authenticates nobody**: anyone on the path can read and change everything, and any stranger is accepted, as
    /// with plaintext. Use it only to meet py2p nodes that are set to it; for a closed mesh use [`tls`](Self::tls).
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn unauthenticated_ssl(mut self) -> Self {
        self.encryption = Encryption::Ssl;
        self.unauthenticated_ssl = true;
        self
    }

    /// Uses WebSocket over TLS, [`Encryption::SecureWebSocket`], as browsers and js2p dial it.
    ///
    /// The node shows the certificate of `tls` to anyone who dials, so the certificate must contain the name or address
    /// that is dialled. Unless [`advertise`](Self::advertise) is set, the node tells peers to dial the first name in
    /// it. Dialling nodes show no certificate, so **no id is proven and no stranger refused**. The gain over `ws` is
    /// that nobody on the path can read or change anything. Nodes that this one dials are checked against the
    /// authorities, revocations and allow-list of `tls`.
    #[cfg(all(feature = "tls", feature = "websocket"))]
    #[cfg_attr(docsrs, doc(cfg(all(feature = "tls", feature = "websocket"))))]
    #[must_use]
    pub fn wss(mut self, tls: Tls) -> Self {
        self.encryption = Encryption::SecureWebSocket;
        self.tls = Some(tls);
        self
    }

    /// Lets pages of this origin, such as `"https://example.org"`, join a mesh of [`Encryption::WebSocket`] or
    /// [`SecureWebSocket`](Encryption::SecureWebSocket). Default: none, because any page open in a browser on this
    /// machine could try. Call it once for each origin.
    ///
    /// Programs other than browsers send no origin and are always accepted.
    #[cfg(feature = "websocket")]
    #[cfg_attr(docsrs, doc(cfg(feature = "websocket")))]
    #[must_use]
    pub fn allow_origin(mut self, origin: impl Into<String>) -> Self {
        self.origins.push(origin.into());
        self
    }

    /// Sets the generation of the protocol. Default 0.4. Generations refuse each other by design.
    ///
    /// Set 0.7 to meet peers that `pip` and `npm` install today.
    #[must_use]
    pub fn generation(mut self, generation: Generation) -> Self {
        self.generation = generation;
        self
    }

    /// Derives the node's id and its random choices from this number, for tests. Default: random.
    ///
    /// Two nodes with the same seed and outward address have the same id and refuse each other.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Sets the node's id. Default: derived from its address, its subnet and randomness.
    ///
    /// Set it for a node that stands in for another, as a bridge does. Two nodes with one id refuse each other. A
    /// closed mesh ignores it: there the id follows from the key.
    #[must_use]
    pub fn id(mut self, id: NodeId) -> Self {
        self.id = Some(id);
        self
    }
}

/// Finding and keeping peers.
impl Config {
    /// Stays connected to this address: dials it until a peer there is connected, and again whenever that peer is lost.
    /// Default: none. Call it once for each address.
    ///
    /// A name may have many addresses, like a headless service in Kubernetes. While the node has fewer than
    /// [`max_outgoing`](Self::max_outgoing) outgoing connections, it looks the name up every 30 s and dials as many of
    /// its addresses as connections are missing.
    ///
    /// The address may be text, such as `"example.org:4444"`. Text that is not an address is a
    /// [`StartError::BadAddress`](crate::StartError::BadAddress). An address that [`Connect`](crate::Connect) led to is
    /// kept as well, until [`Disconnect`](crate::Disconnect).
    #[doc(alias = "keep")]
    #[must_use]
    pub fn connect(mut self, address: impl Into<HostPort>) -> Self {
        self.connect.push(address.into());
        self
    }

    /// Announces this node on the local network and meets other nodes of its subnet there (mDNS). Default: no.
    ///
    /// Anyone on the network can read the ids of the subnet and the node, and can announce anything. So the node dials
    /// only announced addresses of private networks, each at most once a minute, while it wants more connections.
    #[cfg(feature = "mdns")]
    #[cfg_attr(docsrs, doc(cfg(feature = "mdns")))]
    #[must_use]
    pub fn mdns(mut self, announce: bool) -> Self {
        self.mdns = announce;
        self
    }

    /// Sets a file in which the addresses of peers are kept between runs. Default: none. Set it so that a restarted
    /// node finds its mesh without a seed.
    ///
    /// A node without peers dials these addresses; the last two that it had dialled itself are dialled at every start.
    /// A missing file is created. An unreadable one is reported as
    /// [`Event::PeerBookFailed`](crate::Event::PeerBookFailed) and replaced.
    #[must_use]
    pub fn peer_book(mut self, path: impl Into<PathBuf>) -> Self {
        self.peer_book = Some(path.into());
        self
    }

    /// Sets how long a dial may take, including name resolution. Default 5 s; the reference peers wait 1 s, which is
    /// too short for distant hosts.
    ///
    /// Raise it if names resolve slowly; lower it if [`Connect`](crate::Connect) should fail sooner.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Sets the deadline for the handshake of a new connection. Default 5 s.
    ///
    /// Raise it if peers on slow connections are refused; lower it if silent strangers pile up.
    #[must_use]
    pub fn handshake_timeout(mut self, timeout: Duration) -> Self {
        self.handshake_timeout = timeout;
        self
    }

    /// Caps the reconnect delay: a lost peer is dialled again with exponential back-off from 1 s, each pause shortened
    /// at random by up to half. Default 30 s; `None`: each address is dialled once, and no lost peer is dialled again;
    /// names given to [`connect`](Self::connect) are still looked up.
    ///
    /// After 40 failures the delay is 20 times as long for addresses that no user asked for. Lower it if a partitioned
    /// mesh has to heal faster; raise it if many nodes keep dialling a dead one.
    #[doc(alias = "reconnect_cap")]
    #[must_use]
    pub fn max_reconnect_delay(mut self, delay: impl Into<Option<Duration>>) -> Self {
        self.max_reconnect_delay = delay.into().filter(|delay| !delay.is_zero());
        self
    }

    /// Sets how long a peer that was disconnected on request is neither dialled nor accepted. Default 30 s; `None`: it
    /// may come back at once.
    ///
    /// Until then it is refused as [`Unwanted`](crate::CloseReason::Unwanted). A [`Connect`](crate::Connect) to it ends
    /// the delay.
    #[must_use]
    pub fn rejoin_delay(mut self, delay: impl Into<Option<Duration>>) -> Self {
        self.rejoin_delay = delay.into().filter(|delay| !delay.is_zero());
        self
    }

    /// Sets after how long a silent peer is sent a keepalive probe. Default 20 s; `None`: never.
    ///
    /// A peer that does not answer within half of that time is closed as
    /// [`Unresponsive`](crate::CloseReason::Unresponsive), so with the default a dead peer is noticed within 30 s. A
    /// peer that reads what is queued for it is kept. Lower it if the network drops idle connections; raise it to send
    /// fewer probes.
    #[doc(alias = "silence")]
    #[must_use]
    pub fn keepalive_interval(mut self, interval: impl Into<Option<Duration>>) -> Self {
        self.keepalive_interval = interval.into().filter(|interval| !interval.is_zero());
        self
    }

    /// Sets how many outgoing connections the node wants: while it has fewer, it dials addresses from peers lists.
    /// Default 4, as in the reference peers. Connections of [`Connect`](crate::Connect) count, but are not limited by
    /// it; incoming ones do not count.
    ///
    /// Raise it if the mesh falls apart when a few nodes leave; lower it to receive fewer copies of each broadcast.
    #[must_use]
    pub fn max_outgoing(mut self, max: usize) -> Self {
        self.max_outgoing = max;
        self
    }

    /// Sets whether this node announces to its peers that it supports the actix-mesh extensions of the protocol.
    /// Default `true`.
    ///
    /// py2p and js2p peers see none of them. Set it to `false` to treat every peer like a py2p or js2p peer; the node
    /// remains a full member. `docs/extensions.md` lists the extensions.
    #[must_use]
    pub fn extensions(mut self, extensions: bool) -> Self {
        self.extensions = extensions;
        self
    }

    /// Sets the size in bytes from which another node's broadcast is offered to actix-mesh peers before it is relayed.
    /// Default 16 KiB, at least 4 KiB; 0: every broadcast is relayed at once.
    ///
    /// Flooding carries each message over every connection. An offered message arrives once: a node requests it from
    /// the first peer that offers it, and from others if that one does not send it within two seconds. An offer costs a
    /// round trip and saves the copies. Lower it to save more copies; raise it if the round trips cost more than the
    /// copies.
    ///
    /// Some messages are not offered. An author sends its own at once to all its peers. Every node sends at once to its
    /// py2p and js2p peers. A node with fewer than three peers sends at once to all of them. Offered messages are
    /// stored for ten seconds, at most 8 MiB together with those that [`prune`](Self::prune) stores. Messages that do
    /// not fit are relayed at once.
    #[must_use]
    pub fn announce_from(mut self, bytes: usize) -> Self {
        self.announce_from = bytes;
        self
    }

    /// Sets whether second copies of small broadcasts are avoided. Default `true`.
    ///
    /// Flooding carries each message over every connection. With `prune`, a node asks actix-mesh peers that have it too
    /// not to send an author's messages that arrive sooner on another connection. After an author's first message each
    /// one arrives once, along the path of the first, or directly if the author is a peer. No message is lost when
    /// connections break or nodes die: peers store a message that they hold back until its arrival is confirmed, and
    /// send it after two seconds without confirmation, or at once when a connection is lost. They store at most 8 MiB
    /// together with those of [`announce_from`](Self::announce_from), and send messages that do not fit. Still flooded
    /// are the first messages of an author that was silent for five minutes, broadcasts of 4 KiB or more, and
    /// everything to py2p and js2p peers.
    ///
    /// Without copies a mesh carries more, so where publishers send all they can, a node that is slower than the others
    /// falls behind sooner, and is closed as slow ([`stall_timeout`](Self::stall_timeout)): flooding slows everybody
    /// down. Turn it off there, or where less than one message a second is sent in as few bytes as possible: the
    /// confirmations cost as much as one copy.
    #[must_use]
    pub fn prune(mut self, prune: bool) -> Self {
        self.prune = prune;
        self
    }

    /// Sets whether this node tells peers that ask who its neighbours are, and may ask for theirs with
    /// [`Topology`](crate::Topology). Default `false`: a node's neighbours and their addresses are private unless its
    /// operator decides otherwise.
    ///
    /// Set it if a dashboard has to show more than its own node's neighbours.
    #[must_use]
    pub fn share_topology(mut self, share: bool) -> Self {
        self.share_topology = share;
        self
    }

    /// Sets the number of peers above which this node asks some to go elsewhere. Default 12, and never less than three
    /// times [`max_outgoing`](Self::max_outgoing); 0: it asks none.
    ///
    /// Each connection brings its own copy of every broadcast, so a node that many have found pays for all of them. The
    /// node asks incoming actix-mesh peers, the most redundant first. A peer that can do without the connection leaves,
    /// and both ends see [`PeerLeft`](crate::Event::PeerLeft) with [`CloseReason::Spare`](crate::CloseReason::Spare).
    /// Messages in flight still arrive.
    ///
    /// The limit is soft: a connection stays if a user of either end asked for it, if it leads to a py2p or js2p peer,
    /// or if the peer would be left with fewer than three. Raise it if connections come and go; lower it if the copies
    /// cost too much.
    #[must_use]
    pub fn soft_max_peers(mut self, peers: usize) -> Self {
        self.soft_max_peers = peers;
        self
    }

    /// Sets how many peers may connect to this node. Default 1,024.
    ///
    /// When the node is full, a peer from the most represented network is evicted in favour of one from a smaller
    /// network. The peer that is evicted or refused gets a peers list. Raise it for a node that many have to reach;
    /// lower it to bound memory: each peer may cost [`inbound_budget`](Self::inbound_budget).
    #[must_use]
    pub fn max_incoming(mut self, max: usize) -> Self {
        self.max_incoming = max;
        self
    }

    /// Sets how many incoming connections may await their handshake. Default 384. Beyond it, the host with the most
    /// such connections loses its oldest.
    ///
    /// A host that opens 2,000 silent connections a second leaves each of its own 190 ms, and as much to an honest
    /// newcomer behind the same NAT: more than a round trip on most connections. Raise it if hundreds of peers connect
    /// at the same moment; lower it if file descriptors are scarce.
    #[must_use]
    pub fn max_pending(mut self, max: usize) -> Self {
        self.max_pending = max;
        self
    }

    /// Sets whether a loopback address can be banned for misbehavior. Default no: all programs of this machine share
    /// that address, so a faulty one would shut out the others.
    #[must_use]
    pub fn ban_loopback(mut self, ban: bool) -> Self {
        self.ban_loopback = ban;
        self
    }

    /// Sets the compression methods to announce and use, the most preferred first. Default: all that are built in.
    /// Empty: none, for networks that are faster than the processor. A method that the generation does not have
    /// ([`Method::is_of`]) is left out.
    #[must_use]
    pub fn compression(mut self, methods: impl Into<Vec<Method>>) -> Self {
        self.compression = methods.into();
        self
    }

    /// Sets whether payload that is not valid UTF-8 may be sent. Default no: in generation 0.4 one such message hangs
    /// every js2p peer it reaches. Set it where no js2p peer can be reached.
    #[must_use]
    pub fn allow_binary(mut self, allow: bool) -> Self {
        self.allow_binary = allow;
        self
    }
}

/// Slow and fast peers.
impl Config {
    /// Sets how long a peer may read less than [`min_peer_drain_rate`](Self::min_peer_drain_rate) while data is queued
    /// for it, before it is closed as [`SlowPeer`](crate::CloseReason::SlowPeer). Default 10 s, as in NATS.
    ///
    /// Until then it delays no other peer: data queued for it may use a third of the
    /// [`shared_budget`](Self::shared_budget). When slow peers have used that up, it is closed after a second, unless
    /// most peers are slow. Raise it if peers that pause are closed; lower it to drop data sooner that a peer will
    /// never read.
    #[must_use]
    pub fn stall_timeout(mut self, timeout: Duration) -> Self {
        self.stall_timeout = timeout;
        self
    }

    /// Sets how many bytes a second a peer has to read while data is queued for it. Default 8 KiB.
    ///
    /// A peer that reads more than this, but less than it is sent, slows its senders down for up to a minute; if data
    /// queued for it is older than that, it is closed as slow. Raise it in a mesh whose connections are all faster;
    /// lower it for peers on slower ones.
    #[doc(alias = "slow_rate")]
    #[must_use]
    pub fn min_peer_drain_rate(mut self, bytes_per_second: u32) -> Self {
        self.min_peer_drain_rate = bytes_per_second;
        self
    }

    /// Sets how long a frame may take to arrive, from its first byte; then its peer is closed as
    /// [`Unfinished`](crate::CloseReason::Unfinished). Default 60 s.
    ///
    /// Raise it for large messages over slow connections: 4 MiB in 60 s needs 70 kB/s. Lower it to drop unfinished
    /// frames sooner.
    #[must_use]
    pub fn frame_timeout(mut self, timeout: Duration) -> Self {
        self.frame_timeout = timeout;
        self
    }

    /// Limits how many messages a second are read from one peer, on average. Default `None`: no limit.
    ///
    /// A faster peer is not blamed and loses nothing: it is read no faster than this, and TCP slows it down. Set it to
    /// what an honest peer needs if members may flood.
    #[doc(alias = "peer_messages")]
    #[must_use]
    pub fn max_peer_message_rate(mut self, per_second: impl Into<Option<u32>>) -> Self {
        self.max_peer_message_rate = per_second.into().and_then(NonZeroU32::new);
        self
    }

    /// Limits how many bytes a second are read from one peer, on average, counted after decompression. Default `None`:
    /// no limit. Otherwise like [`max_peer_message_rate`](Self::max_peer_message_rate).
    #[doc(alias = "peer_bytes")]
    #[must_use]
    pub fn max_peer_byte_rate(mut self, per_second: impl Into<Option<u32>>) -> Self {
        self.max_peer_byte_rate = per_second.into().and_then(NonZeroU32::new);
        self
    }
}

/// Memory and threads.
impl Config {
    /// Sets how large frames may be, before and after the handshake. Defaults: see [`Limits`].
    ///
    /// A frame is held in memory as a whole, so a connection may cost up to `limits.frame` while one arrives. A peer
    /// that sends a larger one is closed. Raise `frame` for larger messages; lower it to bound memory.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets how many broadcasts of the last minute are remembered as seen. Default 524,288, at most 15 MB, or 18 MB
    /// if nearly all claim the id of another author's message.
    ///
    /// The second under way and the one before it may hold four times as many (32 MB in all): broadcasts that find no
    /// room even there are refused and counted ([`Stats::waterfall_closed`](crate::Stats::waterfall_closed)), because
    /// what is not remembered could be delivered twice.
    ///
    /// Raise it if [`Stats::waterfall_evicted`](crate::Stats::waterfall_evicted) grows; lower it to bound memory in a
    /// quiet mesh.
    #[must_use]
    pub fn waterfall_capacity(mut self, broadcasts: usize) -> Self {
        self.waterfall_capacity = broadcasts;
        self
    }

    /// Sets how many bytes of unprocessed input one connection may hold: received and decompressed, but not yet
    /// written, delivered or dropped. Default 1 MiB, and a share of the [`shared_budget`](Self::shared_budget). Beyond
    /// it the node stops reading the connection, and TCP slows the peer down.
    ///
    /// Raise it if transfers over fast connections stutter; lower it to bound the memory that a hostile peer can use.
    #[must_use]
    pub fn inbound_budget(mut self, bytes: usize) -> Self {
        self.inbound_budget = bytes;
        self
    }

    /// Sets how many bytes all connections together may use beyond their own budgets. Default 16 MiB; each may take an
    /// eighth of what is free at once, and more as it waits.
    ///
    /// It also holds frames larger than a connection's own budget, and data queued for slow peers. If many nodes send
    /// at full rate, they can all wait for each other to read; this budget lets some read on. Raise it if peers are
    /// closed as slow under such a load; lower it to bound memory.
    #[must_use]
    pub fn shared_budget(mut self, bytes: usize) -> Self {
        self.shared_budget = bytes;
        self
    }

    /// Sets how many bytes of this node's own messages may be queued for writing, counting a copy for each of up to
    /// eight peers. Default 512 KiB. A larger message is sent alone.
    ///
    /// When it is full, or more than half of the [`shared_budget`](Self::shared_budget) is in use,
    /// [`Send`](struct@crate::Send) and [`Whisper`](crate::Whisper) are answered only once there is room. Raise it for
    /// bursts; lower it in a mesh where many nodes send at full rate and peers are closed as slow.
    #[must_use]
    pub fn send_budget(mut self, bytes: usize) -> Self {
        self.send_budget = bytes;
        self
    }

    /// Sets how many messages are kept for [`Recv`](crate::Recv), at most 1 MiB of them. Default 1,024. When it is full
    /// the oldest are dropped, and the next message says how many.
    ///
    /// Raise it if messages are missed. `None` turns the inbox off, which saves the copies on a node that only relays
    /// or subscribes.
    #[doc(alias = "inbox")]
    #[must_use]
    pub fn inbox_capacity(mut self, messages: impl Into<Option<usize>>) -> Self {
        self.inbox_capacity = messages.into().filter(|messages| *messages > 0);
        self
    }

    /// Keeps messages of this kind for [`Recv::kind`](crate::Recv::kind) from the start, as many as
    /// [`inbox_capacity`](Self::inbox_capacity) says, or 1,024 if that is `None`. Default: none. Call it once for each
    /// kind.
    #[must_use]
    pub fn inbox_kind(mut self, kind: &'static str) -> Self {
        self.inbox_kinds.push(kind);
        self
    }

    /// Sets how many bytes the operating system may buffer for each connection, in each direction (Linux doubles it).
    /// Default 256 KiB.
    ///
    /// A connection carries at most this much in each round trip: raise it for fast connections over long distances. No
    /// budget counts these buffers: lower it on nodes with many connections. The system's own default may be several
    /// megabytes.
    #[must_use]
    pub fn socket_buffer(mut self, bytes: u32) -> Self {
        self.socket_buffer = bytes;
        self
    }

    /// Sets how many connections the operating system may queue before they are accepted. Default 1,024: with 128, a
    /// burst of newcomers costs each of them milliseconds. Raise it if larger bursts connect.
    #[doc(alias = "backlog")]
    #[must_use]
    pub fn listen_backlog(mut self, connections: u32) -> Self {
        self.listen_backlog = connections;
        self
    }

    /// Sets the number of further threads that connections run on. Default 0: all run on the thread that starts the
    /// node.
    ///
    /// Raise it on a node with many busy peers: throughput rises by about half, and latency rises too. If a thread
    /// cannot be started, the node does not start: [`StartError::Threads`](crate::StartError::Threads).
    #[must_use]
    pub fn arbiters(mut self, threads: usize) -> Self {
        self.arbiters = threads;
        self
    }
}
