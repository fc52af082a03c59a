//! Log lines about the node: its events, its connections, its start and end.
//!
//! Owns the targets `actix_mesh::event`, `actix_mesh::connection` and `actix_mesh::node`, and the rate limit of lines
//! that others can cause. Lines about messages belong to the core ([`trace`](crate::mesh::trace)).

use std::collections::BTreeMap;
use std::time::Duration;

use crate::mesh::{Event, TokenBucket};
use crate::wire::NodeId;

/// Log lines of one kind of event: the burst, and the rate per second.
const BURST: f64 = 20.0;
const PER_SECOND: f64 = 2.0;

/// The rate limit of log lines, per kind of event.
#[derive(Debug, Default)]
pub(crate) struct EventLog {
    kinds: BTreeMap<&'static str, Kind>,
}

#[derive(Debug)]
struct Kind {
    bucket: TokenBucket,
    suppressed: u64,
}

impl EventLog {
    /// Writes a log line for an event, unless its kind is over the limit.
    pub(crate) fn event(&mut self, node: &NodeId, now: Duration, event: &Event) {
        if !is_wanted(event) {
            return;
        }
        let kind = self.kinds.entry(event.code()).or_insert_with(|| Kind {
            bucket: TokenBucket::new(BURST, PER_SECOND),
            suppressed: 0,
        });
        if kind.bucket.spend(now) {
            let suppressed = std::mem::take(&mut kind.suppressed);
            write(node, event, suppressed);
        } else {
            kind.suppressed += 1;
        }
    }

    /// Logs how many lines of each kind were suppressed. Called once a second.
    pub(crate) fn sum_up(&mut self, node: &NodeId, now: Duration) {
        for (code, kind) in &mut self.kinds {
            if kind.suppressed > 0 && kind.bucket.spend(now) {
                let suppressed = std::mem::take(&mut kind.suppressed);
                leave_out(node, code, suppressed);
            }
        }
    }
}

#[cfg(feature = "tracing")]
mod lines {
    use tracing::{Level, debug, enabled, error, info, warn};

    use crate::mesh::{Event, Severity, printable};
    use crate::wire::{Address, NodeId};

    const EVENT: &str = "actix_mesh::event";
    const CONNECTION: &str = "actix_mesh::connection";
    const NODE: &str = "actix_mesh::node";

    pub(in crate::node::router) fn is_wanted(event: &Event) -> bool {
        match event.severity() {
            Severity::Error => enabled!(target: EVENT, Level::ERROR),
            Severity::Warning => enabled!(target: EVENT, Level::WARN),
            Severity::Info => enabled!(target: EVENT, Level::INFO),
        }
    }

    pub(in crate::node::router) fn write(node: &NodeId, event: &Event, suppressed: u64) {
        let code = event.code();
        let peer = event.peer().map(tracing::field::display);
        let addr = event.about().map(|addr| printable(&addr, 270));
        let reason = event.why();
        let message = event.message().map(tracing::field::display);
        let suppressed = (suppressed > 0).then_some(suppressed);
        match event.severity() {
            Severity::Error => {
                error!(target: EVENT, %node, event = code, peer, addr, message_id = message, reason, suppressed, "{event}");
            }
            Severity::Warning => {
                warn!(target: EVENT, %node, event = code, peer, addr, message_id = message, reason, suppressed, "{event}");
            }
            Severity::Info => {
                info!(target: EVENT, %node, event = code, peer, addr, message_id = message, reason, suppressed, "{event}");
            }
        }
    }

    pub(in crate::node::router) fn leave_out(node: &NodeId, code: &str, suppressed: u64) {
        warn!(target: EVENT, %node, event = code, suppressed, "more of these events were not logged");
    }

    pub(crate) fn started(node: &NodeId, listen: std::net::SocketAddr, address: &Address) {
        info!(target: NODE, %node, %listen, %address, "started");
    }

    pub(crate) fn draining(node: &NodeId, drain: std::time::Duration) {
        info!(target: NODE, %node, ?drain, "shutting down");
    }

    pub(crate) fn ended(node: &NodeId, clean: bool) {
        if clean {
            info!(target: NODE, %node, "ended: everything was written and delivered");
        } else {
            warn!(target: NODE, %node, "ended before everything was written and delivered");
        }
    }

    pub(crate) fn dialing(node: &NodeId, addr: &Address) {
        debug!(target: CONNECTION, %node, addr = %printable(&addr.to_string(), 270), "dialling");
    }

    pub(crate) fn accepted(node: &NodeId, from: std::net::SocketAddr) {
        debug!(target: CONNECTION, %node, addr = %from, "accepted a connection");
    }
}

#[cfg(not(feature = "tracing"))]
mod lines {
    use crate::mesh::Event;
    use crate::wire::{Address, NodeId};

    pub(in crate::node::router) const fn is_wanted(_: &Event) -> bool {
        false
    }

    pub(in crate::node::router) const fn write(_: &NodeId, _: &Event, _: u64) {}

    pub(in crate::node::router) const fn leave_out(_: &NodeId, _: &str, _: u64) {}

    pub(crate) const fn started(_: &NodeId, _: std::net::SocketAddr, _: &Address) {}

    pub(crate) const fn draining(_: &NodeId, _: std::time::Duration) {}

    pub(crate) const fn ended(_: &NodeId, _: bool) {}

    pub(crate) const fn dialing(_: &NodeId, _: &Address) {}

    pub(crate) const fn accepted(_: &NodeId, _: std::net::SocketAddr) {}
}

pub(crate) use lines::{accepted, dialing, draining, ended, started};
use lines::{is_wanted, leave_out, write};
