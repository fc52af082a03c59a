//! Turns settings into the parameters of the core and of connections.
//!
//! Owns the mapping. What the settings mean, and their defaults, are documented where they are set.

use super::Config;
use crate::error::StartError;
use crate::mesh::Params;
use crate::node::connection::ConnectionSettings;
use crate::node::connection::rate_limit::Rates;
use crate::node::connection::writer::slow_peer::Patience;
#[cfg(any(feature = "tls", feature = "websocket"))]
use crate::node::transport::encryption::Encryption;
#[cfg(feature = "websocket")]
use crate::node::transport::websocket;
#[cfg(feature = "tls")]
use crate::tls::Upgrade;
use crate::wire::{Address, Subnet};

impl Config {
    /// Returns the core's parameters.
    pub(crate) fn params(&self, address: Address) -> Params {
        let mut params = Params::new(self.named_subnet(), address);
        params.generation = self.generation;
        params.limits = self.limits;
        let methods = self.compression.iter().copied();
        params.methods = methods
            .filter(|method| method.is_of(self.generation))
            .collect();
        params.max_outgoing = self.max_outgoing;
        params.max_reconnect_delay = self.max_reconnect_delay.unwrap_or_default();
        params.rejoin_delay = self.rejoin_delay.unwrap_or_default();
        params.keepalive_interval = self.keepalive_interval.unwrap_or_default();
        params.soft_max_peers = self.soft_max_peers;
        params.max_incoming = self.max_incoming;
        params.max_pending = self.max_pending;
        params.ban_loopback = self.ban_loopback;
        params.handshake_timeout = self.handshake_timeout;
        params.waterfall_capacity = self.waterfall_capacity;
        params.allow_binary = self.allow_binary;
        params.extensions = self.extensions;
        params.announce_from = self.announce_from;
        params.prune = self.prune;
        params.share_topology = self.share_topology;
        params
    }

    /// Returns what each connection is told.
    pub(crate) fn connections(&self) -> Result<ConnectionSettings, StartError> {
        #[cfg(feature = "websocket")]
        let framed = matches!(
            self.encryption,
            Encryption::WebSocket | Encryption::SecureWebSocket
        );
        Ok(ConnectionSettings {
            generation: self.generation,
            limits: self.limits,
            inbound_budget: self.inbound_budget,
            rates: Rates {
                messages: self.max_peer_message_rate,
                bytes: self.max_peer_byte_rate,
            },
            frame_timeout: self.frame_timeout,
            patience: Patience {
                time: self.stall_timeout,
                rate: self.min_peer_drain_rate,
            },
            #[cfg(feature = "tls")]
            upgrade: self.upgrade()?,
            #[cfg(feature = "websocket")]
            websocket: framed.then(|| websocket::Upgrade {
                origins: self.origins.clone().into(),
            }),
        })
    }

    /// Returns how connections are secured; `None`: in plaintext.
    #[cfg(feature = "tls")]
    fn upgrade(&self) -> Result<Option<Upgrade>, StartError> {
        Ok(match &self.tls {
            Some(tls) if self.encryption == Encryption::SecureWebSocket => {
                Some(Upgrade::named(tls)?)
            }
            Some(tls) => Some(Upgrade::closed(tls)?),
            None if self.unauthenticated_ssl => Some(Upgrade::ssl()?),
            None => None,
        })
    }

    pub(crate) fn named_subnet(&self) -> Subnet {
        Subnet::new(self.subnet.as_str(), self.encryption.name())
    }

    /// Returns the first name in the certificate that can be dialled: dialling nodes compare it with the one they
    /// dialled.
    pub(crate) fn certified_name(&self) -> Option<String> {
        #[cfg(feature = "tls")]
        if let (Encryption::SecureWebSocket, Some(tls)) = (&self.encryption, &self.tls) {
            let identity = tls.identity();
            let mut names = identity.names().iter();
            return names.find(|name| !name.contains('*')).cloned();
        }
        None
    }
}
