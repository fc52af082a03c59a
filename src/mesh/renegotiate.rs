//! Renegotiation: a peer says which methods it can read, or asks for our last message again.
//!
//! Owns the answers, which are bounded. Never begins a renegotiation: every js2p closes on one.

use super::effect::{Effect, Targets};
use super::input::{ConnId, Now};
use super::machine::{Effects, Mesh};
use crate::wire::{Control, Flag, Frames, Hold, Method};

/// A message larger than this is not kept for being sent again.
const MAX_KEPT: usize = 64 * 1024;

impl Mesh {
    /// "Use only these when sending to me." Answered with what we share, if it changes anything.
    pub(super) fn on_compression(
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
        if entry.methods == methods {
            return;
        }
        entry.peer.compression = Method::choose(ours, &methods);
        let shared = ours
            .iter()
            .filter(|method| methods.contains(method))
            .copied()
            .collect();
        entry.methods = methods;
        out.push(Effect::SetCompression {
            conn,
            method: entry.peer.compression,
        });
        if entry.budgets.renegotiations.spend(now.monotonic) {
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

    /// "Send your last message again." It is sent as it was, so that those who got it know it.
    pub(super) fn on_resend(&mut self, now: Now, conn: ConnId, out: &mut Effects) {
        let Some(entry) = self.routing.get_mut(conn) else {
            return;
        };
        if !entry.budgets.resends.spend(now.monotonic) {
            self.over_budget(now, conn, out);
            return;
        }
        let broadcast = self
            .last_broadcast
            .as_ref()
            .filter(|(at, _)| *at > entry.joined_at);
        let last = entry
            .last_whisper
            .iter()
            .chain(broadcast)
            .max_by_key(|(at, _)| *at);
        match last {
            Some((_, frames)) => {
                let to = Targets::from_elem(conn, 1);
                out.push(Effect::Transmit {
                    to,
                    frames: frames.clone(),
                });
            }
            None => self.over_budget(now, conn, out),
        }
    }

    /// Remembers our last whisper to a peer; one too large to keep leaves nothing to send again.
    pub(super) fn note_whisper(&mut self, conn: ConnId, frames: &Frames) {
        self.order += 1;
        if let Some(entry) = self.routing.get_mut(conn) {
            entry.last_whisper = keepable(self.order, frames);
        }
    }

    /// Remembers our last broadcast.
    pub(super) fn note_broadcast(&mut self, frames: &Frames) {
        self.order += 1;
        self.last_broadcast = keepable(self.order, frames);
    }
}

/// Kept without its permit: what is kept is bounded by its size, and counts for no budget.
fn keepable(order: u64, frames: &Frames) -> Option<(u64, Frames)> {
    (frames.plain.len() <= MAX_KEPT).then(|| {
        (
            order,
            Frames {
                hold: Hold::none(),
                ..frames.clone()
            },
        )
    })
}
