//! Inbound frames: what each frame of a batch means. Known frames are dropped by fingerprint; only new ones are
//! verified.
//!
//! Owns the walk over a batch, and under which main flags each control message is valid. What a control message leads
//! to is decided in its own file.

use crate::mesh::Mesh;
use crate::mesh::connections::bans::Misbehavior;
use crate::mesh::connections::handshake::Handshake;
use crate::mesh::effect::{Effect, Effects};
use crate::mesh::event::CloseReason;
use crate::mesh::input::{ConnId, Now};
use crate::mesh::messaging::waterfall::Seen;
use crate::mesh::trace;
use crate::wire::{
    Batch, Control, Copies, Fingerprint, Fingerprints, Flag, Frame, IdRule, Messages, SubFlag,
};

/// Where a frame goes after this node has handled it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Relayed,
    EndsHere,
}

/// A frame that must be verified before it counts.
struct Candidate {
    index: usize,
    /// For broadcasts: the claimed time, and the fingerprint.
    fingerprint: Option<(u64, Fingerprint)>,
    /// For broadcasts: the author's digest.
    author: u64,
}

impl Mesh {
    pub(in crate::mesh) fn on_received(
        &mut self,
        now: Now,
        conn: ConnId,
        batch: Batch,
        out: &mut Effects,
    ) {
        let mut first = 0;
        if self.awaiting.get(conn).is_some() {
            if !self.on_first_frame(now, conn, &batch, out) {
                return;
            }
            first = 1;
        }
        let Some(entry) = self.routing.get_mut(conn) else {
            return;
        };
        entry.received.messages += batch.len() as u64;
        entry.received.bytes += batch.wire_len() as u64;
        // A probe may be pending already; a handshake is no answer to it.
        if !entry.probed || first == 0 {
            (entry.heard, entry.probed) = (now.monotonic, false);
            entry.note_alive();
        }
        self.stats.received += batch.len() as u64;
        if entry.is_held() {
            return self.hold_back(now, conn, batch, first, out);
        }
        self.on_frames(now, conn, batch, first, out);
    }

    pub(in crate::mesh) fn on_frames(
        &mut self,
        now: Now,
        conn: ConnId,
        batch: Batch,
        first: usize,
        out: &mut Effects,
    ) {
        self.copies = Copies::new(batch.wire_len());
        self.waterfall.make_room(now.unix);
        let (mut candidates, mut broken) = self.candidates(now, conn, &batch, first, out);
        let proven = verify(&batch, &mut candidates);
        broken = proven.failed.or(broken);
        let (traced, validates) = (trace::is_on(), !self.validates_nothing());
        if validates {
            self.leave_out_those_without_room(conn, &batch, &mut candidates);
        }
        self.remember_all(now, conn, &mut candidates);
        let mut picked = Vec::with_capacity(candidates.len());
        let mut last = None;
        for candidate in candidates {
            let Ok(frame) = batch.get(candidate.index) else {
                continue;
            };
            if traced && let Some(entry) = self.routing.get(conn) {
                trace::received(self.me(), &entry.id, &frame);
            }
            if candidate.fingerprint.is_some() {
                if last != Some(candidate.author) {
                    last = Some(candidate.author);
                    self.authors.heard(candidate.author, conn, now.monotonic);
                }
                self.note_large(&frame);
                if self.keeps_passed() {
                    self.note_heard(now, conn, &frame);
                }
            }
            let place = (&batch, candidate.index);
            if validates && self.hold_for_validation(now, conn, place, proven.by_bytes, out) {
                continue;
            }
            let fate = match candidate.fingerprint {
                Some(_) => self.on_broadcast(now, conn, &frame, out),
                None => {
                    self.on_directed(now, conn, &frame, out);
                    Fate::EndsHere
                }
            };
            if fate == Fate::Relayed {
                picked.push(candidate.index);
            }
        }
        self.relay(now, conn, batch, &picked, proven.by_bytes, out);
        self.drop_fetched();
        self.ask_pruned(now, out);
        if let Some(what) = broken
            && self.routing.get(conn).is_some()
        {
            self.close(now, conn, CloseReason::BadFrame(what), out);
        }
    }

    /// Returns the frames to verify: those before the first that does not decode, without untimely and known
    /// broadcasts; and that frame's error.
    fn candidates(
        &mut self,
        now: Now,
        conn: ConnId,
        batch: &Batch,
        first: usize,
        out: &mut Effects,
    ) -> (Vec<Candidate>, Option<String>) {
        let mut candidates = Vec::with_capacity(batch.len());
        let mut fingerprints = Fingerprints::new(&self.key);
        let mut broken = None;
        for index in first..batch.len() {
            match batch.get(index) {
                Ok(frame) if frame.is_broadcast() => {
                    if self.is_timely(now, conn, &frame, out) {
                        let fingerprint = Some((frame.time(), fingerprints.of(&frame)));
                        let author = fingerprints.author();
                        candidates.push(Candidate {
                            index,
                            fingerprint,
                            author,
                        });
                    } else {
                        self.note_untimely(&frame);
                    }
                }
                Ok(_) => candidates.push(Candidate {
                    index,
                    fingerprint: None,
                    author: 0,
                }),
                Err(error) => {
                    broken = Some(error.to_string());
                    break;
                }
            }
        }
        self.leave_out_known(now, conn, batch, &mut candidates);
        (candidates, broken)
    }

    /// Returns whether a broadcast may be accepted now. If not, counts why; if its stamp is untimely, also asks the
    /// neighbour for its time, if it is the author.
    fn is_timely(&mut self, now: Now, conn: ConnId, frame: &Frame<'_>, out: &mut Effects) -> bool {
        let time = frame.time();
        if self.waterfall.expired(now.unix, time) {
            self.stats.expired += 1;
            self.on_untimely(now, conn, frame, out);
            return false;
        }
        if self.waterfall.premature(now.unix, time) {
            self.stats.premature += 1;
            self.on_untimely(now, conn, frame, out);
            return false;
        }
        if frame.sender() == self.me().as_bytes() {
            self.stats.echoes += 1;
            return false;
        }
        let neighbour = self.routing.get(conn);
        if neighbour.is_some_and(|it| self.waterfall.refuses(now.unix, time, &it.id)) {
            self.stats.waterfall_closed += 1;
            self.crowded = true;
            return false;
        }
        true
    }

    /// Drops broadcasts that are known. The look-ups run back to back, so that their cache misses overlap.
    fn leave_out_known(
        &mut self,
        now: Now,
        conn: ConnId,
        batch: &Batch,
        candidates: &mut Vec<Candidate>,
    ) {
        let before = candidates.len();
        let prunes = self.prunes() && self.is_extended(conn);
        candidates.retain(|candidate| {
            let fingerprint = candidate.fingerprint;
            let is_known = fingerprint.is_some_and(|(time, fingerprint)| {
                self.waterfall.look(time, fingerprint) == Seen::Same
            });
            if is_known && let Ok(frame) = batch.get(candidate.index) {
                self.note_copy(conn, &frame);
                if prunes {
                    self.note_pruneable(now, conn, candidate.author, &frame);
                }
            }
            !is_known
        });
        self.stats.duplicates += (before - candidates.len()) as u64;
    }

    /// Drops broadcasts for which the validators' queues have no room, before they count as seen.
    fn leave_out_those_without_room(
        &mut self,
        conn: ConnId,
        batch: &Batch,
        candidates: &mut Vec<Candidate>,
    ) {
        let mut more = (0, 0);
        candidates.retain(|it| {
            let place = (batch, it.index);
            it.fingerprint.is_none() || self.has_room_to_wait(conn, place, &mut more)
        });
    }

    /// Remembers the verified broadcasts, and drops those that came twice in one batch. The look-ups run back to back,
    /// as in `leave_out_known`.
    fn remember_all(&mut self, now: Now, conn: ConnId, candidates: &mut Vec<Candidate>) {
        let fingerprints: Vec<_> = candidates.iter().filter_map(|it| it.fingerprint).collect();
        let from = self.routing.get(conn).map(|entry| &entry.id);
        let seen = self.waterfall.remember_all(now.unix, &fingerprints, from);
        let mut seen = seen.into_iter();
        candidates.retain(|candidate| {
            let Some(seen) = candidate.fingerprint.and_then(|_| seen.next()) else {
                return true;
            };
            self.stats.id_twins += u64::from(seen == Seen::Twin);
            self.stats.duplicates += u64::from(seen == Seen::Same);
            seen != Seen::Same
        });
    }

    /// Handles a verified, new broadcast; returns whether it is relayed.
    fn on_broadcast(
        &mut self,
        now: Now,
        conn: ConnId,
        frame: &Frame<'_>,
        out: &mut Effects,
    ) -> Fate {
        match Control::read(frame, self.params.generation) {
            // No reference peer sends a message without payload, and each closes the connection that brings one.
            None if frame.kind().is_none() => {
                self.malformed(now, conn, "no payload", out);
                Fate::EndsHere
            }
            None => {
                self.deliver(conn, frame, out);
                Fate::Relayed
            }
            Some(Ok(Control::Request { request, wanted })) => {
                self.on_request(now, conn, request, &wanted, out);
                Fate::Relayed
            }
            Some(Ok(control)) if self.is_pong(conn, &control) => {
                self.on_pong(now, conn, frame.time(), out);
                // We alone asked for it.
                Fate::EndsHere
            }
            Some(Ok(Control::Response {
                request,
                id,
                address,
            })) => {
                self.on_response(now, conn, &request, &id, address, out);
                Fate::Relayed
            }
            Some(Ok(_)) => {
                self.relayed_nonsense(now, conn, frame, None, out);
                Fate::EndsHere
            }
            Some(Err(error)) => {
                self.relayed_nonsense(now, conn, frame, Some(error.to_string()), out);
                Fate::EndsHere
            }
        }
    }

    /// Handles a control message that is invalid in a broadcast. A neighbour is blamed only if it is the author: a
    /// relay could not know.
    fn relayed_nonsense(
        &mut self,
        now: Now,
        conn: ConnId,
        frame: &Frame<'_>,
        malformed: Option<String>,
        out: &mut Effects,
    ) {
        let entry = self.routing.get(conn);
        let is_own = entry.is_some_and(|entry| entry.id.as_bytes() == frame.sender());
        match malformed {
            Some(what) if is_own => self.malformed(now, conn, &what, out),
            None if is_own => self.misplaced(now, conn, out),
            Some(_) => self.stats.malformed += 1,
            None => self.stats.misplaced += 1,
        }
    }

    /// Handles a verified message that is for us alone.
    fn on_directed(&mut self, now: Now, conn: ConnId, frame: &Frame<'_>, out: &mut Effects) {
        let flag = frame.flag();
        match (Control::read(frame, self.params.generation), flag) {
            (_, Flag::Renegotiate) => self.on_renegotiate(now, conn, frame, out),
            (None, _) if frame.kind().is_none() => self.malformed(now, conn, "no payload", out),
            (None, _) => self.deliver(conn, frame, out),
            (Some(Ok(control)), Flag::Whisper) => self.on_whispered(now, conn, control, out),
            (Some(Ok(_)), _) => self.misplaced(now, conn, out),
            (Some(Err(error)), _) => {
                self.malformed(now, conn, &error.to_string(), out);
            }
        }
    }

    fn on_whispered(&mut self, now: Now, conn: ConnId, control: Control, out: &mut Effects) {
        match control {
            Control::Handshake {
                id,
                subnet,
                address,
                methods,
                dialect,
                extended,
            } => {
                let handshake = Handshake {
                    id,
                    subnet,
                    address,
                    methods,
                    dialect,
                    extended,
                };
                self.on_handshake_again(now, conn, handshake, out);
            }
            Control::Peers { entries, .. } => self.on_peers(now, conn, entries, out),
            Control::RequestPeers => self.answer_peers(now, conn, out),
            Control::Extension(extension) => self.on_extension(now, conn, extension, out),
            Control::Request { request, wanted } => {
                self.on_request(now, conn, request, &wanted, out);
            }
            Control::Response { .. } | Control::Compression(_) | Control::Resend => {
                self.misplaced(now, conn, out);
            }
        }
    }

    /// Handles the renegotiation flag, under which nothing is ever delivered.
    fn on_renegotiate(&mut self, now: Now, conn: ConnId, frame: &Frame<'_>, out: &mut Effects) {
        match Control::read(frame, self.params.generation) {
            Some(Ok(Control::Compression(methods))) => {
                self.on_compression(now, conn, methods, out);
            }
            Some(Ok(Control::Resend)) => self.on_resend(now, conn, out),
            Some(Ok(_)) => self.misplaced(now, conn, out),
            Some(Err(_)) | None => self.malformed(now, conn, "renegotiation", out),
        }
    }

    /// Blames a peer for a control message in the wrong place.
    pub(in crate::mesh) fn misplaced(&mut self, now: Now, conn: ConnId, out: &mut Effects) {
        self.stats.misplaced += 1;
        self.blame_peer(now, conn, Misbehavior::OutOfPlace, out);
    }

    /// Blames a peer for a malformed control message.
    pub(in crate::mesh) fn malformed(
        &mut self,
        now: Now,
        conn: ConnId,
        what: &str,
        out: &mut Effects,
    ) {
        self.stats.malformed += 1;
        self.problems
            .note(now.unix, format!("malformed control message: {what}"));
        self.blame_peer(now, conn, Misbehavior::OutOfPlace, out);
    }

    /// Blames a peer for exceeding a rate limit.
    pub(in crate::mesh) fn over_budget(&mut self, now: Now, conn: ConnId, out: &mut Effects) {
        self.stats.over_budget += 1;
        self.blame_peer(now, conn, Misbehavior::Flooding, out);
    }

    pub(in crate::mesh) fn deliver(&mut self, conn: ConnId, frame: &Frame<'_>, out: &mut Effects) {
        if !self.audience {
            return;
        }
        let Some(entry) = self.routing.get(conn) else {
            return;
        };
        self.stats.delivered += 1;
        if !matches!(out.last(), Some(Effect::Deliver(_))) {
            out.push(Effect::Deliver(Messages::default()));
        }
        if let Some(Effect::Deliver(messages)) = out.last_mut() {
            messages.push(frame, &entry.id, &mut self.copies);
        }
    }
}

/// The outcome of verification.
struct Proven {
    /// The error of the first candidate that failed.
    failed: Option<String>,
    /// Whether all ids are hashes of the bytes ([`IdRule::Bytes`]).
    by_bytes: bool,
}

/// Verifies the candidates, and drops the first that fails and all after it.
fn verify(batch: &Batch, candidates: &mut Vec<Candidate>) -> Proven {
    let which: Vec<usize> = candidates.iter().map(|candidate| candidate.index).collect();
    let mut verdicts = Vec::with_capacity(which.len());
    batch.verify(&which, &mut verdicts);
    let proven = verdicts
        .iter()
        .take_while(|verdict| verdict.is_ok())
        .count();
    candidates.truncate(proven);
    let failed = verdicts.get(proven).and_then(|verdict| verdict.err());
    Proven {
        failed: failed.map(|error| error.to_string()),
        by_bytes: verdicts[..proven]
            .iter()
            .all(|verdict| *verdict == Ok(IdRule::Bytes)),
    }
}

impl SubFlag {
    /// Whether the mesh itself uses it, so that users cannot send it.
    pub(in crate::mesh) fn is_control(self) -> bool {
        matches!(
            self,
            Self::Compression
                | Self::Handshake
                | Self::Peers
                | Self::Request
                | Self::Resend
                | Self::Response
        )
    }
}
