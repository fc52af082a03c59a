//! Messages and peers of other meshes, brought here by a bridge.
//!
//! Owns messages relayed under another node's name, and the answers to requests for peers on the other side of a
//! bridge. It does not know what a bridge carries, nor where it found a peer.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::mesh::Mesh;
use crate::mesh::effect::{Answer, Effect, Effects, Sent, Targets};
use crate::mesh::error::{PassOnError, SendError};
use crate::mesh::event::Event;
use crate::mesh::input::{ConnId, Now, Ticket};
use crate::mesh::messaging::whisper::searches::Waiting;
use crate::mesh::token_bucket::TokenBucket;
use crate::wire::{
    Address, Flag, Frames, Hold, NodeId, Packet, Packets, RequestId, SubFlag, is_extension,
};

/// Maximum number of vouched peers; the oldest is evicted.
const MAX_VOUCHED: usize = 1024;
/// Maximum number of open requests for peers that nobody vouches for yet; the oldest is evicted.
const MAX_REQUESTS: usize = 64;
/// How long a request may be answered: as long as most nodes wait.
const REQUEST_AGE: Duration = Duration::from_secs(10);

/// A message from another mesh.
#[derive(Clone, Debug)]
pub struct Foreign {
    /// Its author, as claimed there.
    pub author: NodeId,
    /// When it was written, in Unix seconds.
    pub time: u64,
    /// The whole payload, including packet 0.
    pub payload: Packets,
}

/// A request for a peer that no one here knows.
#[derive(Debug)]
struct Open {
    conn: ConnId,
    request: RequestId,
    wanted: NodeId,
    since: Duration,
}

/// See the module.
#[derive(Debug)]
pub(in crate::mesh) struct Foreigners {
    /// The addresses of peers of other meshes, and the order in which they were vouched for.
    vouched: BTreeMap<NodeId, Address>,
    order: VecDeque<NodeId>,
    open: VecDeque<Open>,
    /// Whether requests for unknown peers are reported.
    reported: bool,
    /// Rate limit of these events.
    events: TokenBucket,
}

impl Default for Foreigners {
    fn default() -> Self {
        Self {
            vouched: BTreeMap::new(),
            order: VecDeque::new(),
            open: VecDeque::new(),
            reported: false,
            events: TokenBucket::new(16.0, 4.0),
        }
    }
}

impl Mesh {
    /// Relays a broadcast of another mesh to every peer, under its author's name and time. Every bridge that relays it
    /// gives it the same id, so a mesh with two bridges delivers it once.
    ///
    /// # Errors
    ///
    /// Returns a [`PassOnError`]; nothing was sent.
    pub fn pass_on(
        &mut self,
        now: Now,
        foreign: &Foreign,
        hold: Hold,
        out: &mut Effects,
    ) -> Result<Sent, PassOnError> {
        self.may_be_sent(&foreign.payload)?;
        if foreign.author == *self.me() {
            return Err(PassOnError::OwnAuthor);
        }
        self.waterfall.make_room(now.unix);
        if self.waterfall.expired(now.unix, foreign.time) || self.waterfall.closed(foreign.time) {
            return Err(PassOnError::Expired);
        }
        if self.waterfall.premature(now.unix, foreign.time) {
            return Err(PassOnError::Premature);
        }
        if self.routing.is_empty() {
            return Err(SendError::NoPeers.into());
        }
        let composed = self
            .composer
            .compose_as(
                &foreign.author,
                &Flag::Broadcast,
                &foreign.payload,
                foreign.time,
            )
            .map_err(SendError::from)?;
        if !self.take_id(foreign.time, composed.fingerprint(&self.key)) {
            return Err(PassOnError::Known);
        }
        let frames = Frames {
            hold,
            ..composed.frames
        };
        let author = self.routing.conn_of(&foreign.author);
        let fragile = if is_text(&foreign.payload) {
            Targets::new()
        } else {
            self.routing.fragile()
        };
        let mut to = self.routing.conns();
        to.retain(|conn| Some(*conn) != author && !fragile.contains(conn));
        self.stats.relayed += 1;
        self.stats.relay_skipped += fragile.len() as u64;
        let sent = Sent {
            id: composed.head.id,
            time: foreign.time,
            handed_to: self.routing.ids(&to).collect(),
            skipped: self.skipped(&fragile),
        };
        if self.keeps_passed() {
            self.note_sent(now, &sent.id, &foreign.author, &foreign.payload);
        }
        if !to.is_empty() {
            out.push(Effect::Transmit { to, frames });
        }
        Ok(sent)
    }

    /// Relays a whisper of another mesh to one peer, wherever it is; ends as [`whisper`](Self::whisper) does.
    #[expect(
        clippy::too_many_arguments,
        reason = "a command carries all it is about"
    )]
    pub fn pass_on_whisper(
        &mut self,
        now: Now,
        ticket: Ticket,
        to: NodeId,
        foreign: Foreign,
        within: Duration,
        hold: Hold,
        out: &mut Effects,
    ) {
        if let Err(error) = self.may_be_sent(&foreign.payload) {
            return out.push(Effect::Answer {
                ticket,
                answer: Answer::Whisper(Err(error.into())),
            });
        }
        let Foreign {
            author, payload, ..
        } = foreign;
        let waiting = Waiting {
            ticket,
            author: Some(author),
            payload,
            hold,
            within,
            until: now.monotonic.saturating_add(within),
        };
        self.send_or_search(now, to, waiting, out);
    }

    fn may_be_sent(&self, payload: &Packets) -> Result<(), SendError> {
        if self.closing {
            return Err(SendError::ShuttingDown);
        }
        let generation = self.params.generation;
        let reserved = payload.first().is_none_or(|kind| {
            SubFlag::read(kind.as_bytes(), generation).is_some_and(SubFlag::is_control)
                || is_extension(kind.as_bytes())
        });
        if reserved {
            return Err(SendError::ReservedKind);
        }
        let binary = |packet: &Packet| packet.as_str().is_none();
        match payload.iter().position(binary) {
            Some(packet) if !self.may_send_binary() => Err(SendError::NotText { packet }),
            _ => Ok(()),
        }
    }

    /// Starts to report requests for unknown peers as [`Event::Sought`].
    pub fn tell_sought(&mut self) {
        self.foreigners.reported = true;
    }

    /// Answers open and future requests for a peer of another mesh with this address.
    pub fn vouch(&mut self, now: Now, peer: &NodeId, address: &Address, out: &mut Effects) {
        self.foreigners.vouch(peer, address);
        for open in self.foreigners.take_open(now.monotonic, peer) {
            self.respond(now, open.conn, open.request, peer, address.clone(), out);
        }
    }

    /// Stops [`vouch`](Self::vouch)ing for a peer.
    pub fn disown(&mut self, peer: &NodeId) {
        self.foreigners.vouched.remove(peer);
        self.foreigners.order.retain(|id| id != peer);
    }

    /// Handles a request for a peer that is not connected; returns its address if we vouch for it.
    pub(in crate::mesh) fn on_sought(
        &mut self,
        now: Now,
        conn: ConnId,
        request: &RequestId,
        wanted: &NodeId,
        out: &mut Effects,
    ) -> Option<Address> {
        let found = self.foreigners.vouched.get(wanted).cloned();
        if found.is_none() && self.foreigners.reported && *wanted != *self.me() {
            self.foreigners.keep_open(Open {
                conn,
                request: request.clone(),
                wanted: wanted.clone(),
                since: now.monotonic,
            });
            if self.foreigners.events.spend(now.monotonic) {
                out.push(Effect::Notify(Event::Sought {
                    peer: wanted.clone(),
                }));
            }
        }
        found
    }
}

impl Foreigners {
    fn vouch(&mut self, peer: &NodeId, address: &Address) {
        if self.vouched.insert(peer.clone(), address.clone()).is_none() {
            self.order.push_back(peer.clone());
        }
        while self.order.len() > MAX_VOUCHED {
            if let Some(oldest) = self.order.pop_front() {
                self.vouched.remove(&oldest);
            }
        }
    }

    fn keep_open(&mut self, open: Open) {
        while self.open.len() >= MAX_REQUESTS {
            self.open.pop_front();
        }
        self.open.push_back(open);
    }

    fn take_open(&mut self, now: Duration, peer: &NodeId) -> Vec<Open> {
        let fresh = |open: &Open| now.saturating_sub(open.since) < REQUEST_AGE;
        let (wanted, rest) = self
            .open
            .drain(..)
            .filter(fresh)
            .partition::<Vec<_>, _>(|open| open.wanted == *peer);
        self.open = rest.into();
        wanted
    }
}

fn is_text(payload: &Packets) -> bool {
    payload.iter().all(|packet| packet.as_str().is_some())
}
