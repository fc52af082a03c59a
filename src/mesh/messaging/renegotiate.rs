//! Renegotiation: a peer says which methods it can read, or asks for our last message again.
//!
//! Owns the answers, which are rate-limited. Never starts a renegotiation: every js2p closes on one.

use std::mem;
use std::time::Duration;

use crate::mesh::Mesh;
use crate::mesh::effect::{Effect, Effects, Targets};
use crate::mesh::input::{ConnId, Now};
use crate::mesh::params::Params;
use crate::wire::{Batch, Control, Flag, Frames, Hold, Method, Methods, Packet};

/// A request to resend belongs to a renegotiation if it comes at most this long after it.
const BEHIND: Duration = Duration::from_secs(2);

/// A larger message is not kept for resending.
const MAX_KEPT: usize = 64 * 1024;

impl Mesh {
    /// "Use only these when sending to me." The answer lists the methods we share, if the request changes anything.
    pub(in crate::mesh) fn on_compression(
        &mut self,
        now: Now,
        conn: ConnId,
        methods: Vec<Method>,
        out: &mut Effects,
    ) {
        let ours = &self.params.methods;
        let Some(entry) = self.routing.get_mut(conn) else {
            return;
        };
        entry.limits().renegotiated_at = Some(now.monotonic);
        let theirs = Methods::of(&methods);
        if mem::replace(&mut entry.methods, theirs) == theirs {
            return;
        }
        entry.compression = Method::choose(ours, &methods);
        let shared = ours
            .iter()
            .filter(|method| methods.contains(method))
            .copied()
            .collect();
        out.push(Effect::SetCompression {
            conn,
            method: entry.compression,
        });
        if !self.params.generation.renegotiates() {
            return;
        }
        if entry.limits().renegotiations.spend(now.monotonic) {
            self.say(
                now,
                conn,
                &Flag::Renegotiate,
                &Control::Compression(shared),
                out,
            );
        } else {
            self.over_budget(now, conn, out);
        }
    }

    /// "Send your last message again."
    ///
    /// Right after a renegotiation it means that the peer could not read the message: it is sent again unchanged, under
    /// its id. Otherwise the peer has read it and would drop it by its id, so the peer gets a copy with a fresh time,
    /// as a whisper: a broadcast would be new to the whole mesh.
    pub(in crate::mesh) fn on_resend(&mut self, now: Now, conn: ConnId, out: &mut Effects) {
        let Some(entry) = self.routing.get_mut(conn) else {
            return;
        };
        if !entry.limits().resends.spend(now.monotonic) {
            self.over_budget(now, conn, out);
            return;
        }
        let frames = match self.last_sent_to(conn) {
            Some(Kept::PeersList) => return self.send_peers(now, conn, out),
            Some(Kept::Nothing) => return,
            Some(Kept::Frames(frames)) if self.is_renegotiating(now, conn) => Some(*frames),
            Some(Kept::Frames(frames)) => self.copy_of(now, &frames),
            None => None,
        };
        match frames {
            Some(frames) => {
                let to = Targets::from_elem(conn, 1);
                out.push(Effect::Transmit { to, frames });
            }
            None => self.over_budget(now, conn, out),
        }
    }

    /// Returns the last message of ours that this peer was sent.
    fn last_sent_to(&self, conn: ConnId) -> Option<Kept> {
        let entry = self.routing.get(conn)?;
        let broadcast = self.last_broadcast.as_ref();
        let broadcast = broadcast.filter(|(at, _)| *at > entry.joined_at);
        let ours = entry.last_whisper.iter().chain(broadcast);
        ours.max_by_key(|(at, _)| *at).map(|(_, kept)| kept.clone())
    }

    /// Whether the peer has renegotiated so recently that it may not have been able to read our last message.
    fn is_renegotiating(&self, now: Now, conn: ConnId) -> bool {
        let limits = self
            .routing
            .get(conn)
            .and_then(|entry| entry.limits.as_ref());
        let at = limits.and_then(|limits| limits.renegotiated_at);
        at.is_some_and(|at| now.monotonic <= at + BEHIND)
    }

    /// Copies one of our messages as a whisper with a fresh time.
    fn copy_of(&self, now: Now, frames: &Frames) -> Option<Frames> {
        let Params {
            generation, limits, ..
        } = self.params;
        let batch = Batch::from_frames(generation, limits, &frames.plain).ok()?;
        let payload: Vec<Packet> = batch.get(0).ok()?.payload().map(Packet::from).collect();
        let copy = self.composer.compose(&Flag::Whisper, &payload, now.unix);
        copy.ok().map(|composed| composed.frames)
    }

    /// Remembers our last whisper to a peer; one that is too large clears what is kept.
    pub(in crate::mesh) fn note_whisper(&mut self, conn: ConnId, frames: &Frames) {
        self.order += 1;
        if let Some(entry) = self.routing.get_mut(conn) {
            entry.last_whisper = keepable(self.order, frames);
        }
    }

    /// Remembers what the last whisper was, where its frames need not be kept.
    pub(in crate::mesh) fn note(&mut self, conn: ConnId, whisper: Kept) {
        self.order += 1;
        if let Some(entry) = self.routing.get_mut(conn) {
            entry.last_whisper = Some((self.order, whisper));
        }
    }

    /// Remembers our last broadcast.
    pub(in crate::mesh) fn note_broadcast(&mut self, frames: &Frames) {
        self.order += 1;
        self.keep_broadcast(frames);
    }

    /// Remembers our last broadcast without advancing the order.
    pub(in crate::mesh) fn keep_broadcast(&mut self, frames: &Frames) {
        self.last_broadcast = keepable(self.order, frames);
    }
}

/// What a peer gets when it asks for our last message again.
#[derive(Clone, Debug)]
pub(in crate::mesh) enum Kept {
    Frames(Box<Frames>),
    /// A peers list: it grows with the mesh, so it is built anew.
    PeersList,
    /// A keepalive probe, because a request to resend it is already a sign of life; or an extension, which nobody asks
    /// for again.
    Nothing,
}

/// Kept without its permit: its size is bounded, and it counts against no budget.
fn keepable(order: u64, frames: &Frames) -> Option<(u64, Kept)> {
    (frames.plain.len() <= MAX_KEPT).then(|| {
        let frames = Frames {
            hold: Hold::none(),
            ..frames.clone()
        };
        (order, Kept::Frames(Box::new(frames)))
    })
}
