//! Admission: how many strangers may be pending, how many incoming peers are accepted, and which are evicted.
//!
//! Owns the inbound limits. A full node answers newcomers with handshake, peers list and close, which every reference
//! peer understands. [`bans`](super::bans) decides which hosts are banned.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::mesh::Mesh;
use crate::mesh::connections::handshake::Handshake;
use crate::mesh::effect::{Effect, Effects};
use crate::mesh::event::{CloseReason, Direction};
use crate::mesh::input::{ConnId, Now};
use crate::mesh::membership::address_scope::network;
use crate::wire::{Address, NodeId};

/// Peers kept out because a user disconnected them; when full, the one whose delay ends first is forgotten.
const MAX_SHUNNED: usize = 1024;

impl Mesh {
    /// Keeps a peer that a user disconnected out for `rejoin_delay`.
    pub(in crate::mesh) fn shun(&mut self, now: Now, peer: &NodeId) {
        if self.params.rejoin_delay.is_zero() {
            return;
        }
        self.shunned.retain(|_, until| now.monotonic < *until);
        if self.shunned.len() >= MAX_SHUNNED
            && let Some(first) = self.shunned.iter().min_by_key(|(_, until)| **until)
        {
            let first = first.0.clone();
            self.shunned.remove(&first);
        }
        let until = now.monotonic + self.params.rejoin_delay;
        self.shunned.insert(peer.clone(), until);
    }

    /// Whether a user disconnected this peer recently, and has not asked for it since.
    pub(in crate::mesh) fn is_shunned(&self, now: Now, peer: &NodeId) -> bool {
        let until = self.shunned.get(peer);
        until.is_some_and(|until| now.monotonic < *until)
    }

    /// Checks whether a stranger may be pending. If the list is full, evicts a pending one of the host with the most.
    pub(in crate::mesh) fn admit_stranger(
        &mut self,
        now: Now,
        addr: &Address,
        out: &mut Effects,
    ) -> Result<(), CloseReason> {
        if self.closing {
            return Err(CloseReason::ShuttingDown);
        }
        if self.bans.is_banned(&addr.host, now.monotonic) {
            return Err(CloseReason::Banned);
        }
        while self.awaiting.strangers() >= self.params.max_pending.max(1) {
            let Some(crowd) = self.awaiting.oldest_of_largest_crowd() else {
                break;
            };
            self.close(now, crowd, CloseReason::Crowded, out);
        }
        Ok(())
    }

    /// Whether an incoming peer may stay. If the node is full, the newest peer of the largest network is evicted; or
    /// the newcomer is refused, if its own network is the largest.
    pub(in crate::mesh) fn find_room(
        &mut self,
        now: Now,
        conn: ConnId,
        handshake: &Handshake,
        out: &mut Effects,
    ) -> bool {
        let Some(pending) = self.awaiting.get(conn) else {
            return false;
        };
        if pending.purpose.direction() == Direction::Outgoing
            || self.routing.incoming() < self.params.max_incoming
        {
            return true;
        }
        let own = network(&pending.address.host);
        let (size, victim) = self.youngest_of_largest_network(&own);
        let peer = handshake.id.clone();
        match victim {
            Some(victim) if size > 1 => {
                self.send_peers(now, victim, out);
                self.close(now, victim, CloseReason::Full, out);
                true
            }
            _ => {
                // Established only so that the peers list can be sent.
                out.push(Effect::Establish { conn, peer });
                self.send_peers(now, conn, out);
                self.close(now, conn, CloseReason::Full, out);
                false
            }
        }
    }

    /// Returns by how many incoming peers the largest network exceeds this one, and the newest peer of the largest.
    fn youngest_of_largest_network(&self, own: &str) -> (usize, Option<ConnId>) {
        let mut networks: BTreeMap<String, (usize, Duration, ConnId)> = BTreeMap::new();
        let incoming = |direction| direction == Direction::Incoming;
        for entry in self
            .routing
            .iter()
            .filter(|entry| incoming(entry.direction))
        {
            let youngest = networks.entry(network(&entry.reached.host)).or_insert((
                0,
                entry.ready_at,
                entry.conn,
            ));
            youngest.0 += 1;
            if entry.ready_at >= youngest.1 {
                (youngest.1, youngest.2) = (entry.ready_at, entry.conn);
            }
        }
        let own = networks.get(own).map_or(0, |(count, ..)| *count);
        let largest = networks.into_values().max_by_key(|(count, ..)| *count);
        largest.map_or((0, None), |(count, _, conn)| {
            (count.saturating_sub(own), Some(conn))
        })
    }
}
