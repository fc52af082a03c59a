//! Layer 2, the protocol: pure decisions. [`Input`]s go in, [`Effect`]s come out.
//!
//! Read [`input`] first, [`effect`] second; then [`Mesh`], which dispatches to one file for each noun of the protocol.
//! This layer uses the messages of [`wire`](crate::wire) but no layout, no flag number and no generation. It reads no
//! clock, opens no socket and knows no actor.
//!
//! # The life of a connection
//!
//! ```text
//!   connect, peers list,                a stranger
//!   wanted by a whisper                 comes to us
//!          |                                |
//!      [dialing] --Dialed--> [awaiting] <---+
//!          |                     |  our handshake has been sent, and nothing else
//!          |                     |
//!          |          its handshake: same subnet, not ourselves, the one we expect?
//!          |                     |                       \
//!          |                     | yes                     no: Close, Refused
//!          |            is there a connection to that id?
//!          |               /                \
//!          |              no                yes: between actix-mesh nodes the one that came first to
//!          |              |                 the larger id stays; with a reference peer the old one,
//!          |              |                 if it answers a probe
//!          |              v
//!          |        [routing table] --- peers, request, response, renegotiate, broadcast, whisper
//!          |              |
//!          +--DialFailed  +--Closed, Disconnect, a bad frame---> gone: PeerLeft
//! ```
//!
//! # Differences from the reference peers
//!
//! | the reference peers | here | because |
//! |---|---|---|
//! | list and use a dialled peer before its handshake | it stays on the awaiting list until its handshake | it may turn out to have another id, or another subnet |
//! | relay a message back to the peer it came from | never | that peer drops it anyway |
//! | obey control messages under any main flag | only under the main flag with which reference peers send them | one broadcast could rename everybody's connections |
//! | identify a broadcast by its id alone | by id, author and packet boundaries | the id covers neither, so one message could hide another |
//! | stamp a broadcast anew for each connection | one stamp and one id on all connections | when the second rolled over in between, one message became two |
//! | lose the second of two equal payloads sent in one second | the later one takes the next free second | the id has no finer clock |
//! | accept any time in the future | at most 60 seconds ahead | such a message could never be forgotten |
//! | let the newest claim take over an id | the first live connection keeps it, except when dials cross | a claim must not unseat a peer |
//! | may lose both of two crossing connections (py2p) | probe the remaining one, and dial again | one must remain |
//! | dial whatever a peers list names | check each entry, within a budget | a list is advice |
//! | answer every `request *` | rate limited | a confused peer floods us with them |
//! | wait for ever for the answer to a request | until a deadline, then report why | nothing may fail silently |
//! | relay payload that is not UTF-8 to js2p | skip that peer, and report it | the peer would hang for good |
//! | ask for a resend of what they cannot read | close, and report why | every js2p closes when asked to resend |

mod connections;
mod dispatch;
pub mod effect;
pub mod error;
pub mod event;
mod event_text;
pub mod input;
mod membership;
mod messaging;
mod params;
#[cfg(any(test, feature = "sim"))]
pub mod sim;
mod stats;
#[cfg(test)]
mod tests;
mod tls_refusal;
mod token_bucket;
pub(crate) mod trace;

pub use connections::awaiting::Awaiting;
pub use connections::routing_table::Peer;
pub use effect::{Answer, Effect, Effects, Sent, Skipped, Targets, Whispered};
pub use error::{ConnectError, PassOnError, SendError, WhisperError};
pub use event::{CloseReason, Direction, Event, SkipReason};
pub use event_text::{Severity, printable};
pub use input::{ConnId, DialError, Ended, Input, Now, OtherProtocol, ProposalId, Ticket};
pub use membership::peer_book::Place;
pub use membership::topology::{Neighbor, Neighborhood};
pub use messaging::broadcast::Outgoing;
pub use messaging::held_for_validation::{Acceptance, ValidationRule};
pub use messaging::pass_on::Foreign;
pub use messaging::route::{Hop, PassedMessage, Route};
pub use messaging::whisper::OutgoingWhisper;
#[cfg(feature = "node")]
pub(crate) use messaging::whisper::QueuedWhisper;
pub use params::Params;
pub use stats::{Stats, Traffic, Trouble};
pub use tls_refusal::TlsRefusal;
#[cfg(feature = "node")]
pub(crate) use token_bucket::TokenBucket;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use self::connections::awaiting::{AwaitingList, Pending};
use self::connections::bans::Bans;
use self::connections::degree::Departures;
use self::connections::routing_table::{Entry, Routing};
use self::membership::address_scope::Scope;
use self::membership::peer_book::{PeerBook, Tried};
use self::membership::peer_exchange::MIN_ASK_PAUSE;
use self::messaging::announce::Announcements;
use self::messaging::held_for_validation::Validation;
use self::messaging::pass_on::Foreigners;
use self::messaging::prune::Streams;
use self::messaging::renegotiate::Kept;
use self::messaging::route::PassedMessages;
use self::messaging::store_budget::StoreBudget;
use self::messaging::waterfall::Waterfall;
use self::messaging::whisper::authors::Authors;
use self::messaging::whisper::reply_path::Passages;
use self::messaging::whisper::searches::Searches;
use self::stats::{DROPPED, RecentProblems};
#[cfg(not(feature = "node"))]
use self::token_bucket::TokenBucket;
use crate::wire::{Composer, Copies, FingerprintKey, NodeId, PeerEntry, SubnetId};

/// A node's whole protocol, without a socket: inputs go in, effects come out.
///
/// # Driving it
///
/// Pass inputs to [`handle`](Self::handle), which is total: a misbehaving peer leads to [`Effect::Close`], never to an
/// error. Pass users' commands to the methods named after them, which can refuse. Both append their effects to `out`,
/// to be performed in order. The monotonic part of `now` must not go back. Pass [`Input::Tick`] about once a second.
/// Name each accepted connection with [`next_conn`](Self::next_conn). Report the end of every connection with
/// [`Input::Closed`], including those the core closed. Equal seeds and equal inputs give equal effects.
#[derive(Debug)]
pub struct Mesh {
    params: Params,
    composer: Composer,
    subnet_id: SubnetId,
    key: FingerprintKey,
    rng: StdRng,
    routing: Routing,
    awaiting: AwaitingList,
    waterfall: Waterfall,
    /// Copies of the packets that a batch delivers.
    copies: Copies,
    searches: Searches,
    announcements: Announcements,
    streams: Streams,
    foreigners: Foreigners,
    authors: Authors,
    passages: Passages,
    passed: PassedMessages,
    validation: Validation,
    stats: Stats,
    problems: RecentProblems,
    /// Budget of dials caused by peers lists.
    dial_budget: TokenBucket,
    /// Nodes that peers lists named and that are not dialled yet, and the scope they were named from.
    offers: VecDeque<(PeerEntry, Scope)>,
    /// When to ask a peer for its list again if connections are missing, and the pause after that.
    ask_at: Duration,
    ask_pause: Duration,
    /// Budget of `request *` rounds caused by lost peers.
    ask_budget: TokenBucket,
    book: PeerBook,
    tried: Tried,
    bans: Bans,
    departures: Departures,
    /// What to resend of our last broadcast, and its number among the messages sent.
    last_broadcast: Option<(u64, Kept)>,
    /// Messages sent so far.
    order: u64,
    /// Whether broadcasts were dropped since the last tick because the waterfall cache is full.
    crowded: bool,
    audience: bool,
    closing: bool,
    /// Peers that a user disconnected, and until when they are refused.
    shunned: BTreeMap<NodeId, Duration>,
    /// Peers that were lost soon after they joined and were dialled again, and when.
    second_chances: BTreeMap<NodeId, Duration>,
    /// The counters of dropped messages, as last reported, and when.
    dropped_told: ([u64; DROPPED], Duration),
    /// When the clocks were last compared.
    last_tick: Option<Now>,
    next_conn: u64,
}

impl Mesh {
    /// Creates a node called `me`. `seed` determines all its randomness.
    pub fn new(params: Params, me: NodeId, seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let key = FingerprintKey::new(rng.random(), rng.random());
        let stored = StoreBudget::default();
        Self {
            subnet_id: params.subnet.id(params.generation),
            composer: Composer::new(params.generation, params.limits, me),
            key,
            rng,
            routing: Routing::new(key),
            awaiting: AwaitingList::default(),
            waterfall: Waterfall::new(params.window, params.waterfall_capacity),
            copies: Copies::new(0),
            searches: Searches::default(),
            announcements: Announcements::new(stored.clone()),
            streams: Streams::new(stored),
            foreigners: Foreigners::default(),
            authors: Authors::default(),
            passages: Passages::default(),
            passed: PassedMessages::default(),
            validation: Validation::default(),
            stats: Stats::default(),
            problems: RecentProblems::default(),
            dial_budget: TokenBucket::new(8.0, 4.0),
            offers: VecDeque::new(),
            ask_at: Duration::ZERO,
            ask_pause: MIN_ASK_PAUSE,
            ask_budget: TokenBucket::new(2.0, 0.2),
            book: PeerBook::default(),
            tried: Tried::default(),
            bans: Bans::default(),
            departures: Departures::default(),
            last_broadcast: None,
            order: 0,
            crowded: false,
            audience: true,
            closing: false,
            shunned: BTreeMap::new(),
            second_chances: BTreeMap::new(),
            dropped_told: ([0; DROPPED], Duration::ZERO),
            last_tick: None,
            next_conn: 0,
            params,
        }
    }

    /// Returns this node's id.
    pub fn me(&self) -> &NodeId {
        self.composer.me()
    }

    /// Returns the id of this node's subnet.
    pub fn subnet_id(&self) -> &SubnetId {
        &self.subnet_id
    }

    /// Returns the settings that the node was created with.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// Returns a name for a connection that was accepted.
    pub fn next_conn(&mut self) -> ConnId {
        self.next_conn += 1;
        ConnId(self.next_conn)
    }

    /// Sets whether anyone here receives messages. If not, none is prepared for delivery.
    pub fn set_audience(&mut self, listening: bool) {
        self.audience = listening;
    }

    /// Returns the id of the peer on a connection, if its handshake was accepted.
    pub(crate) fn peer_at(&self, conn: ConnId) -> Option<&NodeId> {
        self.routing.get(conn).map(|entry| &entry.id)
    }

    /// Returns the routing table.
    pub fn peers(&self) -> Vec<Peer> {
        self.routing.iter().map(Entry::report).collect()
    }

    /// Returns the awaiting list.
    pub fn awaiting(&self) -> Vec<Awaiting> {
        let awaiting = |(conn, pending): (ConnId, &Pending)| Awaiting {
            conn,
            address: pending.address.clone(),
            direction: pending.purpose.direction(),
            expect: pending.purpose.expect().cloned(),
            connected: pending.reached.is_some(),
        };
        self.awaiting.iter().map(awaiting).collect()
    }

    /// Returns the counters.
    pub fn stats(&self) -> Stats {
        Stats {
            waterfall_evicted: self.waterfall.evicted(),
            waterfall_entries: self.waterfall.len() as u64,
            ..self.stats.clone()
        }
    }

    /// Returns recent problems, oldest first; bounded.
    pub fn troubles(&self) -> impl Iterator<Item = &Trouble> {
        self.problems.iter()
    }
}
