//! Degree: how many peers a node wants, and which connections it gives up beyond that.
//!
//! Owns the soft limit. A node with more peers asks incoming ones to leave. Each peer decides, since only it knows what
//! the connection means to it. A connection is never given up if a user asked for it, if it leads to a reference peer,
//! or if the node dialled it. Everything in flight is read before a connection closes.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Duration;

use crate::mesh::Mesh;
use crate::mesh::connections::routing_table::{Entry, NEVER_ASKED};
use crate::mesh::effect::{Effect, Effects};
use crate::mesh::event::{CloseReason, Direction};
use crate::mesh::input::{ConnId, Now};
use crate::mesh::membership::address_scope::network;
use crate::mesh::membership::capability::Verb;
use crate::mesh::token_bucket::TokenBucket;
use crate::wire::NodeId;

/// A node keeps the connection if it would be left with fewer peers than this.
const FLOOR: usize = 3;

/// The limit is at least this many times `max_outgoing`. On average a node gets as many incoming connections as it
/// dials; if no node had room, connections would never settle.
const TIMES_SOUGHT: usize = 3;

/// Peers asked to leave per tick: an eighth of the excess, clamped to these.
const MIN_ASKED: usize = 4;
const MAX_ASKED: usize = 64;

/// A new connection is asked after this time, then after twice as long, and so on, at most `ASKS` times.
const FIRST_ASK: Duration = Duration::from_secs(4);
const ASKS: u8 = 6;

/// The first incoming peers are never asked, nor are those we dialled: an eclipse attacker comes later, and cannot have
/// these sent away.
const VETERANS: usize = 3;

/// The first connection that a node dialled is not given up: an eclipse attacker cannot have every peer it found send
/// it away.
const ANCHORS: usize = 1;

/// Deadline for a departing connection to close.
const DEPARTURE: Duration = Duration::from_secs(30);

/// Departing connections, and the rate limit for giving them up.
#[derive(Debug)]
pub(in crate::mesh) struct Departures {
    /// The deadline of each.
    going: BTreeMap<ConnId, Duration>,
    budget: TokenBucket,
}

impl Default for Departures {
    fn default() -> Self {
        Self {
            going: BTreeMap::new(),
            budget: TokenBucket::new(4.0, 0.2),
        }
    }
}

impl Mesh {
    /// Asks excess peers to leave, a few at a time, and closes departing connections whose deadline has passed.
    pub(in crate::mesh) fn bound_degree(&mut self, now: Now, out: &mut Effects) {
        let overdue = self.departures.going.iter();
        let overdue = overdue.filter(|(_, until)| **until <= now.monotonic);
        let overdue: Vec<ConnId> = overdue.map(|(conn, _)| *conn).collect();
        for conn in overdue {
            self.close(now, conn, CloseReason::Spare, out);
        }
        if self.closing || !self.params.extensions || self.params.soft_max_peers == 0 {
            return;
        }
        let bound = self.params.max_outgoing.saturating_mul(TIMES_SOUGHT);
        let bound = bound.max(self.params.soft_max_peers);
        let excess = self.routing.len().saturating_sub(bound);
        if excess == 0 {
            return;
        }
        let count = (excess / 8).clamp(MIN_ASKED, MAX_ASKED).min(excess);
        for conn in self.most_redundant(now, bound, count) {
            if let Some(entry) = self.routing.get_mut(conn) {
                entry.asks += 1;
            }
            self.extend(now, conn, Verb::Spare, Vec::new(), out);
        }
    }

    /// Returns the most redundant incoming connections: asked least often, then in the largest network, then heard
    /// first for the fewest authors, then the newest. The last connection of a network is included only if there are
    /// more networks than the limit.
    fn most_redundant(&self, now: Now, bound: usize, count: usize) -> Vec<ConnId> {
        let incoming = self.routing.iter();
        let incoming = incoming.filter(|entry| entry.direction == Direction::Incoming);
        let candidates = incoming.skip(VETERANS);
        let candidates = candidates.filter(|entry| may_be_asked(entry, now.monotonic));
        let mut candidates: Vec<&Entry> = candidates.collect();
        if candidates.is_empty() {
            return Vec::new();
        }
        let mut networks: BTreeMap<String, usize> = BTreeMap::new();
        for entry in self.routing.iter() {
            *networks.entry(network(&entry.reached.host)).or_default() += 1;
        }
        let least = usize::from(networks.len() <= bound);
        let ways = self.authors.ways(now.monotonic);
        candidates.sort_by_cached_key(|entry| {
            let kin = networks.get(&network(&entry.reached.host));
            let kin = kin.copied().unwrap_or_default();
            let first_heard = ways.get(&entry.conn).copied().unwrap_or_default();
            (entry.asks, Reverse(kin), first_heard, Reverse(entry.conn))
        });
        candidates.retain(|entry| {
            let kin = networks.get_mut(&network(&entry.reached.host));
            kin.is_some_and(|kin| {
                *kin -= 1;
                *kin >= least
            })
        });
        candidates.iter().take(count).map(|it| it.conn).collect()
    }

    /// Handles a request to leave from a peer we dialled. We leave if no user asked for the connection and enough
    /// others are left.
    pub(in crate::mesh) fn on_spare(&mut self, now: Now, conn: ConnId, out: &mut Effects) {
        let Some(entry) = self.routing.get(conn) else {
            return;
        };
        if entry.direction == Direction::Incoming {
            return self.misplaced(now, conn, out);
        }
        let outgoing = self.routing.iter();
        let outgoing = outgoing.filter(|it| it.direction == Direction::Outgoing);
        let is_anchor = outgoing.take(ANCHORS).any(|it| it.conn == conn);
        let free = entry.loose && !is_anchor && entry.contest.is_none() && !entry.duplicate;
        if !free || self.closing || self.routing.len() <= FLOOR {
            return;
        }
        if self.departures.budget.spend(now.monotonic) {
            self.depart(now, conn, out);
        }
    }

    /// Handles a peer's last message on a connection. If we have sent ours, closes it. If we had asked the peer to
    /// leave, sends it a peers list and our own last message.
    pub(in crate::mesh) fn on_leaving(&mut self, now: Now, conn: ConnId, out: &mut Effects) {
        let Some(entry) = self.routing.get(conn) else {
            return;
        };
        if entry.leaving {
            return self.close(now, conn, CloseReason::Spare, out);
        }
        // It may have been asked before a user asked for it: the peer could not know.
        let asked = entry.direction == Direction::Incoming && entry.asks > 0;
        if !asked || entry.duplicate {
            return self.misplaced(now, conn, out);
        }
        self.send_peers(now, conn, out);
        self.depart(now, conn, out);
    }

    /// Sends our last message on this connection; the side that has sent and heard it closes. Until then it is read.
    fn depart(&mut self, now: Now, conn: ConnId, out: &mut Effects) {
        self.end_pruning(now, conn, true, out);
        self.extend(now, conn, Verb::Leaving, Vec::new(), out);
        self.routing.demote(conn);
        let until = now.monotonic + DEPARTURE;
        self.departures.going.insert(conn, until);
        self.stats.links_spared += 1;
        let Some(entry) = self.routing.get_mut(conn) else {
            return;
        };
        entry.leaving = true;
        // Must not be dialled again because another list names it.
        let addresses = [entry.dialled.as_deref().cloned(), entry.announced.clone()];
        if entry.direction == Direction::Outgoing {
            let id = entry.id.clone();
            self.book.release(&id, addresses[0].as_ref());
            for address in addresses.into_iter().flatten() {
                self.tried.note(&address, now.monotonic);
            }
        }
        self.seek_links_soon(now);
    }

    /// Reports the end of a departing connection.
    pub(in crate::mesh) fn departed(&mut self, entry: Entry, out: &mut Effects) {
        self.departures.going.remove(&entry.conn);
        out.push(Effect::left(entry.id, CloseReason::Spare));
    }

    /// Closes a peer's departing connection before its new one is accepted.
    pub(in crate::mesh) fn hasten_departure(&mut self, now: Now, id: &NodeId, out: &mut Effects) {
        let going = self.departures.going.keys().copied();
        let named = |conn: &ConnId| self.routing.get(*conn).is_some_and(|it| it.id == *id);
        let going: Vec<ConnId> = going.filter(named).collect();
        for conn in going {
            self.close(now, conn, CloseReason::Spare, out);
        }
    }

    /// Keeps the connection to a peer that a user asked for, however many peers there are.
    pub(in crate::mesh) fn hold_on_to(&mut self, conn: ConnId) {
        if let Some(entry) = self.routing.get_mut(conn) {
            (entry.loose, entry.asks) = (false, NEVER_ASKED);
        }
    }
}

/// Whether it is time to ask this peer.
fn may_be_asked(entry: &Entry, now: Duration) -> bool {
    let wait = FIRST_ASK * (1 << entry.asks.min(ASKS));
    entry.extended && entry.contest.is_none() && entry.asks < ASKS && entry.ready_at + wait <= now
}
