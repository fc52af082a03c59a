//! Bans: the misbehavior of hosts, and how long they are banned for it.
//!
//! Owns the record of misbehavior by host. Misbehavior is detected elsewhere, and only weighed here.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::mesh::Mesh;
use crate::mesh::effect::{Effect, Effects};
use crate::mesh::event::Event;
use crate::mesh::input::{ConnId, Now};
use crate::mesh::membership::address_scope::{Scope, scope_of};
use crate::wire::Address;

/// A host with this many points is banned.
const BAN_AT: f64 = 100.0;
/// Points forgiven each second.
const FORGIVEN: f64 = 1.0;
/// The first ban; each further one is twice as long.
const FIRST_BAN: Duration = Duration::from_secs(60);
const LONGEST_BAN: Duration = Duration::from_secs(3600);
/// Hosts remembered; when full, the one with the fewest points that is not banned is forgotten first.
const MAX_HOSTS: usize = 1024;

/// Something a peer did wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::mesh) enum Misbehavior {
    /// An invalid frame, or one whose id is wrong.
    Invalid,
    /// Anything but a handshake first, or a control message in the wrong place.
    OutOfPlace,
    /// Exceeding a rate limit.
    Flooding,
    /// A validator rejected a message the peer wrote itself.
    Rejected,
    /// Reading nothing while data was queued, or leaving a frame unfinished.
    Slow,
}

impl Misbehavior {
    fn points(self) -> f64 {
        match self {
            Self::Invalid => 25.0,
            Self::Slow | Self::Rejected => 10.0,
            Self::OutOfPlace => 5.0,
            // A py2p that failed on its own deferred reply asks hundreds of times a second without malice.
            Self::Flooding => 0.01,
        }
    }
}

/// The record of a host.
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

/// The records of misbehavior by host.
#[derive(Debug, Default)]
pub(in crate::mesh) struct Bans(BTreeMap<String, Record>);

impl Bans {
    pub(in crate::mesh) fn is_banned(&self, host: &str, now: Duration) -> bool {
        self.0
            .get(host)
            .is_some_and(|record| now < record.banned_until)
    }

    /// Adds an offence; returns the length of the ban if this triggers one.
    fn weigh(&mut self, host: &str, offence: Misbehavior, now: Duration) -> Option<Duration> {
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
    /// Blames the host at the other end of a connection. A ban affects new connections only: accepted peers of that
    /// host stay, since many may share its address. Loopback hosts are not banned unless `ban_loopback` is set.
    pub(in crate::mesh) fn blame(
        &mut self,
        now: Now,
        address: &Address,
        offence: Misbehavior,
        out: &mut Effects,
    ) {
        if scope_of(address) == Scope::Loopback && !self.params.ban_loopback {
            return;
        }
        if let Some(ban) = self.bans.weigh(&address.host, offence, now.monotonic) {
            self.stats.bans += 1;
            let host = address.host.clone();
            self.problems
                .note(now.unix, format!("banned {host} for {} s", ban.as_secs()));
            out.push(Effect::Notify(Event::Banned {
                host: host.clone(),
                seconds: ban.as_secs(),
            }));
        }
    }

    /// Blames the host of a peer.
    pub(in crate::mesh) fn blame_peer(
        &mut self,
        now: Now,
        conn: ConnId,
        offence: Misbehavior,
        out: &mut Effects,
    ) {
        if let Some(address) = self.routing.get(conn).map(|entry| entry.reached.clone()) {
            self.blame(now, &address, offence, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn offences_add_up_to_a_ban_and_are_forgiven() {
        let mut bans = Bans::default();
        for _ in 0..3 {
            assert_eq!(bans.weigh("h", Misbehavior::Invalid, SECOND), None);
        }
        assert_eq!(
            bans.weigh("h", Misbehavior::Invalid, SECOND * 90),
            None,
            "forgiven by then"
        );
        for _ in 0..2 {
            assert_eq!(bans.weigh("h", Misbehavior::Invalid, SECOND * 90), None);
        }
        assert_eq!(
            bans.weigh("h", Misbehavior::Invalid, SECOND * 90),
            Some(FIRST_BAN)
        );
        assert!(bans.is_banned("h", SECOND * 149) && !bans.is_banned("h", SECOND * 150));
        let again = (0..4).find_map(|_| bans.weigh("h", Misbehavior::Invalid, SECOND * 150));
        assert_eq!(again, Some(FIRST_BAN * 2));
    }

    #[test]
    fn the_memory_of_conduct_is_bounded_and_keeps_the_worst() {
        let mut bans = Bans::default();
        while bans.weigh("worst", Misbehavior::Invalid, SECOND).is_none() {}
        for n in 0..3000 {
            bans.weigh(&format!("{n}"), Misbehavior::Flooding, SECOND);
        }
        assert_eq!(bans.0.len(), MAX_HOSTS);
        assert!(bans.is_banned("worst", SECOND * 2));
    }
}
