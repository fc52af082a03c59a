//! Starts a node from its configuration.
//!
//! Owns the choice of the advertised address and of the id.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use actix::Addr;
use actix_rt::{Arbiter, ArbiterHandle};
use rand::TryRng as _;
use rand::rngs::SysRng;
use tokio::net::{TcpListener, UdpSocket};

use crate::config::Config;
use crate::error::StartError;
use crate::mesh::Mesh;
use crate::node::budget::Pool;
use crate::node::delivery::inbox::Inboxes;
use crate::node::router::addresses::peer_book_file::PeerBook;
use crate::node::router::addresses::seeds::Seeds;
use crate::node::router::arbiters::Threads;
#[cfg(feature = "tls")]
use crate::node::router::certificates::Certificates;
use crate::node::router::clock::Clock;
use crate::node::sending::queue::Sending;
#[cfg(feature = "tls")]
use crate::node::transport::encryption::Encryption;
use crate::node::transport::listener;
use crate::node::transport::network::Network;
use crate::node::{Parts, Router};
use crate::wire::{Address, HostPort, NodeId, Subnet, SubnetId};

/// A running node. Dropping this does not stop it: [`Shutdown`](crate::Shutdown) does.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Node {
    /// The actor that takes the messages of this crate.
    pub router: Addr<Router>,
    /// The node's id.
    pub id: NodeId,
    /// The address it listens on.
    pub addr: SocketAddr,
    /// The outward address it tells its peers.
    pub advertised: Address,
    /// Its subnet.
    pub subnet: Subnet,
    /// The id of its subnet.
    pub subnet_id: SubnetId,
    /// The arbiter of its actors.
    pub(crate) arbiter: ArbiterHandle,
    /// The clock that stamps its messages.
    #[cfg(feature = "tls")]
    pub(crate) clock: Clock,
}

impl Config {
    /// Binds, listens and starts the actors on the current arbiter.
    ///
    /// # Errors
    /// See [`StartError`]: no actix system, a bad or occupied address, a contradictory setting.
    pub async fn start(self) -> Result<Node, StartError> {
        self.check()?;
        start(self).await
    }
}

/// Starts a node as configured.
async fn start(config: Config) -> Result<Node, StartError> {
    if Arbiter::try_current().is_none() {
        return Err(StartError::NoSystem);
    }
    let socket =
        listener::listen(&config.listen, config.listen_backlog, config.socket_buffer).await?;
    let addr = socket
        .local_addr()
        .map_err(|source| StartError::BadListen {
            listen: config.listen.clone(),
            source,
        })?;
    let advertised = match config.advertise.clone() {
        Some(address) => address.into_address()?,
        None => match config.certified_name() {
            Some(name) => HostPort::from((&*name, addr.port())).into_address()?,
            None => outward(addr).await.into(),
        },
    };
    let network = Network::Tcp {
        buffers: config.socket_buffer,
    };
    run(
        config,
        Some(socket),
        addr,
        advertised,
        network,
        Clock::start(),
    )
}

/// Starts the actors of a node with these addresses and this network.
pub(crate) fn run(
    config: Config,
    socket: Option<TcpListener>,
    addr: SocketAddr,
    advertised: Address,
    network: Network,
    clock: Clock,
) -> Result<Node, StartError> {
    let Some(arbiter) = Arbiter::try_current() else {
        return Err(StartError::NoSystem);
    };
    let settings = match serde_json::to_value(&config) {
        Ok(serde_json::Value::Object(settings)) => settings,
        // Settings without a JSON form are not shown.
        _ => serde_json::Map::new(),
    };
    let keep = config.connect.iter().cloned().map(HostPort::into_address);
    let keep = keep.collect::<Result<Vec<_>, _>>()?;
    let subnet = config.named_subnet();
    let subnet_id = subnet.id(config.generation);
    let chance = Chance::of(config.seed)?;
    let connections = config.connections()?;
    #[cfg(feature = "tls")]
    let proven = match (&config.encryption, &config.tls) {
        (Encryption::Tls, Some(tls)) => Some(tls.id().clone()),
        _ => None,
    };
    #[cfg(not(feature = "tls"))]
    let proven = None;
    let id = proven
        .or_else(|| config.id.clone())
        .unwrap_or_else(|| NodeId::derive(&advertised.to_string(), &subnet_id, &chance.salt));
    let mut mesh = Mesh::new(config.params(advertised.clone()), id.clone(), chance.seed);
    keep.iter().for_each(|address| mesh.keep(address));
    let seeds = match network {
        Network::Tcp { .. } => Seeds::among(&keep),
        #[cfg(feature = "sim")]
        Network::Sim(_) => Seeds::default(),
    };
    let (peer_book, early) = match config.peer_book {
        None => (None, None),
        Some(path) => {
            let (book, places, failed) = PeerBook::open(path);
            mesh.learn(places);
            (Some(book), failed)
        }
    };
    #[cfg(feature = "tls")]
    let stamps_by = clock.clone();
    #[cfg(feature = "tls")]
    let certificates = config.tls.map(|tls| Certificates::new(tls, clock.now()));
    let pool = Pool::new(config.shared_budget);
    let threads = Threads::start(config.arbiters).map_err(StartError::Threads)?;
    let router = Router::run(Parts {
        mesh,
        socket,
        listen: addr,
        connect_timeout: config.connect_timeout,
        network,
        clock,
        connections,
        sending: Sending::new(permits(config.send_budget), Arc::clone(&pool)),
        pool,
        inbox: Inboxes::new(
            config.inbox_capacity,
            &config.inbox_kinds,
            config.generation,
        ),
        threads,
        peer_book,
        seeds,
        early,
        #[cfg(feature = "tls")]
        certificates,
        #[cfg(feature = "mdns")]
        mdns: config.mdns,
        settings: Arc::new(settings),
    });
    Ok(Node {
        router,
        id,
        addr,
        advertised,
        subnet,
        subnet_id,
        arbiter,
        #[cfg(feature = "tls")]
        clock: stamps_by,
    })
}

/// Never saturates: the configuration has checked the budget.
fn permits(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

/// The randomness behind the node's id and its choices.
struct Chance {
    salt: [u8; 16],
    seed: u64,
}

impl Chance {
    fn of(seed: Option<u64>) -> Result<Self, StartError> {
        if let Some(seed) = seed {
            let mut salt = [0; 16];
            salt[..8].copy_from_slice(&seed.to_be_bytes());
            return Ok(Self { salt, seed });
        }
        let mut salt = [0; 16];
        let entropy = |error| StartError::Entropy(io::Error::from(error));
        SysRng.try_fill_bytes(&mut salt).map_err(entropy)?;
        Ok(Self {
            salt,
            seed: SysRng.try_next_u64().map_err(entropy)?,
        })
    }
}

/// Returns the address under which others reach a listener on `bound`. If that is any address of this machine, returns
/// the one this machine uses towards other networks.
async fn outward(bound: SocketAddr) -> SocketAddr {
    if !bound.ip().is_unspecified() {
        return bound;
    }
    let towards: &[(&str, &str)] = match bound.ip() {
        IpAddr::V4(_) => &[("0.0.0.0:0", "192.0.2.1:9")],
        IpAddr::V6(_) => &[("[::]:0", "[2001:db8::1]:9"), ("0.0.0.0:0", "192.0.2.1:9")],
    };
    for (from, to) in towards {
        if let Ok(ip) = facing(from, to).await {
            return SocketAddr::new(ip, bound.port());
        }
    }
    // No network but our own: others on this machine can still reach us.
    let loopback = match bound.ip() {
        IpAddr::V4(_) => IpAddr::from([127, 0, 0, 1]),
        IpAddr::V6(_) => IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]),
    };
    SocketAddr::new(loopback, bound.port())
}

/// Our address towards another. Nothing is sent: "connecting" a datagram socket only asks the routing table.
async fn facing(from: &str, to: &str) -> io::Result<IpAddr> {
    let socket = UdpSocket::bind(from).await?;
    socket.connect(to).await?;
    socket.local_addr().map(|addr| addr.ip())
}
