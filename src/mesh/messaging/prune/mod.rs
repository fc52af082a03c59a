//! Prune by author: on which connections an author's small broadcasts need not come.
//!
//! Owns which peers were asked not to send an author's messages, because these come sooner on another connection, and
//! what peers have asked of us. No message is lost: what a peer did not want is stored until the peer confirms that it
//! has it. It is sent after all if the peer does not confirm it or asks for it, or if there is no room to store it. Any
//! failure falls back to flooding. Large messages are [offered](super::announce) instead; control messages are always
//! flooded.

mod asking;
mod reliability;
mod serving;
mod stream;

use std::collections::BTreeMap;
use std::hash::Hasher as _;
use std::time::Duration;

use bytes::Bytes;
use siphasher::sip::SipHasher24;

use self::stream::Stream;
use crate::mesh::Mesh;
use crate::mesh::effect::{Effects, Targets};
use crate::mesh::input::{ConnId, Now};
use crate::mesh::membership::capability::Verb;
use crate::mesh::messaging::announce::SMALLEST;
use crate::mesh::messaging::store_budget::StoreBudget;
use crate::mesh::token_bucket::TokenBucket;
use crate::wire::{Batch, Control, Frame, Frames};

/// Authors whose messages are counted. Other authors' messages are flooded.
const MAX_AUTHORS: usize = 1024;

/// Maximum number of digests for all authors together; and per author once that is exceeded.
const MAX_DIGESTS: usize = 128 << 10;
const FEW_DIGESTS: usize = 64;

/// The cost of stored frames beyond their bytes.
const OVERHEAD: usize = 256;

/// A peer is sent what is stored for it if it has confirmed neither that nor anything else for this time.
const OVERDUE: Duration = Duration::from_secs(2);

/// For `SHAKEN` after a connection was lost, a peer is sent what it has not confirmed after this time: paths may lead in
/// a circle now, and nobody in it hears of a message. Not while more than this part of the budget is in use: in a busy
/// mesh the copies would harm more.
const SOON: Duration = Duration::from_millis(300);
const SHAKEN: Duration = Duration::from_secs(2);
const QUIET: usize = 8;

/// Peers are told what we have once a second; and after `TOLD_AFTER` bytes of all authors, of those that have sent
/// `WORTH_TELLING`. Otherwise what they store for us would outgrow their budget: see [`StoreBudget`].
const TOLD_AFTER: usize = 512 << 10;
const WORTH_TELLING: usize = 16 << 10;

/// An author silent for this long is flooded again. The asking node remembers its request slightly longer than the peer
/// it asked.
const SILENT: Duration = Duration::from_secs(300);
const SILENT_ASKER: Duration = Duration::from_secs(330);

/// An author silent for this long is forgotten if no peer was asked or has asked.
const FORGOTTEN: Duration = Duration::from_secs(60);

/// Without any duplicate for this long, as in a line or a star, there is nothing to spare and messages are not counted.
const NO_COPIES: Duration = Duration::from_secs(600);

/// Added to ages, in seconds: more than a stamp may lie ahead.
const AHEAD: u64 = 1 << 20;

/// See the module. Authors are stored under keyed digests of their ids.
#[derive(Debug)]
pub(in crate::mesh) struct Streams {
    by_author: BTreeMap<u64, Stream>,
    /// The author each peer's handle stands for.
    handles: BTreeMap<(ConnId, u32), u64>,
    last_handle: u32,
    /// Digests remembered for all authors.
    digests: usize,
    budget: StoreBudget,
    /// Bytes heard since peers were told what we have.
    untold: usize,
    /// When the last connection was lost.
    shaken: Option<Duration>,
    /// Until when messages are counted, once that was decided.
    counts_until: Option<Duration>,
    /// Requests to send at the end of the batch.
    asking: Vec<(ConnId, Bytes)>,
    /// Rate limit of our requests and early reports: half of what peers accept.
    may_say: TokenBucket,
}

/// Consecutive messages of one author in a batch.
struct Run {
    author: u64,
    /// The connection to the author, if it is a peer.
    from: Option<ConnId>,
    frames: Vec<usize>,
    digests: Vec<u64>,
    bytes: usize,
    /// The oldest stamp.
    time: u64,
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
            untold: 0,
            shaken: None,
            counts_until: None,
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

    /// Whether a connection was lost a moment ago, and little is stored.
    fn is_shaken(&self, now: Duration) -> bool {
        self.shaken.is_some_and(|at| now < at + SHAKEN) && self.budget.is_quiet(QUIET)
    }

    /// Trims an author's digests, and returns how many are left.
    fn trim(&mut self, author: u64, most: usize) -> usize {
        self.by_author.get_mut(&author).map_or(0, |stream| {
            let before = stream.len();
            stream.trim(most);
            self.digests -= before - stream.len();
            stream.len()
        })
    }

    /// The number of authors, of their messages' digests, and of stored bytes.
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

    /// Whether duplicates are likely. With two connections they are rare: the first duplicate starts the counting.
    fn counts(&self, now: Now) -> bool {
        match self.streams.counts_until {
            Some(until) => now.monotonic < until,
            None => self.routing.len() > 2,
        }
    }

    /// Whether all nodes count a broadcast: small ones of users are counted. A payload that is not text may share its id
    /// with others, so no digest tells it apart: it is flooded.
    fn is_counted(&self, frame: &Frame<'_>) -> bool {
        frame.body.len() < SMALLEST
            && frame.is_text()
            && Control::read(frame, self.params.generation).is_none()
    }

    /// Counts the messages to be relayed, and adds the peers that must not get them to `exceptions`.
    pub(in crate::mesh) fn spare(
        &mut self,
        now: Now,
        source: ConnId,
        batch: &Batch,
        picked: &[usize],
        exceptions: &mut BTreeMap<ConnId, Vec<usize>>,
        out: &mut Effects,
    ) {
        if !self.prunes() || !self.counts(now) {
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
    pub(in crate::mesh) fn count_dropped(&mut self, now: Now, batch: &Batch, out: &mut Effects) {
        if !self.prunes() || !self.counts(now) {
            return;
        }
        for run in self.runs(batch, &[0]) {
            if let Some(stream) = self.streams.by_author.get_mut(&run.author) {
                run.digests.iter().for_each(|digest| stream.push(*digest));
                self.streams.digests += run.digests.len();
                self.trim_digests(now, run.author, out);
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
                    frames: Vec::new(),
                    digests: Vec::new(),
                    bytes: 0,
                    time: frame.time(),
                    name: Bytes::copy_from_slice(sender),
                });
            }
            if let Some(run) = runs.last_mut() {
                run.frames.push(index);
                run.digests.push(digest(&frame));
                run.bytes += frame.body.len();
                run.time = run.time.min(frame.time());
            }
        }
        runs
    }

    /// Returns the peers that are not sent a run.
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
        // A new message on a connection that we have asked not to send it: the other way has failed.
        let failed = asked.is_some_and(|asked| asked.is_heeded(at));
        if failed {
            stream.reliability.note_failure(at);
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
        // A stamp may lie ahead.
        let age = now.unix.saturating_add(AHEAD).saturating_sub(run.time);
        let is_aged = stream.reliability.is_aged(age, at);
        if is_aged || stream.reliability.is_late(at) {
            to.clear();
        }
        if !stream.asked.is_empty() {
            stream.untold += run.bytes;
            self.streams.untold += run.bytes;
        }
        self.streams.digests += run.digests.len();
        if !to.is_empty() && !self.store(now, source, batch, run) {
            to.clear();
            // For lack of room, not through the peer's fault: it may ask again.
            self.send_all_stored(now, run.author, out);
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
        if self.streams.untold >= TOLD_AFTER && self.streams.may_say.spend(at) {
            self.tell(now, WORTH_TELLING, out);
        }
        to
    }

    /// Stores a run for the peers that are not sent it; false if there is no room.
    fn store(&mut self, now: Now, source: ConnId, batch: &Batch, run: &Run) -> bool {
        if !self.streams.budget.has_room(run.bytes) {
            return false;
        }
        // Frames that follow each other are stored in one piece.
        let pieces = batch.relay_some(&run.frames);
        let bytes: usize = pieces.iter().map(Frames::memory).sum();
        let Some(hold) = self.streams.budget.take(bytes + OVERHEAD * pieces.len()) else {
            return false;
        };
        let Some(stream) = self.streams.by_author.get_mut(&run.author) else {
            return false;
        };
        for frames in pieces {
            stream.store(frames.held(&hold), source, now.monotonic);
        }
        true
    }

    /// Forgets the digests that nobody needs. If there are still too many, sends the stored messages to the peers that
    /// have not confirmed them.
    fn trim_digests(&mut self, now: Now, author: u64, out: &mut Effects) {
        let is_full = self.streams.digests > MAX_DIGESTS;
        let most = if is_full { FEW_DIGESTS } else { usize::MAX };
        let left = self.streams.trim(author, most);
        if left > FEW_DIGESTS && self.streams.digests > MAX_DIGESTS {
            self.send_all_stored(now, author, out);
            self.streams.trim(author, FEW_DIGESTS);
        }
    }

    /// Sends what was not confirmed in time, tells peers what we have, and forgets silent authors.
    pub(in crate::mesh) fn mind_streams(&mut self, now: Now, out: &mut Effects) {
        let at = now.monotonic;
        let is_shaken = self.streams.is_shaken(at);
        let mut late: Vec<(u64, ConnId, bool)> = Vec::new();
        for (author, stream) in &mut self.streams.by_author {
            stream.compare_again();
            let overdue = stream.overdue(at, OVERDUE).into_iter();
            late.extend(overdue.map(|conn| (*author, conn, true)));
            if is_shaken {
                // It had no time to confirm, and may be spared again.
                let soon = stream.overdue(at, SOON).into_iter();
                late.extend(soon.map(|conn| (*author, conn, false)));
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
        self.tell(now, 0, out);
        let Streams {
            by_author,
            digests,
            counts_until,
            ..
        } = &mut self.streams;
        if !by_author.is_empty() {
            counts_until.get_or_insert(at + NO_COPIES);
        }
        by_author.retain(|_, stream| {
            if !stream.asked.is_empty() || !stream.pruned.is_empty() {
                *counts_until = Some(at + NO_COPIES);
            }
            let stays = !stream.is_free(at) || at < stream.heard + FORGOTTEN;
            *digests -= if stays { 0 } else { stream.len() };
            stays
        });
    }

    /// Ends pruning on a connection that is closing or closed. For authors that came on it, asks the other peers to
    /// send again. `sent`: the messages stored for its peer can still be written.
    pub(in crate::mesh) fn end_pruning(
        &mut self,
        now: Now,
        conn: ConnId,
        sent: bool,
        out: &mut Effects,
    ) {
        if !sent {
            self.streams.shaken = Some(now.monotonic);
        }
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

/// Returns the digest all nodes know a message by: of the lengths of its packets, which the id does not cover, under the
/// end of its id.
fn digest(frame: &Frame<'_>) -> u64 {
    let id = frame.known_id();
    let (rest, last) = id.split_last_chunk().unwrap_or((&[], &[0; 8]));
    let before = rest.last_chunk().unwrap_or(&[0; 8]);
    let [before, last] = [before, last].map(|word| u64::from_be_bytes(*word));
    let mut hash = SipHasher24::new_with_keys(before, last);
    for packet in frame.payload() {
        hash.write(&(packet.len() as u64).to_be_bytes());
    }
    hash.finish()
}
