//! Degree: how many peers a node wants, and which links give way when there are more.
//!
//! Owns the soft bound. A node that has more peers asks those that came to it on their own account to go elsewhere;
//! whether they do is theirs to say, since only they know what the link is to them. A link that a user asked for never
//! goes, nor one to a reference peer, nor one that the node dialled itself. What is on its way is read before a link ends.

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

/// A node that would be left with fewer peers than this keeps the link.
const FLOOR: usize = 3;

/// The bound is never less than so many times the links that a node seeks: as many come to it as it seeks, in the mean,
/// and where no node has room nobody would come to rest.
const TIMES_SOUGHT: usize = 3;

/// Peers that are asked to go in one tick: an eighth of those beyond the bound, and so many.
const MIN_ASKED: usize = 4;
const MAX_ASKED: usize = 64;

/// A link that has just come up is asked after this time, then after twice as long, and so on; so often at most.
const FIRST_ASK: Duration = Duration::from_secs(4);
const ASKS: u8 = 6;

/// The peers that came first are not asked, as none is that we dialled: who would surround a node comes later, and cannot
/// have it send those away.
const VETERANS: usize = 3;

/// The first link of those that a node dialled itself is not given up: who would surround it cannot have all whom it found
/// send it away.
const ANCHORS: usize = 1;

/// Links that end this way must have ended within this time.
const DEPARTURE: Duration = Duration::from_secs(30);

/// Links that are going, and how often this node gives one up.
#[derive(Debug)]
pub(in crate::mesh) struct Departures {
    /// Until when they may last.
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
    /// Asks as many peers to go as there are too many, a few at a time, and ends departures whose time is up.
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

    /// Of the links that came to us, those that can be missed most easily: asked least often, then of the largest
    /// network, then on which the fewest authors are heard first, then the youngest. The last of a network is among them
    /// only where there are more networks than the bound.
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

    /// A peer to which we came has more links than it needs. We go if nothing is lost by it: no user asked for the link,
    /// and enough others are left.
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

    /// A peer that we asked to go does: it says nothing more, and all it said has been heard. The other way round: we have
    /// asked, it has agreed, and we have told it where else to go.
    pub(in crate::mesh) fn on_leaving(&mut self, now: Now, conn: ConnId, out: &mut Effects) {
        let Some(entry) = self.routing.get(conn) else {
            return;
        };
        if entry.leaving {
            return self.close(now, conn, CloseReason::Spare, out);
        }
        // Maybe it was, and a user has asked for it meanwhile: the peer could not know.
        let asked = entry.direction == Direction::Incoming && entry.asks > 0;
        if !asked || entry.duplicate {
            return self.misplaced(now, conn, out);
        }
        self.send_peers(now, conn, out);
        self.depart(now, conn, out);
    }

    /// Says that nothing more is said on this link: whoever has said and heard it closes it. Until then it is read.
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
        // Not to be dialled again because another list names it.
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

    /// A link that was going has ended.
    pub(in crate::mesh) fn departed(&mut self, entry: Entry, out: &mut Effects) {
        self.departures.going.remove(&entry.conn);
        out.push(Effect::left(entry.id, CloseReason::Spare));
    }

    /// A peer comes anew whose old link is still going: that one ends first.
    pub(in crate::mesh) fn hasten_departure(&mut self, now: Now, id: &NodeId, out: &mut Effects) {
        let going = self.departures.going.keys().copied();
        let named = |conn: &ConnId| self.routing.get(*conn).is_some_and(|it| it.id == *id);
        let going: Vec<ConnId> = going.filter(named).collect();
        for conn in going {
            self.close(now, conn, CloseReason::Spare, out);
        }
    }

    /// A user wants the connection to this peer: it is not given up for having links enough.
    pub(in crate::mesh) fn hold_on_to(&mut self, conn: ConnId) {
        if let Some(entry) = self.routing.get_mut(conn) {
            (entry.loose, entry.asks) = (false, NEVER_ASKED);
        }
    }
}

/// Whether a link's turn to be asked has come.
fn may_be_asked(entry: &Entry, now: Duration) -> bool {
    let wait = FIRST_ASK * (1 << entry.asks.min(ASKS));
    entry.extended && entry.contest.is_none() && entry.asks < ASKS && entry.ready_at + wait <= now
}
