//! Discovery on the local network (mDNS, DNS-SD): nodes of one subnet find each other without an address.
//!
//! Owns the announcement, and what other nodes announce. The core decides which addresses are dialled: anyone on the
//! network can announce anything.

use std::net::{IpAddr, SocketAddr};

use actix::WeakAddr;
use mdns_sd::{ResolvedService, ServiceDaemon, ServiceEvent, ServiceInfo};

use crate::node::Router;
use crate::node::router::addresses::seeds::MayBeAt;
use crate::wire::{NodeId, SubnetId};

const SERVICE: &str = "_actix-mesh._tcp.local.";
/// The most addresses used of one announcement.
const MAX_ADDRESSES: usize = 16;

/// An announcement, until dropped.
pub(crate) struct Lan {
    daemon: ServiceDaemon,
}

impl Lan {
    /// Announces a node, and reports what others of its subnet announce.
    pub(crate) fn join(
        router: WeakAddr<Router>,
        me: &NodeId,
        subnet: &SubnetId,
        listen: SocketAddr,
    ) -> Result<Self, mdns_sd::Error> {
        let daemon = ServiceDaemon::new()?;
        let lan = Self { daemon };
        let name = me.short();
        let host = format!("actix-mesh-{name}.local.");
        let properties = [("id", me.as_str()), ("subnet", subnet.as_str())];
        let address = match listen.ip().is_unspecified() {
            true => String::new(),
            false => listen.ip().to_string(),
        };
        let service = ServiceInfo::new(
            SERVICE,
            name,
            &host,
            address.as_str(),
            listen.port(),
            &properties[..],
        )?;
        let service = match listen.ip().is_unspecified() {
            true => service.enable_addr_auto(),
            false => service,
        };
        lan.daemon.register(service)?;
        let heard = lan.daemon.browse(SERVICE)?;
        let (me, subnet) = (me.clone(), subnet.clone());
        actix_rt::spawn(async move {
            while let Ok(event) = heard.recv_async().await {
                let ServiceEvent::ServiceResolved(service) = event else {
                    continue;
                };
                let found = addresses(&service, &me, &subnet, listen.ip());
                let Some(router) = router.upgrade() else {
                    return;
                };
                // The next announcement waits until this one is handled.
                if !found.is_empty() && router.send(MayBeAt(found)).await.is_err() {
                    return;
                }
            }
        });
        Ok(lan)
    }
}

impl Drop for Lan {
    fn drop(&mut self) {
        // The daemon says goodbye on its own thread.
        let _ = self.daemon.shutdown();
    }
}

/// Returns the addresses that a node of this subnet announces, if they are on this network.
fn addresses(
    service: &ResolvedService,
    me: &NodeId,
    subnet: &SubnetId,
    listen: IpAddr,
) -> Vec<SocketAddr> {
    let said = |key| service.txt_properties.get_property_val_str(key);
    if said("subnet") != Some(subnet.as_str()) || said("id") == Some(me.as_str()) {
        return Vec::new();
    }
    let near = service.addresses.iter().map(|ip| ip.to_ip_addr());
    let near = near.filter(|ip| is_near(ip, listen)).take(MAX_ADDRESSES);
    near.map(|ip| SocketAddr::new(ip, service.port)).collect()
}

/// Returns whether an address can be on the local network: others would let anyone make this node dial a host of their
/// choice. A node that others can reach does not dial its own machine because of an announcement.
fn is_near(ip: &IpAddr, listen: IpAddr) -> bool {
    match ip {
        ip if ip.is_loopback() => listen.is_loopback(),
        IpAddr::V4(ip) => ip.is_private() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unique_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_elsewhere_is_not_believed_nor_our_own_machine_where_others_reach_us() {
        let near = ["192.168.1.7", "10.0.0.1", "169.254.3.3", "fd00::1"];
        let own = ["127.0.0.1", "::1"];
        let far = ["192.0.2.1", "8.8.8.8", "2001:db8::1", "0.0.0.0"];
        let judged =
            |ip: &str, listen: &str| is_near(&ip.parse().unwrap(), listen.parse().unwrap());
        assert!(near.iter().all(|ip| judged(ip, "0.0.0.0")));
        assert!(own.iter().all(|ip| judged(ip, "127.0.0.1")));
        assert!(
            !own.iter()
                .any(|ip| judged(ip, "0.0.0.0") || judged(ip, "10.0.0.1"))
        );
        assert!(!far.iter().any(|ip| judged(ip, "0.0.0.0")));
    }
}
