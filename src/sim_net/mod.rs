//! Real Routers on a simulated network: a user's own actor, holding an `Addr<Router>`, is tested unchanged.
//!
//! Owns who is where, who can reach whom, and the time. The Routers decide and speak as they do over TCP; only their
//! sockets are pipes within the process, and their clocks those of the runtime, which are stopped and jump to whatever
//! is due next. So a minute in the mesh takes as long as what happens in it.

mod dial;
pub(crate) mod host;
mod link;

use std::collections::BTreeMap;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::sync::watch;
use tokio::time::Instant;

use self::host::{Host, Net, Place, State};
use crate::config::Config;
use crate::error::StartError;
use crate::node::router::clock::Clock;
use crate::node::transport::network::Network;
use crate::start::{Node, run};

/// When every simulation begins, unix seconds.
const EPOCH: u64 = 1_700_000_000;
/// Where every node listens.
const PORT: u16 = 4444;
/// Nodes that each new one dials, among those that are there.
const DIALLED: usize = 2;

/// A network of real nodes within this process, with latency, loss, partitions, skewed clocks and virtual time.
///
/// Everything follows from the seed: who dials whom, how long each link takes, what is lost. Nodes run in the
/// current actix system; an actor under test holds the [`Router`](crate::Router)'s address of one of them, as it does
/// in production.
///
/// ```
/// use std::time::Duration;
///
/// use actix_mesh::{Recv, Send, SimNet};
///
/// #[actix::main]
/// async fn main() -> Result<(), Box<dyn std::error::Error>> {
///     let net = SimNet::new(7).latency(Duration::from_millis(5)..=Duration::from_millis(80));
///     let nodes = net.start(50)?;
///     for node in &nodes {
///         node.ready(1, Duration::from_secs(5)).await?;
///     }
///     nodes[0].router.send(Send::new("to all")).await??;
///     // Virtual seconds: they take as long as what happens in them.
///     tokio::time::sleep(Duration::from_secs(5)).await;
///     for node in &nodes[1..] {
///         let heard = node.router.send(Recv::up_to(10)).await?;
///         assert_eq!(heard.len(), 1, "exactly once");
///     }
///     Ok(())
/// }
/// ```
///
/// While a network exists, the timers of its actix system are stopped: whenever all actors rest, time jumps to what is
/// due next. So nothing in the system may wait for the world outside, such as a socket, and a test that compares
/// with `std::time::Instant` finds that no time passed. One system has one network.
#[derive(Clone)]
pub struct SimNet {
    net: Arc<Net>,
    configure: Arc<dyn Fn(usize, Config) -> Config + Send + Sync>,
}

impl fmt::Debug for SimNet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hosts = self.net.state().hosts.len();
        f.debug_struct("SimNet")
            .field("seed", &self.net.seed)
            .field("nodes", &hosts)
            .finish_non_exhaustive()
    }
}

impl SimNet {
    /// An empty network: links take 10 ms each way, nothing is lost.
    pub fn new(seed: u64) -> Self {
        let latency = Duration::from_millis(10);
        Self {
            net: Arc::new(Net {
                seed,
                state: Mutex::new(State {
                    chance: StdRng::seed_from_u64(seed),
                    latency: latency..=latency,
                    loss: 0.0,
                    hosts: BTreeMap::new(),
                    began: None,
                    links: 0,
                }),
                healed: watch::Sender::new(()),
            }),
            configure: Arc::new(|_, config| config),
        }
    }

    /// Sets how long bytes take one way; each link that is made from now on draws its own from this range, and keeps it.
    #[must_use]
    pub fn latency(self, latency: RangeInclusive<Duration>) -> Self {
        self.net.state().latency = latency;
        self
    }

    /// Sets what share of pieces, 0 to 1, is lost on links that are made from now on. As over TCP nothing stays lost: it
    /// comes 200 ms later, and so does what was sent behind it.
    #[must_use]
    pub fn loss(self, share: f64) -> Self {
        self.net.state().loss = share.clamp(0.0, 1.0);
        self
    }

    /// Changes the configuration of each node that is started from now on, by its number. Addresses, seed and files are the
    /// network's: what is set of these is not used. An id that is set is the node's, as one that signs needs it.
    #[must_use]
    pub fn configure(
        mut self,
        change: impl Fn(usize, Config) -> Config + Send + Sync + 'static,
    ) -> Self {
        self.configure = Arc::new(change);
        self
    }

    /// Starts this many nodes more. Each dials two that are there, and finds others by their peers lists.
    ///
    /// # Errors
    ///
    /// [`StartError::NoSystem`] outside an actix system, or what is wrong with the configuration.
    ///
    /// # Panics
    ///
    /// If the clock of this system's runtime is stopped already, by another network or by `tokio::time::pause`.
    pub fn start(&self, count: usize) -> Result<Vec<Node>, StartError> {
        if actix_rt::Arbiter::try_current().is_none() {
            return Err(StartError::NoSystem);
        }
        if self.net.state().began.is_none() {
            tokio::time::pause();
            self.net.state().began = Some(Instant::now());
        }
        (0..count).map(|_| self.start_one()).collect()
    }

    fn start_one(&self) -> Result<Node, StartError> {
        let (number, addr, contacts) = {
            let mut state = self.net.state();
            let number = state.hosts.len();
            let mut known: Vec<SocketAddr> = state.hosts.keys().copied().collect();
            let mut contacts = Vec::new();
            while contacts.len() < DIALLED && !known.is_empty() {
                let chosen = state.chance.random_range(0..known.len());
                contacts.push(known.swap_remove(chosen));
            }
            (number, address_of(number), contacts)
        };
        let mut config = (self.configure)(number, Config::new());
        for contact in contacts {
            config = config.connect(contact);
        }
        config.seed = Some(self.net.seed.wrapping_add(number as u64));
        (config.peer_book, config.arbiters) = (None, 0);
        config.listen = addr.to_string();
        let host = Host {
            net: Arc::clone(&self.net),
            place: Arc::new(Place::default()),
        };
        let passed = self.passed().as_secs();
        let clock = Clock::simulated(EPOCH + passed, Arc::clone(&host.place.skew));
        let network = Network::Sim(host.clone());
        let node = run(config, None, addr, addr.into(), network, clock)?;
        let door = node.router.downgrade().recipient();
        self.net.state().hosts.insert(addr, (host.place, door));
        Ok(node)
    }

    /// Parts these nodes from all others: dials between the two sides end in a timeout, and what was sent waits, as it
    /// does when a cable is pulled. Whoever was parted before stays with those it was parted with.
    pub fn partition<'a>(&self, apart: impl IntoIterator<Item = &'a Node>) {
        let state = self.net.state();
        let sides = state.hosts.values().map(|(place, _)| place.side());
        let side = sides.max().unwrap_or(0) + 1;
        for node in apart {
            if let Some((place, _)) = state.hosts.get(&node.addr) {
                place.side.store(side, Ordering::Relaxed);
            }
        }
    }

    /// Ends every partition.
    pub fn heal(&self) {
        for (place, _) in self.net.state().hosts.values() {
            place.side.store(0, Ordering::Relaxed);
        }
        self.net.healed.send_replace(());
    }

    /// Sets a node's wall clock this many seconds off the others'.
    pub fn skew(&self, node: &Node, seconds: i64) {
        if let Some((place, _)) = self.net.state().hosts.get(&node.addr) {
            place.skew.store(seconds, Ordering::Relaxed);
        }
    }

    /// The virtual time that has passed since the first node was started.
    pub fn passed(&self) -> Duration {
        let began = self.net.state().began;
        began.map_or(Duration::ZERO, |began| began.elapsed())
    }
}

/// Each in a network of its own, as peers on the Internet mostly are: peers lists lead to one in each.
fn address_of(number: usize) -> SocketAddr {
    let bits = u32::try_from(number).unwrap_or(u32::MAX);
    let [_, high, middle, low] = bits.to_be_bytes();
    let ip = Ipv4Addr::new(60_u8.wrapping_add(middle) % 100 + 30, low, high, 1);
    SocketAddr::from((ip, PORT))
}
