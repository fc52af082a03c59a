//! A node's place in the simulated network, and how others reach it.
//!
//! Owns what all hosts share: which hosts exist, their side of a partition, and the quality of connections. Knows no
//! node, only the recipient that accepts its connections.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use actix::WeakRecipient;
use rand::rngs::StdRng;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::node::transport::listener::Accepted;

pub(crate) struct Net {
    pub(super) seed: u64,
    pub(super) state: Mutex<State>,
    /// Notified when hosts may reach each other again.
    pub(super) healed: watch::Sender<()>,
}

pub(crate) struct State {
    pub(super) chance: StdRng,
    pub(super) latency: RangeInclusive<Duration>,
    pub(super) loss: f64,
    pub(super) hosts: BTreeMap<SocketAddr, (Arc<Place>, WeakRecipient<Accepted>)>,
    /// When virtual time began.
    pub(super) began: Option<Instant>,
    pub(super) links: u64,
}

impl Net {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A node's place in the network.
#[derive(Clone)]
pub(crate) struct Host {
    pub(super) net: Arc<Net>,
    pub(super) place: Arc<Place>,
}

#[derive(Debug, Default)]
pub(crate) struct Place {
    /// Hosts on the same side reach each other.
    pub(super) side: AtomicI64,
    pub(super) skew: Arc<AtomicI64>,
}

impl Place {
    pub(super) fn side(&self) -> i64 {
        self.side.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.place.fmt(f)
    }
}

impl Host {
    /// Waits until no partition separates the two.
    pub(super) async fn can_reach(&self, to: &Host) {
        let mut healed = self.net.healed.subscribe();
        while self.place.side() != to.place.side() {
            if healed.changed().await.is_err() {
                return;
            }
        }
    }
}
