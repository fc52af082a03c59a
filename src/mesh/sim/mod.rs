//! A virtual network: any number of nodes in one thread, in virtual time, from one seed.
//!
//! Owns time, latency and connections, and checks the laws that hold for every step. The nodes are the shipped
//! [`Mesh`], and exchange the bytes they would write.
//!
//! It is public as a test kit: try what you build on the mesh on dozens of nodes, with latency, broken connections,
//! partitions, crashes and skewed clocks, in a few milliseconds. The same seed repeats a run. Feature `sim`.
//!
//! ```
//! use std::time::Duration;
//! use actix_mesh::mesh::sim::Network;
//!
//! let mut net = Network::new(42).latency(Duration::from_millis(5)..Duration::from_millis(80));
//! let nodes = net.add_many(50);
//! for node in &nodes[1..] {
//!     net.connect(*node, nodes[0]);
//! }
//! net.skew(nodes[7], 30);
//! net.break_links(0.001);
//! net.run_for(Duration::from_secs(20));
//! net.part(&nodes[..20], &nodes[20..]);
//! net.run_for(Duration::from_secs(20));
//! net.heal();
//! net.break_links(0.0);
//! net.run_for(Duration::from_secs(60));
//!
//! assert_eq!(net.components(), 1);
//! net.broadcast(nodes[3], "hello").unwrap();
//! net.run_for(Duration::from_secs(2));
//! for node in nodes.iter().filter(|node| **node != nodes[3]) {
//!     let heard = net.delivered(*node).iter().filter(|message| message.text() == "hello");
//!     assert_eq!(heard.count(), 1, "{node:?}");
//! }
//! ```

mod laws;
mod links;
mod queue;
mod report;
mod validators;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use self::links::Line;
use self::queue::{Queue, Transit};
use self::report::Meter;
pub use self::report::{Degrees, Round, Spread};
pub use self::validators::Judge;
use super::Mesh;
use super::effect::{Answer, Effect, Effects, Sent};
use super::error::SendError;
use super::event::Event;
use super::input::{ConnId, Ended, Input, Now, Ticket};
use super::params::Params;
use super::{Outgoing, OutgoingWhisper};
use crate::wire::{Address, Batch, Flag, Hold, Message, NodeId, Packets, Subnet};

/// A node of the virtual network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Node(pub usize);

/// One end of a connection.
type End = (Node, ConnId);

struct Host {
    mesh: Mesh,
    address: Address,
    /// Its clock minus the true one, in seconds.
    skew: i64,
    up: bool,
    /// No node can dial it.
    hidden: bool,
    /// How often it was restarted.
    life: u32,
    lines: BTreeMap<ConnId, Line>,
    /// Bytes a second that it can write; `None`: unlimited.
    uplink: Option<f64>,
    busy_until: Duration,
    delivered: Vec<Message>,
    events: Vec<Event>,
    judge: Option<(Judge, Duration)>,
}

/// A virtual network of nodes.
///
/// Every method that advances time panics, naming the seed, when a law is broken: a node sends nothing but its own
/// handshake before it accepted the other's, and no broadcast goes back to its author or to the connection it came
/// from.
pub struct Network {
    seed: u64,
    rng: StdRng,
    now: Duration,
    latency: Range<Duration>,
    constant_latency: bool,
    /// The probability that a connection breaks within a second.
    breakage: f64,
    stormy: bool,
    /// The probability that a node crashes within a second.
    churn: f64,
    churning: bool,
    hosts: Vec<Host>,
    /// The nodes at each address; a dial reaches the first that is up.
    addresses: HashMap<Address, Vec<Node>>,
    queue: Queue,
    cut: BTreeSet<(Node, Node)>,
    tickets: u64,
    answers: BTreeMap<Ticket, Answer>,
    /// One in this many transmissions is checked.
    check_every: u64,
    checks: u64,
    keeps_history: bool,
    meter: Option<Meter>,
}

impl std::fmt::Debug for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Network")
            .field("seed", &self.seed)
            .field("now", &self.now)
            .field("nodes", &self.hosts.len())
            .finish_non_exhaustive()
    }
}

/// Unix seconds at the beginning of virtual time.
const EPOCH: u64 = 1_500_000_000;

/// Nodes on one virtual machine: each has its own port.
const NODES_A_MACHINE: usize = 65_535;

/// How long a node that crashed in the [churn](Network::churn) stays down.
const AWAY: Range<Duration> = Duration::from_secs(2)..Duration::from_secs(10);

impl Network {
    /// Creates an empty network. `seed` determines all randomness.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            rng: StdRng::seed_from_u64(seed),
            now: Duration::ZERO,
            latency: Duration::from_millis(1)..Duration::from_millis(50),
            constant_latency: false,
            breakage: 0.0,
            stormy: false,
            churn: 0.0,
            churning: false,
            hosts: Vec::new(),
            addresses: HashMap::new(),
            queue: Queue::default(),
            cut: BTreeSet::new(),
            tickets: 0,
            answers: BTreeMap::new(),
            check_every: 1,
            checks: 0,
            keeps_history: true,
            meter: None,
        }
    }

    /// Sets the latency between two nodes. Default 1 to 50 ms.
    #[must_use]
    pub fn latency(mut self, latency: Range<Duration>) -> Self {
        self.latency = latency;
        self
    }

    /// Makes each connection draw its latency once, when it opens, rather than for every write.
    #[must_use]
    pub fn constant_latency(mut self) -> Self {
        self.constant_latency = true;
        self
    }

    /// Checks the laws of only one in this many transmissions: each check decodes and verifies all that is written.
    /// Default 1: every transmission.
    #[must_use]
    pub fn check_every(mut self, transmissions: u64) -> Self {
        self.check_every = transmissions.max(1);
        self
    }

    /// Keeps neither messages nor events, so that a long run does not grow: [`delivered`](Self::delivered) and
    /// [`events`](Self::events) stay empty.
    #[must_use]
    pub fn without_history(mut self) -> Self {
        self.keeps_history = false;
        self
    }

    /// Adds a node of the default subnet.
    pub fn add(&mut self) -> Node {
        self.add_with(|_| {})
    }

    /// Adds a node with changed parameters. The address may be changed, too.
    pub fn add_with(&mut self, change: impl FnOnce(&mut Params)) -> Node {
        let node = Node(self.hosts.len());
        let host = self.host(default_address(node.0), change);
        let there = self.addresses.entry(host.address.clone()).or_default();
        there.push(node);
        self.hosts.push(host);
        self.start_clock(node);
        node
    }

    fn start_clock(&mut self, node: Node) {
        let phase = Duration::from_millis(self.rng.random_range(0..1000));
        let life = self.hosts[node.0].life;
        self.queue.post(self.now + phase, Transit::Tick(node, life));
    }

    fn host(&mut self, address: Address, change: impl FnOnce(&mut Params)) -> Host {
        let mut params = Params::new(Subnet::default(), address.clone());
        change(&mut params);
        let address = params.address.clone();
        let subnet = params.subnet.id(params.generation);
        let salt: [u8; 16] = self.rng.random();
        let me = NodeId::derive(&address.to_string(), &subnet, &salt);
        let mesh = Mesh::new(params, me, self.rng.random());
        Host {
            mesh,
            address,
            skew: 0,
            up: true,
            hidden: false,
            life: 0,
            lines: BTreeMap::new(),
            uplink: None,
            busy_until: Duration::ZERO,
            delivered: Vec::new(),
            events: Vec::new(),
            judge: None,
        }
    }

    /// Adds several nodes.
    pub fn add_many(&mut self, count: usize) -> Vec<Node> {
        (0..count).map(|_| self.add()).collect()
    }

    /// Returns the seed it was created with.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Returns the virtual time since the beginning.
    pub fn now(&self) -> Duration {
        self.now
    }

    /// Returns a node's state.
    pub fn mesh(&self, node: Node) -> &Mesh {
        &self.hosts[node.0].mesh
    }

    /// Returns a node's id.
    pub fn id(&self, node: Node) -> NodeId {
        self.hosts[node.0].mesh.me().clone()
    }

    /// Returns the messages delivered to a node so far.
    pub fn delivered(&self, node: Node) -> &[Message] {
        &self.hosts[node.0].delivered
    }

    /// Returns a node's events so far.
    pub fn events(&self, node: Node) -> &[Event] {
        &self.hosts[node.0].events
    }

    /// Takes the messages delivered to a node since the last call.
    pub fn take_delivered(&mut self, node: Node) -> Vec<Message> {
        std::mem::take(&mut self.hosts[node.0].delivered)
    }

    /// Takes a node's events since the last call.
    pub fn take_events(&mut self, node: Node) -> Vec<Event> {
        std::mem::take(&mut self.hosts[node.0].events)
    }

    /// Returns the outcome of a command, if it is done.
    pub fn answer(&self, ticket: Ticket) -> Option<&Answer> {
        self.answers.get(&ticket)
    }

    /// Sets how far a node's clock is from the true time, in seconds.
    pub fn skew(&mut self, node: Node, seconds: i64) {
        self.hosts[node.0].skew = seconds;
    }

    /// Limits how many bytes a second a node can write, over all its connections. Default: unlimited.
    ///
    /// # Panics
    ///
    /// If it is not greater than zero.
    pub fn uplink(&mut self, node: Node, bytes_per_second: f64) {
        assert!(bytes_per_second > 0.0, "an uplink writes something");
        self.hosts[node.0].uplink = Some(bytes_per_second);
    }

    /// Makes this share of the nodes crash each minute from now on. Each comes back within ten seconds under another
    /// id, and connects to a node that is up. Default 0.
    pub fn churn(&mut self, share_a_minute: f64) {
        self.churn = share_a_minute / 60.0;
        if self.churn > 0.0 && !self.churning {
            self.churning = true;
            self.queue
                .post(self.now + Duration::from_secs(1), Transit::Churn);
        }
    }

    fn on_churn(&mut self) {
        self.churning = self.churn > 0.0;
        for index in 0..self.hosts.len() {
            if self.hosts[index].up && self.rng.random_bool(self.churn.clamp(0.0, 1.0)) {
                self.crash(Node(index));
                let back = self.now + self.rng.random_range(AWAY);
                self.queue.post(back, Transit::Return(Node(index)));
            }
        }
        if self.churning {
            self.queue
                .post(self.now + Duration::from_secs(1), Transit::Churn);
        }
    }

    fn on_return(&mut self, node: Node) {
        if self.hosts[node.0].up {
            return;
        }
        self.restart(node, |_| {});
        for _ in 0..64 {
            let other = Node(self.rng.random_range(0..self.hosts.len()));
            if other != node && self.is_up(other) {
                return self.keep(node, other);
            }
        }
    }

    /// Stops a node without notice: its connections break, it receives and sends nothing more.
    pub fn crash(&mut self, node: Node) {
        self.hosts[node.0].up = false;
        let conns: Vec<ConnId> = self.hosts[node.0].lines.keys().copied().collect();
        for conn in conns {
            self.hang_up((node, conn));
        }
    }

    /// Stops a node as a power failure does: its peers are not told, and their connections seem open.
    pub fn power_off(&mut self, node: Node) {
        self.hosts[node.0].up = false;
        self.hosts[node.0].lines.clear();
    }

    /// Restarts a crashed node at its old address, under another id and with empty memory. `change` starts from the
    /// parameters it had.
    pub fn restart(&mut self, node: Node, change: impl FnOnce(&mut Params)) {
        let old = &self.hosts[node.0];
        let (address, skew, life) = (old.address.clone(), old.skew, old.life);
        let (uplink, used) = (old.uplink, self.hosts[node.0].mesh.next_conn());
        let before = self.hosts[node.0].mesh.params().clone();
        let mut host = self.host(address, |params| {
            *params = before;
            change(params);
        });
        (host.skew, host.life, host.uplink) = (skew, life + 1, uplink);
        // Messages in transit to the old life must not reach a connection of the new one.
        while host.mesh.next_conn() < used {}
        self.hosts[node.0] = host;
        self.start_clock(node);
    }

    /// Puts a node behind a NAT: it can dial, but not be dialled.
    pub fn hide(&mut self, node: Node) {
        self.hosts[node.0].hidden = true;
    }

    /// Returns whether a node is up.
    pub fn is_up(&self, node: Node) -> bool {
        self.hosts[node.0].up
    }

    /// Returns how many separate meshes the running nodes form.
    pub fn components(&self) -> usize {
        let mut left: BTreeSet<usize> = (0..self.hosts.len())
            .filter(|index| self.hosts[*index].up)
            .collect();
        let mut count = 0;
        while let Some(first) = left.pop_first() {
            count += 1;
            let mut frontier = vec![first];
            while let Some(index) = frontier.pop() {
                for peer in self.hosts[index].mesh.peers() {
                    let line = self.hosts[index].lines.get(&peer.conn);
                    let other = line.map(|line| line.other.0);
                    if let Some(other) = other.filter(|other| left.remove(&other.0)) {
                        frontier.push(other.0);
                    }
                }
            }
        }
        count
    }

    /// Returns how many peers the running nodes have.
    pub fn degrees(&self) -> Degrees {
        let up = self.hosts.iter().filter(|host| host.up);
        let degrees = up.map(|host| u32::try_from(host.mesh.peers().len()).unwrap_or(u32::MAX));
        Degrees::of(degrees.collect())
    }

    /// Begins to measure broadcasts.
    pub fn begin_round(&mut self) {
        self.meter = Some(Meter::default());
    }

    /// Advances time until each broadcast of the round has reached every node, or for at most this long, and ends the
    /// round. Copies that arrive later count in the next round, if that begins at once.
    pub fn finish_round(&mut self, within: Duration) -> Round {
        let until = self.now + within;
        let nodes = self.hosts.iter().filter(|host| host.up).count() as u64;
        let whole = |meter: &Meter| meter.messages() * nodes.saturating_sub(1);
        while let Some(meter) = &self.meter
            && meter.delivered() < whole(meter)
            && self.step(until)
        {}
        let nodes = self.hosts.iter().filter(|host| host.up).count() as u64;
        self.meter.take().unwrap_or_default().finish(nodes)
    }

    /// Makes one node connect to another.
    pub fn connect(&mut self, from: Node, to: Node) -> Ticket {
        let ticket = self.ticket();
        let addr = self.hosts[to.0].address.clone();
        self.command(from, |mesh, now, out| {
            mesh.connect(now, ticket, addr, None, out)
        });
        ticket
    }

    /// Tells a node an address where a peer may be, as a seed name or the local network does. If it wants more
    /// connections it dials once, and keeps the connection only while both ends need it.
    pub fn meet(&mut self, from: Node, to: Node) {
        let address = self.hosts[to.0].address.clone();
        self.command(from, |mesh, now, out| mesh.meet(now, [address], out));
    }

    /// Makes one node dial another until they are connected, and again whenever the connection is lost.
    pub fn keep(&mut self, node: Node, other: Node) {
        let address = self.hosts[other.0].address.clone();
        self.hosts[node.0].mesh.keep(&address);
    }

    /// Makes a node send a broadcast.
    ///
    /// # Errors
    ///
    /// Those of [`Mesh::send`].
    pub fn broadcast(&mut self, from: Node, what: impl Into<Packets>) -> Result<Sent, SendError> {
        let packets = what.into();
        let sent = self.command(from, |mesh, now, out| {
            let what = Outgoing {
                packets,
                flag: Flag::Broadcast,
                kind: None,
                allow_empty: false,
            };
            mesh.send(now, what, Hold::none(), out)
        });
        let author = (from, self.id(from));
        if let (Some(meter), Ok(sent)) = (&mut self.meter, &sent) {
            meter.on_sent(sent.id.clone(), author, self.now);
        }
        sent
    }

    /// Makes a node whisper to the node with this id.
    pub fn whisper(
        &mut self,
        from: Node,
        to: NodeId,
        what: impl Into<Packets>,
        within: Duration,
    ) -> Ticket {
        let ticket = self.ticket();
        let what = what.into();
        self.command(from, |mesh, now, out| {
            mesh.whisper(now, OutgoingWhisper::new(ticket, to, what, within), out);
        });
        ticket
    }

    /// Makes a node close its connection to another.
    pub fn disconnect(&mut self, from: Node, to: Node) -> bool {
        let id = self.id(to);
        self.command(from, |mesh, now, out| mesh.disconnect(now, &id, out))
    }

    /// Makes a node shut down.
    pub fn shut_down(&mut self, node: Node) {
        self.command(node, |mesh, now, out| mesh.shut_down(now, out));
    }

    /// Sends bytes on the node's connection to another, as if the node had written them.
    pub fn inject(&mut self, from: Node, to: Node, bytes: Bytes) {
        let lines = &self.hosts[from.0].lines;
        let line = lines.iter().find(|(_, line)| line.other.0 == to);
        if let Some(conn) = line.map(|(conn, _)| *conn) {
            self.write((from, conn), bytes);
        }
    }

    /// Advances time.
    pub fn run_for(&mut self, time: Duration) {
        let until = self.now + time;
        while self.step(until) {}
    }

    /// Advances time to the next event; returns false if there is none until then.
    fn step(&mut self, until: Duration) -> bool {
        let Some((at, transit)) = self.queue.next(until) else {
            self.now = until;
            return false;
        };
        self.now = at;
        self.arrive(transit);
        true
    }

    fn ticket(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket(self.tickets)
    }

    fn clock(&self, node: Node) -> Now {
        let true_time = EPOCH + self.now.as_secs();
        Now {
            monotonic: self.now,
            unix: true_time.saturating_add_signed(self.hosts[node.0].skew),
        }
    }

    pub(in crate::mesh) fn command<R>(
        &mut self,
        node: Node,
        command: impl FnOnce(&mut Mesh, Now, &mut Effects) -> R,
    ) -> R {
        let now = self.clock(node);
        let mut out = Effects::new();
        let result = command(&mut self.hosts[node.0].mesh, now, &mut out);
        self.perform(node, None, out);
        result
    }

    fn feed(&mut self, node: Node, input: Input) {
        self.command(node, |mesh, now, out| mesh.handle(now, input, out));
    }

    fn lives(&self, node: Node, life: u32) -> bool {
        let host = &self.hosts[node.0];
        host.up && host.life == life
    }

    fn arrive(&mut self, transit: Transit) {
        match transit {
            Transit::Tick(node, life) => {
                if self.lives(node, life) {
                    self.feed(node, Input::Tick);
                    let next = self.now + Duration::from_secs(1);
                    self.queue.post(next, Transit::Tick(node, life));
                }
            }
            Transit::Weather => self.on_weather(),
            Transit::Churn => self.on_churn(),
            Transit::Return(node) => self.on_return(node),
            Transit::Verdict {
                node,
                life,
                proposal,
                verdict,
            } => self.on_verdict((node, life), proposal, verdict),
            Transit::Knock { from, addr } => self.on_knock(from, addr),
            Transit::Dialed { to, addr } if self.has_line(to) => {
                self.feed(to.0, Input::Dialed { conn: to.1, addr });
            }
            Transit::DialFailed { to, why } => {
                self.feed(to.0, Input::DialFailed { conn: to.1, why });
            }
            Transit::Bytes { to, bytes } => self.on_bytes(to, &bytes),
            Transit::Closed { to } if self.remove_line(to).is_some() => {
                let why = Ended::ByPeer;
                self.feed(to.0, Input::Closed { conn: to.1, why });
            }
            Transit::Dialed { .. } | Transit::Closed { .. } => {}
        }
    }

    fn on_bytes(&mut self, to: End, bytes: &Bytes) {
        let Some(line) = self.hosts[to.0.0].lines.get(&to.1) else {
            return;
        };
        let from = line.other.0;
        let params = self.hosts[to.0.0].mesh.params();
        let generation = params.generation;
        let batch = Batch::from_frames(generation, params.limits, bytes)
            .unwrap_or_else(|error| panic!("seed {}: a node wrote {error}", self.seed));
        if let Some(meter) = &mut self.meter {
            meter.on_received(&batch, generation);
        }
        let heard = self.is_sampled().then(|| laws::broadcast_ids(&batch));
        let now = self.clock(to.0);
        let mut out = Effects::new();
        let input = Input::Received { conn: to.1, batch };
        self.hosts[to.0.0].mesh.handle(now, input, &mut out);
        if let Some(heard) = heard {
            self.check_no_echo(to.0, to.1, &heard, &out);
        }
        self.perform(to.0, Some(from), out);
    }

    /// Performs a node's effects. `source`: the node whose data caused them.
    fn perform(&mut self, node: Node, source: Option<Node>, effects: Effects) {
        for effect in effects {
            match effect {
                Effect::Dial { conn, addr } => {
                    let at = self.now + self.delay();
                    let from = (node, conn);
                    self.queue.post(at, Transit::Knock { from, addr });
                }
                Effect::Transmit { to, frames } => {
                    for conn in to {
                        self.check_transmission(node, conn, &frames);
                        self.write((node, conn), frames.plain.clone());
                    }
                }
                Effect::Establish { conn, .. } => {
                    if let Some(line) = self.hosts[node.0].lines.get_mut(&conn) {
                        line.established = true;
                    }
                }
                Effect::SetCompression { .. } | Effect::Watch { .. } => {}
                Effect::Close { conn, .. } => self.hang_up((node, conn)),
                Effect::Deliver(messages) => self.deliver(node, source, messages.into_vec()),
                Effect::Propose {
                    proposal, message, ..
                } => self.on_proposal(node, proposal, &message),
                Effect::Notify(event) if self.keeps_history => {
                    self.hosts[node.0].events.push(event);
                }
                Effect::Notify(_) => {}
                Effect::Answer { ticket, answer } => {
                    let before = self.answers.insert(ticket, answer);
                    assert!(before.is_none(), "seed {}: answered twice", self.seed);
                }
            }
        }
    }

    fn deliver(&mut self, to: Node, source: Option<Node>, messages: Vec<Message>) {
        if let (Some(meter), Some(source)) = (&mut self.meter, source) {
            for message in &messages {
                meter.on_delivered(to, source, message, self.now);
            }
        }
        if self.keeps_history {
            self.hosts[to.0].delivered.extend(messages);
        }
    }
}

/// Returns the address of a node that is given no other.
fn default_address(index: usize) -> Address {
    let machine = u32::try_from(index / NODES_A_MACHINE).unwrap_or(u32::MAX);
    let port = u16::try_from(index % NODES_A_MACHINE + 1).unwrap_or(u16::MAX);
    let host = std::net::Ipv4Addr::from_bits(0x0a00_0001 + machine);
    Address::from(std::net::SocketAddr::from((host, port)))
}
