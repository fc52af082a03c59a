//! Dials between simulated hosts.
//!
//! Owns a dial's latency and outcome: a connection, or no answer if no host is there.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rand::RngExt as _;
use tokio::time::{sleep, timeout};

use super::host::{Host, State};
use super::link::{self, Quality};
use crate::mesh::DialError;
use crate::node::transport::Transport;
use crate::node::transport::dial::Dial;
use crate::node::transport::listener::Accepted;
use crate::wire::Address;

impl Host {
    pub(crate) async fn dial(self, from: SocketAddr, to: Address, within: Duration) -> Dial {
        let dialling = self.connect(from, to);
        timeout(within, dialling)
            .await
            .unwrap_or(Err(DialError::Timeout))
    }

    async fn connect(&self, from: SocketAddr, to: Address) -> Dial {
        let no_such = |_| DialError::Unreachable(String::from("a simulated network has no names"));
        let addr: SocketAddr = to.to_string().parse().map_err(no_such)?;
        let (quality, port, found) = {
            let mut state = self.net.state();
            let State {
                chance,
                latency,
                loss,
                hosts,
                links,
                ..
            } = &mut *state;
            let quality = Quality {
                // The runtime's timers count whole milliseconds: a finer latency would depend on when they started.
                latency: whole(chance.random_range(latency.clone())),
                loss: *loss,
                seed: chance.random(),
            };
            *links += 1;
            // Ports are assigned in turn, as an operating system does.
            let port = 32_768 + (*links % 28_000) as u16;
            (quality, port, hosts.get(&addr).cloned())
        };
        sleep(quality.latency).await;
        let Some((place, door)) = found else {
            // No host is there to refuse.
            return std::future::pending().await;
        };
        let host = Host {
            net: Arc::clone(&self.net),
            place,
        };
        self.can_reach(&host).await;
        sleep(quality.latency).await;
        let door = door.upgrade().ok_or(DialError::Refused)?;
        let (near, far) = link::open(self, &host, quality);
        let accepted = Accepted {
            transport: Transport::pipe(far),
            from: SocketAddr::new(from.ip(), port),
        };
        door.send(accepted).await.map_err(|_| DialError::Refused)?;
        Ok((Transport::pipe(near), addr))
    }
}

fn whole(time: Duration) -> Duration {
    Duration::from_millis(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}
