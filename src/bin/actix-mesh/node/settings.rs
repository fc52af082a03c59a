//! The remaining settings of a node, as flags and environment variables. A flag overrides its variable.
//!
//! Owns their spelling. The crate owns their meaning and their defaults: a setting that is not given is left to it.

use std::path::PathBuf;
use std::time::Duration;

use actix_mesh::{Config, Method};
use clap::Args;

/// Parses a time in seconds, such as `0.5`.
fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "a time is a number of seconds")?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

/// Parses compression methods by name.
fn method(text: &str) -> Result<Method, String> {
    let known = Method::available();
    let name = |method: &Method| {
        serde_json::to_value(method)
            .ok()?
            .as_str()
            .map(str::to_owned)
    };
    let found = known
        .iter()
        .find(|method| name(method).as_deref() == Some(text));
    found.copied().ok_or_else(|| {
        let names: Vec<_> = known.iter().filter_map(name).collect();
        format!("the methods of this build are {}", names.join(", "))
    })
}

macro_rules! settings {
    ($(
        $(#[doc = $help:literal])+
        $name:ident: $kind:ty, $env:literal, $value:literal $(, parse = $parse:expr)? $(, map = $map:expr)?;
    )*) => {
        /// See the module.
        #[derive(Debug, Args)]
        #[command(next_help_heading = "Settings (README: Limits and defaults)")]
        pub(crate) struct Settings {
            $(
                $(#[doc = $help])+
                #[arg(long, env = $env, value_name = $value, hide_short_help = true $(, value_parser = $parse)?)]
                $name: Option<$kind>,
            )*
            /// Compression methods, the most preferred first; `none` for none
            #[arg(
                long,
                env = "ACTIX_MESH_COMPRESSION",
                value_name = "METHODS",
                value_delimiter = ',',
                hide_short_help = true
            )]
            compression: Option<Vec<String>>,
            /// Allow bans of loopback addresses too
            #[arg(long, env = "ACTIX_MESH_BAN_LOOPBACK", hide_short_help = true)]
            ban_loopback: bool,
            /// Do not announce this crate's protocol extensions
            #[arg(long, env = "ACTIX_MESH_NO_EXTENSIONS", hide_short_help = true)]
            no_extensions: bool,
            /// Skip small broadcasts on links where they would be duplicates (the default)
            #[arg(long, env = "ACTIX_MESH_PRUNE", hide = true)]
            prune: bool,
            /// Send small broadcasts on every link; overrides `--prune`
            #[arg(long, env = "ACTIX_MESH_NO_PRUNE", hide_short_help = true)]
            no_prune: bool,
        }

        impl Settings {
            /// Applies the given settings to a configuration.
            pub(crate) fn apply(&self, mut config: Config) -> Result<Config, String> {
                $(
                    if let Some(value) = self.$name.clone() {
                        $(let value = $map(value);)?
                        config = config.$name(value);
                    }
                )*
                if let Some(names) = &self.compression {
                    let names = names.iter().filter(|name| *name != "none");
                    let methods: Result<Vec<_>, _> = names.map(|name| method(name)).collect();
                    config = config.compression(methods?);
                }
                Ok(config
                    .ban_loopback(self.ban_loopback)
                    .extensions(!self.no_extensions)
                    .prune(!self.no_prune))
            }
        }
    };
}

/// Zero turns a setting off.
fn unless_zero(time: Duration) -> Option<Duration> {
    Some(time).filter(|time| !time.is_zero())
}

settings! {
    /// A file in which the addresses of peers are kept between runs
    peer_book: PathBuf, "ACTIX_MESH_PEER_BOOK", "FILE";
    /// How long a dial may take
    connect_timeout: Duration, "ACTIX_MESH_CONNECT_TIMEOUT", "SECONDS", parse = seconds;
    /// How long a handshake may take
    handshake_timeout: Duration, "ACTIX_MESH_HANDSHAKE_TIMEOUT", "SECONDS", parse = seconds;
    /// The longest back-off before a lost peer is redialled; 0: never redial
    max_reconnect_delay: Duration, "ACTIX_MESH_MAX_RECONNECT_DELAY", "SECONDS", parse = seconds, map = unless_zero;
    /// How long a disconnected peer is refused; 0: not at all
    rejoin_delay: Duration, "ACTIX_MESH_REJOIN_DELAY", "SECONDS", parse = seconds, map = unless_zero;
    /// Probe a peer after this much silence; 0: never
    keepalive_interval: Duration, "ACTIX_MESH_KEEPALIVE_INTERVAL", "SECONDS", parse = seconds, map = unless_zero;
    /// Close a peer that reads nothing for this long
    stall_timeout: Duration, "ACTIX_MESH_STALL_TIMEOUT", "SECONDS", parse = seconds;
    /// A peer with queued data that reads fewer bytes a second counts as stalled
    min_peer_drain_rate: u32, "ACTIX_MESH_MIN_PEER_DRAIN_RATE", "BYTES";
    /// How long a frame may take from its first byte to its last
    frame_timeout: Duration, "ACTIX_MESH_FRAME_TIMEOUT", "SECONDS", parse = seconds;
    /// Rate limit per peer, in messages a second
    max_peer_message_rate: u32, "ACTIX_MESH_MAX_PEER_MESSAGE_RATE", "N", map = Some;
    /// Rate limit per peer, in bytes a second
    max_peer_byte_rate: u32, "ACTIX_MESH_MAX_PEER_BYTE_RATE", "BYTES", map = Some;
    /// Above this many peers, ask some to connect elsewhere; 0: never
    soft_max_peers: usize, "ACTIX_MESH_SOFT_MAX_PEERS", "N";
    /// Offer broadcasts of at least this many bytes before relaying them; 0: never
    announce_from: usize, "ACTIX_MESH_ANNOUNCE_FROM", "BYTES";
    /// The most inbound peers
    max_incoming: usize, "ACTIX_MESH_MAX_INCOMING", "N";
    /// The most connections awaiting their handshake
    max_pending: usize, "ACTIX_MESH_MAX_PENDING", "N";
    /// Broadcasts remembered as seen
    waterfall_capacity: usize, "ACTIX_MESH_WATERFALL_CAPACITY", "N";
    /// Unprocessed input per connection
    inbound_budget: usize, "ACTIX_MESH_INBOUND_BUDGET", "BYTES";
    /// Memory that connections share beyond that
    shared_budget: usize, "ACTIX_MESH_SHARED_BUDGET", "BYTES";
    /// The send queue for this node's own messages
    send_budget: usize, "ACTIX_MESH_SEND_BUDGET", "BYTES";
    /// The operating system's buffers of a connection, each way
    socket_buffer: u32, "ACTIX_MESH_SOCKET_BUFFER", "BYTES";
    /// Connections that may wait to be accepted
    listen_backlog: u32, "ACTIX_MESH_LISTEN_BACKLOG", "N";
    /// Further threads for connections
    arbiters: usize, "ACTIX_MESH_ARBITERS", "N";
}
