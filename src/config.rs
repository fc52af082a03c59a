//! Everything that can be set about a node, each with its default and where that comes from.
//!
//! Composes the parameters of the floors below and knows what each of them is for; nothing below
//! knows this file.

use std::path::PathBuf;
use std::time::Duration;

use crate::error::StartError;
use crate::mesh::Params;
use crate::start::{self, Node};
use crate::wire::{Address, Generation, Limits, Method, Subnet};

/// The settings of a node. Start from [`Config::new`], change what differs, then [`start`](Config::start).
///
/// ```
/// # #[actix::main] async fn main() -> Result<(), actix_mesh::StartError> {
/// let node = actix_mesh::Config::new().subnet("chat", "Plaintext").listen("127.0.0.1:0").start().await?;
/// println!("{} listens on {}", node.id, node.addr);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// See [`Config::listen`].
    pub listen: String,
    /// See [`Config::advertise`].
    pub advertise: Option<Address>,
    /// See [`Config::subnet`].
    pub subnet: Subnet,
    /// See [`Config::generation`].
    pub generation: Generation,
    /// See [`Config::limits`].
    pub limits: Limits,
    /// See [`Config::connect_timeout`].
    pub connect_timeout: Duration,
    /// See [`Config::handshake_timeout`].
    pub handshake_timeout: Duration,
    /// See [`Config::stall_timeout`].
    pub stall_timeout: Duration,
    /// See [`Config::keep`].
    pub keep: Vec<Address>,
    /// See [`Config::peer_book`].
    pub peer_book: Option<PathBuf>,
    /// See [`Config::reconnect_cap`].
    pub reconnect_cap: Duration,
    /// See [`Config::silence`].
    pub silence: Duration,
    /// See [`Config::slow_rate`].
    pub slow_rate: u32,
    /// See [`Config::frame_timeout`].
    pub frame_timeout: Duration,
    /// See [`Config::peer_messages`].
    pub peer_messages: u32,
    /// See [`Config::peer_bytes`].
    pub peer_bytes: u32,
    /// See [`Config::max_outgoing`].
    pub max_outgoing: usize,
    /// See [`Config::max_incoming`].
    pub max_incoming: usize,
    /// See [`Config::max_pending`].
    pub max_pending: usize,
    /// See [`Config::ban_loopback`].
    pub ban_loopback: bool,
    /// See [`Config::compression`].
    pub compression: Vec<Method>,
    /// See [`Config::allow_binary`].
    pub allow_binary: bool,
    /// See [`Config::waterfall_capacity`].
    pub waterfall_capacity: usize,
    /// See [`Config::inbound_budget`].
    pub inbound_budget: usize,
    /// See [`Config::shared_budget`].
    pub shared_budget: usize,
    /// See [`Config::send_budget`].
    pub send_budget: usize,
    /// See [`Config::socket_buffer`].
    pub socket_buffer: u32,
    /// See [`Config::inbox`].
    pub inbox: usize,
    /// See [`Config::backlog`].
    pub backlog: u32,
    /// See [`Config::arbiters`].
    pub arbiters: usize,
    /// See [`Config::seed`].
    pub seed: Option<u64>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: String::from("127.0.0.1:0"),
            advertise: None,
            subnet: Subnet::default(),
            generation: Generation::default(),
            limits: Limits::default(),
            connect_timeout: Duration::from_secs(5),
            handshake_timeout: Duration::from_secs(5),
            stall_timeout: Duration::from_secs(10),
            slow_rate: 8 << 10,
            frame_timeout: Duration::from_secs(60),
            peer_messages: 0,
            peer_bytes: 0,
            keep: Vec::new(),
            peer_book: None,
            reconnect_cap: Duration::from_secs(30),
            silence: Duration::from_secs(20),
            max_outgoing: 4,
            max_incoming: 1024,
            max_pending: 64,
            ban_loopback: false,
            compression: Method::available().to_vec(),
            allow_binary: false,
            waterfall_capacity: 1 << 19,
            inbound_budget: 1 << 20,
            shared_budget: 16 << 20,
            send_budget: 512 << 10,
            socket_buffer: 256 << 10,
            inbox: 1024,
            backlog: 1024,
            arbiters: 0,
            seed: None,
        }
    }
}

impl Config {
    /// The defaults: subnet `mesh`, generation 0.4, listening on a free port of the loopback.
    pub fn new() -> Self {
        Self::default()
    }

    /// Where to listen, as `host:port`; port 0 picks a free one. Default `127.0.0.1:0`.
    ///
    /// The default is the loopback on purpose: this protocol authenticates nobody, so opening a node to
    /// a network (`0.0.0.0:4444`, `[::]:4444`) is left to whoever knows the network.
    #[must_use]
    pub fn listen(mut self, listen: impl ToString) -> Self {
        self.listen = listen.to_string();
        self
    }

    /// The outward address: what peers are told, and tell others, to dial. Default: the address that was
    /// bound, with `0.0.0.0` or `[::]` replaced by this machine's address in its local network.
    ///
    /// Set it behind a NAT or a proxy; if it is wrong, only nodes that we dial ourselves ever meet us.
    #[must_use]
    pub fn advertise(mut self, address: impl Into<Address>) -> Self {
        self.advertise = Some(address.into());
        self
    }

    /// Name and encryption of the subnet. Default `mesh`, `Plaintext`, as the reference peers.
    ///
    /// Nodes of different subnets refuse each other. The encryption is part of the name and has to be
    /// spelled alike everywhere; `Plaintext` is the one that is spoken.
    #[must_use]
    pub fn subnet(mut self, name: impl Into<String>, encryption: impl Into<String>) -> Self {
        self.subnet = Subnet {
            name: name.into(),
            encryption: encryption.into(),
        };
        self
    }

    /// The generation of the protocol. Default 0.4. Generations refuse each other by design.
    #[must_use]
    pub fn generation(mut self, generation: Generation) -> Self {
        self.generation = generation;
        self
    }

    /// How large frames may be, before and after the handshake. Defaults: see [`Limits`].
    ///
    /// A frame is held in memory whole, so a connection may cost up to `limits.frame` while one comes in.
    /// Too small, and peers that send more are closed.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// A dial must be connected within this time, name resolution included. Default 5 s (the references
    /// wait 1 s, too short for far links).
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// A connection must have handed in its handshake within this time. Default 5 s.
    ///
    /// Too long, and silent strangers pile up; too short, and peers on slow links are refused.
    #[must_use]
    pub fn handshake_timeout(mut self, timeout: Duration) -> Self {
        self.handshake_timeout = timeout;
        self
    }

    /// A peer that takes next to nothing for this long while something waits for it is closed as
    /// [`SlowPeer`](crate::CloseReason::SlowPeer). Default 10 s, as NATS.
    ///
    /// It holds back nobody meanwhile: what waits for it may use a third of the
    /// [`shared_budget`](Self::shared_budget). When that is used up, it is closed after a second.
    #[must_use]
    pub fn stall_timeout(mut self, timeout: Duration) -> Self {
        self.stall_timeout = timeout;
        self
    }

    /// Bytes a second that are "next to nothing" for a peer for which more waits. Default 8 KiB.
    ///
    /// A peer that takes more, but less than it is sent, holds back those who send to it, so that nothing is
    /// lost: also one that reads slowly on purpose, until something has waited a minute for it; then it is closed as
    /// slow. Raise it in a mesh whose links are all faster.
    #[must_use]
    pub fn slow_rate(mut self, bytes: u32) -> Self {
        self.slow_rate = bytes;
        self
    }

    /// A frame that has begun must have come in whole within this time, or its peer is closed as
    /// [`Unfinished`](crate::CloseReason::Unfinished). Default 60 s.
    ///
    /// Too short, and large messages over slow links fail: 4 MiB in 60 s are 70 kB/s.
    #[must_use]
    pub fn frame_timeout(mut self, timeout: Duration) -> Self {
        self.frame_timeout = timeout;
        self
    }

    /// Messages a peer may send in a second, on average. Default 0: any number.
    ///
    /// A faster one is neither blamed nor loses anything, but is read no faster than this.
    #[must_use]
    pub fn peer_messages(mut self, per_second: u32) -> Self {
        self.peer_messages = per_second;
        self
    }

    /// Bytes a peer may send in a second, on average, counted as they are inflated. Default 0: any number.
    /// As [`peer_messages`](Self::peer_messages).
    #[must_use]
    pub fn peer_bytes(mut self, per_second: u32) -> Self {
        self.peer_bytes = per_second;
        self
    }

    /// Stays connected to this address: it is dialled until somebody there is connected, and again
    /// whenever they are lost. Default: none. May be said several times.
    ///
    /// An address that [`Connect`](crate::Connect) has led to is kept as well, until
    /// [`Disconnect`](crate::Disconnect).
    #[must_use]
    pub fn keep(mut self, address: impl Into<Address>) -> Self {
        self.keep.push(address.into());
        self
    }

    /// A file in which the addresses of peers are kept between runs. Default: none.
    ///
    /// A node that is alone dials them, and the last two that it had dialled in any case. A missing file is made; a torn one is told as
    /// [`Event::PeerBookFailed`](crate::Event::PeerBookFailed) and replaced.
    #[must_use]
    pub fn peer_book(mut self, path: impl Into<PathBuf>) -> Self {
        self.peer_book = Some(path.into());
        self
    }

    /// A lost peer is dialled again after 1 s, then ever later, but at the latest after this time; up
    /// to half of each pause is left out by chance. Default 30 s; zero: lost peers are not dialled.
    ///
    /// Too small, and many nodes dial a dead one all the time; too large, and a mesh that was torn is
    /// slow to grow together.
    #[must_use]
    pub fn reconnect_cap(mut self, cap: Duration) -> Self {
        self.reconnect_cap = cap;
        self
    }

    /// A peer silent for this long is asked for a sign of life, and closed as
    /// [`Unresponsive`](crate::CloseReason::Unresponsive) if it gives none within half of it again.
    /// Default 20 s; zero: never.
    #[must_use]
    pub fn silence(mut self, silence: Duration) -> Self {
        self.silence = silence;
        self
    }

    /// Connections this node opens because peers lists name them: at most this many. Default 4, as the
    /// reference peers. [`Connect`](crate::Connect) and incoming connections are not counted.
    #[must_use]
    pub fn max_outgoing(mut self, max: usize) -> Self {
        self.max_outgoing = max;
        self
    }

    /// Peers that may come to us. Default 1,024.
    ///
    /// Beyond it the largest network among them gives way to smaller ones, and who cannot stay is told whom
    /// else to ask. Each may cost [`inbound_budget`](Self::inbound_budget) of memory.
    #[must_use]
    pub fn max_incoming(mut self, max: usize) -> Self {
        self.max_incoming = max;
        self
    }

    /// Connections from strangers that may wait for their handshake. Default 64. Beyond it the oldest of the
    /// host with the most of them is closed.
    #[must_use]
    pub fn max_pending(mut self, max: usize) -> Self {
        self.max_pending = max;
        self
    }

    /// Whether a host of this machine can be banned for bad conduct. Default no: all programs on it share
    /// one address, so one that errs would shut out the others.
    #[must_use]
    pub fn ban_loopback(mut self, ban: bool) -> Self {
        self.ban_loopback = ban;
        self
    }

    /// Compression methods to announce and use, the most preferred first. Default: all that are built in.
    /// Empty: none.
    #[must_use]
    pub fn compression(mut self, methods: impl Into<Vec<Method>>) -> Self {
        self.compression = methods.into();
        self
    }

    /// Whether payload that is not valid UTF-8 may be sent. Default no: in generation 0.4 one such message
    /// hangs every js2p peer it reaches for good.
    #[must_use]
    pub fn allow_binary(mut self, allow: bool) -> Self {
        self.allow_binary = allow;
        self
    }

    /// Broadcasts remembered as seen, of the last minute. Default 524,288, at most 11 MB.
    ///
    /// Too small for the rate of the mesh, and messages that arrive twice are delivered twice.
    #[must_use]
    pub fn waterfall_capacity(mut self, broadcasts: usize) -> Self {
        self.waterfall_capacity = broadcasts;
        self
    }

    /// What one connection may keep of the node's memory: what was received on it, inflated, and has not been
    /// written, delivered or dropped yet. Default 1 MiB, and a share of the
    /// [`shared_budget`](Self::shared_budget). Beyond it the connection stops reading, and TCP tells the peer.
    ///
    /// Too small, and fast links stutter.
    #[must_use]
    pub fn inbound_budget(mut self, bytes: usize) -> Self {
        self.inbound_budget = bytes;
        self
    }

    /// Bytes that connections may use beyond their own budgets, all together; each at once an eighth of what
    /// is free, and more after waiting for it. Default 16 MiB.
    ///
    /// Where many nodes send all they can at once, each waits for others to take what it relays. This is the
    /// room in which such circles dissolve: too small, and they end with peers closed as slow. Frames larger
    /// than a connection's own budget, and what waits for slow peers, are taken from it as well.
    #[must_use]
    pub fn shared_budget(mut self, bytes: usize) -> Self {
        self.shared_budget = bytes;
        self
    }

    /// Bytes of this node's own messages that wait to be written, the copies for up to eight peers counted one
    /// by one. Default 512 KiB. Beyond it, and while more than half of the
    /// [`shared_budget`](Self::shared_budget) is in use, [`Send`](struct@crate::Send) and
    /// [`Whisper`](crate::Whisper) are answered only when there is room. A larger message has it to itself.
    ///
    /// Too small, and a burst is paced by the slowest peer at once. Too large, and a mesh in which many send
    /// all they can has more under way than its nodes have room for, which ends with peers closed as slow.
    #[must_use]
    pub fn send_budget(mut self, bytes: usize) -> Self {
        self.send_budget = bytes;
        self
    }

    /// Bytes the operating system may keep of each connection, each way (Linux takes it twice). Default
    /// 256 KiB.
    ///
    /// Left alone it may keep several megabytes, of which no budget knows. A connection carries at most this
    /// much in each round trip: raise it for fast links over long distances.
    #[must_use]
    pub fn socket_buffer(mut self, bytes: u32) -> Self {
        self.socket_buffer = bytes;
        self
    }

    /// Messages kept for [`Recv`](crate::Recv). Default 1,024 (and at most 1 MiB of them); beyond it the
    /// oldest are dropped and the next message says how many. 0 turns the inbox off, which saves a node
    /// that only relays or only subscribes the copies.
    #[must_use]
    pub fn inbox(mut self, messages: usize) -> Self {
        self.inbox = messages;
        self
    }

    /// Connections the operating system may queue before they are accepted. Default 1,024: with 128, a
    /// burst of newcomers costs each of them milliseconds.
    #[must_use]
    pub fn backlog(mut self, connections: u32) -> Self {
        self.backlog = connections;
        self
    }

    /// Threads to spread connections over. Default 0: all live on the thread that starts the node.
    ///
    /// More raise the throughput of a node with many busy peers by about a half, and its latency as well. If one
    /// cannot be started, the node is not: [`StartError::Threads`].
    #[must_use]
    pub fn arbiters(mut self, threads: usize) -> Self {
        self.arbiters = threads;
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

    /// Binds, listens and starts the actors on the current arbiter.
    ///
    /// # Errors
    /// See [`StartError`]: no actix system, a bad or occupied address, a contradictory setting.
    pub async fn start(self) -> Result<Node, StartError> {
        self.check()?;
        start::start(self).await
    }

    /// What the core is told of this.
    pub(crate) fn params(&self, address: Address) -> Params {
        let mut params = Params::new(self.subnet.clone(), address);
        params.generation = self.generation;
        params.limits = self.limits;
        params.methods.clone_from(&self.compression);
        params.max_outgoing = self.max_outgoing;
        params.reconnect_cap = self.reconnect_cap;
        params.silence = self.silence;
        params.max_incoming = self.max_incoming;
        params.max_pending = self.max_pending;
        params.ban_loopback = self.ban_loopback;
        params.handshake_timeout = self.handshake_timeout;
        params.waterfall_capacity = self.waterfall_capacity;
        params.allow_binary = self.allow_binary;
        params
    }

    fn check(&self) -> Result<(), StartError> {
        /// A permit counts a byte; a budget has to be countable in them.
        const MOST: usize = u32::MAX as usize >> 3;
        let budgets = [
            ("inbound_budget", self.inbound_budget),
            ("send_budget", self.send_budget),
        ];
        for (setting, bytes) in budgets {
            if bytes == 0 || bytes > MOST {
                return Err(bad(setting, format!("{bytes} bytes; choose 1 to {MOST}")));
            }
        }
        let times = [
            ("connect_timeout", self.connect_timeout),
            ("handshake_timeout", self.handshake_timeout),
            ("stall_timeout", self.stall_timeout),
            ("frame_timeout", self.frame_timeout),
        ];
        for (setting, time) in times {
            if time.is_zero() {
                return Err(bad(
                    setting,
                    String::from("must be longer than no time at all"),
                ));
            }
        }
        if self.limits.frame_before_handshake > self.limits.frame {
            return Err(bad(
                "limits",
                String::from("frame_before_handshake must not exceed frame"),
            ));
        }
        Ok(())
    }
}

fn bad(setting: &'static str, why: String) -> StartError {
    StartError::BadSetting { setting, why }
}
