//! Prune by author: over which links the small broadcasts of an author need not come.
//!
//! Owns who was asked not to send an author's messages because they come sooner on another link, and what peers have asked
//! of us. Nothing is lost by it: what a peer did not want is stored until it says that it has it, and sent after all where
//! it does not, where it asks, or where there is no room. So whatever goes wrong, messages are flooded as they
//! were. Large messages are [offered](super::announce) instead; control messages are always flooded.

mod stream;

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use rand::RngExt as _;

use self::stream::{Stream, Sum};
use crate::mesh::effect::{Effect, Effects, Targets};
use crate::mesh::input::{ConnId, Now};
use crate::mesh::machine::Mesh;
use crate::mesh::membership::capability::Verb;
use crate::mesh::messaging::announce::SMALLEST;
use crate::mesh::messaging::store_budget::StoreBudget;
use crate::mesh::token_bucket::TokenBucket;
use crate::wire::{Batch, Control, Frame};

/// Authors whose messages are counted. Those of others are flooded.
const MAX_AUTHORS: usize = 1024;

/// Digests that are remembered of all authors together, and of each where that is too much.
const MAX_DIGESTS: usize = 128 << 10;
const FEW_DIGESTS: usize = 64;

/// What a stored frame costs beside its bytes.
const OVERHEAD: usize = 256;

/// A peer that has not confirmed what was stored for it after this time is sent it.
const OVERDUE: Duration = Duration::from_secs(2);

/// Peers are told what we have each second, and after so many bytes.
const TOLD_AFTER: usize = 128 << 10;

/// An author who was silent for so long is flooded again; whoever asked for less remembers it for a little longer than whoever
/// was asked.
const SILENT: Duration = Duration::from_secs(300);
const SILENT_ASKER: Duration = Duration::from_secs(330);

/// Of an author who was silent for so long nothing is remembered, if nobody was asked.
const FORGOTTEN: Duration = Duration::from_secs(60);

/// Without a second copy of anything for so long there is nothing to spare: no messages are counted, as in a line or a star.
const NO_COPIES: Duration = Duration::from_secs(600);

/// Bytes of the arguments of one message: half of what may be said at once.
const ARGUMENTS: usize = 2048;

/// See the module. Authors go by the keyed digests of their ids.
#[derive(Debug)]
pub(in crate::mesh) struct Streams {
    by_author: BTreeMap<u64, Stream>,
    /// Of which author a peer speaks.
    handles: BTreeMap<(ConnId, u32), u64>,
    last_handle: u32,
    /// Digests remembered of all authors.
    digests: usize,
    budget: StoreBudget,
    /// Until when messages are counted.
    counts_until: Duration,
    /// What is asked of peers at the end of the batch.
    asking: Vec<(ConnId, Bytes)>,
    /// How often peers are asked, and told before the second is over: half of what they take.
    may_say: TokenBucket,
}

/// Messages of one author that follow each other in a batch.
struct Run {
    author: u64,
    /// The link to the author, if that is our peer.
    from: Option<ConnId>,
    frames: Vec<usize>,
    digests: Vec<u64>,
    bytes: usize,
    name: Bytes,
}

impl Streams {
    pub(in crate::mesh) fn new(budget: StoreBudget) -> Self {
        Self {
            by_author: BTreeMap::new(),
            handles: BTreeMap::new(),
            last_handle: 0,
            digests: 0,
            budget,
            counts_until: Duration::ZERO,
            asking: Vec::new(),
            may_say: TokenBucket::new(1024.0, 1024.0),
        }
    }

    fn admit(&mut self, author: u64, way: ConnId, now: Duration) -> Option<&mut Stream> {
        if self.by_author.len() >= MAX_AUTHORS && !self.by_author.contains_key(&author) {
            return None;
        }
        let stream = self.by_author.entry(author);
        Some(stream.or_insert_with(|| Stream::new(way, now)))
    }

    /// Authors that are remembered, the digests of their messages, and the bytes stored.
    #[cfg(test)]
    pub(in crate::mesh) fn kept(&self) -> (usize, usize, usize) {
        let digests = self.by_author.values().map(Stream::len).sum();
        assert_eq!(self.digests, digests);
        let pruned: usize = self.by_author.values().map(|it| it.pruned.len()).sum();
        assert_eq!(self.handles.len(), pruned);
        (self.by_author.len(), digests, self.budget.taken())
    }
}

impl Mesh {
    pub(in crate::mesh) fn prunes(&self) -> bool {
        self.params.extensions && self.params.prune && self.routing.has_extended()
    }

    /// Whether all our nodes count a broadcast: a small one of a user's.
    fn is_counted(&self, frame: &Frame<'_>) -> bool {
        frame.body.len() < SMALLEST && Control::read(frame, self.params.generation).is_none()
    }

    /// Counts what is to be passed on, and says which peers are not to get which of it.
    pub(in crate::mesh) fn spare(
        &mut self,
        now: Now,
        source: ConnId,
        batch: &Batch,
        picked: &[usize],
        exceptions: &mut BTreeMap<ConnId, Vec<usize>>,
        out: &mut Effects,
    ) {
        if !self.prunes() || self.streams.counts_until <= now.monotonic {
            return;
        }
        for run in self.runs(batch, picked) {
            let spared = self.spare_run(now, source, batch, &run, out);
            self.stats.spared += (spared.len() * run.frames.len()) as u64;
            for conn in spared {
                exceptions.entry(conn).or_default().extend(&run.frames);
            }
        }
    }

    /// Counts a message that a validator dropped: we have it, and need no other copy.
    pub(in crate::mesh) fn count_dropped(&mut self, batch: &Batch) {
        if !self.prunes() {
            return;
        }
        for run in self.runs(batch, &[0]) {
            if let Some(stream) = self.streams.by_author.get_mut(&run.author) {
                run.digests.iter().for_each(|digest| stream.push(*digest));
                self.streams.digests += run.digests.len();
            }
        }
    }

    fn runs(&self, batch: &Batch, picked: &[usize]) -> Vec<Run> {
        let mut runs: Vec<Run> = Vec::new();
        let mut last: &[u8] = &[];
        for &index in picked {
            let Some(frame) = batch.get(index).ok().filter(|it| self.is_counted(it)) else {
                continue;
            };
            let sender = frame.sender();
            if runs.is_empty() || sender != last {
                last = sender;
                runs.push(Run {
                    author: self.key.digest(sender),
                    from: self.routing.conn_of_text(sender),
                    frames: Vec::with_capacity(picked.len()),
                    digests: Vec::with_capacity(picked.len()),
                    bytes: 0,
                    name: Bytes::copy_from_slice(sender),
                });
            }
            if let Some(run) = runs.last_mut() {
                run.frames.push(index);
                run.digests.push(digest(&frame));
                run.bytes += frame.body.len();
            }
        }
        runs
    }

    /// Which peers are not sent what follows each other of an author.
    fn spare_run(
        &mut self,
        now: Now,
        source: ConnId,
        batch: &Batch,
        run: &Run,
        out: &mut Effects,
    ) -> Targets {
        let at = now.monotonic;
        let Some(stream) = self.streams.admit(run.author, source, at) else {
            return Targets::new();
        };
        stream.heard = at;
        run.digests.iter().for_each(|digest| stream.push(*digest));
        let asked = stream.asked.iter().find(|it| it.conn == source).copied();
        // What comes new on a link that we have asked to spare us comes because the way has failed.
        let failed = asked.is_some_and(|asked| asked.is_heeded(at));
        if failed {
            stream.note_failure(at);
        }
        let direct = run
            .from
            .filter(|from| *from == stream.way && *from != source);
        let is_aside = direct.is_some() || asked.is_some_and(|asked| asked.is_on_its_way(at));
        let taken_back = asked.filter(|_| failed || !is_aside);
        if taken_back.is_some() {
            stream.take_asked(source);
        }
        if !is_aside {
            stream.way = source;
        }
        stream.compare();
        let pruned = stream.pruned.iter().map(|it| it.conn);
        let mut to: Targets = pruned.filter(|conn| *conn != source).collect();
        if stream.is_late(at) {
            to.clear();
        }
        stream.untold += run.bytes;
        let is_due = stream.untold >= TOLD_AFTER && !stream.asked.is_empty();
        self.streams.digests += run.digests.len();
        if !to.is_empty() && !self.store(now, source, batch, run) {
            to.clear();
            self.send_all_stored(now, run.author, true, out);
        }
        self.trim_digests(now, run.author, out);
        if let Some(asked) = taken_back {
            let said = vec![Bytes::from(asked.handle.to_string())];
            self.extend(now, source, Verb::Graft, said, out);
        }
        if direct.is_some()
            && let Some(digest) = run.digests.last()
        {
            self.ask_to_spare(now, source, run.author, *digest, &run.name);
        }
        if is_due && self.streams.may_say.spend(at) {
            self.tell(now, Some(run.author), out);
        }
        to
    }

    /// Stores what some peers are not sent; false if there is no room.
    fn store(&mut self, now: Now, source: ConnId, batch: &Batch, run: &Run) -> bool {
        let cost = run.bytes + OVERHEAD * run.frames.len();
        let Some(hold) = self.streams.budget.take(cost) else {
            return false;
        };
        let Some(stream) = self.streams.by_author.get_mut(&run.author) else {
            return false;
        };
        for frames in batch.relay_some(&run.frames) {
            stream.store(frames.held(&hold), source, now.monotonic);
        }
        true
    }

    /// Forgets the digests that nobody needs. Who has not confirmed for so long that there are too many is sent what is stored.
    fn trim_digests(&mut self, now: Now, author: u64, out: &mut Effects) {
        let is_full = self.streams.digests > MAX_DIGESTS;
        if is_full {
            self.send_all_stored(now, author, true, out);
        }
        if let Some(stream) = self.streams.by_author.get_mut(&author) {
            let before = stream.len();
            stream.trim(if is_full { FEW_DIGESTS } else { usize::MAX });
            self.streams.digests -= before - stream.len();
        }
    }

    /// A peer has sent what we had: it need not send what this author says, if that comes sooner on another link.
    pub(in crate::mesh) fn note_pruneable(
        &mut self,
        now: Now,
        conn: ConnId,
        author: u64,
        frame: &Frame<'_>,
    ) {
        self.streams.counts_until = now.monotonic + NO_COPIES;
        let Some(stream) = self.streams.by_author.get(&author) else {
            return;
        };
        let asked = stream.asked.iter().find(|it| it.conn == conn);
        let was_asked = asked.is_some_and(|asked| asked.is_recent(now.monotonic));
        if was_asked || stream.way == conn || !self.is_counted(frame) {
            return;
        }
        let is_author =
            self.routing.get(conn).map(|entry| entry.id.as_bytes()) == Some(frame.sender());
        // To the author itself there is no shorter way.
        let spare = match self.streams.by_author.get_mut(&author) {
            Some(stream) if is_author => std::mem::replace(&mut stream.way, conn),
            _ => conn,
        };
        let name = Bytes::copy_from_slice(frame.sender());
        self.ask_to_spare(now, spare, author, digest(frame), &name);
    }

    /// Asks a peer, at the end of the batch, for no more of an author than the message of this digest.
    fn ask_to_spare(&mut self, now: Now, conn: ConnId, author: u64, digest: u64, name: &Bytes) {
        let at = now.monotonic;
        let stays = self.routing.get(conn);
        let stays = stays.is_some_and(|entry| entry.extended && !entry.duplicate);
        let way = self.streams.by_author.get(&author).map(|it| it.way);
        let way = way.and_then(|way| self.routing.get(way));
        if !stays || way.is_none_or(|way| way.duplicate || way.conn == conn) {
            return;
        }
        let Some(stream) = self.streams.by_author.get_mut(&author) else {
            return;
        };
        let mut asked = stream.asked.iter().filter(|it| it.conn == conn);
        let was_asked = asked.any(|asked| asked.is_recent(at));
        if was_asked || stream.is_unreliable(at) || stream.is_late(at) {
            return;
        }
        // Before it is looked for, which costs more than to be asked.
        if !self.streams.may_say.spend(at) {
            return;
        }
        let (Some(base), Ok(name)) = (stream.after(digest), std::str::from_utf8(name)) else {
            return;
        };
        self.streams.last_handle = self.streams.last_handle.wrapping_add(1);
        let handle = self.streams.last_handle;
        let key = self.rng.random();
        stream.ask(conn, handle, key, base, at);
        let said = format!("{handle}.{}.{}.{name}", text(key), text(digest));
        self.streams.asking.push((conn, Bytes::from(said)));
    }

    /// Says what was decided in a batch.
    pub(in crate::mesh) fn ask_pruned(&mut self, now: Now, out: &mut Effects) {
        let asking = std::mem::take(&mut self.streams.asking);
        self.say_to_each(now, Verb::Prune, asking, out);
    }

    /// Says to each peer what is for it, in as few messages as may be.
    fn say_to_each(&mut self, now: Now, verb: Verb, said: Vec<(ConnId, Bytes)>, out: &mut Effects) {
        let mut by_peer: BTreeMap<ConnId, Vec<Bytes>> = BTreeMap::new();
        for (conn, said) in said {
            by_peer.entry(conn).or_default().push(said);
        }
        for (conn, said) in by_peer {
            let mut message = Vec::new();
            let mut bytes = 0;
            for argument in said {
                bytes += argument.len();
                message.push(argument);
                if bytes >= ARGUMENTS {
                    self.extend(now, conn, verb, std::mem::take(&mut message), out);
                    bytes = 0;
                }
            }
            if !message.is_empty() {
                self.extend(now, conn, verb, message, out);
            }
        }
    }

    /// Tells the peers that spare us what we have of one author, or of all.
    fn tell(&mut self, now: Now, author: Option<u64>, out: &mut Effects) {
        let mut said = Vec::new();
        let mut tell = |stream: &mut Stream| {
            stream.untold = 0;
            for asked in &mut stream.asked {
                let Sum { count, sum } = asked.have;
                if asked.told != count {
                    asked.told = count;
                    let line = format!("{}.{count}.{}", asked.handle, text(sum));
                    said.push((asked.conn, Bytes::from(line)));
                }
            }
        };
        match author {
            Some(author) => self
                .streams
                .by_author
                .get_mut(&author)
                .into_iter()
                .for_each(&mut tell),
            None => self.streams.by_author.values_mut().for_each(&mut tell),
        }
        self.say_to_each(now, Verb::Summary, said, out);
    }

    /// A peer hears these authors sooner from others.
    pub(in crate::mesh) fn on_prune(
        &mut self,
        now: Now,
        conn: ConnId,
        asked: &[Bytes],
        out: &mut Effects,
    ) {
        for said in asked {
            let parts = std::str::from_utf8(said).ok().and_then(|said| {
                let mut parts = said.splitn(4, '.');
                let handle: u32 = parts.next()?.parse().ok()?;
                let key = number(parts.next()?)?;
                Some(((handle, key), number(parts.next()?)?, parts.next()?))
            });
            let Some((link, digest, author)) = parts else {
                return self.malformed(now, conn, "a request for less", out);
            };
            let author = self.key.digest(author.as_bytes());
            self.prune_author(now, conn, link, (author, digest), out);
        }
    }

    fn prune_author(
        &mut self,
        now: Now,
        conn: ConnId,
        (handle, key): (u32, u64),
        (author, digest): (u64, u64),
        out: &mut Effects,
    ) {
        let stays = self.routing.get(conn).is_some_and(|it| !it.duplicate);
        if !self.prunes() || !stays || self.streams.handles.contains_key(&(conn, handle)) {
            return;
        }
        self.streams.counts_until = now.monotonic + NO_COPIES;
        self.send_stored(now, author, conn, false, out);
        let Some(stream) = self.streams.by_author.get_mut(&author) else {
            return;
        };
        // Otherwise it hears the author twice, and asks again.
        if !stream.refuses(conn, now.monotonic)
            && let Some(base) = stream.after(digest)
        {
            stream.prune(conn, handle, key, base);
            self.streams.handles.insert((conn, handle), author);
        }
    }

    /// A peer says what it has.
    pub(in crate::mesh) fn on_summary(
        &mut self,
        now: Now,
        conn: ConnId,
        told: &[Bytes],
        out: &mut Effects,
    ) {
        for said in told {
            let parts = std::str::from_utf8(said).ok().and_then(|said| {
                let mut parts = said.splitn(3, '.');
                let handle: u32 = parts.next()?.parse().ok()?;
                let count = parts.next()?.parse().ok()?;
                let sum = number(parts.next()?)?;
                Some((handle, Sum { count, sum }))
            });
            let Some((handle, says)) = parts else {
                return self.malformed(now, conn, "a summary", out);
            };
            let author = self.streams.handles.get(&(conn, handle));
            if let Some(stream) = author.and_then(|it| self.streams.by_author.get_mut(it)) {
                stream.confirm(conn, handle, says);
            }
        }
    }

    /// A peer's other way is gone: it is sent everything again.
    pub(in crate::mesh) fn on_graft(
        &mut self,
        now: Now,
        conn: ConnId,
        handles: &[Bytes],
        out: &mut Effects,
    ) {
        for said in handles {
            let handle = std::str::from_utf8(said).ok();
            let Some(handle) = handle.and_then(|handle| handle.parse().ok()) else {
                return self.malformed(now, conn, "a request for more", out);
            };
            if let Some(author) = self.streams.handles.get(&(conn, handle)).copied() {
                self.send_stored(now, author, conn, false, out);
            }
        }
    }

    /// A peer is sent this author's messages again, those first that it has not confirmed. `refused`: it should have, and is
    /// not spared them again for a while.
    fn send_stored(
        &mut self,
        now: Now,
        author: u64,
        conn: ConnId,
        refused: bool,
        out: &mut Effects,
    ) {
        let Some(stream) = self.streams.by_author.get_mut(&author) else {
            return;
        };
        let Some((handle, missing)) = stream.graft(conn) else {
            return;
        };
        if refused {
            stream.refuse(conn, now.monotonic);
        }
        self.streams.handles.remove(&(conn, handle));
        for frames in missing {
            self.stats.spared_in_vain += u64::from(frames.count);
            let to = Targets::from_elem(conn, 1);
            out.push(Effect::Transmit { to, frames });
        }
    }

    fn send_all_stored(&mut self, now: Now, author: u64, refused: bool, out: &mut Effects) {
        let stream = self.streams.by_author.get(&author);
        let pruned = stream.into_iter().flat_map(|stream| stream.pruned.iter());
        let pruned: Targets = pruned.map(|it| it.conn).collect();
        for conn in pruned {
            self.send_stored(now, author, conn, refused, out);
        }
    }

    /// Sends what was not confirmed in time, tells peers what we have, and forgets authors that were silent for long.
    pub(in crate::mesh) fn mind_streams(&mut self, now: Now, out: &mut Effects) {
        let at = now.monotonic;
        let mut late: Vec<(u64, ConnId, bool)> = Vec::new();
        for (author, stream) in &mut self.streams.by_author {
            stream.compare_again();
            if let Some(before) = at.checked_sub(OVERDUE) {
                let overdue = stream.overdue(before).into_iter();
                late.extend(overdue.map(|conn| (*author, conn, true)));
            }
            if stream.heard + SILENT <= at {
                let pruned = stream.pruned.iter();
                late.extend(pruned.map(|it| (*author, it.conn, false)));
            }
            if stream.heard + SILENT_ASKER <= at {
                stream.asked.clear();
            }
        }
        for (author, conn, refused) in late {
            self.send_stored(now, author, conn, refused, out);
        }
        self.tell(now, None, out);
        let Streams {
            by_author,
            digests,
            counts_until,
            ..
        } = &mut self.streams;
        by_author.retain(|_, stream| {
            if !stream.asked.is_empty() || !stream.pruned.is_empty() {
                *counts_until = at + NO_COPIES;
            }
            let stays = !stream.is_free(at) || at < stream.heard + FORGOTTEN;
            *digests -= if stays { 0 } else { stream.len() };
            stays
        });
    }

    /// Nothing more is written on a link, or it is gone: for whom it was the way asks others again. `sent`: what is stored for
    /// the peer can still be written.
    pub(in crate::mesh) fn end_pruning(
        &mut self,
        now: Now,
        conn: ConnId,
        sent: bool,
        out: &mut Effects,
    ) {
        let handles = self.streams.handles.range((conn, 0)..=(conn, u32::MAX));
        let pruned: Vec<u64> = handles.map(|(_, author)| *author).collect();
        for author in pruned {
            match sent {
                true => self.send_stored(now, author, conn, false, out),
                false => {
                    let stream = self.streams.by_author.get_mut(&author);
                    if let Some((handle, _)) = stream.and_then(|stream| stream.graft(conn)) {
                        self.streams.handles.remove(&(conn, handle));
                    }
                }
            }
        }
        let mut grafted = Vec::new();
        for stream in self.streams.by_author.values_mut() {
            stream.forget(conn);
            stream.take_asked(conn);
            if stream.way == conn {
                let asked = std::mem::take(&mut stream.asked).into_iter();
                grafted.extend(asked.map(|it| (it.conn, Bytes::from(it.handle.to_string()))));
            }
        }
        self.say_to_each(now, Verb::Graft, grafted, out);
    }
}

/// By what all nodes know a message: the end of its id.
fn digest(frame: &Frame<'_>) -> u64 {
    let id = frame.known_id();
    let (rest, last) = id.split_last_chunk().unwrap_or((&[], &[0; 8]));
    let before = rest.last_chunk().unwrap_or(&[0; 8]);
    let [before, last] = [before, last].map(|word| u64::from_be_bytes(*word));
    // Ids are hashes, but those of text leave some bits as they are.
    (before.rotate_left(23) ^ last).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// A digest or sum as it is said.
fn text(number: u64) -> String {
    URL_SAFE_NO_PAD.encode(number.to_be_bytes())
}

fn number(text: &str) -> Option<u64> {
    let mut bytes = [0; 8];
    let length = URL_SAFE_NO_PAD.decode_slice(text, &mut bytes).ok()?;
    (length == bytes.len()).then(|| u64::from_be_bytes(bytes))
}
