//! A virtual network: any number of nodes in one thread, on virtual time, from one seed.
//!
//! Owns time, latency and connections, and watches the laws that hold for every single step. The
//! nodes are the very [`Mesh`] that ships; what they say travels as the bytes they would write.
//!
//! It is public as a test kit: whatever you build on the mesh can be tried on dozens of nodes, with
//! latency, broken connections, partitions, crashes and clocks that are off, in a few milliseconds, and
//! again from the same seed. Feature `sim`.
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

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::Outgoing;
use super::effect::{Answer, Effect, Effects, Sent};
use super::error::SendError;
use super::event::Event;
use super::input::{ConnId, DialError, Ended, Input, Now, Ticket};
use super::machine::Mesh;
use super::params::Params;
use crate::wire::{Address, Batch, Control, Flag, Frames, Hold, Message, NodeId, Packets, Subnet};

/// A node of the virtual network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Node(pub usize);

/// One end of a connection.
type End = (Node, ConnId);

/// What is on its way.
#[derive(Debug)]
enum Transit {
    /// A dial reaches the other node.
    Knock {
        from: End,
        addr: Address,
    },
    /// The dialler learns that it is connected.
    Dialed {
        to: End,
        addr: Address,
    },
    DialFailed {
        to: End,
        why: DialError,
    },
    Bytes {
        to: End,
        bytes: Bytes,
    },
    Closed {
        to: End,
    },
    /// Connections break by chance.
    Weather,
    /// The node's clock, in this life of it.
    Tick(Node, u32),
}

/// When, and in which order among equals.
type Moment = (Duration, u64);

struct Host {
    mesh: Mesh,
    address: Address,
    /// Its clock minus the true one, in seconds.
    skew: i64,
    up: bool,
    /// How often it was started.
    life: u32,
    established: BTreeSet<ConnId>,
    introduced: BTreeSet<ConnId>,
    delivered: Vec<Message>,
    events: Vec<Event>,
    answers: BTreeMap<Ticket, Answer>,
}

/// A connection's other end, and when what was sent to it last arrives: bytes keep their order.
struct Line {
    other: End,
    clear_at: Duration,
}

/// See the module.
///
/// Every method that lets time pass panics, naming the seed, if a law is broken: nothing but a
/// node's own handshake is sent before the other's was accepted, and no broadcast goes back to its
/// author or to the connection it came from.
pub struct Network {
    seed: u64,
    rng: StdRng,
    now: Duration,
    latency: Range<Duration>,
    /// The chance of each connection to break within a second.
    breakage: f64,
    stormy: bool,
    hosts: Vec<Host>,
    lines: BTreeMap<End, Line>,
    transits: BTreeMap<Moment, Transit>,
    due: BinaryHeap<Reverse<Moment>>,
    cut: BTreeSet<(Node, Node)>,
    order: u64,
    tickets: u64,
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

impl Network {
    /// An empty network. Everything that happens by chance follows from `seed`.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            rng: StdRng::seed_from_u64(seed),
            now: Duration::ZERO,
            latency: Duration::from_millis(1)..Duration::from_millis(50),
            breakage: 0.0,
            stormy: false,
            hosts: Vec::new(),
            lines: BTreeMap::new(),
            transits: BTreeMap::new(),
            due: BinaryHeap::new(),
            cut: BTreeSet::new(),
            order: 0,
            tickets: 0,
        }
    }

    /// How long anything takes from one node to another. Default 1 to 50 ms.
    #[must_use]
    pub fn latency(mut self, latency: Range<Duration>) -> Self {
        self.latency = latency;
        self
    }

    /// Adds a node of the default subnet.
    pub fn add(&mut self) -> Node {
        self.add_with(|_| {})
    }

    /// Adds a node whose parameters are changed first, its address, too, if it shall be another than it is given.
    ///
    /// # Panics
    ///
    /// After 65,535 nodes.
    pub fn add_with(&mut self, change: impl FnOnce(&mut Params)) -> Node {
        let index = self.hosts.len();
        let port = u16::try_from(index + 1).expect("at most 65,535 virtual nodes");
        let address = Address::from(std::net::SocketAddr::from(([10, 0, 0, 1], port)));
        let host = self.host(address, change);
        self.hosts.push(host);
        let phase = Duration::from_millis(self.rng.random_range(0..1000));
        self.post(self.now + phase, Transit::Tick(Node(index), 0));
        Node(index)
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
            life: 0,
            established: BTreeSet::new(),
            introduced: BTreeSet::new(),
            delivered: Vec::new(),
            events: Vec::new(),
            answers: BTreeMap::new(),
        }
    }

    /// Adds several nodes.
    pub fn add_many(&mut self, count: usize) -> Vec<Node> {
        (0..count).map(|_| self.add()).collect()
    }

    /// The seed it was made from.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// A node's state.
    pub fn mesh(&self, node: Node) -> &Mesh {
        &self.hosts[node.0].mesh
    }

    /// A node's id.
    pub fn id(&self, node: Node) -> NodeId {
        self.hosts[node.0].mesh.me().clone()
    }

    /// What a node was handed so far.
    pub fn delivered(&self, node: Node) -> &[Message] {
        &self.hosts[node.0].delivered
    }

    /// What a node was told so far.
    pub fn events(&self, node: Node) -> &[Event] {
        &self.hosts[node.0].events
    }

    /// How something that was asked for ended, if it has.
    pub fn answer(&self, ticket: Ticket) -> Option<&Answer> {
        self.hosts.iter().find_map(|host| host.answers.get(&ticket))
    }

    /// Sets a node's clock apart from the true time, in seconds.
    pub fn skew(&mut self, node: Node, seconds: i64) {
        self.hosts[node.0].skew = seconds;
    }

    /// Cuts every way between two sets of nodes: what is sent between them is lost, and the
    /// connections between them break.
    pub fn part(&mut self, left: &[Node], right: &[Node]) {
        for &a in left {
            for &b in right {
                self.cut.insert((a, b));
                self.cut.insert((b, a));
            }
        }
        let broken: Vec<End> = self
            .lines
            .iter()
            .filter(|(end, line)| self.cut.contains(&(end.0, line.other.0)))
            .map(|(end, _)| *end)
            .collect();
        for end in broken {
            self.lines.remove(&end);
            self.feed(
                end.0,
                Input::Closed {
                    conn: end.1,
                    why: Ended::Failed("cut".into()),
                },
            );
        }
    }

    /// From now on each connection breaks with this chance in each second. Default 0.
    pub fn break_links(&mut self, chance: f64) {
        self.breakage = chance;
        if chance > 0.0 && !self.stormy {
            self.stormy = true;
            self.post(self.now + Duration::from_secs(1), Transit::Weather);
        }
    }

    fn on_weather(&mut self) {
        self.stormy = self.breakage > 0.0;
        let ends: Vec<End> = self.lines.keys().copied().collect();
        for end in ends {
            // Each line has two ends, and either may begin its end.
            if self.rng.random_bool((self.breakage / 2.0).clamp(0.0, 1.0)) {
                self.snap(end);
            }
        }
        if self.stormy {
            self.post(self.now + Duration::from_secs(1), Transit::Weather);
        }
    }

    /// Both ends of a connection learn at once that it is gone; what was on its way is lost.
    fn snap(&mut self, end: End) {
        let Some(line) = self.lines.remove(&end) else {
            return;
        };
        self.lines.remove(&line.other);
        for (node, conn) in [end, line.other] {
            let why = Ended::Failed("broken".into());
            self.feed(node, Input::Closed { conn, why });
        }
    }

    /// Mends every cut.
    pub fn heal(&mut self) {
        self.cut.clear();
    }

    /// Stops a node without a word: its connections break, it hears and says nothing more.
    pub fn crash(&mut self, node: Node) {
        self.hosts[node.0].up = false;
        let ends: Vec<End> = self
            .lines
            .keys()
            .filter(|end| end.0 == node)
            .copied()
            .collect();
        for end in ends {
            self.hang_up(end);
        }
    }

    /// Starts a node that crashed anew, at its old address and with nothing in memory but what
    /// `change` gives it. It has another id now.
    pub fn restart(&mut self, node: Node, change: impl FnOnce(&mut Params)) {
        let address = self.hosts[node.0].address.clone();
        let skew = self.hosts[node.0].skew;
        let mut host = self.host(address, change);
        host.skew = skew;
        host.life = self.hosts[node.0].life + 1;
        let life = host.life;
        // What is still on its way to the old life must not reach a connection of the new one.
        let used = self.hosts[node.0].mesh.next_conn();
        while host.mesh.next_conn() < used {}
        self.hosts[node.0] = host;
        let phase = Duration::from_millis(self.rng.random_range(0..1000));
        self.post(self.now + phase, Transit::Tick(node, life));
    }

    /// Whether a node is up.
    pub fn is_up(&self, node: Node) -> bool {
        self.hosts[node.0].up
    }

    /// How many separate meshes the nodes that are up form.
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
                    let linked = self
                        .lines
                        .get(&(Node(index), peer.conn))
                        .map(|line| line.other.0);
                    if let Some(other) = linked.filter(|other| left.remove(&other.0)) {
                        frontier.push(other.0);
                    }
                }
            }
        }
        count
    }

    /// Lets one node connect to another.
    pub fn connect(&mut self, from: Node, to: Node) -> Ticket {
        let ticket = self.ticket();
        let addr = self.hosts[to.0].address.clone();
        self.command(from, |mesh, now, out| {
            mesh.connect(now, ticket, addr, None, out)
        });
        ticket
    }

    /// Lets one node dial another until they are connected, and again whenever they are not.
    pub fn keep(&mut self, node: Node, other: Node) {
        let address = self.hosts[other.0].address.clone();
        self.hosts[node.0].mesh.keep(&address);
    }

    /// Lets a node send a broadcast.
    ///
    /// # Errors
    ///
    /// Those of [`Mesh::send`].
    pub fn broadcast(&mut self, from: Node, what: impl Into<Packets>) -> Result<Sent, SendError> {
        let packets = what.into();
        self.command(from, |mesh, now, out| {
            let what = Outgoing {
                packets,
                flag: Flag::Broadcast,
                kind: None,
                allow_empty: false,
            };
            mesh.send(now, what, Hold::none(), out)
        })
    }

    /// Lets a node whisper to whoever has this id.
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
            mesh.whisper(now, ticket, to, what, within, Hold::none(), out);
        });
        ticket
    }

    /// Lets a node close its connection to another.
    pub fn disconnect(&mut self, from: Node, to: Node) -> bool {
        let id = self.id(to);
        self.command(from, |mesh, now, out| mesh.disconnect(now, &id, out))
    }

    /// Lets a node shut down.
    pub fn shut_down(&mut self, node: Node) {
        self.command(node, |mesh, now, out| mesh.shut_down(now, out));
    }

    /// Hands bytes to whoever is at the other end of one of a node's connections, as if the node
    /// had written them itself.
    pub fn inject(&mut self, from: Node, to: Node, bytes: Bytes) {
        let end = self
            .lines
            .iter()
            .find(|(end, line)| end.0 == from && line.other.0 == to);
        if let Some(end) = end.map(|(end, _)| *end) {
            self.write(end, bytes);
        }
    }

    /// Lets time pass.
    pub fn run_for(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(Reverse(moment)) = self.due.peek().copied() {
            if moment.0 > until {
                break;
            }
            self.due.pop();
            self.now = moment.0;
            if let Some(transit) = self.transits.remove(&moment) {
                self.arrive(transit);
            }
        }
        self.now = until;
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

    fn command<R>(
        &mut self,
        node: Node,
        command: impl FnOnce(&mut Mesh, Now, &mut Effects) -> R,
    ) -> R {
        let now = self.clock(node);
        let mut out = Effects::new();
        let result = command(&mut self.hosts[node.0].mesh, now, &mut out);
        self.perform(node, out);
        result
    }

    fn feed(&mut self, node: Node, input: Input) {
        self.command(node, |mesh, now, out| mesh.handle(now, input, out));
    }

    fn post(&mut self, at: Duration, transit: Transit) {
        self.order += 1;
        let moment = (at, self.order);
        self.transits.insert(moment, transit);
        self.due.push(Reverse(moment));
    }

    fn delay(&mut self) -> Duration {
        if self.latency.is_empty() {
            return self.latency.start;
        }
        self.rng.random_range(self.latency.clone())
    }

    fn arrive(&mut self, transit: Transit) {
        match transit {
            Transit::Tick(node, life) => {
                let host = &self.hosts[node.0];
                if host.up && host.life == life {
                    self.feed(node, Input::Tick);
                    self.post(self.now + Duration::from_secs(1), Transit::Tick(node, life));
                }
            }
            Transit::Weather => self.on_weather(),
            Transit::Knock { from, addr } => self.on_knock(from, addr),
            Transit::Dialed { to, addr } if self.lines.contains_key(&to) => {
                self.feed(to.0, Input::Dialed { conn: to.1, addr });
            }
            Transit::DialFailed { to, why } => {
                self.feed(to.0, Input::DialFailed { conn: to.1, why });
            }
            Transit::Bytes { to, bytes } if self.lines.contains_key(&to) => {
                self.on_bytes(to, bytes);
            }
            Transit::Closed { to } if self.lines.remove(&to).is_some() => {
                self.feed(
                    to.0,
                    Input::Closed {
                        conn: to.1,
                        why: Ended::ByPeer,
                    },
                );
            }
            Transit::Dialed { .. } | Transit::Bytes { .. } | Transit::Closed { .. } => {}
        }
    }

    fn on_knock(&mut self, from: End, addr: Address) {
        let found = self
            .hosts
            .iter()
            .position(|host| host.address == addr && host.up);
        let back = self.now + self.delay();
        let reachable = found
            .map(Node)
            .filter(|node| !self.cut.contains(&(from.0, *node)));
        let Some(to) = reachable else {
            return self.post(
                back,
                Transit::DialFailed {
                    to: from,
                    why: DialError::Refused,
                },
            );
        };
        let conn = self.hosts[to.0].mesh.next_conn();
        self.lines.insert(
            from,
            Line {
                other: (to, conn),
                clear_at: self.now,
            },
        );
        self.lines.insert(
            (to, conn),
            Line {
                other: from,
                clear_at: back,
            },
        );
        self.post(back, Transit::Dialed { to: from, addr });
        let addr = self.hosts[from.0.0].address.clone();
        self.feed(to, Input::Accepted { conn, addr });
    }

    fn on_bytes(&mut self, to: End, bytes: Bytes) {
        let host = &self.hosts[to.0.0];
        let params = host.mesh.params();
        let batch = Batch::from_frames(params.generation, params.limits, &bytes)
            .unwrap_or_else(|error| panic!("seed {}: a node wrote {error}", self.seed));
        let heard = broadcast_ids(&batch);
        let now = self.clock(to.0);
        let mut out = Effects::new();
        let input = Input::Received { conn: to.1, batch };
        self.hosts[to.0.0].mesh.handle(now, input, &mut out);
        for effect in &out {
            if let Effect::Transmit {
                to: targets,
                frames,
            } = effect
                && targets.contains(&to.1)
            {
                let said = broadcast_ids(&self.batch(to.0, frames));
                assert!(
                    said.is_disjoint(&heard),
                    "seed {}: {:?} sent a broadcast back where it came from",
                    self.seed,
                    to.0,
                );
            }
        }
        self.perform(to.0, out);
    }

    fn perform(&mut self, node: Node, effects: Effects) {
        for effect in effects {
            match effect {
                Effect::Dial { conn, addr } => {
                    let at = self.now + self.delay();
                    self.post(
                        at,
                        Transit::Knock {
                            from: (node, conn),
                            addr,
                        },
                    );
                }
                Effect::Transmit { to, frames } => {
                    for conn in to {
                        self.check_transmission(node, conn, &frames);
                        self.write((node, conn), frames.plain.clone());
                    }
                }
                Effect::Establish { conn, .. } => {
                    self.hosts[node.0].established.insert(conn);
                }
                Effect::SetCompression { .. } => {}
                Effect::Close { conn, .. } => self.hang_up((node, conn)),
                Effect::Deliver(messages) => {
                    self.hosts[node.0].delivered.extend(messages.into_vec())
                }
                Effect::Notify(event) => self.hosts[node.0].events.push(event),
                Effect::Answer { ticket, answer } => {
                    let before = self.hosts[node.0].answers.insert(ticket, answer);
                    assert!(before.is_none(), "seed {}: answered twice", self.seed);
                }
            }
        }
    }

    fn write(&mut self, from: End, bytes: Bytes) {
        let at = self.now + self.delay();
        let Some(line) = self.lines.get_mut(&from) else {
            return;
        };
        line.clear_at = line.clear_at.max(at);
        let (to, at) = (line.other, line.clear_at);
        if !self.cut.contains(&(from.0, to.0)) {
            self.post(at, Transit::Bytes { to, bytes });
        }
    }

    fn hang_up(&mut self, end: End) {
        let at = self.now + self.delay();
        if let Some(line) = self.lines.remove(&end) {
            self.post(at.max(line.clear_at), Transit::Closed { to: line.other });
        }
    }

    fn batch(&self, node: Node, frames: &Frames) -> Batch {
        let params = self.hosts[node.0].mesh.params();
        Batch::from_frames(params.generation, params.limits, &frames.plain)
            .unwrap_or_else(|error| panic!("seed {}: a node wrote {error}", self.seed))
    }

    /// The laws of every single transmission.
    fn check_transmission(&mut self, node: Node, conn: ConnId, frames: &Frames) {
        let batch = self.batch(node, frames);
        let seed = self.seed;
        let generation = self.hosts[node.0].mesh.params().generation;
        for index in 0..batch.len() {
            let Ok(frame) = batch.get(index) else {
                panic!("seed {seed}: {node:?} wrote a frame that does not decode");
            };
            assert_eq!(
                frame.prove(),
                Ok(()),
                "seed {seed}: {node:?} wrote a frame with a false id"
            );
            if !self.hosts[node.0].established.contains(&conn) {
                let control = Control::read(&frame, generation);
                let first = self.hosts[node.0].introduced.insert(conn);
                assert!(
                    first && matches!(control, Some(Ok(Control::Handshake { .. }))),
                    "seed {seed}: {node:?} said more than its handshake before the other's",
                );
            }
            if let Some(line) = self.lines.get(&(node, conn)) {
                let target = self.hosts[line.other.0.0].mesh.me();
                assert!(
                    !frame.is_broadcast() || frame.sender() != target.as_bytes(),
                    "seed {seed}: {node:?} sent a broadcast back to its author",
                );
            }
        }
    }
}

fn broadcast_ids(batch: &Batch) -> BTreeSet<(Vec<u8>, Vec<u8>)> {
    let frames = (0..batch.len()).filter_map(|index| batch.get(index).ok());
    frames
        .filter(|frame| frame.is_broadcast())
        .map(|frame| (frame.id().to_vec(), frame.sender().to_vec()))
        .collect()
}
