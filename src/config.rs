//! Everything that can be set about a node: what each setting does, its default, and when to change it.
//!
//! Composes the parameters of the floors below and knows what each of them is for; nothing below
//! knows this file.

mod check;

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
/// Serializes to a map of all settings by name, for programs that show what is in force.
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
            prune: false,
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
    /// Returns the defaults: subnet `mesh`, generation 0.4, listening on a free port of the loopback.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets where to listen, as `host:port`; port 0 picks a free one. Default `127.0.0.1:0`.
    ///
    /// The default is the loopback on purpose: plaintext authenticates nobody, so opening a node to a network
    /// (`0.0.0.0:4444`, `[::]:4444`) is left to whoever knows the network.
    #[must_use]
    pub fn listen(mut self, listen: impl ToString) -> Self {
        self.listen = listen.to_string();
        self
    }

    /// Sets the outward address, which peers are told to dial. Default: the bound address, with `0.0.0.0` or
    /// `[::]` replaced by this machine's address in its local network.
    ///
    /// Set it behind a NAT or a proxy. If it is wrong, only nodes that we dial ourselves ever meet us.
    #[must_use]
    pub fn advertise(mut self, address: impl Into<HostPort>) -> Self {
        self.advertise = Some(address.into());
        self
    }

    /// Sets name and encryption of the subnet. Default `mesh`, [`Encryption::Plaintext`], as the reference peers.
    ///
    /// Nodes of different subnets refuse each other; the encryption is part of a subnet's identity. A node with an
    /// encryption that this build does not speak does not start.
    #[must_use]
    pub fn subnet(mut self, name: impl Into<String>, encryption: impl Into<Encryption>) -> Self {
        self.subnet = name.into();
        self.encryption = encryption.into();
        self
    }

    /// Closes the mesh: links are secured by TLS 1.3, each end shows a certificate, and ids are proven by keys. Default:
    /// none, and links are plaintext.
    ///
    /// The encryption of the subnet is [`Encryption::Tls`] then, and the node's id is that of its key. A stranger gets no
    /// byte of the mesh: it sees our certificate, as TLS 1.3 shows it to whoever dials, and an alert. See
    /// [`tls`](crate::tls).
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.encryption = Encryption::Tls;
        self.tls = Some(tls);
        self
    }

    /// Speaks the reference peers' encryption `SSL`: TLS with certificates that nobody checks.
    ///
    /// It **authenticates nobody**: whoever is on the path can read and change everything, and any stranger is let in, as on
    /// plaintext. It is there to meet py2p nodes that are configured so; for a closed mesh take [`tls`](Self::tls).
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn unauthenticated_ssl(mut self) -> Self {
        self.encryption = Encryption::Ssl;
        self.unauthenticated_ssl = true;
        self
    }

    /// Speaks WebSocket over TLS, [`Encryption::SecureWebSocket`], as browsers and js2p dial it.
    ///
    /// The certificate of `tls` is shown to whoever dials, and has to bear the name or address that is dialled: unless
    /// [`advertise`](Self::advertise) is set, the node tells peers to dial the first name in it. Those that dial show none, so
    /// **no id is proven and no stranger refused**; what is won over `ws` is that nobody on the path reads or changes
    /// anything. A node that is dialled by this one is held against the authorities, revocations and allow-list of `tls`.
    #[cfg(all(feature = "tls", feature = "websocket"))]
    #[cfg_attr(docsrs, doc(cfg(all(feature = "tls", feature = "websocket"))))]
    #[must_use]
    pub fn wss(mut self, tls: Tls) -> Self {
        self.encryption = Encryption::SecureWebSocket;
        self.tls = Some(tls);
        self
    }

    /// Lets pages of this origin join a mesh of [`Encryption::WebSocket`] or
    /// [`SecureWebSocket`](Encryption::SecureWebSocket), as `"https://example.org"`. Default: none, since
    /// any page that a browser on this machine shows could try. Call it once for each origin; programs that are no browsers
    /// name none, and are let in.
    #[cfg(feature = "websocket")]
    #[cfg_attr(docsrs, doc(cfg(feature = "websocket")))]
    #[must_use]
    pub fn allow_origin(mut self, origin: impl Into<String>) -> Self {
        self.origins.push(origin.into());
        self
    }

    /// Sets the generation of the protocol. Default 0.4. Generations refuse each other by design.
    #[must_use]
    pub fn generation(mut self, generation: Generation) -> Self {
        self.generation = generation;
        self
    }

    /// Makes the node's id and its choices follow from this number, for tests. Default: random.
    ///
    /// Two nodes with the same seed and outward address have the same id and cannot meet.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Sets the node's id. Default: derived from its address, its subnet and chance.
    ///
    /// For a node that stands in for another, as a [bridge](crate::bridge) starts them. Two connected nodes with one id refuse
    /// each other.
    #[must_use]
    pub fn id(mut self, id: NodeId) -> Self {
        self.id = Some(id);
        self
    }
}

/// Finding and keeping peers.
impl Config {
    /// Stays connected to this address: dials it until a peer there is connected, and again whenever that peer is
    /// lost. Default: none. Call it once for each address.
    ///
    /// A name may have many addresses, as a headless service in Kubernetes has: while fewer than
    /// [`max_outgoing`](Self::max_outgoing) are connected, all of them are dialled, and the name is looked up again every 30 s.
    ///
    /// The address may be text, as `"example.org:4444"`; a text that is no address is a
    /// [`StartError::BadAddress`](crate::StartError::BadAddress). An address that [`Connect`](crate::Connect) has led to is kept
    /// as well, until [`Disconnect`](crate::Disconnect).
    #[doc(alias = "keep")]
    #[must_use]
    pub fn connect(mut self, address: impl Into<HostPort>) -> Self {
        self.connect.push(address.into());
        self
    }

    /// Announces this node on the local network and meets others of its subnet there (mDNS). Default: no.
    ///
    /// Whoever is on the network can read the subnet's id and the node's, and can announce nodes that are none: of such
    /// addresses only those of private networks are dialled, each once a minute, as long as links are wanted.
    #[cfg(feature = "mdns")]
    #[cfg_attr(docsrs, doc(cfg(feature = "mdns")))]
    #[must_use]
    pub fn mdns(mut self, announce: bool) -> Self {
        self.mdns = announce;
        self
    }

    /// Sets a file in which the addresses of peers are kept between runs. Default: none.
    ///
    /// A node that is alone dials them; it always dials the last two that it had dialled. A missing file is made;
    /// an unreadable one is reported as [`Event::PeerBookFailed`](crate::Event::PeerBookFailed) and replaced.
    #[must_use]
    pub fn peer_book(mut self, path: impl Into<PathBuf>) -> Self {
        self.peer_book = Some(path.into());
        self
    }

    /// Sets how long a dial may take, name resolution included. Default 5 s (the references wait 1 s, too short
    /// for far links).
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Sets how long a new connection may take to send its handshake. Default 5 s.
    ///
    /// Raise it if peers on slow links are refused; lower it if silent strangers pile up.
    #[must_use]
    pub fn handshake_timeout(mut self, timeout: Duration) -> Self {
        self.handshake_timeout = timeout;
        self
    }

    /// Caps the reconnect delay: a lost peer is dialled again after 1 s, with exponential back-off and up to 50 %
    /// jitter, at the latest after this time. Default 30 s; `None`: lost peers are not dialled again.
    ///
    /// Lower it if a torn mesh has to heal faster; raise it if many nodes dial a dead one.
    #[doc(alias = "reconnect_cap")]
    #[must_use]
    pub fn max_reconnect_delay(mut self, delay: impl Into<Option<Duration>>) -> Self {
        self.max_reconnect_delay = delay.into().filter(|delay| !delay.is_zero());
        self
    }

    /// Sets for how long a peer that was disconnected on request is neither dialled nor let in again; a
    /// [`Connect`](crate::Connect) to it ends that time. Default 30 s; `None`: it may come back at once.
    ///
    /// The peer is refused as [`Unwanted`](crate::CloseReason::Unwanted) meanwhile.
    #[must_use]
    pub fn rejoin_delay(mut self, delay: impl Into<Option<Duration>>) -> Self {
        self.rejoin_delay = delay.into().filter(|delay| !delay.is_zero());
        self
    }

    /// Sets after how long a silent peer is sent a keepalive probe; without an answer within half of that time
    /// again it is closed as [`Unresponsive`](crate::CloseReason::Unresponsive). Default 20 s; `None`: never.
    #[doc(alias = "silence")]
    #[must_use]
    pub fn keepalive_interval(mut self, interval: impl Into<Option<Duration>>) -> Self {
        self.keepalive_interval = interval.into().filter(|interval| !interval.is_zero());
        self
    }

    /// Sets how many connections this node opens to addresses from peers lists. Default 4, as the reference
    /// peers. [`Connect`](crate::Connect) and incoming connections are not counted.
    #[must_use]
    pub fn max_outgoing(mut self, max: usize) -> Self {
        self.max_outgoing = max;
        self
    }

    /// Sets whether this node announces to its peers that it understands what actix-mesh nodes say to each other
    /// beyond the protocol. Default `true`.
    ///
    /// py2p and js2p peers see none of it. Set it to `false` to behave towards every peer as towards them; the node
    /// stays a full member. What is said is listed in `docs/extensions.md`.
    #[must_use]
    pub fn extensions(mut self, extensions: bool) -> Self {
        self.extensions = extensions;
        self
    }

    /// Sets from how many bytes on a broadcast of another node is offered to actix-mesh peers before it is passed on. Default
    /// 16 KiB, at least 4 KiB; 0: each is passed on at once.
    ///
    /// A flood brings each message over every link. What is offered comes once: a node asks the first that offers it,
    /// and others if that one does not send it within two seconds. Offers cost a round trip and spare the copies. The
    /// author sends at once to all its peers, every node to its py2p and js2p peers, and a node with fewer than three peers to all.
    /// Offered messages are kept for ten seconds, at most 8 MiB with what [`prune`](Self::prune) stores; what does not fit is
    /// passed on at once.
    #[must_use]
    pub fn announce_from(mut self, bytes: usize) -> Self {
        self.announce_from = bytes;
        self
    }

    /// Sets whether small broadcasts are spared on links where they would come a second time. Default `false`.
    ///
    /// A flood brings each message over every link. With this, a node asks actix-mesh peers that have it set, too, not to send
    /// what one author says if it comes sooner on another link: after an author's first message each comes once, by the way on
    /// which the first came, and directly where the author is a peer. Links that break and nodes that die lose nothing by it:
    /// peers store what they do not send until it is confirmed, and send it after two seconds without that, or at once when a
    /// link is lost. They store at most 8 MiB together with what [`announce_from`](Self::announce_from) stores; what does not
    /// fit is sent. The first messages of an author who was silent for five minutes are flooded, as are broadcasts of 4 KiB and
    /// more, and all to py2p and js2p peers.
    ///
    /// It is not for a mesh that says more than some of its nodes can take. A flood slows down everybody who publishes, the
    /// copies being work for all. Without them those that have time to spare publish on, and nodes that stay behind for some
    /// ten seconds are closed as slow ([`stall_timeout`](Self::stall_timeout)), with what waits for them.
    #[must_use]
    pub fn prune(mut self, prune: bool) -> Self {
        self.prune = prune;
        self
    }

    /// Sets whether this node tells its neighbours to peers that ask, and may ask for theirs with
    /// [`Topology`](crate::Topology). Default `false`: whom a node is connected to, and at which addresses, is nobody's
    /// business unless its operator says so.
    #[must_use]
    pub fn share_topology(mut self, share: bool) -> Self {
        self.share_topology = share;
        self
    }

    /// Sets beyond how many peers this node asks some of them to go elsewhere. Default 12, and never less than three times
    /// [`max_outgoing`](Self::max_outgoing); 0: it asks nobody.
    ///
    /// Each link brings its own copy of every broadcast, so a node that many have found pays for all of them. Asked are
    /// actix-mesh nodes that came because a peers list named this one, the link that can be missed most easily first; a
    /// node that has others goes, and both ends see [`PeerLeft`](crate::Event::PeerLeft) with
    /// [`CloseReason::Spare`](crate::CloseReason::Spare). What is on its way arrives. A link never goes that a user of
    /// either end asked for, one to a py2p or js2p peer, or one by which the peer would be left with fewer than three; so
    /// the bound is soft.
    #[must_use]
    pub fn soft_max_peers(mut self, peers: usize) -> Self {
        self.soft_max_peers = peers;
        self
    }

    /// Sets how many peers may connect to this node. Default 1,024.
    ///
    /// When the node is full, a peer from the most represented network is evicted in favour of one from a smaller
    /// network, and whoever is turned away gets a peers list. Each peer may cost
    /// [`inbound_budget`](Self::inbound_budget) of memory.
    #[must_use]
    pub fn max_incoming(mut self, max: usize) -> Self {
        self.max_incoming = max;
        self
    }

    /// Sets how many incoming connections may wait for their handshake. Default 384. Beyond it the oldest one of
    /// the host that has the most of them is closed.
    ///
    /// So a host that opens 2,000 connections a second and says nothing leaves each of its own 190 ms, and so it
    /// leaves an honest newcomer behind the same NAT: more than a round trip on most links.
    #[must_use]
    pub fn max_pending(mut self, max: usize) -> Self {
        self.max_pending = max;
        self
    }

    /// Sets whether a loopback address can be banned for misbehavior. Default no: all programs of this machine
    /// share that address, so one that errs would shut out the others.
    #[must_use]
    pub fn ban_loopback(mut self, ban: bool) -> Self {
        self.ban_loopback = ban;
        self
    }

    /// Sets the compression methods to announce and use, the most preferred first. Default: all that are built
    /// in. Empty: none. A method that the generation does not have ([`Method::is_of`]) is left out.
    #[must_use]
    pub fn compression(mut self, methods: impl Into<Vec<Method>>) -> Self {
        self.compression = methods.into();
        self
    }

    /// Sets whether payload that is not valid UTF-8 may be sent. Default no: in generation 0.4 one such message
    /// hangs every js2p peer it reaches.
    #[must_use]
    pub fn allow_binary(mut self, allow: bool) -> Self {
        self.allow_binary = allow;
        self
    }
}

/// Slow and fast peers.
impl Config {
    /// Sets how long a peer may read less than [`min_peer_drain_rate`](Self::min_peer_drain_rate) while data is
    /// queued for it, before it is closed as [`SlowPeer`](crate::CloseReason::SlowPeer). Default 10 s, as NATS.
    ///
    /// Meanwhile it holds back nobody: its queue may use a third of the [`shared_budget`](Self::shared_budget).
    /// When slow peers have used that up, it is closed after a second.
    #[must_use]
    pub fn stall_timeout(mut self, timeout: Duration) -> Self {
        self.stall_timeout = timeout;
        self
    }

    /// Sets how many bytes a second a peer has to read while data is queued for it. Default 8 KiB.
    ///
    /// A peer that reads more than this, but less than it is sent, slows its senders down, so that nothing is lost,
    /// until something has been queued for a minute; then it is closed as slow. Raise it in a mesh whose links are
    /// all faster.
    #[doc(alias = "slow_rate")]
    #[must_use]
    pub fn min_peer_drain_rate(mut self, bytes_per_second: u32) -> Self {
        self.min_peer_drain_rate = bytes_per_second;
        self
    }

    /// Sets how long a frame may take to arrive once it has begun; then its peer is closed as
    /// [`Unfinished`](crate::CloseReason::Unfinished). Default 60 s.
    ///
    /// Too short, and large messages over slow links fail: 4 MiB in 60 s are 70 kB/s.
    #[must_use]
    pub fn frame_timeout(mut self, timeout: Duration) -> Self {
        self.frame_timeout = timeout;
        self
    }

    /// Limits how many messages a second are read from one peer, on average. Default `None`: no limit.
    ///
    /// A faster peer is neither blamed nor loses anything: it is read no faster than this, and TCP slows it down.
    #[doc(alias = "peer_messages")]
    #[must_use]
    pub fn max_peer_message_rate(mut self, per_second: impl Into<Option<u32>>) -> Self {
        self.max_peer_message_rate = per_second.into().and_then(NonZeroU32::new);
        self
    }

    /// Limits how many bytes a second are read from one peer, on average, counted after decompression. Default
    /// `None`: no limit. As [`max_peer_message_rate`](Self::max_peer_message_rate).
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
    /// A frame is held in memory whole, so a connection may cost up to `limits.frame` while one arrives. A peer
    /// that sends larger ones is closed.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets how many broadcasts of the last minute are remembered as seen. Default 524,288, at most 13.5 MB; 18 MB where
    /// nearly all are claims of other authors to ids that are taken.
    ///
    /// Raise it if [`Stats::waterfall_evicted`](crate::Stats::waterfall_evicted) grows.
    #[must_use]
    pub fn waterfall_capacity(mut self, broadcasts: usize) -> Self {
        self.waterfall_capacity = broadcasts;
        self
    }

    /// Sets how many bytes of unprocessed input one connection may hold, after decompression: received, and not
    /// yet written, delivered or dropped. Default 1 MiB, and a share of the [`shared_budget`](Self::shared_budget).
    /// Beyond it the connection stops reading, and TCP slows the peer down.
    ///
    /// Raise it if fast links stutter.
    #[must_use]
    pub fn inbound_budget(mut self, bytes: usize) -> Self {
        self.inbound_budget = bytes;
        self
    }

    /// Sets how many bytes all connections together may use beyond their own budgets. Default 16 MiB; each may use
    /// an eighth of what is free at once, and more after waiting.
    ///
    /// It also holds frames larger than a connection's own budget and the queues of slow peers. Where many nodes
    /// send at full rate, each waits for others to take what it relays; this is the room in which such circles
    /// dissolve. Raise it if peers are closed as slow under such a load.
    #[must_use]
    pub fn shared_budget(mut self, bytes: usize) -> Self {
        self.shared_budget = bytes;
        self
    }

    /// Sets how many bytes of this node's own messages may be queued for writing, counting the copies for up to
    /// eight peers. Default 512 KiB. Beyond it, and while more than half of the
    /// [`shared_budget`](Self::shared_budget) is in use, [`Send`](struct@crate::Send) and
    /// [`Whisper`](crate::Whisper) are answered only when there is room. A larger message has it to itself.
    ///
    /// Raise it for bursts; lower it in a mesh where many nodes send at full rate and peers are closed as slow.
    #[must_use]
    pub fn send_budget(mut self, bytes: usize) -> Self {
        self.send_budget = bytes;
        self
    }

    /// Sets how many messages are kept for [`Recv`](crate::Recv), at most 1 MiB of them. Default 1,024. When it is
    /// full the oldest are dropped, and the next message says how many.
    ///
    /// `None` turns the inbox off, which spares a node that only relays or subscribes the copies.
    #[doc(alias = "inbox")]
    #[must_use]
    pub fn inbox_capacity(mut self, messages: impl Into<Option<usize>>) -> Self {
        self.inbox_capacity = messages.into().filter(|messages| *messages > 0);
        self
    }

    /// Keeps messages of this kind for [`Recv::kind`](crate::Recv::kind) from the start, as many as
    /// [`inbox_capacity`](Self::inbox_capacity) says. Said again, of several kinds.
    #[must_use]
    pub fn inbox_kind(mut self, kind: &'static str) -> Self {
        self.inbox_kinds.push(kind);
        self
    }

    /// Sets how many bytes the operating system may buffer for each connection, each way (Linux doubles it).
    /// Default 256 KiB.
    ///
    /// A connection carries at most this much in each round trip: raise it for fast links over long distances.
    /// Left to the system it may be several megabytes, which no budget counts.
    #[must_use]
    pub fn socket_buffer(mut self, bytes: u32) -> Self {
        self.socket_buffer = bytes;
        self
    }

    /// Sets how many connections the operating system may queue before they are accepted. Default 1,024: with 128,
    /// a burst of newcomers costs each of them milliseconds.
    #[doc(alias = "backlog")]
    #[must_use]
    pub fn listen_backlog(mut self, connections: u32) -> Self {
        self.listen_backlog = connections;
        self
    }

    /// Sets over how many threads connections are spread. Default 0: all live on the thread that starts the node.
    ///
    /// More threads raise the throughput of a node with many busy peers by about half, and its latency as well. If
    /// one cannot be started, the node does not start: [`StartError::Threads`](crate::StartError::Threads).
    #[must_use]
    pub fn arbiters(mut self, threads: usize) -> Self {
        self.arbiters = threads;
        self
    }
}
