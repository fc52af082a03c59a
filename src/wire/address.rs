//! The address at which a node can be dialled: host and port, as text.

use std::{fmt, net::SocketAddr, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Host and port of a node. The host is a name or a literal address; IPv6 has no brackets here.
///
/// Displayed as `host:port` or `[v6]:port`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address {
    /// 1 to 255 bytes, without spaces, control characters, quotes, backslashes or brackets.
    pub host: String,
    /// The port. Never 0 in an address read from a peer.
    pub port: u16,
}

/// The text is not an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// There is no colon followed by a number up to 65535.
    #[error("an address is written host:port, with a port up to 65535")]
    BadPort,
    /// The host is empty, too long, or contains a character that is not allowed in a host.
    #[error(
        "a host has 1 to 255 bytes, without spaces, control characters, quotes, backslashes or brackets"
    )]
    BadHost,
}

const MAX_HOST: usize = 255;

impl Address {
    /// Makes an address, after checking the host.
    pub fn new(host: impl Into<String>, port: u16) -> Result<Address, AddressError> {
        let host = host.into();
        match is_host(&host) {
            true => Ok(Address { host, port }),
            false => Err(AddressError::BadHost),
        }
    }
}

fn is_host(host: &str) -> bool {
    let forbidden =
        |c: char| c.is_control() || c.is_whitespace() || matches!(c, '"' | '\'' | '\\' | '[' | ']');
    (1..=MAX_HOST).contains(&host.len()) && !host.contains(forbidden)
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let (host, port) = text.rsplit_once(':').ok_or(AddressError::BadPort)?;
        let port = port.parse().map_err(|_| AddressError::BadPort)?;
        match host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
        {
            Some(v6) => Address::new(v6, port),
            None if host.contains(':') => Err(AddressError::BadHost),
            None => Address::new(host, port),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Address {
            host: address.ip().to_string(),
            port: address.port(),
        }
    }
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_they_are_written() {
        for text in [
            "127.0.0.1:31001",
            "host.example:1",
            "[::1]:65535",
            "[fe80::1]:0",
        ] {
            let address: Address = text.parse().unwrap();
            assert_eq!(address.to_string(), text);
            let json = serde_json::to_string(&address).unwrap();
            assert_eq!(serde_json::from_str::<Address>(&json).unwrap(), address);
        }
    }

    #[test]
    fn socket_addresses_are_addresses() {
        for text in ["127.0.0.1:31001", "[::1]:1"] {
            let address = text.parse::<SocketAddr>().unwrap();
            assert_eq!(Address::from(address), text.parse().unwrap());
        }
    }

    #[test]
    fn what_is_no_address_is_told() {
        for text in ["", "host", "host:", "host:65536", "host:-1", "host:port"] {
            assert_eq!(
                text.parse::<Address>(),
                Err(AddressError::BadPort),
                "{text}"
            );
        }
        for text in [
            ":1",
            "::1:1",
            "[]:1",
            "a b:1",
            "\"a:1",
            "a\\:1",
            "a\u{7f}:1",
            "[[::1]]:1",
        ] {
            assert_eq!(
                text.parse::<Address>(),
                Err(AddressError::BadHost),
                "{text}"
            );
        }
    }
}
