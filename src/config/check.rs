//! Which settings contradict each other, or cannot be met.
//!
//! Their meanings and defaults are documented where they are set.

use super::Config;
use crate::error::{SettingError, StartError};
#[cfg(feature = "tls")]
use crate::node::transport::encryption::Encryption;

impl Config {
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
