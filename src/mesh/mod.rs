//! Floor 2: the protocol's decisions, pure. What happens goes in, what is to be done comes out.
//!
//! Read [`input`] first, [`effect`] second; then [`Mesh`], which is dispatched to one file for each of
//! the protocol's nouns. This floor uses the messages of [`wire`](crate::wire) but no layout, no
//! flag number and no generation; it reads no clock, opens no socket and knows no actor.
//!
//! # The life of a connection
//!
//! ```text
//!   connect, peers list,                a stranger
//!   wanted by a whisper                 comes to us
//!          |                                |
//!      [dialing] --Dialed--> [awaiting] <---+
//!          |                     |  our handshake has been said; nothing else is
//!          |                     |
//!          |          its handshake: same subnet, not ourselves, the one we expect?
//!          |                     |                       \
//!          |                     | yes                     no: Close, Refused
//!          |            is there a connection to that id?
//!          |               /                \
//!          |              no                yes, and they crossed: the one dialled by the larger
//!          |              |                 id stays, on both sides; otherwise the first stays
//!          |              v
//!          |        [routing table] --- peers, request, response, renegotiate, broadcast, whisper
//!          |              |
//!          +--DialFailed  +--Closed, Disconnect, a bad frame---> gone: PeerLeft
//! ```
//!
//! # Where we differ from the reference peers
//!
//! | the reference peers | here | because |
//! |---|---|---|
//! | list and use a dialled peer before its handshake | the awaiting list and the routing table are different things | its id may turn out another, and it could be of another subnet |
//! | relay back to where a message came from | never | it is dropped there anyway |
//! | obey control messages under any main flag | only under the one they are sent with | one broadcast could rename everybody's links |
//! | know a broadcast by its id alone | by id, author and packet boundaries | the id covers neither, so one message could hide another |
//! | stamp a broadcast anew for each link | one second, one id, for all | a second that rolls over in between made it two messages |
//! | lose the same payload sent twice in a second | the later takes the next free second | the id has no finer clock |
//! | accept any time in the future | at most 60 seconds ahead | it could never be forgotten |
//! | let the newest claim take over an id | the first live connection keeps it, crossings apart | nobody can be unseated by a claim |
//! | may lose both of two crossing connections (py2p) | probe the one that is left, and dial anew | one must remain |
//! | dial whatever a peers list says | check each entry, within a budget | a list is advice |
//! | answer every `request *` | at a bounded rate | a confused peer floods us with them |
//! | wait for ever for the answer to a request | until a deadline, then say why | nothing may fail silently |
//! | relay payload that is not UTF-8 to js2p | pass it over, and say so | it would hang for good |
//! | ask for a resend of what they cannot read | close, and say why | every js2p closes on being asked |

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
pub use messaging::pass_on::Foreign;
pub use messaging::route::{Hop, PassedMessage, Route};
pub use messaging::validation::{Acceptance, ValidationRule};
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
use self::messaging::pass_on::Foreigners;
use self::messaging::prune::Streams;
use self::messaging::renegotiate::Kept;
use self::messaging::route::PassedMessages;
use self::messaging::store_budget::StoreBudget;
use self::messaging::validation::Validation;
use self::messaging::waterfall::Waterfall;
use self::messaging::whisper::authors::Authors;
use self::messaging::whisper::reply_path::Passages;
use self::messaging::whisper::searches::Searches;
use self::stats::{DROPPED, RecentProblems};
#[cfg(not(feature = "node"))]
use self::token_bucket::TokenBucket;
use crate::wire::{Composer, Copies, FingerprintKey, NodeId, PeerEntry, SubnetId};

/// A node's whole protocol, without a socket: what happens goes in, what is to be done comes out.
///
/// # Driving it
///
/// Inputs go to [`handle`](Self::handle), which is total: a peer that misbehaves leads to
/// [`Effect::Close`], never to an error. What users want goes to the methods named after it, which
/// can refuse. Each appends its effects to `out`; perform them in order. `now` must not go back in
/// its monotonic part. Say [`Input::Tick`] about once a second. Name a connection that was accepted
/// with [`next_conn`](Self::next_conn), and report the end of every connection with
/// [`Input::Closed`], also those the core closed. Equal seeds and equal inputs give equal effects.
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
    /// Of what a batch delivers.
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
    /// Dials that peers lists may still make us begin.
    dial_budget: TokenBucket,
    /// What peers lists named and was not dialled yet, and from how far it was named.
    offers: VecDeque<(PeerEntry, Scope)>,
    /// When a peer may be asked for its list again for want of links, and the pause after that.
    ask_at: Duration,
    ask_pause: Duration,
    /// Rounds of `request *` that lost peers may still make us begin.
    ask_budget: TokenBucket,
    book: PeerBook,
    tried: Tried,
    bans: Bans,
    departures: Departures,
    /// Our last broadcast, and its place in the order of all we sent.
    last_broadcast: Option<(u64, Kept)>,
    /// Messages sent so far: the order they are known by.
    order: u64,
    /// Whether broadcasts were dropped since the last tick because the cache of seen ones is full.
    crowded: bool,
    audience: bool,
    closing: bool,
    /// Peers that a user disconnected, and until when they are kept out.
    shunned: BTreeMap<NodeId, Duration>,
    /// Peers that were lost soon after they joined and dialled anew, and when.
    second_chances: BTreeMap<NodeId, Duration>,
    /// What of the dropped was told, by counter, and when it was last.
    dropped_told: ([u64; DROPPED], Duration),
    /// When the clocks were compared last.
    last_tick: Option<Now>,
    next_conn: u64,
}

impl Mesh {
    /// A node called `me`. Everything it does by chance follows from `seed`.
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

    /// This node's id.
    pub fn me(&self) -> &NodeId {
        self.composer.me()
    }

    /// The id of this node's subnet.
    pub fn subnet_id(&self) -> &SubnetId {
        &self.subnet_id
    }

    /// What it was made with.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// A name for a connection that was accepted.
    pub fn next_conn(&mut self) -> ConnId {
        self.next_conn += 1;
        ConnId(self.next_conn)
    }

    /// Whether anyone listens: if not, nothing is made ready to be delivered.
    pub fn set_audience(&mut self, listening: bool) {
        self.audience = listening;
    }

    /// Who is at the other end of a connection, if that is a peer.
    pub(crate) fn peer_at(&self, conn: ConnId) -> Option<&NodeId> {
        self.routing.get(conn).map(|entry| &entry.id)
    }

    /// The routing table.
    pub fn peers(&self) -> Vec<Peer> {
        self.routing.iter().map(Entry::report).collect()
    }

    /// The awaiting list.
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

    /// The counters.
    pub fn stats(&self) -> Stats {
        Stats {
            waterfall_evicted: self.waterfall.evicted(),
            waterfall_entries: self.waterfall.len() as u64,
            ..self.stats.clone()
        }
    }

    /// What went wrong lately, oldest first; bounded.
    pub fn troubles(&self) -> impl Iterator<Item = &Trouble> {
        self.problems.iter()
    }
}
