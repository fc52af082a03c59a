//! Announcements: a large broadcast is offered before it is passed on, so that each node hears one copy.
//!
//! Owns what we offered and keep for whoever wants it, and what was offered to us and has not come. The author sends its
//! message to all its peers; a relay offers it to those of its peers that take part, and sends it to the others. Nothing
//! here knows what a message says. What cannot be kept is passed on at once, so that a full store costs copies, not
//! messages.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use smallvec::SmallVec;

use crate::mesh::connections::routing_table::Routing;
use crate::mesh::effect::{Effect, Effects, Targets};
use crate::mesh::input::{ConnId, Now};
use crate::mesh::machine::Mesh;
use crate::mesh::membership::capability::Verb;
use crate::mesh::token_bucket::TokenBucket;
use crate::wire::{Batch, Frame, Frames, Hold};

/// A node with fewer peers passes everything on at once: there is next to nothing to spare.
const MIN_PEERS: usize = 3;

/// Nobody offers smaller ones, whatever it is set to: an offer and its answer are some 600 bytes.
const SMALLEST: usize = 4 << 10;

/// Offered messages that are kept, their bytes, and for how long.
const MAX_KEPT: usize = 1024;
const STORE: usize = 8 << 20;
const KEPT: Duration = Duration::from_secs(10);

/// What is smaller is kept in a copy of its own.
const COPIED: usize = 256 << 10;

/// What is offered stays valid for so many seconds more at least.
const VALID: u64 = 5;

/// Messages that one peer may have offered and not sent.
const OFFERS_OF_ONE: usize = 1024;

/// Whoever was asked for a message has this time, and the longer the larger it is: a second for each so many bytes.
const PATIENCE: Duration = Duration::from_secs(2);
const BYTES_A_SECOND: u64 = 1 << 20;

/// What nobody sent is given up after this time.
const GIVEN_UP: Duration = Duration::from_secs(40);

/// Large messages that are known to have come, in each of two generations: the older one is forgotten when the younger
/// is full.
const GENERATION: usize = 8192;

/// Who did not send what it offered so often is asked last, until it has been quiet for this time.
const BROKEN_PROMISES: u8 = 3;
const FORGIVEN: Duration = Duration::from_secs(600);

/// Characters of an author's id.
const MAX_ID: usize = 128;

/// Bytes of an id that tell messages apart, and of the hash of the lengths of its packets.
const ID: usize = 24;
const LENGTHS: usize = 12;

/// What a message is called in announcements: the beginning of its id, its author, and a hash of the lengths of its
/// packets, which the id does not cover.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Name {
    id: String,
    author: String,
    lengths: String,
}

impl Name {
    fn of(frame: &Frame<'_>) -> Self {
        let id = frame.known_id();
        let mut lengths = Sha256::new();
        for packet in frame.payload() {
            lengths.update((packet.len() as u64).to_be_bytes());
        }
        let begin = |bytes: &[u8], count: usize| {
            URL_SAFE_NO_PAD.encode(bytes.get(..count).unwrap_or(bytes))
        };
        Self {
            id: begin(&id, ID),
            author: String::from_utf8_lossy(frame.sender()).into_owned(),
            lengths: begin(&lengths.finalize(), LENGTHS),
        }
    }

    fn text(&self) -> String {
        format!("{}.{}.{}", self.id, self.author, self.lengths)
    }

    /// No part is longer than it can be: names are kept.
    fn read(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, '.');
        let mut part = |longest: usize| {
            let part = parts.next().filter(|part| part.len() <= longest);
            part.map(str::to_owned)
        };
        Some(Self {
            id: part(ID * 4 / 3)?,
            author: part(MAX_ID)?,
            lengths: part(LENGTHS * 4 / 3)?,
        })
    }
}

/// A message that is to be offered, as announcements call it.
pub(in crate::mesh) struct Large {
    name: String,
    size: usize,
}

impl Large {
    pub(in crate::mesh) fn of(frame: &Frame<'_>) -> Self {
        Self {
            name: Name::of(frame).text(),
            size: frame.body.len(),
        }
    }
}

/// Kept without its permit, which belongs to what is being read. A small piece of a large buffer would keep all of it.
fn to_be_kept(frames: &Frames) -> Frames {
    let apart = |bytes: &Bytes| match bytes.len() < COPIED {
        true => Bytes::copy_from_slice(bytes),
        false => bytes.clone(),
    };
    let compressed = frames.compressed.as_ref();
    Frames {
        plain: apart(&frames.plain),
        compressed: compressed.map(|(method, bytes)| (*method, apart(bytes))),
        count: frames.count,
        compressible: frames.compressible,
        hold: Hold::none(),
    }
}

/// A message that we offered.
#[derive(Debug)]
struct Kept {
    frames: Frames,
    /// Who was offered it and has neither asked for it nor said that they have it.
    open: Targets,
    until: Duration,
}

impl Kept {
    fn cost(&self) -> usize {
        let compressed = self.frames.compressed.as_ref();
        self.frames.plain.len() + compressed.map_or(0, |(_, bytes)| bytes.len())
    }
}

/// A message that was offered to us and has not come.
#[derive(Debug)]
struct Offer {
    name: String,
    size: u64,
    /// Who offers it, in the order in which they are asked, and how many of them were.
    by: SmallVec<[ConnId; 4]>,
    asked: usize,
    /// The author is our peer, and sends it to us without being asked.
    awaits_author: bool,
    /// When the next is asked.
    until: Duration,
    since: Duration,
}

/// What was offered, by either side. Messages go by keyed digests of their names.
#[derive(Debug, Default)]
pub(in crate::mesh) struct Announcements {
    kept: BTreeMap<u64, Kept>,
    kept_bytes: usize,
    offers: BTreeMap<u64, Offer>,
    young: BTreeSet<u64>,
    old: BTreeSet<u64>,
}

/// How a peer takes part. Made when it first does.
#[derive(Debug)]
pub(in crate::mesh) struct AnnouncementLimits {
    /// What we may offer it: half of what it lets us.
    offered: TokenBucket,
    /// Messages that it offered and that have not come.
    open: usize,
    /// Times of late that it did not send what it had offered, and when that was.
    broken: u8,
    broken_at: Duration,
}

impl Default for AnnouncementLimits {
    fn default() -> Self {
        Self {
            offered: TokenBucket::new(1024.0, 1024.0),
            open: 0,
            broken: 0,
            broken_at: Duration::ZERO,
        }
    }
}

impl Announcements {
    fn knows(&self, name: u64) -> bool {
        self.young.contains(&name) || self.old.contains(&name)
    }

    fn know(&mut self, name: u64) {
        if self.young.len() >= GENERATION {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(name);
    }

    fn keep(&mut self, name: u64, kept: Kept) -> bool {
        let is_full = self.kept.len() >= MAX_KEPT || self.kept_bytes + kept.cost() > STORE;
        if is_full || self.kept.contains_key(&name) {
            return false;
        }
        self.kept_bytes += kept.cost();
        self.kept.insert(name, kept);
        true
    }

    /// A peer has it, or will have: what nobody else waits for need not be kept.
    fn settle(&mut self, name: u64, peer: ConnId) -> Option<Frames> {
        let kept = self.kept.get_mut(&name)?;
        let place = kept.open.iter().position(|conn| *conn == peer)?;
        kept.open.swap_remove(place);
        let frames = kept.frames.clone();
        if kept.open.is_empty() {
            self.forget(name);
        }
        Some(frames)
    }

    /// Messages that are kept, and their bytes.
    #[cfg(test)]
    pub(in crate::mesh) fn kept_for(&self) -> (usize, usize) {
        (self.kept.len(), self.kept_bytes)
    }

    /// Messages that were offered to us and have not come.
    #[cfg(test)]
    pub(in crate::mesh) fn offers_open(&self) -> usize {
        self.offers.len()
    }

    fn forget(&mut self, name: u64) {
        if let Some(kept) = self.kept.remove(&name) {
            self.kept_bytes -= kept.cost();
        }
    }
}

impl Mesh {
    /// Which of the frames to be passed on are offered first. None, nearly always.
    pub(in crate::mesh) fn large_of(
        &self,
        now: Now,
        batch: &Batch,
        picked: &[usize],
    ) -> Vec<usize> {
        let least = self.params.announce_from;
        let takes_part = self.takes_part() && least > 0 && self.routing.len() >= MIN_PEERS;
        if !takes_part || batch.cost() < least {
            return Vec::new();
        }
        let is_offered = |index: &&usize| {
            let frame = batch.get(**index);
            frame.is_ok_and(|frame| {
                let stays = frame.time() + self.params.window >= now.unix + VALID;
                stays && self.is_large(&frame)
            })
        };
        picked.iter().filter(is_offered).copied().collect()
    }

    fn takes_part(&self) -> bool {
        self.params.extensions && self.routing.has_extended()
    }

    /// As it is without compression, so that all nodes judge alike. Payload that is not text can go under two ids where the
    /// two languages disagree: it goes at once.
    fn is_large(&self, frame: &Frame<'_>) -> bool {
        let least = self.params.announce_from.max(SMALLEST);
        frame.body.len() >= least && frame.is_text()
    }

    /// Offers a message of another's to those of these peers that take part, and passes it on to the others.
    pub(in crate::mesh) fn pass_on_large(
        &mut self,
        now: Now,
        large: Large,
        frames: Frames,
        to: Targets,
        out: &mut Effects,
    ) {
        let Large { name, size } = large;
        let digest = self.key.digest(name.as_bytes());
        let (mut offered, mut at_once): (Targets, Targets) =
            to.into_iter().partition(|conn| self.may_offer(now, *conn));
        // Whoever offers it to us is told that we have it, and need not be sent it.
        let offer = self.announcements.offers.get(&digest);
        let has_it = |conn: &ConnId| offer.is_some_and(|offer| offer.by.contains(conn));
        let open: Targets = offered.iter().copied().filter(|it| !has_it(it)).collect();
        let kept = Kept {
            frames: to_be_kept(&frames),
            open: open.clone(),
            until: now.monotonic + KEPT,
        };
        if !open.is_empty() && !self.announcements.keep(digest, kept) {
            offered.retain(|conn| !open.contains(conn));
            at_once.extend(open);
        }
        if !at_once.is_empty() {
            let to = at_once;
            out.push(Effect::Transmit { to, frames });
        }
        if !offered.is_empty() {
            self.stats.announced += offered.len() as u64;
            let said = Bytes::from(format!("{name}.{size}"));
            self.extend_all(now, offered, Verb::Have, vec![said], out);
        }
    }

    /// Whether a peer takes part, and has room for another offer.
    fn may_offer(&mut self, now: Now, conn: ConnId) -> bool {
        if !self.is_extended(conn) {
            return false;
        }
        let entry = self.routing.get_mut(conn);
        let entry = entry.filter(|entry| !entry.duplicate);
        entry.is_some_and(|entry| {
            let limits = entry.limits().announcements.get_or_insert_default();
            limits.offered.spend(now.monotonic)
        })
    }

    /// A broadcast has come that others may offer, whatever this node is set to.
    pub(in crate::mesh) fn note_large(&mut self, frame: &Frame<'_>) {
        // What is not text may go under the id of a text.
        if frame.body.len() < SMALLEST || !self.takes_part() || !frame.is_text() {
            return;
        }
        let name = Name::of(frame).text();
        let digest = self.key.digest(name.as_bytes());
        self.announcements.know(digest);
    }

    /// A peer sends what we have: it need not be kept for it.
    pub(in crate::mesh) fn note_copy(&mut self, conn: ConnId, frame: &Frame<'_>) {
        let may_be_kept = frame.body.len() >= SMALLEST && !self.announcements.kept.is_empty();
        if may_be_kept && frame.is_text() {
            let digest = self.key.digest(Name::of(frame).text().as_bytes());
            self.announcements.settle(digest, conn);
        }
    }

    /// What has come need not be asked for any more. Apart from noting it, so that whoever offered it is known meanwhile.
    pub(in crate::mesh) fn drop_fetched(&mut self) {
        if self.announcements.offers.is_empty() {
            return;
        }
        let known = self.announcements.offers.keys().copied();
        let known: Vec<u64> = known.filter(|it| self.announcements.knows(*it)).collect();
        for name in known {
            self.drop_offer(name);
        }
    }

    fn drop_offer(&mut self, name: u64) {
        let Some(offer) = self.announcements.offers.remove(&name) else {
            return;
        };
        for conn in offer.by {
            if let Some(limits) = self.announcement_limits(conn) {
                limits.open = limits.open.saturating_sub(1);
            }
        }
    }

    fn announcement_limits(&mut self, conn: ConnId) -> Option<&mut AnnouncementLimits> {
        let limits = self.routing.get_mut(conn)?.limits();
        Some(limits.announcements.get_or_insert_default())
    }

    /// A peer has these messages, and sends them to us if we ask for them.
    pub(in crate::mesh) fn on_have(
        &mut self,
        now: Now,
        conn: ConnId,
        offered: &[Bytes],
        out: &mut Effects,
    ) {
        for said in offered {
            let said = std::str::from_utf8(said).ok();
            let said = said.and_then(|said| said.rsplit_once('.'));
            let read = said.and_then(|(name, size)| Some((Name::read(name)?, size.parse().ok()?)));
            let Some((name, size)) = read else {
                return self.malformed(now, conn, "an announcement", out);
            };
            self.on_offer(now, conn, &name, size, out);
        }
    }

    fn on_offer(&mut self, now: Now, conn: ConnId, name: &Name, size: u64, out: &mut Effects) {
        let text = name.text();
        let digest = self.key.digest(text.as_bytes());
        self.announcements.settle(digest, conn);
        let own = name.author.as_bytes() == self.me().as_bytes();
        let stays = self.routing.get(conn).is_some_and(|it| !it.duplicate);
        if own || !stays || self.announcements.knows(digest) {
            return;
        }
        let offer = self.announcements.offers.get(&digest);
        if offer.is_some_and(|offer| offer.by.contains(&conn)) {
            return;
        }
        let author = self.routing.conn_of_text(name.author.as_bytes());
        let awaits_author = author.is_some_and(|author| author != conn);
        let Some(limits) = self.announcement_limits(conn) else {
            return;
        };
        if limits.open >= OFFERS_OF_ONE {
            // Maybe because others keep us from what it offers: not its fault.
            self.stats.over_budget += 1;
            return;
        }
        limits.open += 1;
        let is_reliable =
            limits.broken < BROKEN_PROMISES || limits.broken_at + FORGIVEN <= now.monotonic;
        let largest = self.params.limits.frame as u64;
        let offer = self.announcements.offers.entry(digest);
        let offer = offer.or_insert_with(|| Offer {
            name: text,
            size: size.min(largest),
            by: SmallVec::new(),
            asked: 0,
            awaits_author,
            until: now.monotonic + PATIENCE,
            since: now.monotonic,
        });
        match is_reliable {
            true => offer.by.insert(offer.asked, conn),
            false => offer.by.push(conn),
        }
        if is_reliable && offer.asked == 0 && !offer.awaits_author {
            self.fetch(now, digest, out);
        }
    }

    /// Asks the next of those that offer a message; false if there is none left.
    fn fetch(&mut self, now: Now, name: u64, out: &mut Effects) -> bool {
        while let Some(offer) = self.announcements.offers.get_mut(&name) {
            let Some(conn) = offer.by.get(offer.asked).copied() else {
                return false;
            };
            offer.asked += 1;
            let takes = Duration::from_secs(offer.size / BYTES_A_SECOND);
            offer.until = now.monotonic + PATIENCE + takes;
            let said = vec![Bytes::from(offer.name.clone())];
            let stays = self.routing.get(conn).is_some_and(|it| !it.duplicate);
            if stays && self.extend(now, conn, Verb::Want, said, out) {
                return true;
            }
        }
        false
    }

    /// A peer asks for messages that we offered: it is sent each once.
    pub(in crate::mesh) fn on_want(&mut self, conn: ConnId, wanted: &[Bytes], out: &mut Effects) {
        for name in wanted {
            let digest = self.key.digest(name);
            let Some(frames) = self.announcements.settle(digest, conn) else {
                // It took too long, or was never offered.
                continue;
            };
            let to = Targets::from_elem(conn, 1);
            out.push(Effect::Transmit { to, frames });
        }
    }

    /// Lets go of what nobody asked for in time, and asks the next where the last has not sent.
    pub(in crate::mesh) fn mind_announcements(&mut self, now: Now, out: &mut Effects) {
        let kept = self.announcements.kept.iter();
        let over = kept.filter(|(_, kept)| kept.until <= now.monotonic);
        for name in over.map(|(name, _)| *name).collect::<Vec<_>>() {
            self.announcements.forget(name);
        }
        let offers = self.announcements.offers.iter();
        let due = offers.filter(|(_, offer)| offer.until <= now.monotonic);
        for name in due.map(|(name, _)| *name).collect::<Vec<_>>() {
            self.on_overdue(now, name, out);
        }
    }

    fn on_overdue(&mut self, now: Now, name: u64, out: &mut Effects) {
        let Some(offer) = self.announcements.offers.get(&name) else {
            return;
        };
        let since = offer.since;
        let last = offer.asked.checked_sub(1);
        let last = last.and_then(|at| offer.by.get(at)).copied();
        let is_over = since + GIVEN_UP <= now.monotonic;
        // Of many that offer it and mean no good, twice as many are asked each time: honest ones keep it only for a while.
        let twice = 1 + offer.asked;
        let asked = (0..twice).filter(|_| self.fetch(now, name, out)).count();
        if asked > 0 || is_over {
            self.note_broken_promise(now, last);
        }
        if is_over {
            self.stats.unfetched += 1;
            self.drop_offer(name);
        } else if let Some(offer) = self.announcements.offers.get_mut(&name)
            && offer.until <= now.monotonic
        {
            // It may be on its way yet, or somebody else may offer it.
            offer.until = now.monotonic + PATIENCE;
        }
    }

    fn note_broken_promise(&mut self, now: Now, by: Option<ConnId>) {
        let Some(limits) = by.and_then(|conn| self.announcement_limits(conn)) else {
            return;
        };
        limits.broken = match limits.broken_at + FORGIVEN <= now.monotonic {
            true => 1,
            false => limits.broken.saturating_add(1),
        };
        limits.broken_at = now.monotonic;
    }

    /// A link is gone: what was asked for on it is asked of others, and nothing is kept for it.
    pub(in crate::mesh) fn end_announcements(&mut self, now: Now, conn: ConnId, out: &mut Effects) {
        let kept = self.announcements.kept.iter();
        let kept = kept.filter(|(_, kept)| kept.open.contains(&conn));
        for name in kept.map(|(name, _)| *name).collect::<Vec<_>>() {
            self.announcements.settle(name, conn);
        }
        let routing = &self.routing;
        let offers = self.announcements.offers.iter();
        let concerned = offers.filter(|(_, offer)| {
            offer.by.contains(&conn) || offer.awaits_author && !is_connected(routing, &offer.name)
        });
        for name in concerned.map(|(name, _)| *name).collect::<Vec<_>>() {
            let Some(offer) = self.announcements.offers.get_mut(&name) else {
                continue;
            };
            let place = offer.by.iter().position(|it| *it == conn);
            let was_asked = place.is_some_and(|place| place + 1 == offer.asked);
            if let Some(place) = place {
                offer.by.remove(place);
                offer.asked -= usize::from(place < offer.asked);
            }
            let author_left = offer.awaits_author && !is_connected(&self.routing, &offer.name);
            offer.awaits_author &= !author_left;
            if offer.by.is_empty() {
                // Others offer it when they have it.
                self.drop_offer(name);
            } else if was_asked || author_left {
                self.fetch(now, name, out);
            }
        }
    }
}

/// Whether the author of the message of this name is a peer.
fn is_connected(routing: &Routing, name: &str) -> bool {
    let author = Name::read(name).map(|name| name.author);
    author.is_some_and(|author| routing.conn_of_text(author.as_bytes()).is_some())
}
