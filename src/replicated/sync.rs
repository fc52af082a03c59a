//! A dictionary that all nodes share, using the messages of the reference's `sync`.
//!
//! Owns the entries, and which of two values wins. Knows of the mesh only what its Router reports: messages, and peers
//! that join and leave.
//!
//! | message | kind | packets |
//! |---|---|---|
//! | set an entry | broadcast, `store` | key, value; an empty value removes the key |
//! | pass on an entry | whisper to a new peer, or broadcast, `store` | key, value, owner, time in base58 |

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::fmt;
use std::ops::Bound;
use std::time::Duration;

use actix::{
    Actor, ActorFutureExt as _, Addr, AsyncContext as _, Context, Handler, Recipient,
    ResponseActFuture, WrapFuture as _,
};

use super::watchers::Watchers;
use crate::mesh::{Event, SendError};
use crate::node::router::clock::UnixTime;
use crate::node::{Filter, Router, Send, Subscribe, SubscribeEvents, Whisper};
use crate::start::Node;
use crate::wire::base58::{decode_u64, encode_u64};
use crate::wire::{Generation, Message, NodeId, Packet, SubFlag};

/// Maximum entries, removed ones included; further ones are refused.
const MAX_ENTRIES: usize = 16_384;
/// Maximum bytes of keys and values together.
const MAX_BYTES: usize = 8 * 1024 * 1024;
/// Seconds for which a removal is remembered: a node that was away for longer brings the key back.
const TOMBSTONE: u64 = 3600;
/// Seconds a time may be ahead of our clock.
const AHEAD: u64 = 60;
/// Entries passed on at once, and how often. Bounds what this node sends when a peer sends much.
const PART: usize = 32;
const PASS_ON: Duration = Duration::from_millis(100);
/// A key can be set once a second; sets queue for at most this many seconds.
const TURNS: u64 = 10;
/// Deadline for passing an entry on to a new peer.
const WITHIN: Duration = Duration::from_secs(10);

/// A value and its owner.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// The value.
    pub value: Packet,
    /// The node that set it.
    pub owner: NodeId,
    /// When it was set, in Unix seconds.
    pub time: u64,
}

impl Entry {
    /// Returns whether it marks a removed key.
    fn is_removed(&self) -> bool {
        self.value.as_bytes().is_empty()
    }

    /// Orders two values of a key: the newer wins, then the greater owner, then the greater value. So all nodes keep
    /// the same value, whatever the order of arrival.
    fn rank(&self) -> (u64, &str, &[u8]) {
        (self.time, self.owner.as_str(), self.value.as_bytes())
    }
}

/// Why a value was not set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SyncError {
    /// Another node set the key, and holds its lease.
    #[error("{owner} holds this key for {left} s more: ask it to set the value, or wait")]
    Held {
        /// The node that holds it.
        owner: NodeId,
        /// Seconds until the lease ends.
        left: u64,
    },
    /// The dictionary is full.
    #[error("the dictionary is full ({MAX_ENTRIES} keys or {MAX_BYTES} bytes): remove keys first")]
    Full,
    /// Another node set a newer value meanwhile; all nodes keep that one.
    #[error("another node has set this key in the meantime: read it, and set it again if need be")]
    Superseded,
    /// The key was set so often, or by a clock so far ahead, that its next free second is more than 10 s away.
    #[error(
        "this key has sets queued for the next {seconds} s, and is set once a second: wait, or set it less often"
    )]
    Ahead {
        /// Seconds until the next free second.
        seconds: u64,
    },
    /// The key is empty.
    #[error("a key must not be empty")]
    NoKey,
    /// The value is set here but could not be sent. Nodes that join get it.
    #[error("it is set here, but was not sent: {0}")]
    NotSent(SendError),
    /// The node has shut down.
    #[error("the node has shut down")]
    NodeGone,
}

// The text includes that of the other error, so the other is not its source.
impl From<SendError> for SyncError {
    fn from(error: SendError) -> Self {
        Self::NotSent(error)
    }
}

/// A dictionary of byte strings that every node of the mesh has a copy of.
///
/// [Setting](Set) a key tells all nodes. The newer value wins, by the senders' clocks in whole seconds; within one
/// second, that of the node with the greater id. A node that joins exchanges all entries with its neighbours. An empty
/// value removes the key.
///
/// ```
/// use actix::Actor;
/// use actix_mesh::replicated::{Get, Set, Sync};
/// use actix_mesh::Config;
///
/// #[actix::main]
/// async fn main() -> Result<(), Box<dyn std::error::Error>> {
///     let a = Config::new().start().await?;
///     let b = Config::new().connect(a.addr).start().await?;
///     let (ours, theirs) = (Sync::of(&a).start(), Sync::of(&b).start());
///     b.ready(1, std::time::Duration::from_secs(5)).await?;
///     ours.send(Set::new("colour", "green")).await??;
///     while theirs.send(Get::new("colour")).await?.is_none() {
///         tokio::time::sleep(std::time::Duration::from_millis(10)).await;
///     }
///     Ok(())
/// }
/// ```
///
/// It is compatible with the `sync` of py2p 0.4, whose programs are in subnet `sync1` (`leasing`, their default; set
/// [`lease`](Self::lease) to an hour) or `sync0`.
///
/// At most 16,384 keys and 8 MiB. What others set beyond it is [counted](SyncStatus) and reported as
/// [`Changed::Refused`]. Every member can write, and fill it; on plaintext in anybody's name.
///
/// With a lease, two partitions that both set a key keep their own values after they meet, until somebody sets the key
/// again: each side refuses the other's value as too late.
pub struct Sync {
    router: Addr<Router>,
    me: NodeId,
    lease: u64,
    entries: BTreeMap<Key, Entry>,
    bytes: usize,
    peers: HashSet<NodeId>,
    /// Peers that have joined and have not been sent the entries.
    to_greet: VecDeque<NodeId>,
    /// The peer being sent the entries, and the last key sent.
    greeting: Option<(NodeId, Key)>,
    /// Keys that one peer whispered to us, still to be broadcast.
    to_pass_on: BTreeSet<Key>,
    /// Whether some of them are being broadcast.
    passing: bool,
    /// The last second taken for each key that this node sets: a key has one value a second.
    turns: HashMap<Key, u64>,
    refused: u64,
    watchers: Watchers<Changed>,
}

/// Packets have no order.
type Key = Vec<u8>;

impl fmt::Debug for Sync {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sync")
            .field("entries", &self.entries.len())
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}

impl Sync {
    /// Creates an empty dictionary on this node: `Sync::of(&node).start()`.
    pub fn of(node: &Node) -> Self {
        Self {
            router: node.router.clone(),
            me: node.id.clone(),
            lease: 0,
            entries: BTreeMap::new(),
            bytes: 0,
            peers: HashSet::new(),
            to_greet: VecDeque::new(),
            greeting: None,
            to_pass_on: BTreeSet::new(),
            passing: false,
            turns: HashMap::new(),
            refused: 0,
            watchers: Watchers::new(),
        }
    }

    /// Sets how long only the node that set a key can set it again. Default: no lease. All nodes of a mesh must use the
    /// same.
    #[must_use]
    pub fn lease(mut self, time: Duration) -> Self {
        self.lease = time.as_secs();
        self
    }

    /// Returns which other node holds this key, and for how many seconds.
    fn held(&self, key: &[u8], by_other_than: &NodeId, time: u64) -> Option<(NodeId, u64)> {
        let entry = self.entries.get(key)?;
        let left = entry.time.saturating_add(self.lease).checked_sub(time)?;
        (self.lease > 0 && left > 0 && entry.owner != *by_other_than && !entry.is_removed())
            .then(|| (entry.owner.clone(), left))
    }

    /// Stores an entry if it is newer. `Ok(false)`: the stored one is.
    fn take(&mut self, key: &[u8], entry: Entry) -> Result<bool, SyncError> {
        if let Some((owner, left)) = self.held(key, &entry.owner, entry.time) {
            return Err(SyncError::Held { owner, left });
        }
        let size = |entry: &Entry| key.len() + entry.value.as_bytes().len();
        let old = match self.entries.get(key) {
            Some(old) if old.rank() >= entry.rank() => return Ok(false),
            old => old.map(size),
        };
        let bytes = self.bytes - old.unwrap_or_default() + size(&entry);
        if bytes > MAX_BYTES || (old.is_none() && self.entries.len() >= MAX_ENTRIES) {
            return Err(SyncError::Full);
        }
        self.bytes = bytes;
        self.entries.insert(key.to_vec(), entry.clone());
        let key = Packet::from(key.to_vec());
        self.watchers.tell(&match entry.is_removed() {
            true => Changed::Removed {
                key,
                by: entry.owner,
            },
            false => Changed::Set { key, entry },
        });
        Ok(true)
    }

    /// Forgets old removals.
    fn forget(&mut self, now: u64) {
        let bytes = &mut self.bytes;
        self.entries.retain(|key, entry| {
            let keep = !entry.is_removed() || entry.time + TOMBSTONE > now;
            if !keep {
                *bytes -= key.len();
            }
            keep
        });
    }

    /// Sends the next part of the entries to the peer being greeted, or starts with the next peer.
    fn greet(&mut self, ctx: &mut Context<Self>) {
        let (peer, after) = match self.greeting.take() {
            Some((peer, after)) if self.peers.contains(&peer) => (peer, after),
            _ => match self.to_greet.pop_front() {
                Some(peer) if self.peers.contains(&peer) => (peer, Key::new()),
                Some(_) => return self.greet(ctx),
                None => return,
            },
        };
        let rest = (Bound::Excluded(after), Bound::Unbounded);
        let part: Vec<_> = self.entries.range(rest).take(PART).collect();
        let Some((last, _)) = part.last() else {
            return self.greet(ctx);
        };
        self.greeting = Some((peer.clone(), (*last).clone()));
        let part: Vec<_> = part
            .iter()
            .map(|(key, entry)| passed_on(key, entry))
            .collect();
        let router = self.router.clone();
        let telling = async move {
            for packets in part {
                let whisper = Whisper::new(peer.clone(), packets)
                    .kind(store())
                    .within(WITHIN);
                if router.send(whisper).await.is_err() {
                    // The Router is gone.
                    return false;
                }
                // The Router counts entries that this peer cannot be sent, such as binary ones.
            }
            true
        };
        ctx.spawn(telling.into_actor(self).map(|goes_on, sync, ctx| {
            if goes_on {
                sync.greet(ctx);
            }
        }));
    }

    /// Broadcasts the next part of what one peer whispered to this node: each key once, with its current value.
    fn pass_on(&mut self, ctx: &mut Context<Self>) {
        let mut part = Vec::new();
        while part.len() < PART
            && let Some(key) = self.to_pass_on.pop_first()
        {
            if let Some(entry) = self.entries.get(&key) {
                part.push(passed_on(&key, entry));
            }
        }
        let router = self.router.clone();
        let passing = async move {
            for packets in part {
                // The Router counts failures; nodes that join later get the entries.
                let _ = router.send(Send::new(packets).kind(store())).await;
            }
        };
        self.passing = true;
        ctx.spawn(
            passing
                .into_actor(self)
                .map(|(), sync, _| sync.passing = false),
        );
    }
}

fn store() -> Packet {
    SubFlag::Store.packet(Generation::V0_4)
}

fn passed_on(key: &[u8], entry: &Entry) -> [Packet; 4] {
    [
        Packet::from(key.to_vec()),
        entry.value.clone(),
        Packet::from(entry.owner.as_str()),
        Packet::from(encode_u64(entry.time).as_ref()),
    ]
}

impl Actor for Sync {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        let messages = Subscribe::messages(ctx.address()).filter(Filter::new().kind(store()));
        let events = SubscribeEvents::new(ctx.address());
        let router = self.router.clone();
        let subscribing = async move {
            router.send(messages).await?;
            router.send(events).await?;
            router.send(crate::node::Peers).await
        };
        ctx.wait(subscribing.into_actor(self).map(|peers, sync, _| {
            let peers = peers.unwrap_or_default().into_iter();
            sync.peers.extend(peers.map(|peer| peer.id));
        }));
        ctx.run_interval(PASS_ON, |sync, ctx| {
            if !sync.passing && !sync.to_pass_on.is_empty() {
                sync.pass_on(ctx);
            }
        });
        ctx.run_interval(Duration::from_secs(60), |sync, ctx| {
            let asking = sync.router.send(UnixTime).into_actor(sync);
            ctx.spawn(asking.map(|now, sync, _| {
                let now = now.unwrap_or_default();
                sync.turns.retain(|_, turn| *turn >= now);
                sync.forget(now);
            }));
        });
    }
}

impl Handler<Message> for Sync {
    type Result = ();

    fn handle(&mut self, message: Message, _: &mut Context<Self>) {
        let (key, value, owner, time) = match message.body() {
            [key, value] => (
                key,
                value,
                Some(message.sender().clone()),
                Some(message.time()),
            ),
            [key, value, owner, time] => (
                key,
                value,
                owner.as_str().and_then(|owner| owner.parse().ok()),
                decode_u64(time.as_bytes()).ok(),
            ),
            _ => {
                self.refused += 1;
                return;
            }
        };
        let (Some(owner), Some(time)) = (owner, time) else {
            self.refused += 1;
            return;
        };
        // An entry from the far future could never be replaced.
        if key.as_bytes().is_empty() || time > message.time().saturating_add(AHEAD) {
            self.refused += 1;
            return;
        }
        let entry = Entry {
            value: value.clone(),
            owner,
            time,
        };
        let whispered = *message.flag() == crate::wire::Flag::Whisper;
        match self.take(key.as_bytes(), entry) {
            // When two parts of a mesh meet, our other peers do not know the entry either.
            Ok(true) if whispered && self.peers.len() > 1 => {
                self.to_pass_on.insert(key.as_bytes().to_vec());
            }
            Ok(_) => {}
            Err(why) => {
                self.refused += 1;
                let by = message.sender().clone();
                self.watchers.tell(&Changed::Refused {
                    key: key.clone(),
                    by,
                    why,
                });
            }
        }
    }
}

impl Handler<Event> for Sync {
    type Result = ();

    fn handle(&mut self, event: Event, ctx: &mut Context<Self>) {
        match event {
            Event::PeerJoined { peer, .. } => {
                self.peers.insert(peer.clone());
                if !self.to_greet.contains(&peer) {
                    self.to_greet.push_back(peer);
                }
                if self.greeting.is_none() {
                    self.greet(ctx);
                }
            }
            Event::PeerLeft { peer, .. } => {
                self.peers.remove(&peer);
                self.to_greet.retain(|waiting| *waiting != peer);
            }
            _ => {}
        }
    }
}

/// Sets a key for all nodes. An empty value removes it.
///
/// A key can be set once a second, since whole seconds tell old from new. Further sets queue for at most 10 s.
///
/// # Errors
/// A [`SyncError`] says who holds the key, or what to wait for, and whether the value is set here but could not be
/// sent.
///
/// ```
/// use actix::Actor;
/// use actix_mesh::Config;
/// use actix_mesh::replicated::{Get, Set, Sync};
///
/// # #[actix::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let a = Config::new().start().await?;
/// let dictionary = Sync::of(&a).start();
/// dictionary.send(Set::new("colour", "green")).await??;
/// let entry = dictionary.send(Get::new("colour")).await?.expect("it was just set");
/// assert_eq!(entry.value.as_str(), Some("green"));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, actix::Message)]
#[rtype(result = "Result<(), SyncError>")]
#[non_exhaustive]
pub struct Set {
    /// The key.
    pub key: Packet,
    /// Its value.
    pub value: Packet,
}

impl Set {
    /// Sets this value.
    pub fn new(key: impl Into<Packet>, value: impl Into<Packet>) -> Self {
        Self {
            key: key.into(),
            value: value.into(),
        }
    }

    /// Removes this key.
    pub fn removed(key: impl Into<Packet>) -> Self {
        Self::new(key, "")
    }
}

impl Handler<Set> for Sync {
    type Result = ResponseActFuture<Self, Result<(), SyncError>>;

    fn handle(&mut self, set: Set, _: &mut Context<Self>) -> Self::Result {
        let Set { key, value } = set;
        // The clock that stamps messages.
        let asking = self.router.send(UnixTime).into_actor(self);
        Box::pin(asking.then(|now, sync, _| {
            let Ok(now) = now else {
                return ready(Err(SyncError::NodeGone));
            };
            match sync.held(key.as_bytes(), &sync.me, now) {
                _ if key.as_bytes().is_empty() => ready(Err(SyncError::NoKey)),
                Some((owner, left)) => ready(Err(SyncError::Held { owner, left })),
                None => sync.set(key, value, now),
            }
        }))
    }
}

type Setting = ResponseActFuture<Sync, Result<(), SyncError>>;

fn ready(result: Result<(), SyncError>) -> Setting {
    Box::pin(actix::fut::ready(result))
}

impl Sync {
    fn set(&mut self, key: Packet, value: Packet, now: u64) -> Setting {
        let old = self.entries.get(key.as_bytes()).map(|old| old.time);
        let turn = self.turns.get(key.as_bytes()).copied();
        let turn = old
            .max(turn)
            .map_or(now, |taken| taken.saturating_add(1).max(now));
        let wait = turn - now;
        if wait > TURNS {
            return ready(Err(SyncError::Ahead { seconds: wait }));
        }
        self.turns.insert(key.as_bytes().to_vec(), turn);
        let router = self.router.clone();
        let packets = [key.clone(), value.clone()];
        let sending = async move {
            if wait > 0 {
                tokio::time::sleep(Duration::from_secs(wait)).await;
            }
            let send = Send::new(packets).kind(store()).or_busy();
            (router.send(send).await, router.send(UnixTime).await)
        };
        Box::pin(sending.into_actor(self).map(move |(sent, then), sync, _| {
            let sent = sent.map_err(|_| SyncError::NodeGone)?;
            let entry = Entry {
                value,
                owner: sync.me.clone(),
                time: sent.as_ref().map_or(then.unwrap_or(now), |sent| sent.time),
            };
            if !sync.take(key.as_bytes(), entry)? {
                return Err(SyncError::Superseded);
            }
            match sent {
                // No peer to tell yet: nodes that join get it.
                Ok(_) | Err(SendError::NoPeers) => Ok(()),
                Err(error) => Err(error.into()),
            }
        }))
    }
}

/// Returns the value of a key, if it has one.
///
/// ```
/// use actix::Actor;
/// use actix_mesh::Config;
/// use actix_mesh::replicated::{Get, Sync};
///
/// # #[actix::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let a = Config::new().start().await?;
/// let dictionary = Sync::of(&a).start();
/// assert_eq!(dictionary.send(Get::new("colour")).await?, None);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, actix::Message)]
#[rtype(result = "Option<Entry>")]
#[non_exhaustive]
pub struct Get {
    /// The key.
    pub key: Packet,
}

impl Get {
    /// Gets this key.
    pub fn new(key: impl Into<Packet>) -> Self {
        Self { key: key.into() }
    }
}

impl Handler<Get> for Sync {
    type Result = Option<Entry>;

    fn handle(&mut self, get: Get, _: &mut Context<Self>) -> Self::Result {
        let entry = self.entries.get(get.key.as_bytes())?;
        (!entry.is_removed()).then(|| entry.clone())
    }
}

/// Returns all keys and their values, in the order of the keys.
///
/// ```
/// use actix::Actor;
/// use actix_mesh::Config;
/// use actix_mesh::replicated::{Entries, Sync};
///
/// # #[actix::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let a = Config::new().start().await?;
/// let dictionary = Sync::of(&a).start();
/// assert!(dictionary.send(Entries).await?.is_empty());
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, actix::Message)]
#[rtype(result = "Vec<(Packet, Entry)>")]
pub struct Entries;

impl Handler<Entries> for Sync {
    type Result = Vec<(Packet, Entry)>;

    fn handle(&mut self, _: Entries, _: &mut Context<Self>) -> Self::Result {
        let entries = self.entries.iter().filter(|(_, entry)| !entry.is_removed());
        entries
            .map(|(key, entry)| (Packet::from(key.clone()), entry.clone()))
            .collect()
    }
}

/// A change of a key.
#[derive(Clone, Debug, PartialEq, Eq, actix::Message)]
#[rtype(result = "()")]
#[non_exhaustive]
pub enum Changed {
    /// It has a new value.
    Set {
        /// The key.
        key: Packet,
        /// The new entry.
        entry: Entry,
    },
    /// It was removed.
    Removed {
        /// The key.
        key: Packet,
        /// The node that removed it.
        by: NodeId,
    },
    /// Another node's entry was refused here.
    Refused {
        /// The key.
        key: Packet,
        /// The node that sent it.
        by: NodeId,
        /// Why it was refused.
        why: SyncError,
    },
}

/// Tells an actor of every change from now on. A slow one misses changes, and can catch up with [`Entries`].
///
/// ```
/// use actix::{Actor, Context, Handler};
/// use actix_mesh::Config;
/// use actix_mesh::replicated::{Changed, Sync, WatchSync};
///
/// # #[actix::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// struct Painter;
/// impl Actor for Painter {
///     type Context = Context<Self>;
/// }
/// impl Handler<Changed> for Painter {
///     type Result = ();
///     fn handle(&mut self, changed: Changed, _: &mut Context<Self>) {
///         println!("{changed:?}");
///     }
/// }
///
/// let a = Config::new().start().await?;
/// let dictionary = Sync::of(&a).start();
/// dictionary.send(WatchSync(Painter.start().recipient())).await?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, actix::Message)]
#[rtype(result = "()")]
pub struct WatchSync(pub Recipient<Changed>);

impl Handler<WatchSync> for Sync {
    type Result = ();

    fn handle(&mut self, watch: WatchSync, _: &mut Context<Self>) {
        self.watchers.add(watch.0);
    }
}

/// Asks for the dictionary's state.
///
/// ```
/// use actix::Actor;
/// use actix_mesh::Config;
/// use actix_mesh::replicated::{Sync, SyncStatus};
///
/// # #[actix::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let a = Config::new().start().await?;
/// let dictionary = Sync::of(&a).start();
/// assert_eq!(dictionary.send(SyncStatus).await?.refused, 0);
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, actix::Message)]
#[rtype(result = "SyncReport")]
pub struct SyncStatus;

/// The dictionary's state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct SyncReport {
    /// Keys, including those removed within the last hour.
    pub entries: usize,
    /// Bytes of keys and values.
    pub bytes: usize,
    /// Entries of others that were refused: another node holds the key, the dictionary is full, or they are malformed.
    pub refused: u64,
}

impl Handler<SyncStatus> for Sync {
    type Result = actix::MessageResult<SyncStatus>;

    fn handle(&mut self, _: SyncStatus, _: &mut Context<Self>) -> Self::Result {
        actix::MessageResult(SyncReport {
            entries: self.entries.len(),
            bytes: self.bytes,
            refused: self.refused,
        })
    }
}
