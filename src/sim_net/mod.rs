//! Real Routers on a simulated network: a user's own actor, holding an `Addr<Router>`, is tested unchanged.
//!
//! Owns which nodes exist, which can reach each other, and the time. The Routers behave as they do over TCP. Only their
//! sockets are pipes within the process, and their clocks are those of the paused runtime, which jump to whatever is
//! due next. So a minute in the mesh takes only the time of its work.

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

/// When every simulation begins, in Unix seconds.
const EPOCH: u64 = 1_700_000_000;
/// The port every node listens on.
const PORT: u16 = 4444;
/// How many existing nodes each new one dials.
const DIALLED: usize = 2;

/// A network of real nodes within this process, with latency, loss, partitions, skewed clocks and virtual time.
///
/// The seed determines everything: who dials whom, the latency of each connection, what is lost. Nodes run in the
/// current actix system. An actor under test holds the [`Router`](crate::Router)'s address of one of them, as in
/// production.
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
/// While a network exists, the timers of its actix system are paused: whenever all actors are idle, time jumps to what
/// is due next. So nothing in the system may wait for the outside world, such as a socket, and `std::time::Instant`
/// does not advance with virtual time. One system has one network.
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
    /// Creates an empty network: 10 ms of latency each way, no loss.
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

    /// Sets the one-way latency. Each new connection draws its own from this range, and keeps it.
    #[must_use]
    pub fn latency(self, latency: RangeInclusive<Duration>) -> Self {
        self.net.state().latency = latency;
        self
    }

    /// Sets the share of pieces, 0 to 1, lost on new connections. As over TCP a lost piece is sent again: it arrives
    /// 200 ms later, and so does what follows it.
    #[must_use]
    pub fn loss(self, share: f64) -> Self {
        self.net.state().loss = share.clamp(0.0, 1.0);
        self
    }

    /// Changes the configuration of each node started from now on, by its number. The network sets addresses, seed and
    /// files itself and overrides these. It keeps an id, as a node that signs needs.
    #[must_use]
    pub fn configure(
        mut self,
        change: impl Fn(usize, Config) -> Config + Send + Sync + 'static,
    ) -> Self {
        self.configure = Arc::new(change);
        self
    }

    /// Starts this many more nodes. Each dials two existing ones, and finds others through their peers lists.
    ///
    /// # Errors
    ///
    /// [`StartError::NoSystem`] outside an actix system, or what is wrong with the configuration.
    ///
    /// # Panics
    ///
    /// If the clock of this system's runtime is already paused, by another network or by `tokio::time::pause`.
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

    /// Partitions these nodes from all others: dials between the two sides time out, and data sent is held back, as if
    /// a cable were unplugged. Earlier partitions of the other nodes stay.
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

    /// Sets a node's wall clock this many seconds ahead of the others'.
    pub fn skew(&self, node: &Node, seconds: i64) {
        if let Some((place, _)) = self.net.state().hosts.get(&node.addr) {
            place.skew.store(seconds, Ordering::Relaxed);
        }
    }

    /// Returns the virtual time since the first node started.
    pub fn passed(&self) -> Duration {
        let began = self.net.state().began;
        began.map_or(Duration::ZERO, |began| began.elapsed())
    }
}

/// Returns an address in a network of its own, as of most peers on the Internet: peers lists name one of each network.
fn address_of(number: usize) -> SocketAddr {
    let bits = u32::try_from(number).unwrap_or(u32::MAX);
    let [_, high, middle, low] = bits.to_be_bytes();
    let ip = Ipv4Addr::new(60_u8.wrapping_add(middle) % 100 + 30, low, high, 1);
    SocketAddr::from((ip, PORT))
}
