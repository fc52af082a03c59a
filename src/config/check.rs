//! Turns settings into the parameters of the core and of connections.
//!
//! Owns which settings contradict each other. Their meanings and defaults are documented where they are set.

use super::Config;
use crate::error::{SettingError, StartError};
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

    /// Checks that the encryption's name and the certificates agree: a name alone secures nothing.
    #[cfg(feature = "tls")]
    fn check_encryption(&self) -> Result<(), StartError> {
        let agrees = match self.encryption {
            Encryption::Tls | Encryption::SecureWebSocket => {
                self.tls.is_some() && !self.unauthenticated_ssl
            }
            Encryption::Ssl => self.tls.is_none() && self.unauthenticated_ssl,
            _ => self.tls.is_none() && !self.unauthenticated_ssl,
        };
        match agrees {
            true => Ok(()),
            false => Err(StartError::EncryptionNotSet(self.encryption.clone())),
        }
    }

    #[cfg(not(feature = "tls"))]
    fn check_encryption(&self) -> Result<(), StartError> {
        Ok(())
    }

    /// Checks that the settings agree with each other and can be met.
    pub(crate) fn check(&self) -> Result<(), StartError> {
        /// Budgets are counted in permits of one byte.
        const MAX_BUDGET: usize = u32::MAX as usize >> 3;
        let bad = |setting, why| Err(StartError::BadSetting { setting, why });
        if !self.encryption.is_spoken() {
            return Err(StartError::UnknownEncryption(self.encryption.clone()));
        }
        self.check_encryption()?;
        let budgets = [
            ("inbound_budget", self.inbound_budget),
            ("send_budget", self.send_budget),
        ];
        for (setting, bytes) in budgets {
            if bytes == 0 || bytes > MAX_BUDGET {
                let (min, max) = (1, MAX_BUDGET);
                return bad(setting, SettingError::OutOfRange { bytes, min, max });
            }
        }
        let times = [
            ("connect_timeout", self.connect_timeout),
            ("handshake_timeout", self.handshake_timeout),
            ("stall_timeout", self.stall_timeout),
            ("frame_timeout", self.frame_timeout),
        ];
        for (setting, time) in times {
            if time.is_zero() {
                return bad(setting, SettingError::Zero);
            }
        }
        if self.limits.frame_before_handshake > self.limits.frame {
            return bad("limits", SettingError::FrameLimits);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[actix::test]
    async fn an_encryption_that_is_not_spoken_is_refused_and_never_a_label() {
        for name in ["SSL", "TLS", "plaintext", "Plaintext ", ""] {
            let error = Config::new().subnet("x", name).start().await.unwrap_err();
            let (StartError::UnknownEncryption(it) | StartError::EncryptionNotSet(it)) = &error
            else {
                panic!("{name}: {error}");
            };
            assert_eq!(it.name(), name);
        }
    }

    #[actix::test]
    async fn a_bad_address_is_refused_and_named() {
        let good = Config::new().connect("127.0.0.1:1");
        for config in [
            good.clone().connect("nowhere"),
            good.advertise(String::from("nowhere")),
        ] {
            let error = config.start().await.unwrap_err();
            assert_eq!(error.code(), "bad_address");
            assert!(error.to_string().contains("\"nowhere\""), "{error}");
        }
    }

    #[test]
    fn zero_and_none_both_turn_off() {
        let config = Config::new()
            .keepalive_interval(Duration::ZERO)
            .max_reconnect_delay(None)
            .inbox_capacity(0)
            .max_peer_message_rate(0)
            .max_peer_byte_rate(None);
        assert_eq!(
            (config.keepalive_interval, config.max_reconnect_delay),
            (None, None)
        );
        assert_eq!(config.inbox_capacity, None);
        assert_eq!(
            (config.max_peer_message_rate, config.max_peer_byte_rate),
            (None, None)
        );
    }
}
