//! The node's page, served by the program.
//!
//! Owns the flags and the server; the crate's dashboard is what it serves.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};

use actix::Addr;
use actix_mesh::Router;
use actix_mesh::dashboard::Dashboard;
use actix_web::dev::ServerHandle;
use actix_web::{App, HttpServer};

use crate::Failure;

/// Connections from browsers and scrapers at once.
const CONNECTIONS: usize = 256;
/// A token is a password, so it needs a minimum length.
const SHORTEST_TOKEN: usize = 16;

#[derive(Debug, clap::Args)]
pub(crate) struct Http {
    /// Serve the live page, its API, /metrics, /health and /ready here; port 0 picks a free one
    #[arg(long, env = "ACTIX_MESH_HTTP", value_name = "ADDR")]
    http: Option<String>,
    /// The token that viewers need; required unless --http is a loopback address
    #[arg(
        long = "http-token",
        value_name = "TOKEN",
        requires = "http",
        env = "ACTIX_MESH_HTTP_TOKEN",
        hide_env_values = true
    )]
    http_token: Option<String>,
    /// Connected peers that /ready requires
    #[arg(long, value_name = "N", default_value_t = 1)]
    ready_peers: usize,
    /// Add series for each peer to /metrics
    #[arg(long)]
    peer_metrics: bool,
}

/// A running server, stopped when this is dropped.
pub(crate) struct Page {
    url: String,
    server: ServerHandle,
}

impl Page {
    pub(crate) fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        // This stops the server at once; nothing needs to await its end.
        drop(self.server.stop(false));
    }
}

impl Http {
    /// Serves the node's page if `--http` is given.
    pub(crate) fn serve(&self, router: &Addr<Router>) -> Result<Option<Page>, Failure> {
        let Some(listen) = &self.http else {
            return Ok(None);
        };
        let addrs: Vec<SocketAddr> = listen
            .to_socket_addrs()
            .map_err(|error| format!("--http {listen}: {error}"))?
            .collect();
        let open = addrs.iter().any(|addr| !addr.ip().is_loopback());
        match &self.http_token {
            None if open => {
                return Err(format!(
                    "--http {listen} can be reached from other machines: add --http-token, or listen on 127.0.0.1"
                )
                .into());
            }
            Some(token) if token.len() < SHORTEST_TOKEN => {
                return Err(
                    format!("--http-token needs {SHORTEST_TOKEN} characters or more").into(),
                );
            }
            _ => {}
        }
        let mut dashboard = Dashboard::new(router.clone())
            .ready_peers(self.ready_peers)
            .peer_series(self.peer_metrics);
        if let Some(token) = &self.http_token {
            dashboard = dashboard.token(token.clone());
        }
        let server = HttpServer::new(move || App::new().service(dashboard.service()))
            .workers(1)
            .max_connections(CONNECTIONS)
            .disable_signals()
            .bind(addrs.as_slice())
            .map_err(|error| format!("--http {listen}: {error}"))?;
        let addr = server.addrs().first().copied();
        let server = server.run();
        let handle = server.handle();
        actix_rt::spawn(server);
        let url = addr.map_or_else(String::new, |addr| format!("http://{}/", named(addr)));
        Ok(Some(Page {
            url,
            server: handle,
        }))
    }
}

/// Returns the address at which a browser on this machine finds the page.
fn named(addr: SocketAddr) -> SocketAddr {
    match addr.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => SocketAddr::from(([127, 0, 0, 1], addr.port())),
        IpAddr::V6(ip) if ip.is_unspecified() => {
            SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], addr.port()))
        }
        _ => addr,
    }
}
