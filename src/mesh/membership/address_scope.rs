//! Address scopes: whether an address is global, private, or on this machine.
//!
//! Owns the classification of addresses that peers name. Resolves no names.

use std::net::{IpAddr, Ipv6Addr};

use crate::wire::Address;

/// Where an address can be reached from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::mesh) enum Scope {
    /// From anywhere.
    Global,
    /// Within a private network or a link.
    Private,
    /// From the same machine.
    Loopback,
    /// Unknown: the host is a name.
    Name,
    /// From nowhere: no single host has it.
    Nowhere,
}

pub(in crate::mesh) fn scope_of(address: &Address) -> Scope {
    if address.host.eq_ignore_ascii_case("localhost") {
        return Scope::Loopback;
    }
    match address.host.parse::<IpAddr>() {
        Err(_) => Scope::Name,
        Ok(ip) => scope_of_ip(ip.to_canonical()),
    }
}

fn scope_of_ip(ip: IpAddr) -> Scope {
    if ip.is_unspecified() || ip.is_multicast() {
        return Scope::Nowhere;
    }
    if ip.is_loopback() {
        return Scope::Loopback;
    }
    let private = match ip {
        IpAddr::V4(v4) if v4.is_broadcast() => return Scope::Nowhere,
        IpAddr::V4(v4) => v4.is_private() || v4.is_link_local() || is_shared(v4.octets()),
        IpAddr::V6(v6) => is_private(v6),
    };
    if private {
        Scope::Private
    } else {
        Scope::Global
    }
}

/// 100.64.0.0/10: carrier-grade NAT.
fn is_shared(octets: [u8; 4]) -> bool {
    octets[0] == 100 && octets[1] & 0xc0 == 64
}

fn is_private(v6: Ipv6Addr) -> bool {
    v6.is_unique_local() || v6.is_unicast_link_local()
}

/// Returns an announced address as others can use it: an unusable host, such as 0.0.0.0, is replaced with the one the
/// peer was seen at.
pub(in crate::mesh) fn seen_at(announced: Address, seen: &Address) -> Address {
    if scope_of(&announced) == Scope::Nowhere {
        return Address {
            host: seen.host.clone(),
            port: announced.port,
        };
    }
    announced
}

/// Returns a host's network for limits by network: its first 16 bits, or 32 in IPv6.
pub(in crate::mesh) fn network(host: &str) -> String {
    match host.parse::<IpAddr>().map(|ip| ip.to_canonical()) {
        Ok(IpAddr::V4(v4)) => {
            let [a, b, ..] = v4.octets();
            format!("{a}.{b}")
        }
        Ok(IpAddr::V6(v6)) => {
            let [a, b, ..] = v6.segments();
            format!("{a:x}:{b:x}")
        }
        Err(_) => host.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(host: &str) -> Scope {
        scope_of(&Address {
            host: host.into(),
            port: 1,
        })
    }

    #[test]
    fn addresses_are_sorted_by_how_far_they_reach() {
        for host in ["8.8.8.8", "2606:4700::1111", "172.32.0.1", "100.128.0.1"] {
            assert_eq!(of(host), Scope::Global, "{host}");
        }
        for host in [
            "10.1.2.3",
            "192.168.0.1",
            "172.16.0.1",
            "169.254.1.1",
            "100.64.0.1",
            "fe80::1",
            "fd00::1",
            "::ffff:10.0.0.1",
        ] {
            assert_eq!(of(host), Scope::Private, "{host}");
        }
        for host in [
            "127.0.0.1",
            "127.9.9.9",
            "::1",
            "localhost",
            "::ffff:127.0.0.1",
        ] {
            assert_eq!(of(host), Scope::Loopback, "{host}");
        }
        for host in ["0.0.0.0", "::", "224.0.0.1", "255.255.255.255"] {
            assert_eq!(of(host), Scope::Nowhere, "{host}");
        }
        assert_eq!(of("example.org"), Scope::Name);
    }

    #[test]
    fn a_host_that_is_none_becomes_the_one_seen() {
        let seen = Address {
            host: "192.0.2.7".into(),
            port: 50123,
        };
        let announced = Address {
            host: "0.0.0.0".into(),
            port: 4444,
        };
        assert_eq!(seen_at(announced, &seen).to_string(), "192.0.2.7:4444");
    }

    #[test]
    fn networks_are_told_apart_by_their_first_bits() {
        assert_eq!(network("10.1.2.3"), network("10.1.9.9"));
        assert_ne!(network("10.1.2.3"), network("10.2.2.3"));
        assert_eq!(network("2001:db8::1"), network("2001:db8:7::2"));
        assert_eq!(network("::ffff:10.1.2.3"), network("10.1.0.1"));
    }
}
