//! The address to connect to, in any form a user may have: an address, or text that is parsed as one.
//!
//! Owns the conversions. A text that does not parse is an error where the address is used; the error quotes the text.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use serde::{Serialize, Serializer};

use super::address::{Address, AddressError};

/// Host and port of a node: an [`Address`], a [`SocketAddr`], a `(host, port)` pair, or text such as
/// `"example.org:4444"` or `"[::1]:4444"`.
///
/// Text is parsed when it is converted; an error surfaces in the call that uses the address.
///
/// ```
/// use actix_mesh::HostPort;
///
/// assert!(HostPort::from("example.org:4444").address().is_ok());
/// assert!(HostPort::from("example.org").address().is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort(Result<Address, BadAddress>);

/// A text that is not an address, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not an address: {why}")]
#[non_exhaustive]
pub struct BadAddress {
    /// The text.
    pub text: String,
    /// What is wrong with it.
    #[source]
    pub why: AddressError,
}

impl HostPort {
    /// Returns the address.
    ///
    /// # Errors
    /// The text it was made from is not an address.
    pub fn address(&self) -> Result<&Address, &BadAddress> {
        self.0.as_ref()
    }

    /// Returns the address by value.
    ///
    /// # Errors
    /// The text it was made from is not an address.
    pub fn into_address(self) -> Result<Address, BadAddress> {
        self.0
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Ok(address) => address.fmt(f),
            Err(bad) => f.pad(&bad.text),
        }
    }
}

impl Serialize for HostPort {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl From<Address> for HostPort {
    fn from(address: Address) -> Self {
        Self(Ok(address))
    }
}

impl From<&Address> for HostPort {
    fn from(address: &Address) -> Self {
        Self(Ok(address.clone()))
    }
}

impl From<SocketAddr> for HostPort {
    fn from(address: SocketAddr) -> Self {
        Self(Ok(address.into()))
    }
}

impl From<(IpAddr, u16)> for HostPort {
    fn from(address: (IpAddr, u16)) -> Self {
        SocketAddr::from(address).into()
    }
}

impl From<(&str, u16)> for HostPort {
    fn from((host, port): (&str, u16)) -> Self {
        Self(Address::new(host, port).map_err(|why| BadAddress {
            text: format!("{host}:{port}"),
            why,
        }))
    }
}

impl From<&str> for HostPort {
    fn from(text: &str) -> Self {
        Self(text.parse().map_err(|why| BadAddress {
            text: text.to_owned(),
            why,
        }))
    }
}

impl From<String> for HostPort {
    fn from(text: String) -> Self {
        text.as_str().into()
    }
}

impl From<&String> for HostPort {
    fn from(text: &String) -> Self {
        text.as_str().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_address_names_its_text() {
        let bad = HostPort::from("nowhere").into_address().unwrap_err();
        assert!(bad.to_string().contains("\"nowhere\""), "{bad}");
        let bad = HostPort::from(("a b", 1)).into_address().unwrap_err();
        assert_eq!(
            (bad.text.as_str(), bad.why),
            ("a b:1", AddressError::BadHost)
        );
    }

    #[test]
    fn every_form_of_an_address_is_the_same() {
        let address: Address = "127.0.0.1:4444".parse().unwrap();
        let socket: SocketAddr = "127.0.0.1:4444".parse().unwrap();
        for form in [
            HostPort::from(&address),
            HostPort::from(socket),
            HostPort::from((socket.ip(), socket.port())),
            HostPort::from(("127.0.0.1", 4444)),
            HostPort::from(String::from("127.0.0.1:4444")),
        ] {
            assert_eq!(form.address(), Ok(&address));
        }
    }
}
