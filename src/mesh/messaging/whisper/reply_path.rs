//! Reply path: a whisper to an author that cannot be dialled goes back along the path its message came.
//!
//! Owns the verbs `along` and `receipt`, and which receipts are awaited. Only nodes that support extensions forward a
//! whisper, each on the connection on which it last heard the author; a node without such a connection says so at once.
//! No node stores the whisper.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;

use crate::mesh::Mesh;
use crate::mesh::effect::{Answer, Effect, Effects, Whispered};
use crate::mesh::error::WhisperError;
use crate::mesh::input::{ConnId, Now, Ticket};
use crate::mesh::membership::capability::Verb;
use crate::mesh::messaging::whisper::searches::Waiting;
use crate::wire::{Batch, Control, Flag, MessageId, NodeId};

/// Maximum hops of a whisper.
const MAX_HOPS: u8 = 16;

/// Whispers whose receipt is awaited, our own and others'.
const MAX_PASSAGES: usize = 1024;

/// Timeout for the receipt of another node's whisper.
const RECEIPT_TIMEOUT: Duration = Duration::from_secs(15);

/// Longest whisper sent along a path, before base64.
const MAX_LEN: usize = 64 << 10;

/// The sender that awaits a receipt.
#[derive(Debug)]
enum From {
    /// One of our users.
    User(Ticket, NodeId, MessageId),
    /// A peer, under the peer's own number.
    Peer(ConnId, String),
}

/// A whisper that was handed to a peer.
#[derive(Debug)]
struct Passage {
    from: From,
    /// The peer it was handed to: only that peer's receipt counts.
    to: ConnId,
    until: Duration,
}

/// See the module.
#[derive(Debug, Default)]
pub(in crate::mesh) struct Passages {
    /// By our own ascending number.
    passages: BTreeMap<u64, Passage>,
    last: u64,
}

/// A whisper being forwarded.
struct Along<'a> {
    to: &'a [u8],
    hops: u8,
    /// The number under which the peer awaits the receipt.
    number: &'a [u8],
    frame: &'a Bytes,
}

impl<'a> Along<'a> {
    fn read(arguments: &'a [Bytes]) -> Option<Self> {
        let [to, hops, number, frame] = arguments else {
            return None;
        };
        let hops = std::str::from_utf8(hops).ok()?.parse().ok()?;
        (number.len() <= 20).then_some(Self {
            to,
            hops,
            number,
            frame,
        })
    }
}

impl Mesh {
    /// Sends the whispers queued for this peer along the path on which it was heard. Returns false and keeps them
    /// queued if there is none.
    pub(in crate::mesh) fn whisper_along(
        &mut self,
        now: Now,
        to: &NodeId,
        out: &mut Effects,
    ) -> bool {
        let Some(way) = self.way_to(now, to.as_bytes()) else {
            return false;
        };
        for waiting in self.searches.end(to) {
            self.send_along(now, way, to, waiting, out);
        }
        true
    }

    /// Returns the connection that leads to this author, if its peer supports extensions.
    fn way_to(&self, now: Now, author: &[u8]) -> Option<ConnId> {
        let way = self
            .authors
            .way_to(self.key.digest(author), now.monotonic)?;
        self.is_extended(way).then_some(way)
    }

    fn send_along(
        &mut self,
        now: Now,
        way: ConnId,
        to: &NodeId,
        waiting: Waiting,
        out: &mut Effects,
    ) {
        let composed = self.compose_whisper(now, &waiting);
        let Waiting { ticket, until, .. } = waiting;
        let error = match composed {
            Err(error) => error,
            Ok(composed) if composed.frames.plain.len() > MAX_LEN => {
                WhisperError::NoWay(to.clone())
            }
            Ok(composed) => {
                let id = composed.head.id;
                let from = From::User(ticket, to.clone(), id);
                let frame = Bytes::from(URL_SAFE_NO_PAD.encode(&composed.frames.plain));
                let to = Bytes::copy_from_slice(to.as_bytes());
                if self.hand_on(now, way, from, (to.clone(), MAX_HOPS, frame), until, out) {
                    self.stats.sent += 1;
                    return;
                }
                match NodeId::parse(&to) {
                    Ok(to) => WhisperError::NoWay(to),
                    Err(_) => return,
                }
            }
        };
        self.give_up(now, to, ticket, error, out);
    }

    /// Hands a whisper to a peer, and remembers who awaits the receipt; false if that is not possible.
    fn hand_on(
        &mut self,
        now: Now,
        way: ConnId,
        from: From,
        (to, hops, frame): (Bytes, u8, Bytes),
        until: Duration,
        out: &mut Effects,
    ) -> bool {
        let room = self.passages.passages.len() < MAX_PASSAGES;
        let entry = self.routing.get_mut(way);
        // The peer would refuse more: others must not make us exceed its rate limit.
        if !room || !entry.is_some_and(|entry| entry.limits().passes.spend(now.monotonic)) {
            return false;
        }
        self.passages.last += 1;
        let number = self.passages.last;
        let texts = [hops.to_string(), number.to_string()].map(Bytes::from);
        let [hops, text] = texts;
        if !self.extend(now, way, Verb::Along, vec![to, hops, text, frame], out) {
            return false;
        }
        let passage = Passage {
            from,
            to: way,
            until,
        };
        self.passages.passages.insert(number, passage);
        true
    }

    /// Handles a whisper that a peer hands us.
    pub(in crate::mesh) fn on_along(
        &mut self,
        now: Now,
        conn: ConnId,
        arguments: &[Bytes],
        out: &mut Effects,
    ) {
        let Some(along) = Along::read(arguments) else {
            return self.malformed(now, conn, "along with malformed arguments", out);
        };
        let number = along.number.to_vec();
        let arrived = if along.to == self.me().as_bytes() {
            self.arrive(now, conn, along.frame, out)
        } else if self.pass_along(now, conn, &along, out) {
            return;
        } else {
            false
        };
        self.receipt(now, conn, number, arrived, out);
    }

    /// Delivers a whisper that is for us. Only users' messages are accepted this way.
    fn arrive(&mut self, now: Now, conn: ConnId, frame: &Bytes, out: &mut Effects) -> bool {
        let params = &self.params;
        let Ok(bytes) = URL_SAFE_NO_PAD.decode(frame) else {
            return false;
        };
        let Ok(batch) = Batch::from_frames(params.generation, params.limits, &bytes) else {
            return false;
        };
        let Ok(frame) = batch.get(0) else {
            return false;
        };
        let is_users = frame.flag() == Flag::Whisper
            && frame.kind().is_some()
            && Control::read(&frame, params.generation).is_none();
        if batch.len() != 1 || !is_users || frame.verify().is_err() {
            return false;
        }
        if !self.validates_nothing() && self.hold_for_validation(now, conn, (&batch, 0), false, out)
        {
            return true;
        }
        self.copies = crate::wire::Copies::new(batch.wire_len());
        self.deliver(conn, &frame, out);
        true
    }

    fn pass_along(&mut self, now: Now, conn: ConnId, along: &Along<'_>, out: &mut Effects) -> bool {
        let neighbour = self.routing.conn_of_text(along.to);
        let neighbour = neighbour.filter(|conn| self.is_extended(*conn));
        let way = neighbour.or_else(|| self.way_to(now, along.to));
        let Some(way) = way.filter(|way| *way != conn && along.hops > 0) else {
            return false;
        };
        let number = String::from_utf8_lossy(along.number).into_owned();
        let what = (
            Bytes::copy_from_slice(along.to),
            along.hops.min(MAX_HOPS) - 1,
            along.frame.clone(),
        );
        let until = now.monotonic + RECEIPT_TIMEOUT;
        self.hand_on(now, way, From::Peer(conn, number), what, until, out)
    }

    fn receipt(
        &mut self,
        now: Now,
        conn: ConnId,
        number: Vec<u8>,
        arrived: bool,
        out: &mut Effects,
    ) {
        let word: &'static str = if arrived { "arrived" } else { "no way" };
        let arguments = vec![Bytes::from(number), Bytes::from(word)];
        self.extend(now, conn, Verb::Receipt, arguments, out);
    }

    /// Handles what a peer says became of a whisper we handed to it.
    pub(in crate::mesh) fn on_receipt(
        &mut self,
        now: Now,
        conn: ConnId,
        arguments: &[Bytes],
        out: &mut Effects,
    ) {
        let number = arguments.first().map(|text| String::from_utf8_lossy(text));
        let (Some(Ok(number)), Some(word)) =
            (number.map(|text| text.parse::<u64>()), arguments.get(1))
        else {
            return self.malformed(now, conn, "receipt", out);
        };
        let passages = &mut self.passages.passages;
        // The passage may have expired; and a peer cannot answer for a whisper handed to another.
        if passages
            .get(&number)
            .is_none_or(|passage| passage.to != conn)
        {
            return;
        }
        let Some(passage) = passages.remove(&number) else {
            return;
        };
        let arrived = word.as_ref() == b"arrived";
        match passage.from {
            From::Peer(peer, number) => {
                self.receipt(now, peer, number.into_bytes(), arrived, out);
            }
            From::User(ticket, to, id) if arrived => {
                let whispered = Whispered {
                    id,
                    to,
                    discovered: true,
                };
                let answer = Answer::Whisper(Ok(whispered));
                out.push(Effect::Answer { ticket, answer });
            }
            From::User(ticket, to, _) => {
                let error = WhisperError::NoWay(to.clone());
                self.give_up(now, &to, ticket, error, out);
            }
        }
    }

    /// Fails the whispers whose receipt did not come in time.
    pub(in crate::mesh) fn expire_passages(&mut self, now: Now, out: &mut Effects) {
        let passages = &mut self.passages.passages;
        let overdue = passages
            .iter()
            .filter(|(_, passage)| passage.until <= now.monotonic);
        let overdue: Vec<_> = overdue.map(|(key, _)| *key).collect();
        for key in overdue {
            if let Some(passage) = self.passages.passages.remove(&key)
                && let From::User(ticket, to, _) = passage.from
            {
                let error = WhisperError::NoReceipt(to.clone());
                self.give_up(now, &to, ticket, error, out);
            }
        }
    }

    /// Fails every whisper that awaits a receipt.
    pub(in crate::mesh) fn abandon_passages(&mut self, now: Now, out: &mut Effects) {
        for passage in self.passages.passages.values_mut() {
            passage.until = Duration::ZERO;
        }
        self.expire_passages(now, out);
    }
}
