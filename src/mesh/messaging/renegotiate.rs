//! Renegotiation: a peer says which methods it can read, or asks for our last message again.
//!
//! Owns the answers, which are bounded. Never begins a renegotiation: every js2p closes on one.

use std::mem;
use std::time::Duration;

use crate::mesh::Mesh;
use crate::mesh::effect::{Effect, Effects, Targets};
use crate::mesh::input::{ConnId, Now};
use crate::mesh::params::Params;
use crate::wire::{Batch, Control, Flag, Frames, Hold, Method, Methods, Packet};

/// A request to resend belongs to a renegotiation that came at most this long before it.
const BEHIND: Duration = Duration::from_secs(2);

/// A message larger than this is not kept for being sent again.
const MAX_KEPT: usize = 64 * 1024;

impl Mesh {
    /// "Use only these when sending to me." Answered with what we share, if it changes anything.
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
    /// Right behind a renegotiation it says that the peer could not read it: it is sent as it was,
    /// under its id. Otherwise the peer has read it and would know it by its id, so it gets a copy
    /// with a fresh time, as a whisper: a broadcast would be new to the whole mesh.
    pub(in crate::mesh) fn on_resend(&mut self, now: Now, conn: ConnId, out: &mut Effects) {
        let Some(entry) = self.routing.get_mut(conn) else {
            return;
        };
        if !entry.limits().resends.spend(now.monotonic) {
            self.over_budget(now, conn, out);
            return;
        }
        let Some(entry) = self.routing.get(conn) else {
            return;
        };
        let broadcast = self
            .last_broadcast
            .as_ref()
            .filter(|(at, _)| *at > entry.joined_at);
        let last = entry
            .last_whisper
            .iter()
            .chain(broadcast)
            .max_by_key(|(at, _)| *at);
        let unread = entry
            .limits
            .as_ref()
            .and_then(|limits| limits.renegotiated_at)
            .is_some_and(|at| now.monotonic <= at + BEHIND);
        let frames = match last {
            Some((_, Kept::PeersList)) => return self.send_peers(now, conn, out),
            Some((_, Kept::Nothing)) => return,
            Some((_, Kept::Frames(frames))) if unread => Some(Frames::clone(frames)),
            Some((_, Kept::Frames(frames))) => self.copy_of(now, frames),
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

    /// One of our messages with a fresh time, as a whisper.
    fn copy_of(&self, now: Now, frames: &Frames) -> Option<Frames> {
        let Params {
            generation, limits, ..
        } = self.params;
        let batch = Batch::from_frames(generation, limits, &frames.plain).ok()?;
        let payload: Vec<Packet> = batch.get(0).ok()?.payload().map(Packet::from).collect();
        let copy = self.composer.compose(&Flag::Whisper, &payload, now.unix);
        copy.ok().map(|composed| composed.frames)
    }

    /// Remembers our last whisper to a peer; one too large to keep leaves nothing to send again.
    pub(in crate::mesh) fn note_whisper(&mut self, conn: ConnId, frames: &Frames) {
        self.order += 1;
        if let Some(entry) = self.routing.get_mut(conn) {
            entry.last_whisper = keepable(self.order, frames);
        }
    }

    /// Remembers what the last whisper was, where it need not be kept itself.
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

    /// The same of one that has its place in the order.
    pub(in crate::mesh) fn keep_broadcast(&mut self, frames: &Frames) {
        self.last_broadcast = keepable(self.order, frames);
    }
}

/// What is sent again to whoever asks.
#[derive(Clone, Debug)]
pub(in crate::mesh) enum Kept {
    Frames(Box<Frames>),
    /// A peers list: it grows with the mesh, so it is not kept but made anew.
    PeersList,
    /// A wish for a sign of life: to ask for it again is one. Or an extension, which nobody asks for again.
    Nothing,
}

/// Kept without its permit: what is kept is bounded by its size, and counts for no budget.
fn keepable(order: u64, frames: &Frames) -> Option<(u64, Kept)> {
    (frames.plain.len() <= MAX_KEPT).then(|| {
        let frames = Frames {
            hold: Hold::none(),
            ..frames.clone()
        };
        (order, Kept::Frames(Box::new(frames)))
    })
}
