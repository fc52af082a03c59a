//! The state of a node and its dispatch: what happens goes to the protocol noun it belongs to.
//!
//! Owns the parts and their common errands (dialling, closing, sending control messages). The
//! decisions stand beside it, one noun a file. It knows neither sockets nor clocks nor layouts.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::connections::awaiting::{Awaiting, AwaitingList, Pending, Purpose};
use super::connections::bans::{Bans, Misbehavior};
use super::connections::degree::Departures;
use super::connections::handshake::connected_to;
use super::connections::routing_table::{Entry, Peer, Routing};
use super::effect::{Answer, Effect, Effects, Targets};
use super::error::ConnectError;
use super::event::{CloseReason, Direction, Event};
use super::input::{ConnId, DialError, Ended, Input, Now, OtherProtocol, Ticket};
use super::membership::address_scope::Scope;
use super::membership::peer_book::{PeerBook, Tried};
use super::membership::peer_exchange::MIN_ASK_PAUSE;

use super::messaging::announce::Announcements;
use super::messaging::foreign::Foreigners;
use super::messaging::prune::Streams;
use super::messaging::renegotiate::Kept;
use super::messaging::route::PassedMessages;
use super::messaging::store_budget::StoreBudget;
use super::messaging::validation::Validation;
use super::messaging::waterfall::Waterfall;
use super::messaging::whisper::along::Passages;
use super::messaging::whisper::authors::Authors;
use super::messaging::whisper::searches::Searches;
use super::params::Params;
use super::stats::{DROPPED, RecentProblems, Stats, Trouble};
use super::tls_refusal::TlsRefusal;
use super::token_bucket::TokenBucket;
use crate::wire::{
    Address, ClaimKey, Composer, Control, Copies, Flag, NodeId, PeerEntry, SubnetId,
};

/// Dials under way at once, whoever asked for them.
const MAX_DIALS: usize = 256;

/// What was dropped is told once in this time.
const DROPPED_AGAIN: Duration = Duration::from_secs(10);

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
    pub(super) params: Params,
    pub(super) composer: Composer,
    pub(super) subnet_id: SubnetId,
    pub(super) key: ClaimKey,
    pub(super) rng: StdRng,
    pub(super) routing: Routing,
    pub(super) awaiting: AwaitingList,
    pub(super) waterfall: Waterfall,
    /// Of what a batch delivers.
    pub(super) copies: Copies,
    pub(super) searches: Searches,
    pub(super) announcements: Announcements,
    pub(super) streams: Streams,
    pub(super) foreigners: Foreigners,
    pub(super) authors: Authors,
    pub(super) passages: Passages,
    pub(super) passed: PassedMessages,
    pub(super) validation: Validation,
    pub(super) stats: Stats,
    pub(super) problems: RecentProblems,
    /// Dials that peers lists may still make us begin.
    pub(super) dial_budget: TokenBucket,
    /// What peers lists named and was not dialled yet, and from how far it was named.
    pub(super) offers: VecDeque<(PeerEntry, Scope)>,
    /// When a peer may be asked for its list again for want of links, and the pause after that.
    pub(super) ask_at: Duration,
    pub(super) ask_pause: Duration,
    /// Rounds of `request *` that lost peers may still make us begin.
    pub(super) ask_budget: TokenBucket,
    pub(super) book: PeerBook,
    pub(super) tried: Tried,
    pub(super) bans: Bans,
    pub(super) departures: Departures,
    /// Our last broadcast, and its place in the order of all we sent.
    pub(super) last_broadcast: Option<(u64, Kept)>,
    /// Messages sent so far: the order they are known by.
    pub(super) order: u64,
    /// Whether broadcasts were dropped since the last tick because the cache of seen ones is full.
    pub(super) crowded: bool,
    pub(super) audience: bool,
    pub(super) closing: bool,
    /// Peers that a user disconnected, and until when they are kept out.
    pub(super) shunned: BTreeMap<NodeId, Duration>,
    /// Peers that were lost soon after they joined and dialled anew, and when.
    pub(super) second_chances: BTreeMap<NodeId, Duration>,
    /// What of the dropped was told, by counter, and when it was last.
    pub(super) dropped_told: ([u64; DROPPED], Duration),
    /// When the clocks were compared last.
    pub(super) last_tick: Option<Now>,
    next_conn: u64,
}

impl Mesh {
    /// A node called `me`. Everything it does by chance follows from `seed`.
    pub fn new(params: Params, me: NodeId, seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let key = ClaimKey::new(rng.random(), rng.random());
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

    /// Takes in what happened.
    pub fn handle(&mut self, now: Now, input: Input, out: &mut Effects) {
        match input {
            Input::Accepted { conn, addr } => self.on_accepted(now, conn, addr, out),
            Input::Dialed { conn, addr } => self.on_dialed(now, conn, addr, out),
            Input::DialFailed { conn, why } => self.on_dial_failed(now, conn, why, out),
            Input::Proven { conn, id } => self.on_proven(conn, id),
            Input::Received { conn, batch } => self.on_received(now, conn, batch, out),
            Input::Closed { conn, why } => self.on_closed(now, conn, why, out),
            Input::AcceptFailed { why } => self.on_accept_failed(now, why, out),
            Input::Tick => self.on_tick(now, out),
        }
    }

    /// Connects to a peer; ends in [`Answer::Connect`] under `ticket`, maybe at once.
    ///
    /// With `expect`, only that peer will do.
    pub fn connect(
        &mut self,
        _now: Now,
        ticket: Ticket,
        addr: Address,
        expect: Option<NodeId>,
        out: &mut Effects,
    ) {
        if let Some(id) = &expect {
            self.shunned.remove(id);
        }
        if let Err(error) = self.begin(ticket, addr, expect, out) {
            out.push(Effect::Answer {
                ticket,
                answer: Answer::Connect(Err(error)),
            });
        }
    }

    fn begin(
        &mut self,
        ticket: Ticket,
        addr: Address,
        expect: Option<NodeId>,
        out: &mut Effects,
    ) -> Result<(), ConnectError> {
        if self.closing {
            return Err(ConnectError::ShuttingDown);
        }
        if addr == self.params.address || expect.as_ref() == Some(self.me()) {
            return Err(ConnectError::Oneself);
        }
        let known = match &expect {
            Some(id) => self.routing.conn_of(id).map(|_| id),
            None => self.routing.at(&addr),
        };
        // Whoever wanted a connection has one.
        if let Some(id) = known.cloned() {
            if let Some(conn) = self.routing.conn_of(&id) {
                self.hold_on_to(conn);
            }
            out.push(Effect::Answer {
                ticket,
                answer: Answer::Connect(Ok(id)),
            });
            return Ok(());
        }
        if let Some(pending) = self.awaiting.dial_of(&addr) {
            pending.waiting.push((ticket, expect));
            return Ok(());
        }
        let purpose = Purpose::Asked(expect.clone());
        let conn = self
            .dial(addr, purpose, out)
            .ok_or(ConnectError::Busy(MAX_DIALS))?;
        if let Some(pending) = self.awaiting.get_mut(conn) {
            pending.waiting.push((ticket, expect));
        }
        Ok(())
    }

    /// Closes the connection to a peer, which is neither dialled nor let in again for a while unless a user asks for it;
    /// false if there is none.
    pub fn disconnect(&mut self, now: Now, peer: &NodeId, out: &mut Effects) -> bool {
        let Some(conn) = self.routing.conn_of(peer) else {
            return false;
        };
        self.shun(now, peer);
        self.close(now, conn, CloseReason::Requested, out);
        true
    }

    /// Refuses everything from now on, answers whoever waits and closes every connection.
    pub fn shut_down(&mut self, now: Now, out: &mut Effects) {
        self.closing = true;
        self.abandon_whispers(now, out);
        let waiting: Vec<ConnId> = self.awaiting.iter().map(|(conn, _)| conn).collect();
        for conn in waiting.into_iter().chain(self.routing.all_conns()) {
            self.close(now, conn, CloseReason::ShuttingDown, out);
        }
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

    /// Begins a dial. `None` if too many are under way.
    pub(super) fn dial(
        &mut self,
        address: Address,
        purpose: Purpose,
        out: &mut Effects,
    ) -> Option<ConnId> {
        if self.awaiting.len() >= MAX_DIALS && purpose.direction() == Direction::Outgoing {
            return None;
        }
        let conn = self.next_conn();
        out.push(Effect::Dial {
            conn,
            addr: address.clone(),
        });
        let pending = Pending {
            address,
            reached: None,
            proven: None,
            purpose,
            waiting: Vec::new(),
            // The dial's own time-out is its driver's; this one only makes sure of an end.
            until: Duration::MAX,
        };
        self.awaiting.insert(conn, pending);
        Some(conn)
    }

    fn on_dial_failed(&mut self, now: Now, conn: ConnId, why: DialError, out: &mut Effects) {
        let Some(pending) = self.awaiting.remove(conn) else {
            return;
        };
        self.stats.dials_failed += 1;
        self.problems
            .note(now.unix, format!("dial to {}: {why}", pending.address));
        let addr = pending.address.clone();
        out.push(Effect::Notify(Event::DialFailed {
            addr: addr.clone(),
            reason: why.clone(),
        }));
        let error = ConnectError::Dial {
            addr,
            why: why.clone(),
        };
        fail_waiting(&pending, &error, out);
        self.defer(now, &pending.address);
        self.on_missed(now, &pending, why.to_string(), out);
    }

    fn on_accept_failed(&mut self, now: Now, why: String, out: &mut Effects) {
        self.stats.accepts_failed += 1;
        self.problems
            .note(now.unix, format!("accepting is paused: {why}"));
        out.push(Effect::Notify(Event::ListenerFailed { reason: why }));
    }

    fn on_closed(&mut self, now: Now, conn: ConnId, why: Ended, out: &mut Effects) {
        let reason = match why {
            Ended::ByPeer => CloseReason::ByPeer,
            Ended::Broken(what) => CloseReason::BadFrame(what),
            Ended::Failed(what) => CloseReason::Failed(what),
            Ended::Stalled => CloseReason::SlowPeer,
            Ended::Unfinished => CloseReason::Unfinished,
            Ended::Insecure { refusal, by_peer } => CloseReason::Insecure { refusal, by_peer },
            // A peer knows better.
            Ended::OtherProtocol(protocol) if self.routing.get(conn).is_some() => {
                CloseReason::BadFrame(format!("bytes of {protocol}"))
            }
            Ended::OtherProtocol(OtherProtocol::Tls) => CloseReason::Insecure {
                refusal: TlsRefusal::Tls,
                by_peer: false,
            },
            Ended::OtherProtocol(protocol) => CloseReason::OtherProtocol(protocol),
        };
        self.forget(now, conn, reason, out);
    }

    fn on_tick(&mut self, now: Now, out: &mut Effects) {
        for conn in self.awaiting.overdue(now.monotonic) {
            self.close(now, conn, CloseReason::HandshakeTimeout, out);
        }
        self.watch_clock(now, out);
        self.keep_alive(now, out);
        self.end_contests(now, out);
        self.reconnect(now, out);
        self.bound_degree(now, out);
        self.seek_links(now, out);
        self.end_fruitless_searches(now, out);
        self.expire_whispers(now, out);
        self.expire_passages(now, out);
        self.mind_announcements(now, out);
        self.mind_streams(now, out);
        self.waterfall.forget(now.unix);
        self.report_crowded(now, out);
        self.report_dropped(now, out);
        self.report_undecided(out);
    }

    /// Tells of what is only counted, at a bounded rate.
    fn report_dropped(&mut self, now: Now, out: &mut Effects) {
        let counters = self.stats.dropped();
        let (told, at) = &mut self.dropped_told;
        let due = *at == Duration::ZERO || *at + DROPPED_AGAIN <= now.monotonic;
        if !due || counters.iter().map(|(_, count)| count).eq(told.iter()) {
            return;
        }
        *at = now.monotonic;
        for ((counter, count), told) in counters.into_iter().zip(told) {
            let count = count - std::mem::replace(told, count);
            if count > 0 {
                self.problems
                    .note(now.unix, format!("dropped {count}: {counter}"));
                out.push(Effect::Notify(Event::Dropped { counter, count }));
            }
        }
    }

    /// Once a second at most.
    fn report_crowded(&mut self, now: Now, out: &mut Effects) {
        if !std::mem::take(&mut self.crowded) {
            return;
        }
        let dropped = self.stats.waterfall_closed;
        self.problems.note(
            now.unix,
            String::from("the cache of seen broadcasts is full: some were dropped"),
        );
        out.push(Effect::Notify(Event::WaterfallFull { dropped }));
    }

    /// Closes a connection or dial and tells whom it concerns.
    pub(super) fn close(&mut self, now: Now, conn: ConnId, reason: CloseReason, out: &mut Effects) {
        // The end of one may have led to the end of another.
        if self.awaiting.get(conn).is_none() && self.routing.get(conn).is_none() {
            return;
        }
        out.push(Effect::Close {
            conn,
            peer: self.peer_at(conn).cloned(),
            reason: reason.clone(),
        });
        self.forget(now, conn, reason, out);
    }

    /// Takes a connection out of whichever list it stands in, and weighs how it ended.
    fn forget(&mut self, now: Now, conn: ConnId, reason: CloseReason, out: &mut Effects) {
        let peer = self.routing.get(conn).map(|entry| &entry.reached);
        let stranger = self.awaiting.get(conn);
        let stranger = stranger.and_then(|pending| pending.reached.as_ref());
        let reached = peer.or(stranger).cloned();
        self.take_out(now, conn, reason.clone(), out);
        // A ban that this leads to closes the others of its host: this one is none of them any more.
        if let Some(reached) = reached {
            self.weigh_end(now, &reached, &reason, out);
        }
    }

    fn take_out(&mut self, now: Now, conn: ConnId, reason: CloseReason, out: &mut Effects) {
        if let Some(entry) = self.routing.remove(conn) {
            self.end_announcements(now, conn, out);
            self.end_pruning(now, conn, false, out);
            if entry.leaving {
                return self.departed(entry, out);
            }
            if entry.duplicate {
                return self.contender_left(now, &entry);
            }
            if self.succeed(now, &entry, &reason, out) {
                return;
            }
            self.on_lost(now, &entry, &reason, out);
            self.give_second_chance(now, &entry, &reason, out);
            let id = entry.id;
            if !matches!(reason, CloseReason::ShuttingDown | CloseReason::Requested) {
                self.problems.note(now.unix, format!("lost {id}: {reason}"));
            }
            out.push(Effect::left(id, reason));
        } else if let Some(pending) = self.awaiting.remove(conn) {
            self.refuse(now, pending, reason, out);
        }
    }

    fn weigh_end(&mut self, now: Now, reached: &Address, reason: &CloseReason, out: &mut Effects) {
        let offence = match reason {
            CloseReason::BadFrame(_) => {
                self.stats.bad_frames += 1;
                Misbehavior::Invalid
            }
            CloseReason::SpokeTooSoon => Misbehavior::OutOfPlace,
            CloseReason::SlowPeer | CloseReason::Unfinished => {
                self.stats.slow_peers += 1;
                Misbehavior::Slow
            }
            _ => return,
        };
        self.blame(now, reached, offence, out);
    }

    /// Tells whom it concerns that a connection ended before its handshake was accepted.
    pub(super) fn refuse(
        &mut self,
        now: Now,
        pending: Pending,
        reason: CloseReason,
        out: &mut Effects,
    ) {
        self.stats.refused += 1;
        let addr = pending
            .reached
            .clone()
            .unwrap_or_else(|| pending.address.clone());
        self.problems
            .note(now.unix, format!("refused {addr}: {reason}"));
        out.push(Effect::Notify(Event::Refused {
            addr: addr.clone(),
            direction: pending.purpose.direction(),
            reason: reason.clone(),
        }));
        match reason.clone() {
            CloseReason::Duplicate(id) => connected_to(&pending, &id, out),
            CloseReason::ShuttingDown => fail_waiting(&pending, &ConnectError::ShuttingDown, out),
            CloseReason::Oneself => fail_waiting(&pending, &ConnectError::Oneself, out),
            reason => fail_waiting(&pending, &ConnectError::Closed { addr, reason }, out),
        }
        match reason {
            CloseReason::Oneself => self.book.strike(&pending.address),
            _ => self.defer(now, &pending.address),
        }
        self.on_missed(now, &pending, reason.to_string(), out);
    }

    /// Sends a control message of our own as a whisper or a renegotiation to one connection.
    pub(super) fn say(
        &mut self,
        now: Now,
        conn: ConnId,
        flag: &Flag,
        control: &Control,
        out: &mut Effects,
    ) {
        let packets = control.packets(self.params.generation);
        match self.composer.compose(flag, &packets, now.unix) {
            Ok(composed) => {
                match control {
                    Control::Peers { .. } => self.note(conn, Kept::PeersList),
                    Control::Request { .. } => self.note(conn, Kept::Nothing),
                    _ if *flag == Flag::Whisper => self.note_whisper(conn, &composed.frames),
                    _ => {}
                }
                let to = Targets::from_elem(conn, 1);
                out.push(Effect::Transmit {
                    to,
                    frames: composed.frames,
                });
            }
            Err(error) => self
                .problems
                .note(now.unix, format!("could not answer: {error}")),
        }
    }
}

/// Tells those who waited for a connection that there is none.
fn fail_waiting(pending: &Pending, error: &ConnectError, out: &mut Effects) {
    for (ticket, _) in &pending.waiting {
        let answer = Answer::Connect(Err(error.clone()));
        out.push(Effect::Answer {
            ticket: *ticket,
            answer,
        });
    }
}
