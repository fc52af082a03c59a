//! Several messages of our own at once.
//!
//! Owns what is done for all of them together: their ids are hashed side by side, and those that go to every
//! peer as they are go in one piece. Each leads to what it would have led to by itself.

use std::mem;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use super::broadcast::Outgoing;
use super::effect::{Effect, SendError, Sent, Targets};
use super::input::Now;
use super::machine::{Effects, Mesh};
use super::routing::Routing;
use super::waterfall::Seen;
use crate::wire::{Composed, Draft, EncodeError, Flag, Frames, Hold, NodeId, Packets, Together};

/// Broadcasts of a burst that stand one behind the other: for a link one piece costs less than one by one.
struct Piece {
    /// Every peer.
    to: Targets,
    ids: Arc<[NodeId]>,
    /// Whether nobody compresses: what is compressed is each message by itself.
    plain: bool,
    /// The frames of the whole burst, and where among them those of the piece are.
    whole: Bytes,
    place: Range<usize>,
    count: u32,
    /// Where the last of them is.
    last: Range<usize>,
}

impl Piece {
    fn new(routing: &Routing, whole: Bytes) -> Self {
        let to = routing.conns();
        Self {
            ids: routing.ids(&to).collect(),
            to,
            plain: routing.iter().all(|entry| entry.peer.compression.is_none()),
            whole,
            place: 0..0,
            count: 0,
            last: 0..0,
        }
    }

    fn takes(&self, flag: &Flag, composed: &Composed) -> bool {
        self.plain && *flag == Flag::Broadcast && composed.text
    }
}

/// A message of a burst that has its id, and its place among the frames.
struct Ready {
    composed: Composed,
    place: Range<usize>,
}

impl Mesh {
    /// Sends several messages to every peer, as [`send`](Self::send) would one after the other. Their ids are hashed
    /// together, which takes a fraction of the time where the processor has wide vectors. `hold` stands for all of them.
    pub fn send_many(
        &mut self,
        now: Now,
        burst: impl Iterator<Item = Outgoing>,
        hold: &Hold,
        out: &mut Effects,
    ) -> Vec<Result<Sent, SendError>> {
        let admit = |what: Outgoing| Ok((what.flag.clone(), self.admit(what)?));
        let admitted: Vec<Result<_, SendError>> = burst.map(admit).collect();
        let drafts = admitted.iter().flatten().map(|(flag, payload)| Draft {
            flag,
            payload,
            time: now.unix,
        });
        let drafts: Vec<_> = drafts.collect();
        let Together { messages, whole } = self.composer.compose_many(&drafts);
        let mut ready = self.ready(now, messages).into_iter();
        let mut piece = Piece::new(&self.routing, whole);
        let mut send = |admitted| {
            let (flag, payload): (Flag, Packets) = admitted?;
            self.send_ready(
                now,
                ready.next().flatten(),
                &flag,
                &payload,
                &mut piece,
                hold,
                out,
            )
        };
        let sent = admitted.into_iter().map(&mut send).collect();
        self.post_piece(&mut piece, hold, out);
        sent
    }

    /// Those that could take their id. One look-up behind the other: each waits for memory, and so they wait
    /// together.
    fn ready(
        &mut self,
        now: Now,
        messages: Vec<Result<Composed, EncodeError>>,
    ) -> Vec<Option<Ready>> {
        let claim = |message: &Result<Composed, _>| {
            let composed = message.as_ref().ok()?;
            Some((composed.time, composed.claim(&self.key)))
        };
        let mut claims: Vec<_> = messages.iter().map(claim).collect();
        for place in &mut claims {
            *place =
                place.filter(|(time, claim)| self.waterfall.look(*time, *claim) == Seen::Fresh);
        }
        for place in &mut claims {
            *place = place.filter(|(time, claim)| self.take_id(now, *time, *claim));
        }
        let mut end = 0;
        let ready = |(message, taken): (Result<Composed, _>, Option<_>)| {
            let composed = message.ok()?;
            let start = end;
            end += composed.len;
            let place = start..end;
            taken.map(|_| Ready { composed, place })
        };
        messages.into_iter().zip(claims).map(ready).collect()
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "a step of a loop over all it is about"
    )]
    fn send_ready(
        &mut self,
        now: Now,
        ready: Option<Ready>,
        flag: &Flag,
        payload: &Packets,
        piece: &mut Piece,
        hold: &Hold,
        out: &mut Effects,
    ) -> Result<Sent, SendError> {
        let composed = match ready {
            Some(ready) if piece.takes(flag, &ready.composed) => {
                return Ok(self.join(piece, ready, hold, out));
            }
            Some(mut ready) => {
                ready.composed.frames = Frames::single(piece.whole.slice(ready.place));
                ready.composed
            }
            // Its second is taken; or it cannot be composed, which is said again.
            None => self.stamp(now, flag, payload)?,
        };
        self.post_piece(piece, hold, out);
        Ok(self.post(flag, composed, hold.clone(), out))
    }

    /// Puts a message behind those that are to go in one piece.
    fn join(&mut self, piece: &mut Piece, ready: Ready, hold: &Hold, out: &mut Effects) -> Sent {
        if piece.place.end != ready.place.start {
            self.post_piece(piece, hold, out);
            piece.place.start = ready.place.start;
        }
        self.stats.sent += 1;
        self.order += 1;
        piece.place.end = ready.place.end;
        piece.last = ready.place;
        piece.count += 1;
        Sent {
            id: ready.composed.id,
            time: ready.composed.time,
            handed_to: Arc::clone(&piece.ids),
            skipped: Vec::new(),
        }
    }

    fn post_piece(&mut self, piece: &mut Piece, hold: &Hold, out: &mut Effects) {
        let count = mem::take(&mut piece.count);
        if count == 0 {
            return;
        }
        let last = piece.whole.slice(piece.last.clone());
        self.keep_broadcast(&Frames::single(last));
        let frames = Frames {
            plain: piece.whole.slice(piece.place.clone()),
            count,
            compressed: None,
            compressible: false,
            hold: hold.clone(),
        };
        piece.place.start = piece.place.end;
        if !piece.to.is_empty() {
            let to = piece.to.clone();
            out.push(Effect::Transmit { to, frames });
        }
    }
}
