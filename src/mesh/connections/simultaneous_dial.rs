//! Simultaneous dials and id claims: two connections under one id, and which of them is kept.
//!
//! Owns the contest between a peer's connection and a second one that claims the same id. No claim replaces a live
//! peer: the old connection is probed first, and what comes in on the new one is held back, unprocessed. Two nodes of
//! this crate prove to each other that both connections join the same two nodes, and agree on one without losing a
//! message. A reference peer is probed; if it answers, the new connection is refused.

use std::time::Duration;

use bytes::Bytes;

use crate::mesh::Mesh;
use crate::mesh::connections::awaiting::Purpose;
use crate::mesh::connections::handshake::Handshake;
use crate::mesh::connections::id_contest::{Claim, Contest};
use crate::mesh::connections::routing_table::Entry;
use crate::mesh::effect::{Effect, Effects};
use crate::mesh::event::{CloseReason, Direction, Event};
use crate::mesh::input::{ConnId, Now};
use crate::mesh::membership::address_scope::scope_of;
use crate::mesh::membership::capability::Verb;
use crate::wire::{Address, Batch, Control, NodeId, is_extension};

/// A peer that is lost at most this long, plus [`PROBE`], after it joined or was contested gets a second chance.
const CROSSING: Duration = Duration::from_secs(5);

/// Deadline for the old connection to answer a probe.
const PROBE: Duration = Duration::from_secs(5);

/// Shorter deadline where py2p has closed the new connection, or may be about to close the old one: it may have
/// forgotten the other.
const PY2P_PROBE_TIMEOUT: Duration = Duration::from_millis(700);

/// js2p forgets a peer when either of its two connections closes: our handshake is sent to it again this long after the
/// new one closed.
const GREET_AGAIN: Duration = Duration::from_millis(500);

/// Two connections of one node must be reduced to one within this time.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a `Bind` that came before the other connection's handshake waits for it.
const ANOTHER: Duration = Duration::from_secs(3);

/// Maximum number of connections that contest one id, and that contest any.
const CONTENDERS_OF_ONE: usize = 4;
const CONTENDERS: usize = 64;

/// Minimum interval between second chances for a peer.
const SECOND_CHANCE: Duration = Duration::from_secs(60);

/// Maximum number of peers remembered as having had one.
const MAX_SECOND_CHANCES: usize = 64;

impl Entry {
    fn contest(&mut self) -> &mut Contest {
        self.contest.get_or_insert_default()
    }

    fn claim(&self) -> Option<&Claim> {
        self.contest.as_ref()?.claim.as_deref()
    }

    fn claim_mut(&mut self) -> Option<&mut Claim> {
        self.contest.as_mut()?.claim.as_deref_mut()
    }

    /// Whether its inbound frames are held back: it claims the id of a connected peer, and the claim is not proven yet.
    pub(in crate::mesh) fn is_held(&self) -> bool {
        self.claim().is_some_and(|claim| !claim.is_same_node())
    }

    /// Notes that something came in on it.
    pub(in crate::mesh) fn note_alive(&mut self) {
        if let Some(contest) = &mut self.contest {
            contest.alive = true;
        }
    }
}

impl Mesh {
    /// Starts a contest: a handshake claims the id of a connected peer. Returns whether the new connection is kept for
    /// now.
    pub(in crate::mesh) fn contest(
        &mut self,
        now: Now,
        old: ConnId,
        new: ConnId,
        handshake: Handshake,
        time: u64,
        out: &mut Effects,
    ) -> bool {
        let id = handshake.id.clone();
        let others = self.routing.duplicates();
        let same = others.filter(|entry| entry.id == id).count();
        if same >= CONTENDERS_OF_ONE || self.routing.duplicates().count() >= CONTENDERS {
            self.refuse_claim(now, new, id, out);
            return false;
        }
        let Some(mut pending) = self.awaiting.remove(new) else {
            return false;
        };
        if pending.purpose != Purpose::Accepted {
            // The user's wish holds for the address, whichever connection is left.
            if matches!(pending.purpose, Purpose::Asked(_)) {
                self.book.keep(&pending.address);
            }
            self.book.answers_at(&pending.address, &id);
            self.tried.answers_at(&pending.address, &id);
        }
        pending.succeed(&id, out);
        pending.waiting.clear();
        let token: [u8; 16] = rand::RngExt::random(&mut self.rng);
        let token = Bytes::from(format!("{:032x}", u128::from_be_bytes(token)));
        let mut entry = self.entry(now, new, &pending, handshake);
        entry.duplicate = true;
        entry.contest().claim = Some(Box::new(Claim {
            pending,
            time,
            since: now.monotonic,
            until: now.monotonic + PROBE,
            token: token.clone(),
            echoed: false,
            vouched: false,
            held: Vec::new(),
        }));
        let (peer, method) = (entry.id.clone(), entry.compression);
        self.routing.insert(entry);
        out.push(Effect::Establish { conn: new, peer });
        out.push(Effect::SetCompression { conn: new, method });
        self.ask_old(now, old, token, out);
        if let Some((owed, _)) = self.contest_at(old).and_then(|contest| contest.owed.take()) {
            self.echo(now, old, owed, out);
        }
        true
    }

    fn contest_at(&mut self, conn: ConnId) -> Option<&mut Contest> {
        self.routing.get_mut(conn)?.contest.as_deref_mut()
    }

    /// Asks the old connection whether the peer is alive, and whether the new connection is its own.
    fn ask_old(&mut self, now: Now, old: ConnId, token: Bytes, out: &mut Effects) {
        if let Some(entry) = self.routing.get_mut(old) {
            let contest = entry.contest();
            (contest.contested, contest.alive) = (Some(now.monotonic), false);
        }
        if !self.extend(now, old, Verb::Bind, vec![token], out) {
            self.ask_for_sign_of_life(now, old, out);
        }
        // The probe may be queued behind much other data; a peer that reads that is alive.
        out.push(Effect::Watch { conn: old });
    }

    /// Holds back a batch; only verbs that settle the contest are handled at once.
    pub(in crate::mesh) fn hold_back(
        &mut self,
        now: Now,
        conn: ConnId,
        batch: Batch,
        first: usize,
        out: &mut Effects,
    ) {
        let mut said = Vec::new();
        for index in first..batch.len() {
            let Ok(frame) = batch.get(index) else { break };
            if frame.kind().is_some_and(is_extension)
                && frame.verify().is_ok()
                && let Some(Ok(Control::Extension(extension))) =
                    Control::read(&frame, self.params.generation)
                && Verb::settles(&extension.verb)
            {
                said.push(extension);
            }
        }
        if let Some(claim) = self.routing.get_mut(conn).and_then(Entry::claim_mut) {
            claim.held.push((batch, first));
        }
        for extension in said {
            self.on_extension(now, conn, extension, out);
        }
    }

    /// Handles `Bind`: the peer asks on `conn` whether another connection is ours too.
    pub(in crate::mesh) fn on_bind(
        &mut self,
        now: Now,
        conn: ConnId,
        arguments: &[Bytes],
        out: &mut Effects,
    ) {
        let [token] = arguments else {
            return self.malformed(now, conn, "bind without exactly one token", out);
        };
        if self.others_of(conn).is_empty() && self.awaiting.len() > 0 {
            // The handshake of the other one may be in flight.
            if let Some(entry) = self.routing.get_mut(conn) {
                entry.contest().owed = Some((token.clone(), now.monotonic));
            }
        } else {
            self.echo(now, conn, token.clone(), out);
        }
    }

    /// Repeats the token on the other connections to the same peer, and answers on this one, saying for each which side
    /// dialled it.
    fn echo(&mut self, now: Now, conn: ConnId, token: Bytes, out: &mut Effects) {
        let mut answer = vec![token.clone()];
        for (other, direction) in self.others_of(conn) {
            answer.push(Bytes::from_static(match direction {
                Direction::Outgoing => b"dialled",
                Direction::Incoming => b"accepted",
            }));
            self.extend(now, other, Verb::Echo, vec![token.clone()], out);
        }
        self.extend(now, conn, Verb::Bound, answer, out);
    }

    /// Returns the other connections to this one's peer.
    fn others_of(&self, conn: ConnId) -> Vec<(ConnId, Direction)> {
        let Some(entry) = self.routing.get(conn) else {
            return Vec::new();
        };
        let others = self.routing.duplicates();
        let others = others.filter(|other| other.conn != conn && other.id == entry.id);
        let mut others: Vec<_> = others.map(|it| (it.conn, it.direction)).collect();
        if entry.duplicate
            && let Some(old) = self.routing.conn_of(&entry.id)
            && let Some(old) = self.routing.get(old)
        {
            others.push((old.conn, old.direction));
        }
        others
    }

    /// Handles `Echo`: the token sent on the old connection comes back on this one.
    pub(in crate::mesh) fn on_echo(
        &mut self,
        now: Now,
        conn: ConnId,
        arguments: &[Bytes],
        out: &mut Effects,
    ) {
        if let Some(claim) = self.routing.get_mut(conn).and_then(Entry::claim_mut)
            && arguments.first() == Some(&claim.token)
        {
            claim.echoed = true;
            self.settle(now, conn, out);
        }
    }

    /// Handles a peer's answer on its old connection about which others it has.
    pub(in crate::mesh) fn on_bound(
        &mut self,
        now: Now,
        conn: ConnId,
        arguments: &[Bytes],
        out: &mut Effects,
    ) {
        let Some((token, sides)) = arguments.split_first() else {
            return self.malformed(now, conn, "bound without a token", out);
        };
        let Some(entry) = self.routing.get(conn) else {
            return;
        };
        let claims = |other: &&Entry| {
            other.id == entry.id && other.claim().is_some_and(|claim| claim.token == token)
        };
        let Some(new) = self.routing.duplicates().find(claims) else {
            // Too late, or the token is unknown.
            return;
        };
        let (new, side) = (
            new.conn,
            match new.direction {
                Direction::Incoming => "dialled",
                Direction::Outgoing => "accepted",
            },
        );
        if !sides.iter().any(|it| it == side) {
            return self.refuse_contender(now, new, out);
        }
        if let Some(claim) = self.routing.get_mut(new).and_then(Entry::claim_mut) {
            claim.vouched = true;
            self.settle(now, new, out);
        }
    }

    /// Once both connections are known to lead to one node, processes what was held back. The node with the larger id
    /// gives up the one that came second to it.
    fn settle(&mut self, now: Now, new: ConnId, out: &mut Effects) {
        let Some(entry) = self.routing.get_mut(new) else {
            return;
        };
        let id = entry.id.clone();
        let Some(claim) = entry.claim_mut().filter(|claim| claim.is_same_node()) else {
            return;
        };
        claim.until = now.monotonic + SETTLE_TIMEOUT;
        let held = std::mem::take(&mut claim.held);
        self.release(now, new, held, out);
        if self.me().cmp_numeric(&id).is_gt() {
            self.move_off(now, new, out);
        } else if let Some(old) = self.routing.conn_of(&id)
            && self
                .contest_at(old)
                .is_some_and(|contest| contest.moved_heard)
        {
            self.swap(now, old, new, out);
        }
    }

    /// Processes the batches that were held back.
    fn release(&mut self, now: Now, conn: ConnId, held: Vec<(Batch, usize)>, out: &mut Effects) {
        for (batch, first) in held {
            if self.routing.get(conn).is_some() {
                self.on_frames(now, conn, batch, first, out);
            }
        }
    }

    /// Sends our last message on this connection; closes it if the peer has sent its own.
    fn move_off(&mut self, now: Now, conn: ConnId, out: &mut Effects) {
        let Some(entry) = self.routing.get_mut(conn) else {
            return;
        };
        let id = entry.id.clone();
        let contest = entry.contest();
        let heard = contest.moved_heard;
        if !std::mem::replace(&mut contest.moved_sent, true) {
            self.extend(now, conn, Verb::Moved, Vec::new(), out);
        }
        if heard {
            self.close(now, conn, CloseReason::Duplicate(id), out);
        }
    }

    /// Handles the peer's last message on this connection.
    pub(in crate::mesh) fn on_moved(&mut self, now: Now, conn: ConnId, out: &mut Effects) {
        let Some(entry) = self.routing.get_mut(conn) else {
            return;
        };
        let (id, duplicate) = (entry.id.clone(), entry.duplicate);
        if duplicate && entry.is_held() {
            // Handled again when the held batches are processed.
            return;
        }
        entry.contest().moved_heard = true;
        if duplicate {
            return self.move_off(now, conn, out);
        }
        let ready = |it: &&Entry| it.id == id && it.claim().is_some_and(Claim::is_same_node);
        let new = self.routing.duplicates().find(ready).map(|it| it.conn);
        if let Some(new) = new {
            self.swap(now, conn, new, out);
        }
    }

    /// Replaces the old connection, on which the peer sends nothing more, with the new one.
    fn swap(&mut self, now: Now, old: ConnId, new: ConnId, out: &mut Effects) {
        self.end_pruning(now, old, true, out);
        self.routing.demote(old);
        self.promote(now, new, true, out);
        self.move_off(now, old, out);
    }

    /// Makes the new connection the peer's. `known`: the peer had joined already, so no event is due.
    fn promote(&mut self, now: Now, new: ConnId, known: bool, out: &mut Effects) {
        self.routing.promote(new);
        let Some(entry) = self.routing.get_mut(new) else {
            return;
        };
        let id = entry.id.clone();
        let claim = entry
            .contest
            .as_mut()
            .and_then(|contest| contest.claim.take());
        let Some(claim) = claim else {
            return;
        };
        // The time in the handshake, advanced by how long it was held.
        let held = now.monotonic.saturating_sub(claim.since);
        let time = claim.time.saturating_add(held.as_secs());
        if !known {
            self.announce_joined(now, new, out);
        }
        self.welcome(now, new, &claim.pending, &id, time, out);
        self.release(now, new, claim.held, out);
    }

    /// Handles the end of a peer's old connection; returns whether a new one has taken its place.
    pub(in crate::mesh) fn succeed(
        &mut self,
        now: Now,
        lost: &Entry,
        reason: &CloseReason,
        out: &mut Effects,
    ) -> bool {
        let contenders = self.routing.duplicates().filter(|it| it.id == lost.id);
        let mut contenders: Vec<ConnId> = contenders.map(|it| it.conn).collect();
        let wanted = !matches!(
            reason,
            CloseReason::Requested | CloseReason::ShuttingDown | CloseReason::Banned
        );
        let heir = (wanted && !contenders.is_empty()).then(|| contenders.remove(0));
        for other in contenders {
            self.close(now, other, CloseReason::Duplicate(lost.id.clone()), out);
        }
        let Some(heir) = heir else {
            return false;
        };
        out.push(Effect::left(lost.id.clone(), reason.clone()));
        // If the peer gives up this one too, it lost both to the contest.
        if let Some(entry) = self.routing.get_mut(heir) {
            let contested = lost.contest.as_ref().and_then(|contest| contest.contested);
            entry.contest().contested = contested;
        }
        self.promote(now, heir, false, out);
        true
    }

    /// Handles the end of a new connection before it was settled. py2p may have forgotten the old one with it, and is
    /// probed with a short deadline; js2p has forgotten it, and is greeted again.
    pub(in crate::mesh) fn contender_left(&mut self, now: Now, left: &Entry) {
        let Some(old) = self.routing.conn_of(&left.id) else {
            return;
        };
        let extended = self.is_extended(old);
        let Some(entry) = self.routing.get_mut(old) else {
            return;
        };
        if extended || entry.contest.is_none() {
            return;
        }
        let fragile = entry.hangs_on_binary;
        let contest = entry.contest();
        contest.greet_at = Some(now.monotonic + GREET_AGAIN);
        if !contest.alive && !fragile {
            let since = contest.contested.unwrap_or(now.monotonic);
            let until = (now.monotonic + PY2P_PROBE_TIMEOUT).min(since + PROBE);
            (entry.heard, entry.probed) = (until, true);
        }
    }

    /// Handles the answer to the probe on a peer's old connection.
    pub(in crate::mesh) fn on_sign_of_life(&mut self, now: Now, old: ConnId, out: &mut Effects) {
        let Some(entry) = self.routing.get(old) else {
            return;
        };
        if entry.duplicate || entry.contest.is_none() || self.is_extended(old) {
            return;
        }
        let (id, fragile, direction) = (entry.id.clone(), entry.hangs_on_binary, entry.direction);
        let contenders = self.routing.duplicates().filter(|it| it.id == id);
        let contenders: Vec<_> = contenders.map(|it| (it.conn, it.direction)).collect();
        let ours_is_kept = self.me().cmp_numeric(&id).is_gt();
        for (new, towards) in contenders {
            // py2p keeps the connection dialled by the larger id, and may be about to close the old one.
            let crossed = direction != towards;
            if crossed && !fragile && ours_is_kept == (towards == Direction::Outgoing) {
                if let Some(claim) = self.routing.get_mut(new).and_then(Entry::claim_mut) {
                    claim.until = claim.until.min(now.monotonic + PY2P_PROBE_TIMEOUT);
                }
            } else {
                self.refuse_contender(now, new, out);
            }
        }
    }

    fn refuse_contender(&mut self, now: Now, new: ConnId, out: &mut Effects) {
        let Some(entry) = self.routing.get(new) else {
            return;
        };
        let (peer, addr) = (entry.id.clone(), entry.address().clone());
        self.report_conflict(now, &peer, addr, out);
        self.close(now, new, CloseReason::Duplicate(peer), out);
    }

    fn refuse_claim(&mut self, now: Now, conn: ConnId, id: NodeId, out: &mut Effects) {
        if let Some(pending) = self.awaiting.get(conn) {
            let addr = pending.address.clone();
            self.report_conflict(now, &id, addr, out);
        }
        self.close(now, conn, CloseReason::Duplicate(id), out);
    }

    /// Reports a claim to the id of a connected peer. Rate-limited for each peer.
    pub(in crate::mesh) fn report_conflict(
        &mut self,
        now: Now,
        peer: &NodeId,
        addr: Address,
        out: &mut Effects,
    ) {
        self.stats.id_conflicts += 1;
        let entry = self.routing.conn_of(peer);
        let Some(entry) = entry.and_then(|conn| self.routing.get_mut(conn)) else {
            return;
        };
        if entry.limits().notices.spend(now.monotonic) {
            self.problems.note(
                now.unix,
                format!("{addr} claims the id of {peer}, which is connected"),
            );
            let peer = peer.clone();
            out.push(Effect::Notify(Event::IdConflict { peer, addr }));
        }
    }

    /// Ends contests whose deadline has passed, and sends overdue answers and greetings.
    pub(in crate::mesh) fn end_contests(&mut self, now: Now, out: &mut Effects) {
        let (mut over, mut owed, mut greet) = (Vec::new(), Vec::new(), Vec::new());
        for entry in self.routing.all() {
            let Some(contest) = &entry.contest else {
                continue;
            };
            if contest
                .claim
                .as_ref()
                .is_some_and(|claim| claim.until <= now.monotonic)
            {
                over.push(entry.conn);
            }
            if contest
                .owed
                .as_ref()
                .is_some_and(|(_, since)| *since + ANOTHER <= now.monotonic)
            {
                owed.push(entry.conn);
            }
            if contest.greet_at.is_some_and(|at| at <= now.monotonic) {
                greet.push(entry.conn);
            }
        }
        for new in over {
            self.end_contest(now, new, out);
        }
        for conn in owed {
            if let Some((token, _)) = self.contest_at(conn).and_then(|it| it.owed.take()) {
                self.echo(now, conn, token, out);
            }
        }
        for conn in greet {
            if let Some(contest) = self.contest_at(conn) {
                contest.greet_at = None;
                let dialect = self.routing.get(conn).map(|entry| entry.dialect);
                self.introduce(now, conn, dialect.unwrap_or_default(), out);
            }
        }
    }

    fn end_contest(&mut self, now: Now, new: ConnId, out: &mut Effects) {
        let Some(entry) = self.routing.get(new) else {
            return;
        };
        let id = entry.id.clone();
        if !entry.is_held() {
            return self.close(now, new, CloseReason::Duplicate(id), out);
        }
        // Anything heard from the peer since the probe is a sign of life.
        let old = self.routing.conn_of(&id);
        let lives = old
            .and_then(|old| self.routing.get(old))
            .is_some_and(|old| old.contest.as_ref().is_some_and(|contest| contest.alive));
        match old {
            Some(old) if !lives => self.close(now, old, CloseReason::Unresponsive, out),
            _ => self.refuse_contender(now, new, out),
        }
    }

    /// Dials a peer once more if it is lost right after a contest, or soon after it joined while its host was being
    /// dialled: py2p closes, or forgets, both of two connections.
    pub(in crate::mesh) fn give_second_chance(
        &mut self,
        now: Now,
        lost: &Entry,
        reason: &CloseReason,
        out: &mut Effects,
    ) {
        let id = &lost.id;
        let contested = lost.contest.as_ref().and_then(|contest| contest.contested);
        let since = contested.unwrap_or(lost.ready_at);
        let soon = now.monotonic <= since + CROSSING + PROBE;
        let theirs = matches!(
            reason,
            CloseReason::ByPeer | CloseReason::Failed(_) | CloseReason::Unresponsive
        );
        self.second_chances
            .retain(|_, at| now.monotonic <= *at + SECOND_CHANCE);
        let crossing = contested.is_some() || self.awaiting.reaches(&lost.reached.host);
        let given =
            self.second_chances.contains_key(id) || self.second_chances.len() >= MAX_SECOND_CHANCES;
        if soon
            && theirs
            && crossing
            && !given
            && !self.closing
            && let Some(address) = lost.announced.clone()
            && !self.awaiting.dials(&address)
        {
            self.second_chances.insert(id.clone(), now.monotonic);
            let source = scope_of(&lost.reached);
            let purpose = Purpose::Wanted(id.clone());
            self.dial_named(now, source, address, purpose, out);
        }
    }
}
