//! A live view of a node: a page, a JSON API, Prometheus metrics and health checks, as a service for
//! [`actix-web`](https://docs.rs/actix-web).
//!
//! Owns what is served and to whom. Knows a node only by its [`Router`]: it requests [`Status`](crate::Status) and
//! [`Peers`](crate::Peers) once a second and subscribes to events. So the cost does not grow with the number of
//! browsers.
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
//! | `/api/events` | the last 256 events as [`Told`], oldest first; `?since=SEQ` for those after it |
//! | `/api/messages` | the last 64 broadcasts that passed, newest first: a list of [`PassedMessage`](crate::PassedMessage) |
//! | `/api/route?id=ID` | the path a broadcast took: a [`Route`](crate::Route); ask again after a moment, when more nodes have answered |
//! | `/api/history` | one [`Sample`] a second of the last five minutes, oldest first |
//! | `/api/live` | Server-Sent Events: `snapshot` once a second, `told` for each event |
//!
//! # Access
//!
//! Without a [token](Dashboard::token), only programs on this machine have access: the client's address and the `Host`
//! header must both be loopback, and proxied requests are refused. With a token, any client that has it: as
//! `Authorization: Bearer TOKEN`, or as `?token=TOKEN`, which the page turns into a cookie.
//! [`unprotected`](Dashboard::unprotected) leaves the decision to your application.
//!
//! # Limits
//!
//! The last 256 events, 300 samples, 512 nodes of the topology, 64 live clients. A client that reads too slowly misses
//! snapshots and is told how many; it does not delay others.

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

/// A view of one node, shared by all of its services. Cheap to clone.
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

    /// Gives access to every client that has this token, from anywhere. Default: only this machine.
    ///
    /// The token is a password: choose at least 16 random characters, and serve over TLS where others can listen.
    #[must_use]
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.access = Access::token(token.into());
        self
    }

    /// Answers every request: your application controls access.
    #[must_use]
    pub fn unprotected(mut self) -> Self {
        self.access = Access::open();
        self
    }

    /// Sets the number of peers that `/ready` requires. Default 1.
    #[must_use]
    pub fn ready_peers(self, peers: usize) -> Self {
        self.view.want(peers);
        self
    }

    /// Adds four series for each peer to `/metrics`. Default no: peers come and go, and each stays a label for ever.
    #[must_use]
    pub fn peer_series(mut self, on: bool) -> Self {
        self.peer_series = on;
        self
    }

    /// Returns the latest snapshot; `None` until the node was first sampled.
    pub fn snapshot(&self) -> Option<Arc<Snapshot>> {
        self.view.snapshot()
    }

    /// Returns the events after this number, oldest first; 0 for all that are kept.
    pub fn events(&self, since: u64) -> Vec<Arc<Told>> {
        self.view.events(since)
    }

    /// Returns one sample a second of the last five minutes, oldest first.
    pub fn history(&self) -> Vec<Sample> {
        self.view.history()
    }

    /// Returns the service that an actix-web application mounts, at its root or in a scope.
    pub fn service(&self) -> impl HttpServiceFactory + use<> {
        routes::service(self.clone())
    }
}

/// Creates a dashboard with the defaults: [`Dashboard::new`] and its [`service`](Dashboard::service).
///
/// Each call observes the node once more. Use [`Dashboard`] to share one view between workers.
///
/// # Panics
/// Outside of an actix system.
pub fn service(router: Addr<Router>) -> impl HttpServiceFactory + use<> {
    Dashboard::new(router).service()
}
