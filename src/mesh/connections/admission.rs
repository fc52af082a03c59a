//! Admission: how many strangers may wait, how many peers may come to us, and who must go.
//!
//! Owns the inbound limits and the memory of bad conduct, by host. A full node sends newcomers on:
//! handshake, peers list, close, which every peer of old understands. What a peer did wrong is
//! found elsewhere and only weighed here.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use crate::mesh::connections::handshake::Handshake;
use crate::mesh::effect::{CloseReason, Direction, Effect, Event};
use crate::mesh::input::{ConnId, Now};
use crate::mesh::machine::{Effects, Mesh};
use crate::mesh::membership::address_scope::{Reach, reach};
use crate::wire::Address;

/// A host with this many points is banned.
const BAN_AT: f64 = 100.0;
/// Points forgiven each second.
const FORGIVEN: f64 = 1.0;
/// The first ban; each further one is twice as long.
const FIRST_BAN: Duration = Duration::from_secs(60);
const LONGEST_BAN: Duration = Duration::from_secs(3600);
/// Hosts remembered; beyond it the one with the fewest points is forgotten.
const MAX_HOSTS: usize = 1024;

/// Something a peer did wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::mesh) enum Offence {
    /// A frame that is none, or whose id is false.
    Invalid,
    /// Something else than a handshake first, or a control message where it does not belong.
    OutOfPlace,
    /// More than it may ask for or send.
    Flooding,
    /// It read nothing while something waited for it, or left a frame unfinished.
    Slow,
}

impl Offence {
    fn points(self) -> f64 {
        match self {
            Self::Invalid => 25.0,
            Self::Slow => 10.0,
            Self::OutOfPlace => 5.0,
            // A py2p that fell over its own deferred reply asks hundreds of times a second, and
            // means no harm.
            Self::Flooding => 0.01,
        }
    }
}

/// What is known of a host.
#[derive(Clone, Debug, Default)]
struct Record {
    points: f64,
    at: Duration,
    bans: u32,
    banned_until: Duration,
}

impl Record {
    fn points(&self, now: Duration) -> f64 {
        let forgiven = now.saturating_sub(self.at).as_secs_f64() * FORGIVEN;
        (self.points - forgiven).max(0.0)
    }
}

/// The memory of bad conduct.
#[derive(Debug, Default)]
pub(in crate::mesh) struct Conduct(BTreeMap<String, Record>);

impl Conduct {
    pub(in crate::mesh) fn is_banned(&self, host: &str, now: Duration) -> bool {
        self.0
            .get(host)
            .is_some_and(|record| now < record.banned_until)
    }

    /// Weighs an offence; how long the host is banned, if it is now.
    fn weigh(&mut self, host: &str, offence: Offence, now: Duration) -> Option<Duration> {
        self.make_room(host, now);
        let record = self.0.entry(host.to_owned()).or_default();
        record.points = record.points(now) + offence.points();
        record.at = now;
        if record.points < BAN_AT {
            return None;
        }
        let ban = FIRST_BAN
            .saturating_mul(1 << record.bans.min(10))
            .min(LONGEST_BAN);
        record.points = 0.0;
        record.bans += 1;
        record.banned_until = now + ban;
        Some(ban)
    }

    fn make_room(&mut self, host: &str, now: Duration) {
        if self.0.len() < MAX_HOSTS || self.0.contains_key(host) {
            return;
        }
        let banned = |record: &Record| now < record.banned_until;
        let rank = |record: &Record| (banned(record), record.points(now));
        let least = self.0.iter().min_by(|a, b| {
            rank(a.1)
                .partial_cmp(&rank(b.1))
                .unwrap_or(std::cmp::Ordering::Equal)
        });
        if let Some(host) = least.map(|(host, _)| host.clone()) {
            self.0.remove(&host);
        }
    }
}

impl Mesh {
    /// Whether a stranger may wait here at all; room is made for it at the cost of the host with
    /// the most that wait.
    pub(in crate::mesh) fn let_wait(
        &mut self,
        now: Now,
        addr: &Address,
        out: &mut Effects,
    ) -> Result<(), CloseReason> {
        if self.closing {
            return Err(CloseReason::ShuttingDown);
        }
        if self.conduct.is_banned(&addr.host, now.monotonic) {
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

    /// Whether a peer that came to us may stay. If the node is full, the youngest of the largest
    /// network goes in its place, or it is sent on itself if its own network is the largest.
    pub(in crate::mesh) fn find_room(
        &mut self,
        now: Now,
        conn: ConnId,
        handshake: &Handshake,
        out: &mut Effects,
    ) -> bool {
        let Some(newcomer) = self.awaiting.get(conn) else {
            return false;
        };
        if newcomer.purpose.direction() == Direction::Outgoing
            || self.routing.incoming() < self.params.max_incoming
        {
            return true;
        }
        let own = network(&newcomer.address.host);
        let (size, victim) = self.youngest_of_largest_network(&own);
        let peer = handshake.id.clone();
        match victim {
            Some(victim) if size > 1 => {
                self.send_peers(now, victim, out);
                self.close(now, victim, CloseReason::Full, out);
                true
            }
            _ => {
                // The handshake is accepted so far that the peer may be told whom else to ask.
                out.push(Effect::Establish { conn, peer });
                self.send_peers(now, conn, out);
                self.close(now, conn, CloseReason::Full, out);
                false
            }
        }
    }

    /// How much larger the largest network of incoming peers is than this one would be with one
    /// more, and its youngest peer.
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

    /// Weighs what the host at the other end of a connection did. Hosts of this machine are never
    /// banned: everybody on it would be.
    pub(in crate::mesh) fn blame(
        &mut self,
        now: Now,
        address: &Address,
        offence: Offence,
        out: &mut Effects,
    ) {
        if reach(address) == Reach::Loopback && !self.params.ban_loopback {
            return;
        }
        if let Some(ban) = self.conduct.weigh(&address.host, offence, now.monotonic) {
            self.stats.bans += 1;
            let host = address.host.clone();
            self.troubles
                .note(now.unix, format!("banned {host} for {} s", ban.as_secs()));
            out.push(Effect::Notify(Event::Banned {
                host: host.clone(),
                seconds: ban.as_secs(),
            }));
            for conn in self.routing.incoming_from(&host) {
                self.close(now, conn, CloseReason::Banned, out);
            }
        }
    }

    /// The same, of a peer.
    pub(in crate::mesh) fn blame_peer(
        &mut self,
        now: Now,
        conn: ConnId,
        offence: Offence,
        out: &mut Effects,
    ) {
        if let Some(address) = self.routing.get(conn).map(|entry| entry.reached.clone()) {
            self.blame(now, &address, offence, out);
        }
    }
}

/// The network a host belongs to, as far as crowding goes: its first 16 bits, or 32 in IPv6.
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

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn offences_add_up_to_a_ban_and_are_forgiven() {
        let mut conduct = Conduct::default();
        for _ in 0..3 {
            assert_eq!(conduct.weigh("h", Offence::Invalid, SECOND), None);
        }
        assert_eq!(
            conduct.weigh("h", Offence::Invalid, SECOND * 90),
            None,
            "forgiven by then"
        );
        for _ in 0..2 {
            assert_eq!(conduct.weigh("h", Offence::Invalid, SECOND * 90), None);
        }
        assert_eq!(
            conduct.weigh("h", Offence::Invalid, SECOND * 90),
            Some(FIRST_BAN)
        );
        assert!(conduct.is_banned("h", SECOND * 149) && !conduct.is_banned("h", SECOND * 150));
        let again = (0..4).find_map(|_| conduct.weigh("h", Offence::Invalid, SECOND * 150));
        assert_eq!(again, Some(FIRST_BAN * 2));
    }

    #[test]
    fn the_memory_of_conduct_is_bounded_and_keeps_the_worst() {
        let mut conduct = Conduct::default();
        while conduct.weigh("worst", Offence::Invalid, SECOND).is_none() {}
        for n in 0..3000 {
            conduct.weigh(&format!("{n}"), Offence::Flooding, SECOND);
        }
        assert_eq!(conduct.0.len(), MAX_HOSTS);
        assert!(conduct.is_banned("worst", SECOND * 2));
    }

    #[test]
    fn networks_are_told_apart_by_their_first_bits() {
        assert_eq!(network("10.1.2.3"), network("10.1.9.9"));
        assert_ne!(network("10.1.2.3"), network("10.2.2.3"));
        assert_eq!(network("2001:db8::1"), network("2001:db8:7::2"));
        assert_eq!(network("::ffff:10.1.2.3"), network("10.1.0.1"));
    }
}
