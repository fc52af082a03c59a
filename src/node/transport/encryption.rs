//! The encryption of a subnet, and which kinds this build supports.
//!
//! Owns the names that are hashed into a subnet's id. Knows nothing of handshakes.

use std::fmt;

use serde::{Serialize, Serializer};

/// The encryption of a subnet's connections, which is part of the subnet's identity.
///
/// The name is hashed into the subnet's id, so nodes with different names refuse each other. A name that this build
/// does not support is a [`StartError`](crate::StartError): it never just labels plaintext.
///
/// ```
/// use actix_mesh::Encryption;
///
/// assert_eq!(Encryption::from("Plaintext"), Encryption::Plaintext);
/// assert!(!Encryption::from("rot13").is_spoken());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Encryption {
    /// None: anyone on the path can read and change everything, and no id is proven.
    #[default]
    Plaintext,
    /// TLS 1.3 with certificates on both sides, and ids proven by keys: set by `Config::tls`, with the feature `tls`.
    Tls,
    /// TLS as the reference peers use it, which authenticates nobody: set by `Config::unauthenticated_ssl`, with the
    /// feature `tls`.
    Ssl,
    /// None, over WebSocket, as js2p uses it and browsers can join: with the feature `websocket`. Pages may join only
    /// from origins given to `Config::allow_origin`.
    WebSocket,
    /// WebSocket over TLS, as browsers and js2p dial it: the listening side shows a certificate for the dialled name,
    /// the dialling side shows none, and no id is proven. Set by `Config::wss`, with the features `tls` and
    /// `websocket`.
    SecureWebSocket,
    /// A name that this build does not support.
    Unknown(String),
}

impl Encryption {
    /// Returns the name that is hashed into the subnet's id, spelled as the reference peers spell it.
    pub fn name(&self) -> &str {
        match self {
            Self::Plaintext => "Plaintext",
            Self::Tls => "TLS",
            Self::Ssl => "SSL",
            Self::WebSocket => "ws",
            Self::SecureWebSocket => "wss",
            Self::Unknown(name) => name,
        }
    }

    /// Returns whether this build supports it.
    pub fn is_spoken(&self) -> bool {
        match self {
            Self::Plaintext => true,
            Self::Tls | Self::Ssl => cfg!(feature = "tls"),
            Self::WebSocket => cfg!(feature = "websocket"),
            Self::SecureWebSocket => cfg!(all(feature = "tls", feature = "websocket")),
            Self::Unknown(_) => false,
        }
    }
}

impl From<&str> for Encryption {
    fn from(name: &str) -> Self {
        String::from(name).into()
    }
}

impl From<&String> for Encryption {
    fn from(name: &String) -> Self {
        name.clone().into()
    }
}

impl From<String> for Encryption {
    fn from(name: String) -> Self {
        match &*name {
            "Plaintext" => Self::Plaintext,
            "TLS" => Self::Tls,
            "SSL" => Self::Ssl,
            "ws" => Self::WebSocket,
            "wss" => Self::SecureWebSocket,
            _ => Self::Unknown(name),
        }
    }
}

impl fmt::Display for Encryption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Serialize for Encryption {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}
