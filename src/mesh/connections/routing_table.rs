//! The routing table: the peers whose handshake was accepted, and what is known of each.
//!
//! Owns which peers can be written to. A connection before its handshake is never in here: it is in the
//! [awaiting list](crate::mesh::connections::awaiting). Entries are removed by connection, never by a claimed id.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU64;
use std::time::Duration;

use serde::Serialize;

use crate::mesh::connections::id_contest::Contest;
use crate::mesh::effect::Targets;
use crate::mesh::event::Direction;
use crate::mesh::input::ConnId;
use crate::mesh::membership::capability::Allowance;
use crate::mesh::membership::topology::TopologyState;
use crate::mesh::messaging::announce::AnnouncementLimits;
use crate::mesh::messaging::renegotiate::Kept;
use crate::mesh::messaging::route::RouteState;
use crate::mesh::stats::Traffic;
use crate::mesh::token_bucket::TokenBucket;
use crate::wire::{Address, Dialect, FingerprintKey, Method, Methods, NodeId};

/// A peer in the routing table, as reported to users.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Peer {
    /// Its connection.
    #[serde(skip)]
    pub conn: ConnId,
    /// Its id.
    pub id: NodeId,
    /// Its announced address, or else where it connects from.
    pub address: Address,
    /// Who dialled.
    pub direction: Direction,
    /// How we compress what we send to it.
    pub compression: Option<Method>,
    /// When its handshake was accepted, in Unix seconds.
    pub since: u64,
    /// Messages and bytes received from it.
    pub received: Traffic,
    /// Whether its key proves its id.
    pub proven: bool,
}

/// A peer as the core knows it. There may be very many idle ones, so rarely used state is boxed.
#[derive(Debug)]
pub(in crate::mesh) struct Entry {
    pub(in crate::mesh) conn: ConnId,
    pub(in crate::mesh) id: NodeId,
    pub(in crate::mesh) direction: Direction,
    /// How we compress what we send to it.
    pub(in crate::mesh) compression: Option<Method>,
    /// When its handshake was accepted, in Unix seconds.
    pub(in crate::mesh) since: u64,
    pub(in crate::mesh) received: Traffic,
    /// The address it announced: other peers are told this one.
    pub(in crate::mesh) announced: Option<Address>,
    /// The address its connection leads to, or comes from.
    pub(in crate::mesh) reached: Address,
    /// The address we dialled. Boxed, because incoming peers have none.
    pub(in crate::mesh) dialled: Option<Box<Address>>,
    /// The methods it can read.
    pub(in crate::mesh) methods: Methods,
    /// A connection besides the peer's main one, or a departing one: written to only to settle that.
    pub(in crate::mesh) duplicate: bool,
    /// It is departing: both ends can do without it.
    pub(in crate::mesh) leaving: bool,
    /// We dialled it to have enough connections; any other peer would have done.
    pub(in crate::mesh) loose: bool,
    /// How often it was asked to leave because there are enough peers.
    pub(in crate::mesh) asks: u8,
    /// Its key proves its id.
    pub(in crate::mesh) proven: bool,
    /// It announced that it understands extensions.
    pub(in crate::mesh) extended: bool,
    /// How it writes control messages.
    pub(in crate::mesh) dialect: Dialect,
    /// It hangs forever on a payload that is not valid UTF-8.
    pub(in crate::mesh) hangs_on_binary: bool,
    /// When its handshake was accepted.
    pub(in crate::mesh) ready_at: Duration,
    /// When it was last heard from; while a probe is open, the deadline of its answer.
    pub(in crate::mesh) heard: Duration,
    pub(in crate::mesh) probed: bool,
    /// The digest of our last probe. Not boxed, because every idle peer has been probed.
    pub(in crate::mesh) ping: Option<NonZeroU64>,
    /// When it was probed.
    pub(in crate::mesh) pinged_at: Duration,
    /// Its last reported clock skew, in seconds. Kept small for idle peers.
    pub(in crate::mesh) skew: i32,
    /// Its part in a contest for an id.
    pub(in crate::mesh) contest: Option<Box<Contest>>,
    /// Our last whisper to it, and that whisper's place in the order of all we sent.
    pub(in crate::mesh) last_whisper: Option<(u64, Kept)>,
    /// Broadcasts before this place in the order did not go to it.
    pub(in crate::mesh) joined_at: u64,
    /// Created on first use: an idle peer has none.
    pub(in crate::mesh) limits: Option<Box<PeerLimits>>,
}

impl Entry {
    /// Returns its announced address, or else where it connects from.
    pub(in crate::mesh) fn address(&self) -> &Address {
        self.announced.as_ref().unwrap_or(&self.reached)
    }

    /// Returns what is reported to users.
    pub(in crate::mesh) fn report(&self) -> Peer {
        Peer {
            conn: self.conn,
            id: self.id.clone(),
            address: self.address().clone(),
            direction: self.direction,
            compression: self.compression,
            since: self.since,
            received: self.received,
            proven: self.proven,
        }
    }

    pub(in crate::mesh) fn limits(&mut self) -> &mut PeerLimits {
        self.limits.get_or_insert_default()
    }
}

/// A peer's rate limits, and other state that idle peers lack.
#[derive(Debug)]
pub(in crate::mesh) struct PeerLimits {
    /// When it last stated the methods it can read.
    pub(in crate::mesh) renegotiated_at: Option<Duration>,
    /// Answers to `request *` and to repeated handshakes.
    pub(in crate::mesh) peers: TokenBucket,
    /// Answers to requests for an id.
    pub(in crate::mesh) responses: TokenBucket,
    /// Answers to renegotiations.
    pub(in crate::mesh) renegotiations: TokenBucket,
    /// Resends.
    pub(in crate::mesh) resends: TokenBucket,
    /// Notices to the user about one peer.
    pub(in crate::mesh) notices: TokenBucket,
    /// Extension verbs.
    pub(in crate::mesh) extensions: Allowance,
    /// Whispers that we hand it along a path.
    pub(in crate::mesh) passes: TokenBucket,
    /// Announcements of large messages, in both directions.
    pub(in crate::mesh) announcements: Option<Box<AnnouncementLimits>>,
    /// Its reported neighbours.
    pub(in crate::mesh) topology: Option<Box<TopologyState>>,
    pub(in crate::mesh) route: Option<Box<RouteState>>,
    /// Its own messages that validators may reject.
    pub(in crate::mesh) rejected: TokenBucket,
}

impl Default for PeerLimits {
    fn default() -> Self {
        Self {
            renegotiated_at: None,
            peers: TokenBucket::new(3.0, 1.0),
            responses: TokenBucket::new(32.0, 8.0),
            renegotiations: TokenBucket::new(4.0, 4.0),
            resends: TokenBucket::new(1.0, 0.2),
            notices: TokenBucket::new(4.0, 0.2),
            extensions: Allowance::default(),
            announcements: None,
            passes: TokenBucket::new(16.0, 8.0),
            topology: None,
            route: None,
            rejected: TokenBucket::new(10.0, 1.0),
        }
    }
}

/// A value of `asks` for peers that are never asked to leave.
pub(in crate::mesh) const NEVER_ASKED: u8 = u8::MAX;

/// See the module.
#[derive(Debug)]
pub(in crate::mesh) struct Routing {
    /// Boxed, because the tree's nodes are half empty.
    entries: BTreeMap<ConnId, Box<Entry>>,
    /// By the digest of each peer's id; the long id is stored in the entry only. Peers choose their ids, but without
    /// the key not their digests.
    by_id: BTreeSet<(u64, ConnId)>,
    key: FingerprintKey,
    /// Number of entries that hang on binary: almost always none.
    fragile: usize,
    /// Number of entries that support extensions.
    extended: usize,
}

impl Routing {
    pub(in crate::mesh) fn new(key: FingerprintKey) -> Self {
        Self {
            entries: BTreeMap::new(),
            by_id: BTreeSet::new(),
            key,
            fragile: 0,
            extended: 0,
        }
    }

    pub(in crate::mesh) fn insert(&mut self, entry: Entry) {
        self.fragile += usize::from(entry.hangs_on_binary);
        self.extended += usize::from(entry.extended);
        if !entry.duplicate {
            let digest = self.key.digest(entry.id.as_bytes());
            self.by_id.insert((digest, entry.conn));
        }
        self.entries.insert(entry.conn, Box::new(entry));
    }

    pub(in crate::mesh) fn remove(&mut self, conn: ConnId) -> Option<Entry> {
        let entry = *self.entries.remove(&conn)?;
        self.fragile -= usize::from(entry.hangs_on_binary);
        self.extended -= usize::from(entry.extended);
        let digest = self.key.digest(entry.id.as_bytes());
        self.by_id.remove(&(digest, conn));
        Some(entry)
    }

    /// Makes a duplicate the main connection of its peer.
    pub(in crate::mesh) fn promote(&mut self, conn: ConnId) {
        if let Some(entry) = self.entries.get_mut(&conn) {
            entry.duplicate = false;
            let digest = self.key.digest(entry.id.as_bytes());
            self.by_id.insert((digest, conn));
        }
    }

    /// Makes a peer's main connection a duplicate.
    pub(in crate::mesh) fn demote(&mut self, conn: ConnId) {
        if let Some(entry) = self.entries.get_mut(&conn) {
            entry.duplicate = true;
            let digest = self.key.digest(entry.id.as_bytes());
            self.by_id.remove(&(digest, conn));
        }
    }

    /// Returns the duplicates in order of arrival.
    pub(in crate::mesh) fn duplicates(&self) -> impl Iterator<Item = &Entry> {
        let all = (self.by_id.len() < self.entries.len()).then(|| self.all());
        let all = all.into_iter().flatten();
        all.filter(|entry| entry.duplicate && !entry.leaving)
    }

    pub(in crate::mesh) fn get(&self, conn: ConnId) -> Option<&Entry> {
        self.entries.get(&conn).map(|entry| &**entry)
    }

    pub(in crate::mesh) fn get_mut(&mut self, conn: ConnId) -> Option<&mut Entry> {
        self.entries.get_mut(&conn).map(|entry| &mut **entry)
    }

    pub(in crate::mesh) fn conn_of(&self, id: &NodeId) -> Option<ConnId> {
        self.conn_of_text(id.as_bytes())
    }

    /// Returns the connection of the peer with this id.
    pub(in crate::mesh) fn conn_of_text(&self, id: &[u8]) -> Option<ConnId> {
        let digest = self.key.digest(id);
        let alike = (digest, ConnId(0))..=(digest, ConnId(u64::MAX));
        let mut conns = self.by_id.range(alike).map(|(_, conn)| *conn);
        conns.find(|conn| {
            let entry = self.get(*conn);
            entry.is_some_and(|entry| entry.id.as_bytes() == id)
        })
    }

    /// Returns the peer at this address: we dialled it there, or a reference peer announced it and connects from the same
    /// host. An announcement alone is not enough, or a peer could keep us from dialling another. A node of this crate
    /// loses nothing when it is dialled a second time, so its announcements need not be believed.
    pub(in crate::mesh) fn at(&self, address: &Address) -> Option<&NodeId> {
        let there = |entry: &&Entry| {
            let says = entry.announced.as_ref() == Some(address);
            entry.dialled.as_deref() == Some(address)
                || (says && !entry.extended && entry.reached.host == address.host)
        };
        self.iter().find(there).map(|entry| &entry.id)
    }

    pub(in crate::mesh) fn len(&self) -> usize {
        self.by_id.len()
    }

    pub(in crate::mesh) fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    pub(in crate::mesh) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.all().filter(|entry| !entry.duplicate)
    }

    /// Every entry, duplicates included.
    pub(in crate::mesh) fn all(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values().map(|entry| &**entry)
    }

    /// Returns the connections of all peers.
    pub(in crate::mesh) fn conns(&self) -> Targets {
        self.iter().map(|entry| entry.conn).collect()
    }

    /// Returns the ids of the peers on these connections.
    pub(in crate::mesh) fn ids(&self, conns: &[ConnId]) -> impl Iterator<Item = NodeId> {
        let entries = conns.iter().filter_map(|conn| self.get(*conn));
        entries.map(|entry| entry.id.clone())
    }

    /// Returns all connections, duplicates included.
    pub(in crate::mesh) fn all_conns(&self) -> Targets {
        self.entries.keys().copied().collect()
    }

    pub(in crate::mesh) fn outgoing(&self) -> usize {
        self.iter()
            .filter(|entry| entry.direction == Direction::Outgoing)
            .count()
    }

    pub(in crate::mesh) fn incoming(&self) -> usize {
        self.len() - self.outgoing()
    }

    /// Whether any peer supports extensions.
    pub(in crate::mesh) fn has_extended(&self) -> bool {
        self.extended > 0
    }

    /// Whether any peer hangs on a payload that is not valid UTF-8.
    pub(in crate::mesh) fn has_fragile(&self) -> bool {
        self.fragile > 0
    }

    /// Returns the peers that hang on a payload that is not valid UTF-8.
    pub(in crate::mesh) fn fragile(&self) -> Targets {
        if !self.has_fragile() {
            return Targets::new();
        }
        self.iter()
            .filter(|entry| entry.hangs_on_binary)
            .map(|entry| entry.conn)
            .collect()
    }
}
