//! Several messages of our own at once.
//!
//! Owns what is done for all of them together: their ids are hashed side by side, and those that go to every
//! peer as they are go in one piece. Each leads to what it would have led to by itself.

use std::mem;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use crate::mesh::Mesh;
use crate::mesh::connections::routing_table::Routing;
use crate::mesh::effect::{Effect, Effects, Sent, Targets};
use crate::mesh::error::SendError;
use crate::mesh::input::Now;
use crate::mesh::messaging::broadcast::{Admitted, Outgoing};
use crate::mesh::messaging::waterfall::Seen;
use crate::mesh::trace;
use crate::wire::{Draft, EncodeError, Fingerprints, Flag, Frames, Head, Hold, NodeId, Together};

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
            plain: routing.iter().all(|entry| entry.compression.is_none()),
            whole,
            place: 0..0,
            count: 0,
            last: 0..0,
        }
    }

    /// A frame of the burst by itself: it may be kept, and must not keep the others.
    fn copy(&self, place: Range<usize>) -> Bytes {
        Bytes::copy_from_slice(&self.whole[place])
    }

    fn takes(&self, what: &Admitted) -> bool {
        self.plain && what.flag == Flag::Broadcast && what.text
    }
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
        let admitted: Vec<_> = burst.map(|what| self.admit(what)).collect();
        let drafts = admitted.iter().flatten().map(|what| Draft {
            flag: &what.flag,
            payload: &what.payload,
            time: now.unix,
        });
        let drafts: Vec<_> = drafts.collect();
        let Together { messages, whole } = self.composer.compose_many(&drafts);
        let taken = self.take_ids(now, &messages);
        let mut messages = messages.into_iter();
        let mut taken = taken.into_iter();
        let mut piece = Piece::new(&self.routing, whole);
        let mut end = 0;
        let mut send = |admitted: Result<Admitted, _>| {
            let what = admitted?;
            let (head, place) = match messages.next() {
                Some(Ok(head)) => {
                    let place = end..end + head.len;
                    end = place.end;
                    let took = taken.next() == Some(true);
                    (took.then_some(head), place)
                }
                _ => (None, end..end),
            };
            let Some(head) = head else {
                // Its second is taken; or it cannot be composed, which is said again.
                let composed = self.stamp(now, &what.flag, &what.payload)?;
                self.post_piece(&mut piece, hold, out);
                return Ok(self.post(now, &what, composed.head, composed.frames.held(hold), out));
            };
            if piece.takes(&what) {
                if trace::is_on() {
                    trace::sent(self.me(), &head.id, &what.payload, piece.to.len());
                }
                if self.keeps_passed() {
                    let me = self.me().clone();
                    self.note_sent(now, &head.id, &me, &what.payload);
                }
                return Ok(self.join(&mut piece, head, place, hold, out));
            }
            self.post_piece(&mut piece, hold, out);
            let frames = Frames::single(piece.copy(place)).held(hold);
            Ok(self.post(now, &what, head, frames, out))
        };
        let sent = admitted.into_iter().map(&mut send).collect();
        self.post_piece(&mut piece, hold, out);
        sent
    }

    /// Of those that could be composed, which could take their id. All are digested before the first is looked up:
    /// look-ups wait for memory, and so they wait together.
    fn take_ids(&mut self, now: Now, messages: &[Result<Head, EncodeError>]) -> Vec<bool> {
        let me = self.composer.me();
        let mut digests = Fingerprints::new(&self.key);
        let mut fingerprint = |head: &Head| (head.time, head.fingerprint(&mut digests, me));
        let heads = messages.iter().flatten();
        let fingerprints: Vec<_> = heads.map(&mut fingerprint).collect();
        let seen = self.waterfall.remember_all(now.unix, &fingerprints);
        seen.into_iter().map(|seen| seen == Seen::Fresh).collect()
    }

    /// Puts a message behind those that are to go in one piece.
    fn join(
        &mut self,
        piece: &mut Piece,
        head: Head,
        place: Range<usize>,
        hold: &Hold,
        out: &mut Effects,
    ) -> Sent {
        if piece.place.end != place.start {
            self.post_piece(piece, hold, out);
            piece.place.start = place.start;
        }
        self.stats.sent += 1;
        self.order += 1;
        piece.place.end = place.end;
        piece.last = place;
        piece.count += 1;
        Sent {
            id: head.id,
            time: head.time,
            handed_to: Arc::clone(&piece.ids),
            skipped: Vec::new(),
        }
    }

    fn post_piece(&mut self, piece: &mut Piece, hold: &Hold, out: &mut Effects) {
        let count = mem::take(&mut piece.count);
        if count == 0 {
            return;
        }
        self.keep_broadcast(&Frames::single(piece.copy(piece.last.clone())));
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
