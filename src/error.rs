//! The errors that keep a node from starting, as far as a caller can act on them.
//!
//! Every other error is defined in the layer that raises it, and is the answer to a message.

use std::{io, net::SocketAddr};

use crate::node::transport::encryption::Encryption;
use crate::wire::BadAddress;

/// Why a node did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// `start` was called outside an actix system.
    #[error(
        "no actix system runs on this thread: start nodes inside #[actix::main] or #[actix::test], or with Config::start_on_thread"
    )]
    NoSystem,
    /// The listen address cannot be parsed or resolved.
    #[error(
        "cannot listen on {listen:?}: give an address and a port, as 127.0.0.1:4444 or [::1]:4444 (port 0 picks a free one)"
    )]
    BadListen {
        /// As configured.
        listen: String,
        /// The resolver's error.
        #[source]
        source: io::Error,
    },
    /// Another program listens on that address.
    #[error(
        "cannot listen on {addr}: the port is in use; choose another, or port 0 for a free one"
    )]
    AddressInUse {
        /// The address to listen on.
        addr: SocketAddr,
    },
    /// The operating system refused the address.
    #[error(
        "cannot listen on {addr}: check that this machine has the address and that you may use the port"
    )]
    Listen {
        /// The address to listen on.
        addr: SocketAddr,
        /// The operating system's error.
        #[source]
        source: io::Error,
    },
    /// The operating system gave the operating system provided no randomness for this node's id.
    #[error("the operating system provided no randomness for this node's id")]
    Entropy(#[source] io::Error),
    /// The operating system gave no thread for connections.
    #[error("cannot start threads for connections: set fewer arbiters")]
    Threads(#[source] io::Error),
    /// [`Config::connect`](crate::Config::connect) or [`Config::advertise`](crate::Config::advertise) was given text
    /// that is not an address.
    #[error(transparent)]
    BadAddress(#[from] BadAddress),
    /// This build does not support the encryption.
    #[error(
        "this build does not support encryption {0}: use Plaintext, or build with the feature it needs (`tls`, `websocket`)"
    )]
    UnknownEncryption(Encryption),
    /// The subnet's encryption does not match how connections are secured.
    #[error(
        "the subnet's encryption is {0}, but connections are not secured that way: after `Config::subnet`, call \
         `Config::tls` for TLS, `Config::wss` for wss, `Config::unauthenticated_ssl` for SSL, none of them for Plaintext"
    )]
    EncryptionNotSet(Encryption),
    /// The certificates cannot be used.
    #[cfg(feature = "tls")]
    #[error(transparent)]
    Tls(#[from] crate::tls::TlsError),
    /// A setting contradicts itself or another.
    #[error("{setting}: {why}")]
    BadSetting {
        /// The setting of [`Config`](crate::Config).
        setting: &'static str,
        /// What is wrong with it.
        why: SettingError,
    },
}

/// What is wrong with a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SettingError {
    /// The number of bytes is out of range.
    #[error("{bytes} bytes; choose {min} to {max}")]
    OutOfRange {
        /// As configured.
        bytes: usize,
        /// The minimum.
        min: usize,
        /// The maximum.
        max: usize,
    },
    /// The time limit is zero.
    #[error("must be longer than zero")]
    Zero,
    /// Frames may be larger before the handshake than after it.
    #[error("frame_before_handshake must not exceed frame")]
    FrameLimits,
}

impl StartError {
    /// Returns a short stable name, which the program prints.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoSystem => "no_system",
            Self::BadListen { .. } => "bad_listen",
            Self::AddressInUse { .. } => "address_in_use",
            Self::Listen { .. } => "listen_failed",
            Self::Entropy(_) => "no_entropy",
            Self::Threads(_) => "no_threads",
            Self::BadAddress(_) => "bad_address",
            Self::UnknownEncryption(_) => "unknown_encryption",
            Self::EncryptionNotSet(_) => "encryption_not_set",
            #[cfg(feature = "tls")]
            Self::Tls(_) => "bad_certificates",
            Self::BadSetting { .. } => "bad_setting",
        }
    }
}
