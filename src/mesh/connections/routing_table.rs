//! The routing table: the peers whose handshake was accepted, and what is known of each.
//!
//! Owns who can be written to. A connection without a handshake is never in here: it stands in the
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

/// A peer in the routing table, as told to users.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Peer {
    /// Its connection.
    #[serde(skip)]
    pub conn: ConnId,
    /// Its id.
    pub id: NodeId,
    /// Its outward address if it named one, otherwise where it connects from.
    pub address: Address,
    /// Who dialled.
    pub direction: Direction,
    /// How we compress what we send to it.
    pub compression: Option<Method>,
    /// When its handshake was accepted, unix seconds.
    pub since: u64,
    /// What came in from it.
    pub received: Traffic,
    /// Whether its key proves its id.
    pub proven: bool,
}

/// A peer as the core knows it. There may be very many that are idle, so what only others need is in boxes.
#[derive(Debug)]
pub(in crate::mesh) struct Entry {
    pub(in crate::mesh) conn: ConnId,
    pub(in crate::mesh) id: NodeId,
    pub(in crate::mesh) direction: Direction,
    /// How we compress what we send to it.
    pub(in crate::mesh) compression: Option<Method>,
    /// When its handshake was accepted, unix seconds.
    pub(in crate::mesh) since: u64,
    pub(in crate::mesh) received: Traffic,
    /// The outward address it announced: what other peers are told.
    pub(in crate::mesh) announced: Option<Address>,
    /// Where its connection leads, or comes from.
    pub(in crate::mesh) reached: Address,
    /// What we dialled. In a box: of a crowd that came to us there is none.
    pub(in crate::mesh) dialled: Option<Box<Address>>,
    /// The methods it can read.
    pub(in crate::mesh) methods: Methods,
    /// A connection beside the one that its peer goes by, or that is going: not written to but to settle that.
    pub(in crate::mesh) duplicate: bool,
    /// Both ends can do without it, and have said so or are about to.
    pub(in crate::mesh) leaving: bool,
    /// We dialled it for want of links, and any other peer would have done as well.
    pub(in crate::mesh) loose: bool,
    /// How often it was asked to go, because there are peers enough.
    pub(in crate::mesh) asks: u8,
    /// Its key proves its id.
    pub(in crate::mesh) proven: bool,
    /// It announced that it understands extensions.
    pub(in crate::mesh) extended: bool,
    /// How it writes control messages.
    pub(in crate::mesh) dialect: Dialect,
    /// It hangs for good on payload that is not valid UTF-8.
    pub(in crate::mesh) hangs_on_binary: bool,
    /// When its handshake was accepted.
    pub(in crate::mesh) ready_at: Duration,
    /// When it was last heard; if a probe was sent to it since, until when it must be.
    pub(in crate::mesh) heard: Duration,
    pub(in crate::mesh) probed: bool,
    /// The digest of the request we asked it last for a sign of life: every idle peer has been asked.
    pub(in crate::mesh) ping: Option<NonZeroU64>,
    /// When that was.
    pub(in crate::mesh) pinged_at: Duration,
    /// How far its clock is off ours, as the user was told last, in seconds. Small, as an idle peer is.
    pub(in crate::mesh) skew: i32,
    /// Another connection claims its id, or did.
    pub(in crate::mesh) contest: Option<Box<Contest>>,
    /// Our last whisper to it, and its place in the order of all we sent.
    pub(in crate::mesh) last_whisper: Option<(u64, Kept)>,
    /// Broadcasts before this place in the order were not sent to it.
    pub(in crate::mesh) joined_at: u64,
    /// Made when first asked for: an idle peer has none.
    pub(in crate::mesh) limits: Option<Box<PeerLimits>>,
}

impl Entry {
    /// Its outward address if it named one, otherwise where it connects from.
    pub(in crate::mesh) fn address(&self) -> &Address {
        self.announced.as_ref().unwrap_or(&self.reached)
    }

    /// What users are told of it.
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

/// What a peer made us do, and how often it may.
#[derive(Debug)]
pub(in crate::mesh) struct PeerLimits {
    /// When it last said which methods it can read.
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
    /// What it may say beyond the protocol.
    pub(in crate::mesh) extensions: Allowance,
    /// Whispers that we hand to it along a path.
    pub(in crate::mesh) passes: TokenBucket,
    /// Large messages that we offer each other.
    pub(in crate::mesh) announcements: Option<Box<AnnouncementLimits>>,
    /// What it said of its neighbours.
    pub(in crate::mesh) topology: Option<Box<TopologyState>>,
    pub(in crate::mesh) route: Option<Box<RouteState>>,
    /// How much of what it wrote itself validators may reject.
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

/// In the place of how often a peer was asked to go: it never is.
pub(in crate::mesh) const NEVER_ASKED: u8 = u8::MAX;

/// See the module.
#[derive(Debug)]
pub(in crate::mesh) struct Routing {
    /// Each in a box of its own: the nodes of the tree are half empty.
    entries: BTreeMap<ConnId, Box<Entry>>,
    /// Of each peer by the digest of its id, which itself stands in the entry alone: it is long. Peers choose their
    /// ids, and without the key they do not choose where those land.
    by_id: BTreeSet<(u64, ConnId)>,
    key: FingerprintKey,
    /// How many entries hang on binary: none, nearly always.
    fragile: usize,
    /// How many understand extensions.
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

    /// A second connection becomes the one of its peer.
    pub(in crate::mesh) fn promote(&mut self, conn: ConnId) {
        if let Some(entry) = self.entries.get_mut(&conn) {
            entry.duplicate = false;
            let digest = self.key.digest(entry.id.as_bytes());
            self.by_id.insert((digest, conn));
        }
    }

    /// The connection of a peer becomes a second one.
    pub(in crate::mesh) fn demote(&mut self, conn: ConnId) {
        if let Some(entry) = self.entries.get_mut(&conn) {
            entry.duplicate = true;
            let digest = self.key.digest(entry.id.as_bytes());
            self.by_id.remove(&(digest, conn));
        }
    }

    /// Second connections, in the order they came.
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

    /// The connection of the peer that goes by this id's text.
    pub(in crate::mesh) fn conn_of_text(&self, id: &[u8]) -> Option<ConnId> {
        let digest = self.key.digest(id);
        let alike = (digest, ConnId(0))..=(digest, ConnId(u64::MAX));
        let mut conns = self.by_id.range(alike).map(|(_, conn)| *conn);
        conns.find(|conn| {
            let entry = self.get(*conn);
            entry.is_some_and(|entry| entry.id.as_bytes() == id)
        })
    }

    /// The peer at this address: we dialled it there, or it says so and its connection comes from
    /// the same host. Saying so alone is not enough, or a peer could keep us from another.
    pub(in crate::mesh) fn at(&self, address: &Address) -> Option<&NodeId> {
        let there = |entry: &&Entry| {
            let says = entry.announced.as_ref() == Some(address);
            entry.dialled.as_deref() == Some(address)
                || (says && entry.reached.host == address.host)
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

    /// The connections of all peers.
    pub(in crate::mesh) fn conns(&self) -> Targets {
        self.iter().map(|entry| entry.conn).collect()
    }

    /// Who is at the other end of these.
    pub(in crate::mesh) fn ids(&self, conns: &[ConnId]) -> impl Iterator<Item = NodeId> {
        let entries = conns.iter().filter_map(|conn| self.get(*conn));
        entries.map(|entry| entry.id.clone())
    }

    /// Those, and every duplicate.
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

    /// Whether any understands extensions.
    pub(in crate::mesh) fn has_extended(&self) -> bool {
        self.extended > 0
    }

    /// Whether there are peers that hang on payload which is not valid UTF-8.
    pub(in crate::mesh) fn has_fragile(&self) -> bool {
        self.fragile > 0
    }

    /// The peers that hang on payload which is not valid UTF-8.
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
