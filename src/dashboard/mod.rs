//! A live view of a node: a page, a JSON API, Prometheus metrics and health checks, as a service for
//! [`actix-web`](https://docs.rs/actix-web).
//!
//! Owns what is served and to whom. Knows a node by its [`Router`] alone: it asks for
//! [`Status`](crate::Status) and [`Peers`](crate::Peers) once a second and subscribes to events, so it costs
//! the same however many browsers look.
//!
//! ```no_run
//! use actix_web::{App, HttpServer, web};
//! use actix_mesh::{Config, dashboard::Dashboard};
//!
//! #[actix::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let node = Config::new().start().await?;
//!     let dashboard = Dashboard::new(node.router.clone());
//!     HttpServer::new(move || {
//!         App::new().service(web::scope("/mesh").service(dashboard.service()))
//!     })
//!     .bind("127.0.0.1:8080")?
//!     .run()
//!     .await?;
//!     Ok(())
//! }
//! ```
//!
//! # What it serves
//!
//! | path | answer |
//! |---|---|
//! | `/` | the page |
//! | `/health` | 200 while the node runs, 503 after its end; needs no token |
//! | `/ready` | 200 with at least [`ready_peers`](Dashboard::ready_peers) peers (or `?peers=N`), else 503; needs no token |
//! | `/metrics` | Prometheus text: see `docs/operating.md` |
//! | `/api/status` | a [`Snapshot`] |
//! | `/api/peers`, `/api/topology` | those parts of it |
//! | `/api/events` | the last [`Told`] events, oldest first; `?since=SEQ` for those after it |
//! | `/api/messages` | the last 64 broadcasts that passed, newest first: a list of [`PassedMessage`](crate::PassedMessage) |
//! | `/api/route?id=ID` | by which way a broadcast went: a [`Route`](crate::Route); ask again after a moment, when others have answered |
//! | `/api/history` | one [`Sample`] a second of the last five minutes, oldest first |
//! | `/api/live` | the same as Server-Sent Events: `snapshot` once a second, `told` for each event |
//!
//! # Who may look
//!
//! Without a [token](Dashboard::token), only programs on this machine: the client's address and the `Host`
//! header must both be of the loopback, and nothing that a proxy passed on is answered. With one, whoever
//! has it: as `Authorization: Bearer TOKEN`, or as `?token=TOKEN`, which the page turns into a cookie.
//! [`unprotected`](Dashboard::unprotected) leaves the decision to your own application.
//!
//! # What is bounded
//!
//! The last 256 events, 300 samples, 512 nodes of the topology, 64 live clients. A client that reads too
//! slowly misses snapshots, never delays others, and is told how many it missed.

mod access;
mod diagnosis;
mod live;
mod observer;
mod prometheus;
mod routes;
mod snapshot;
mod topology;

use std::sync::Arc;

use actix::Addr;
use actix_web::dev::HttpServiceFactory;

use crate::node::Router;
use access::Access;
use observer::{Observer, View};

pub use crate::mesh::{Severity, printable};
pub use snapshot::{
    Awaited, Health, Link, NodeInfo, Origin, Peer, Problem, Rates, Sample, Setting, Snapshot, Told,
    Topology, TopologyNode, Traffic,
};

/// The view of one node, shared by all of its services. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Dashboard {
    view: Arc<View>,
    access: Access,
    peer_series: bool,
}

impl Dashboard {
    /// Observes this node, from now until it ends.
    ///
    /// # Panics
    /// Outside of an actix system.
    pub fn new(router: Addr<Router>) -> Self {
        Self {
            view: Observer::watch(router),
            access: Access::default(),
            peer_series: false,
        }
    }

    /// Lets whoever has this token look, from anywhere. Default: nobody but this machine.
    ///
    /// The token is a password: choose 16 random characters or more, and serve over TLS where others can
    /// listen.
    #[must_use]
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.access = Access::token(token.into());
        self
    }

    /// Answers every request: your application decides who gets here.
    #[must_use]
    pub fn unprotected(mut self) -> Self {
        self.access = Access::open();
        self
    }

    /// Peers that `/ready` wants. Default 1.
    #[must_use]
    pub fn ready_peers(self, peers: usize) -> Self {
        self.view.want(peers);
        self
    }

    /// Adds four series for each peer to `/metrics`. Default no: peers come and go, and each is a label for
    /// ever.
    #[must_use]
    pub fn peer_series(mut self, on: bool) -> Self {
        self.peer_series = on;
        self
    }

    /// The latest snapshot; `None` within the first moments.
    pub fn snapshot(&self) -> Option<Arc<Snapshot>> {
        self.view.snapshot()
    }

    /// The events after this number, oldest first; 0 for all that are kept.
    pub fn events(&self, since: u64) -> Vec<Arc<Told>> {
        self.view.events(since)
    }

    /// The last five minutes, oldest first.
    pub fn history(&self) -> Vec<Sample> {
        self.view.history()
    }

    /// What an actix-web application mounts, at its root or in a scope of its own.
    pub fn service(&self) -> impl HttpServiceFactory + use<> {
        routes::service(self.clone())
    }
}

/// A dashboard with the defaults: [`Dashboard::new`] and its [`service`](Dashboard::service).
///
/// Each call observes the node once more. Several workers share one view with [`Dashboard`].
///
/// # Panics
/// Outside of an actix system.
pub fn service(router: Addr<Router>) -> impl HttpServiceFactory + use<> {
    Dashboard::new(router).service()
}
