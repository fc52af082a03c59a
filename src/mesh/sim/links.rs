//! The connections of a virtual network: their latency, how they break, and what is lost on them.
//!
//! Owns lines, cuts, latencies and uplinks. Does not know what a node does with what arrives.

use std::time::Duration;

use bytes::Bytes;
use rand::RngExt;

use super::queue::Transit;
use super::{End, Network, Node};
use crate::mesh::input::{DialError, Ended, Input};
use crate::wire::Address;

/// One end of a connection.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) other: End,
    /// When the last bytes sent to the other end arrive: bytes keep their order.
    pub(super) clear_at: Duration,
    /// The latency of every write; `None`: each write draws its own.
    pub(super) latency: Option<Duration>,
    /// Whether anything was written on it.
    pub(super) introduced: bool,
    /// Whether the other end's handshake was accepted.
    pub(super) established: bool,
}

impl Line {
    fn new(other: End, clear_at: Duration, latency: Option<Duration>) -> Self {
        Self {
            other,
            clear_at,
            latency,
            introduced: false,
            established: false,
        }
    }
}

impl Network {
    fn line(&self, end: End) -> Option<&Line> {
        self.hosts[end.0.0].lines.get(&end.1)
    }

    pub(super) fn has_line(&self, end: End) -> bool {
        self.line(end).is_some()
    }

    pub(super) fn remove_line(&mut self, end: End) -> Option<Line> {
        self.hosts[end.0.0].lines.remove(&end.1)
    }

    /// Returns both ends of every connection, in a fixed order.
    fn ends(&self) -> Vec<End> {
        let hosts = self.hosts.iter().enumerate();
        hosts
            .flat_map(|(index, host)| host.lines.keys().map(move |conn| (Node(index), *conn)))
            .collect()
    }

    pub(super) fn delay(&mut self) -> Duration {
        if self.latency.is_empty() {
            return self.latency.start;
        }
        self.rng.random_range(self.latency.clone())
    }

    /// Partitions two sets of nodes: connections between them break, and data between them is lost.
    pub fn part(&mut self, left: &[Node], right: &[Node]) {
        for &a in left {
            for &b in right {
                self.cut.insert((a, b));
                self.cut.insert((b, a));
            }
        }
        let mut broken = self.ends();
        broken.retain(|end| {
            let line = self.line(*end);
            line.is_some_and(|line| self.cut.contains(&(end.0, line.other.0)))
        });
        for end in broken {
            self.remove_line(end);
            let why = Ended::Failed("cut".into());
            self.feed(end.0, Input::Closed { conn: end.1, why });
        }
    }

    /// Removes every partition.
    pub fn heal(&mut self) {
        self.cut.clear();
    }

    /// Sets the probability of each connection to break within a second. Default 0.
    pub fn break_links(&mut self, chance: f64) {
        self.breakage = chance;
        if chance > 0.0 && !self.stormy {
            self.stormy = true;
            self.queue
                .post(self.now + Duration::from_secs(1), Transit::Weather);
        }
    }

    pub(super) fn on_weather(&mut self) {
        self.stormy = self.breakage > 0.0;
        for end in self.ends() {
            // Each connection has two ends, and either may break it.
            if self.rng.random_bool((self.breakage / 2.0).clamp(0.0, 1.0)) {
                self.snap(end);
            }
        }
        if self.stormy {
            self.queue
                .post(self.now + Duration::from_secs(1), Transit::Weather);
        }
    }

    /// Breaks a connection: both ends learn it at once, and data in transit is lost.
    fn snap(&mut self, end: End) {
        let Some(line) = self.remove_line(end) else {
            return;
        };
        self.remove_line(line.other);
        for (node, conn) in [end, line.other] {
            let why = Ended::Failed("broken".into());
            self.feed(node, Input::Closed { conn, why });
        }
    }

    pub(super) fn on_knock(&mut self, from: End, addr: Address) {
        let there = self.addresses.get(&addr);
        let mut there = there.into_iter().flatten().copied();
        let found = there.find(|node| self.hosts[node.0].up && !self.hosts[node.0].hidden);
        let back = self.now + self.delay();
        let reachable = found.filter(|node| !self.cut.contains(&(from.0, *node)));
        let Some(to) = reachable else {
            let why = DialError::Refused;
            return self.queue.post(back, Transit::DialFailed { to: from, why });
        };
        let latency = self.constant_latency.then(|| self.delay());
        let conn = self.hosts[to.0].mesh.next_conn();
        let line = Line::new((to, conn), self.now, latency);
        self.hosts[from.0.0].lines.insert(from.1, line);
        let line = Line::new(from, back, latency);
        self.hosts[to.0].lines.insert(conn, line);
        self.queue.post(back, Transit::Dialed { to: from, addr });
        let addr = self.hosts[from.0.0].address.clone();
        self.feed(to, Input::Accepted { conn, addr });
    }

    pub(super) fn write(&mut self, from: End, bytes: Bytes) {
        let Some(line) = self.line(from) else {
            return;
        };
        let constant = line.latency;
        let latency = constant.unwrap_or_else(|| self.delay());
        let gone = self.leaves(from.0, bytes.len());
        let Some(line) = self.hosts[from.0.0].lines.get_mut(&from.1) else {
            return;
        };
        line.clear_at = line.clear_at.max(gone + latency);
        let (to, at) = (line.other, line.clear_at);
        if self.cut.is_empty() || !self.cut.contains(&(from.0, to.0)) {
            self.queue.post(at, Transit::Bytes { to, bytes });
        }
    }

    /// Returns when so many bytes have left the node, after all it wrote before.
    fn leaves(&mut self, node: Node, bytes: usize) -> Duration {
        let host = &mut self.hosts[node.0];
        let Some(rate) = host.uplink else {
            return self.now;
        };
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let takes = Duration::from_secs_f64(f64::from(bytes) / rate);
        host.busy_until = host.busy_until.max(self.now) + takes;
        host.busy_until
    }

    pub(super) fn hang_up(&mut self, end: End) {
        let Some(line) = self.remove_line(end) else {
            return;
        };
        let at = self.now + line.latency.unwrap_or_else(|| self.delay());
        let to = line.other;
        self.queue
            .post(at.max(line.clear_at), Transit::Closed { to });
    }
}
