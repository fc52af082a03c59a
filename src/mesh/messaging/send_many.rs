//! Several messages of our own at once.
//!
//! Owns what is shared by the burst: the ids are hashed together, and messages that go unchanged to every peer are sent
//! in one piece. Each message has the same effect as if it were sent alone.

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

/// Consecutive broadcasts of a burst: writing them in one piece costs a connection less than one by one.
struct Piece {
    /// Every peer.
    to: Targets,
    ids: Arc<[NodeId]>,
    /// Whether no peer uses compression: compressed messages are sent one by one.
    plain: bool,
    /// The frames of the whole burst, and the range of this piece among them.
    whole: Bytes,
    place: Range<usize>,
    count: u32,
    /// The range of the last frame in the piece.
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

    /// Copies one frame of the burst: it may be stored, and must not keep the whole buffer alive.
    fn copy(&self, place: Range<usize>) -> Bytes {
        Bytes::copy_from_slice(&self.whole[place])
    }

    fn takes(&self, what: &Admitted) -> bool {
        self.plain && what.flag == Flag::Broadcast && what.text
    }
}

impl Mesh {
    /// Sends several messages to every peer, as [`send`](Self::send) would one after the other. Their ids are hashed
    /// together, which takes a fraction of the time on processors with wide vectors. `hold` covers all of them.
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
        let mut end = 0;
        let mut composed = messages.into_iter().zip(taken).map(|(head, taken)| {
            let head = head.ok()?;
            let place = end..end + head.len;
            end = place.end;
            taken.then_some((head, place))
        });
        let mut piece = Piece::new(&self.routing, whole);
        let mut send = |what: Result<Admitted, _>| {
            let what = what?;
            match composed.next().flatten() {
                Some((head, place)) => {
                    Ok(self.send_in_piece(now, &mut piece, &what, (head, place), hold, out))
                }
                None => {
                    // The id is taken in this second; or the message cannot be composed, and `stamp` returns the error.
                    let composed = self.stamp(now, &what.flag, &what.payload)?;
                    self.post_piece(&mut piece, hold, out);
                    let frames = composed.frames.held(hold);
                    Ok(self.post(now, &what, composed.head, frames, out))
                }
            }
        };
        let sent = admitted.into_iter().map(&mut send).collect();
        self.post_piece(&mut piece, hold, out);
        sent
    }

    /// Sends a composed message: as a part of the piece if that takes it, otherwise by itself.
    fn send_in_piece(
        &mut self,
        now: Now,
        piece: &mut Piece,
        what: &Admitted,
        (head, place): (Head, Range<usize>),
        hold: &Hold,
        out: &mut Effects,
    ) -> Sent {
        if !piece.takes(what) {
            self.post_piece(piece, hold, out);
            let frames = Frames::single(piece.copy(place)).held(hold);
            return self.post(now, what, head, frames, out);
        }
        if trace::is_on() {
            trace::sent(self.me(), &head.id, &what.payload, piece.to.len());
        }
        if self.keeps_passed() {
            let me = self.me().clone();
            self.note_sent(now, &head.id, &me, &what.payload);
        }
        self.join(piece, head, place, hold, out)
    }

    /// Returns whether each message could claim its id; one that could not be composed has none. All are hashed before
    /// the first look-up, so that the look-ups' cache misses overlap.
    fn take_ids(&mut self, now: Now, messages: &[Result<Head, EncodeError>]) -> Vec<bool> {
        let me = self.composer.me();
        let mut digests = Fingerprints::new(&self.key);
        let mut fingerprint = |head: &Head| (head.time, head.fingerprint(&mut digests, me));
        let heads = messages.iter().flatten();
        let fingerprints: Vec<_> = heads.map(&mut fingerprint).collect();
        self.waterfall.make_room(now.unix);
        // The second is closed if our clock was set back: `stamp` chooses another.
        let seen = match self.waterfall.closed(now.unix) {
            true => Vec::new(),
            false => self.waterfall.remember_all(now.unix, &fingerprints, None),
        };
        let mut seen = seen.into_iter();
        let mut is_fresh =
            |message: &Result<_, _>| message.is_ok() && seen.next() == Some(Seen::Fresh);
        messages.iter().map(&mut is_fresh).collect()
    }

    /// Appends a message to the piece.
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
