//! Streams: one author's messages, in the order in which this node accepted them.
//!
//! Owns their count, the sums by which two nodes compare what they have, and what is stored for the peers that have
//! asked not to be sent it. Knows neither the wire nor what a message says.
//!
//! Sums are keyed per connection: an attacker that withholds messages and forges others does not know which ones match
//! the sum.

use std::collections::VecDeque;
use std::time::Duration;

use smallvec::SmallVec;

use super::reliability::Reliability;
use crate::mesh::input::ConnId;
use crate::wire::Frames;

/// Digests kept after every peer has confirmed them: the maximum number of messages in flight while two nodes agree.
const RECENT: usize = 1024;

/// Messages that a peer sends this soon after it was asked not to may have been in flight. Later it is asked again, at
/// doubling intervals.
const ON_ITS_WAY: Duration = Duration::from_secs(2);

/// How many of a peer's reports are kept until we have as much as they say. A peer under load is often ahead of us; if
/// only its last report counted, none of them would ever be compared.
const REPORTS: usize = 4;

/// A peer that says it is ahead of us may leave messages unconfirmed this many times as long.
const AHEAD: u32 = 5;

/// How long a peer that did not confirm is not spared this author's messages: ten seconds, doubled each time, at most
/// `MAX_DOUBLED` times.
const REFUSED: Duration = Duration::from_secs(10);
const MAX_DOUBLED: u8 = 6;

/// The number of the author's messages since a peer was asked, and their sum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sum {
    pub(super) count: u64,
    pub(super) sum: u64,
}

impl Sum {
    /// Returns the sum with these messages added.
    fn with(self, key: u64, digests: impl Iterator<Item = u64>) -> Self {
        digests.fold(self, |sum, digest| Self {
            count: sum.count + 1,
            sum: sum.sum ^ keyed(key, digest),
        })
    }
}

/// Returns what a message adds to a connection's sums.
fn keyed(key: u64, digest: u64) -> u64 {
    let other = key.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let product = u128::from(digest ^ key) * u128::from(digest.rotate_left(32) ^ other);
    let [low, high] = [product & u128::from(u64::MAX), product >> 64];
    u64::try_from(low ^ high).unwrap_or_default()
}

/// A peer that we have asked not to send us this author's messages.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) conn: ConnId,
    /// The name both nodes use for this request.
    pub(super) handle: u32,
    pub(super) key: u64,
    /// What we have had since, and how much of it was reported to the peer.
    pub(super) have: Sum,
    pub(super) told: u64,
    at: Duration,
    /// How often it went on sending and was asked again.
    again: u8,
}

impl Asked {
    /// Whether the peer may not have read the request yet, or must not be asked again so soon.
    pub(super) fn is_recent(&self, now: Duration) -> bool {
        now < self.at + ON_ITS_WAY * (1 << self.again.min(MAX_DOUBLED))
    }

    /// Whether its messages may have been in flight when it was asked.
    pub(super) fn is_on_its_way(&self, now: Duration) -> bool {
        self.again == 0 && now < self.at + ON_ITS_WAY
    }

    /// Whether it complies, as far as that can be told.
    pub(super) fn is_heeded(&self, now: Duration) -> bool {
        self.again == 0 && self.at + ON_ITS_WAY <= now
    }
}

/// A peer that has asked us not to send it this author's messages.
#[derive(Clone, Debug)]
pub(super) struct Pruned {
    pub(super) conn: ConnId,
    pub(super) handle: u32,
    key: u64,
    /// The position after which it wants none.
    base: u64,
    /// The part of our messages that it has, too.
    confirmed: Sum,
    /// What it says it has, in reports that were not compared yet, oldest first.
    says: SmallVec<[Sum; 1]>,
    /// Its sum differed: it is not compared again at once.
    differs: bool,
    /// The confirmed count when last checked, and since when it has not grown.
    seen: u64,
    since: Duration,
}

impl Pruned {
    /// Notes a report. If too many wait, the newest replaces the one before it.
    fn note(&mut self, says: Sum) {
        self.says.retain(|earlier| earlier.count < says.count);
        self.says.truncate(REPORTS - 1);
        self.says.push(says);
    }

    /// Returns the newest report that needs no more messages than we have, and drops those before it.
    fn comparable(&mut self, end: u64) -> Option<Sum> {
        let base = self.base;
        let is_here = |says: &Sum| base.saturating_add(says.count) <= end;
        let last = self.says.iter().rposition(is_here)?;
        self.says.drain(..last);
        self.says.first().copied()
    }

    fn confirmed(&self) -> u64 {
        self.base.saturating_add(self.confirmed.count)
    }
}

/// A peer that did not confirm messages it had asked not to be sent.
#[derive(Clone, Copy, Debug)]
struct Refused {
    conn: ConnId,
    until: Duration,
    times: u8,
}

/// Messages that were not sent to every peer.
#[derive(Debug)]
struct Stored {
    /// The position after them.
    end: u64,
    /// The connection they came on; its peer needs none.
    source: ConnId,
    at: Duration,
    frames: Frames,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Stream {
    /// The digests of the last messages, and how many messages came before them.
    digests: VecDeque<u64>,
    before: u64,
    /// The connection on which the last new message came.
    pub(super) way: ConnId,
    pub(super) heard: Duration,
    pub(super) asked: SmallVec<[Asked; 4]>,
    pub(super) pruned: SmallVec<[Pruned; 4]>,
    refused: SmallVec<[Refused; 1]>,
    stored: VecDeque<Stored>,
    /// How reliable the way is.
    pub(super) reliability: Reliability,
    /// Bytes since the last report to peers.
    pub(super) untold: usize,
}

impl Stream {
    pub(super) fn new(way: ConnId, now: Duration) -> Self {
        Self {
            digests: VecDeque::new(),
            before: 0,
            way,
            heard: now,
            asked: SmallVec::new(),
            pruned: SmallVec::new(),
            refused: SmallVec::new(),
            stored: VecDeque::new(),
            reliability: Reliability::new(now),
            untold: 0,
        }
    }

    /// The number of remembered digests.
    pub(super) fn len(&self) -> usize {
        self.digests.len()
    }

    /// The number of messages so far.
    fn end(&self) -> u64 {
        self.before + self.digests.len() as u64
    }

    /// Returns the digests after that position; none if they are forgotten.
    fn digests_after(&self, position: u64) -> impl Iterator<Item = u64> {
        let skip = position.checked_sub(self.before);
        let skip = skip.and_then(|skip| usize::try_from(skip).ok());
        let skip = skip.unwrap_or(usize::MAX);
        self.digests.iter().skip(skip).copied()
    }

    /// Adds the author's next accepted message.
    pub(super) fn push(&mut self, digest: u64) {
        self.digests.push_back(digest);
        for asked in &mut self.asked {
            asked.have = asked.have.with(asked.key, std::iter::once(digest));
        }
    }

    /// Forgets the digests that no peer needs, except the last `most`.
    pub(super) fn trim(&mut self, most: usize) {
        let needed = self.pruned.iter().map(Pruned::confirmed).min();
        let most = most.min(RECENT);
        while self.digests.len() > most && needed.is_none_or(|needed| self.before < needed) {
            self.digests.pop_front();
            self.before += 1;
        }
    }

    /// Returns the position after the message of this digest, if it is recent.
    pub(super) fn after(&self, digest: u64) -> Option<u64> {
        let mut last = self.digests.iter().rev().take(RECENT);
        let back = last.position(|it| *it == digest)?;
        Some(self.end() - back as u64)
    }

    /// Notes that we asked a peer not to send what comes after that position.
    pub(super) fn ask(&mut self, conn: ConnId, handle: u32, key: u64, base: u64, now: Duration) {
        let before = self.take_asked(conn);
        self.asked.push(Asked {
            conn,
            handle,
            key,
            have: Sum::default().with(key, self.digests_after(base)),
            told: 0,
            at: now,
            again: before.map_or(0, |before| before.again.saturating_add(1)),
        });
    }

    /// Notes that a peer does not want what comes after that position.
    pub(super) fn prune(&mut self, conn: ConnId, handle: u32, key: u64, base: u64, now: Duration) {
        self.pruned.push(Pruned {
            conn,
            handle,
            key,
            base,
            confirmed: Sum::default(),
            says: SmallVec::new(),
            differs: false,
            seen: 0,
            since: now,
        });
    }

    /// Whether the peer recently failed to confirm messages it had asked not to be sent.
    pub(super) fn refuses(&self, conn: ConnId, now: Duration) -> bool {
        let refused = self.refused.iter().find(|it| it.conn == conn);
        refused.is_some_and(|it| now < it.until)
    }

    pub(super) fn refuse(&mut self, conn: ConnId, now: Duration) {
        let known = self.refused.iter().position(|it| it.conn == conn);
        let times = known.map_or(0, |at| self.refused.swap_remove(at).times);
        self.refused.push(Refused {
            conn,
            until: now + REFUSED * (1 << times.min(MAX_DOUBLED)),
            times: times.saturating_add(1),
        });
    }

    /// Stores the messages up to the end for the peers that are not sent them.
    pub(super) fn store(&mut self, frames: Frames, source: ConnId, now: Duration) {
        let end = self.end();
        self.stored.push_back(Stored {
            end,
            source,
            at: now,
            frames,
        });
    }

    /// Notes a peer's report: how many messages it has since it asked, and their sum.
    pub(super) fn confirm(&mut self, conn: ConnId, handle: u32, says: Sum) {
        let here = |it: &&mut Pruned| it.conn == conn && it.handle == handle;
        if let Some(pruned) = self.pruned.iter_mut().find(here) {
            pruned.note(says);
            self.compare();
        }
    }

    /// Compares the reports of peers with what we have, where we have as much.
    pub(super) fn compare(&mut self) {
        let end = self.end();
        for at in 0..self.pruned.len() {
            let pruned = &mut self.pruned[at];
            if pruned.differs || pruned.says.is_empty() {
                continue;
            }
            let Some(says) = pruned.comparable(end) else {
                continue;
            };
            let (key, before, position) = (pruned.key, pruned.confirmed, pruned.confirmed());
            let more = says.count.checked_sub(before.count);
            let sum = more.map(|more| {
                let digests = self.digests_after(position);
                before.with(
                    key,
                    digests.take(usize::try_from(more).unwrap_or(usize::MAX)),
                )
            });
            let pruned = &mut self.pruned[at];
            match sum {
                Some(sum) if sum != says => pruned.differs = true,
                _ => {
                    pruned.says.remove(0);
                    pruned.confirmed = sum.unwrap_or(before);
                }
            }
        }
        self.let_go();
    }

    /// Compares differing reports again: the missing messages may have come by now.
    pub(super) fn compare_again(&mut self) {
        self.pruned.iter_mut().for_each(|it| it.differs = false);
        self.compare();
    }

    /// Whether the peer still needs these messages stored.
    fn needs(pruned: &Pruned, stored: &Stored) -> bool {
        pruned.conn != stored.source && pruned.confirmed() < stored.end
    }

    /// Returns what is stored for the peer.
    fn needed_by(&self, pruned: &Pruned) -> impl Iterator<Item = &Stored> {
        let confirmed = pruned.confirmed();
        let skip = self.stored.partition_point(|it| it.end <= confirmed);
        let conn = pruned.conn;
        let rest = self.stored.iter().skip(skip);
        rest.filter(move |stored| stored.source != conn)
    }

    /// Drops what no peer needs stored.
    fn let_go(&mut self) {
        while let Some(oldest) = self.stored.front()
            && !self.pruned.iter().any(|it| Self::needs(it, oldest))
        {
            self.stored.pop_front();
        }
    }

    /// Returns the peers that have confirmed nothing for this long, nor what was stored for them before that. A peer
    /// that confirms late still gets the messages on another way: more copies would slow that down further.
    pub(super) fn overdue(&mut self, now: Duration, after: Duration) -> SmallVec<[ConnId; 4]> {
        for pruned in &mut self.pruned {
            if pruned.seen != pruned.confirmed.count {
                (pruned.seen, pruned.since) = (pruned.confirmed.count, now);
            }
        }
        let is_overdue = |it: &&Pruned| {
            // What it reports beyond what we have cannot be compared yet.
            let is_ahead = !it.differs && !it.says.is_empty();
            let after = if is_ahead { after * AHEAD } else { after };
            let is_over = |at: Duration| at + after <= now;
            let oldest = self.needed_by(it).next();
            is_over(it.since) && oldest.is_some_and(|stored| is_over(stored.at))
        };
        let overdue = self.pruned.iter().filter(is_overdue);
        overdue.map(|it| it.conn).collect()
    }

    /// Ends a peer's request, and returns what it has not confirmed, in order.
    pub(super) fn graft(&mut self, conn: ConnId) -> Option<(u32, Vec<Frames>)> {
        let at = self.pruned.iter().position(|it| it.conn == conn)?;
        let pruned = self.pruned.swap_remove(at);
        let missing = self.needed_by(&pruned);
        let missing = missing.map(|it| it.frames.clone()).collect();
        self.let_go();
        Some((pruned.handle, missing))
    }

    /// Removes a peer from those we have asked.
    pub(super) fn take_asked(&mut self, conn: ConnId) -> Option<Asked> {
        let at = self.asked.iter().position(|it| it.conn == conn)?;
        Some(self.asked.swap_remove(at))
    }

    /// Whether the stream holds nothing but digests.
    pub(super) fn is_free(&self, now: Duration) -> bool {
        self.asked.is_empty()
            && self.pruned.is_empty()
            && self.refused.iter().all(|it| it.until <= now)
            && !self.reliability.is_unreliable(now)
    }

    /// Forgets refusals on a connection.
    pub(super) fn forget(&mut self, conn: ConnId) {
        self.refused.retain(|it| it.conn != conn);
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    const PEER: ConnId = ConnId(1);
    const OTHER: ConnId = ConnId(2);
    const SOURCE: ConnId = ConnId(9);
    const KEY: u64 = 0x1234_5678_9abc_def1;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn stream(digests: &[u64]) -> Stream {
        let mut stream = Stream::new(SOURCE, at(0));
        digests.iter().for_each(|digest| stream.push(*digest));
        stream
    }

    fn hear(stream: &mut Stream, digest: u64, seconds: u64) {
        stream.push(digest);
        let frames = Frames::single(Bytes::copy_from_slice(&digest.to_be_bytes()));
        stream.store(frames, SOURCE, at(seconds));
        stream.compare();
    }

    fn missing(stream: &mut Stream, conn: ConnId) -> Vec<u64> {
        let (_, frames) = stream.graft(conn).unwrap();
        let number = |frames: &Frames| u64::from_be_bytes(frames.plain[..].try_into().unwrap());
        frames.iter().map(number).collect()
    }

    fn sum(digests: &[u64]) -> Sum {
        Sum::default().with(KEY, digests.iter().copied())
    }

    /// Returns a stream with a peer that wants nothing after 5.
    fn pruned() -> Stream {
        let mut stream = stream(&[4, 5]);
        let base = stream.after(5).unwrap();
        stream.prune(PEER, 1, KEY, base, at(0));
        stream
    }

    #[test]
    fn two_nodes_that_have_the_same_have_the_same_sums() {
        let mut here = stream(&[1, 2, 3, 4, 5, 6]);
        let base = here.after(5).unwrap();
        here.ask(PEER, 1, KEY, base, at(0));
        here.push(7);
        assert_eq!(here.asked[0].have, sum(&[6, 7]));
        assert_eq!(here.after(8), None);
        let mut there = pruned();
        [6, 7]
            .iter()
            .for_each(|digest| hear(&mut there, *digest, 1));
        there.confirm(PEER, 1, here.asked[0].have);
        assert!(there.stored.is_empty());
    }

    #[test]
    fn a_sum_tells_which_messages_they_are_to_who_knows_the_key() {
        assert_ne!(sum(&[6, 7]).sum, sum(&[6, 8]).sum);
        assert_ne!(
            sum(&[6]).sum,
            Sum::default().with(KEY + 1, [6].into_iter()).sum
        );
        // Digests whose XOR is zero do not cancel out in a keyed sum.
        assert_ne!(sum(&[1, 2, 4, 7]).sum, 0);
        assert_ne!(sum(&[1, 2, 3]).sum, 0);
    }

    #[test]
    fn what_is_confirmed_is_let_go_and_the_rest_is_given_back_in_order() {
        let mut stream = pruned();
        (6..10).for_each(|digest| hear(&mut stream, digest, digest));
        stream.confirm(PEER, 1, sum(&[6, 7]));
        stream.confirm(PEER, 1, sum(&[6]));
        assert_eq!(stream.stored.len(), 2);
        assert!(stream.overdue(at(9), at(2)).is_empty());
        stream.confirm(PEER, 1, sum(&[6, 7]));
        assert!(stream.overdue(at(10), at(2)).is_empty(), "it had confirmed");
        assert_eq!(stream.overdue(at(11), at(2))[..], [PEER]);
        assert_eq!(missing(&mut stream, PEER), [8, 9]);
        assert!(stream.stored.is_empty());
    }

    #[test]
    fn who_has_other_messages_has_confirmed_none_until_it_has_the_same() {
        let mut stream = pruned();
        [6, 7]
            .iter()
            .for_each(|digest| hear(&mut stream, *digest, 6));
        stream.confirm(PEER, 1, sum(&[6, 8]));
        stream.confirm(PEER, 2, sum(&[6, 7]));
        stream.confirm(OTHER, 1, sum(&[6, 7]));
        stream.compare_again();
        assert_eq!(stream.stored.len(), 2);
        // It is not compared again on each report.
        stream.confirm(PEER, 1, sum(&[6, 8]));
        stream.confirm(PEER, 1, sum(&[7, 6]));
        assert_eq!(stream.stored.len(), 2);
        stream.compare_again();
        assert!(stream.stored.is_empty());
    }

    #[test]
    fn who_is_ahead_has_confirmed_what_we_hear_later() {
        let mut stream = pruned();
        stream.confirm(PEER, 1, sum(&[6, 7]));
        hear(&mut stream, 6, 6);
        assert_eq!(stream.stored.len(), 1);
        hear(&mut stream, 7, 7);
        assert!(stream.stored.is_empty());
        let absurd = Sum {
            count: u64::MAX,
            sum: 1,
        };
        stream.confirm(PEER, 1, absurd);
        hear(&mut stream, 8, 8);
        assert_eq!(missing(&mut stream, PEER), [8]);
    }

    #[test]
    fn who_is_ahead_with_each_report_confirms_all_the_same() {
        let mut stream = pruned();
        let all: Vec<u64> = (6..1000).collect();
        for at in 0..all.len() - 10 {
            // Each report is of more than we have, and newer than the one before.
            stream.confirm(PEER, 1, sum(&all[..at + 10]));
            hear(&mut stream, all[at], 1);
            assert!(
                stream.stored.len() < 10,
                "{} are stored",
                stream.stored.len()
            );
            assert!(stream.pruned[0].says.len() <= REPORTS);
        }
    }

    #[test]
    fn who_is_ahead_is_overdue_later() {
        let mut stream = pruned();
        hear(&mut stream, 6, 6);
        stream.confirm(PEER, 1, sum(&[6, 7]));
        assert!(stream.overdue(at(6), at(2)).is_empty());
        assert!(stream.overdue(at(15), at(2)).is_empty());
        assert_eq!(stream.overdue(at(16), at(2))[..], [PEER]);
        // A report that differs is no excuse.
        stream.confirm(PEER, 1, sum(&[9]));
        assert_eq!(stream.overdue(at(9), at(2))[..], [PEER]);
    }

    #[test]
    fn each_peer_is_stored_what_it_has_not_and_none_what_it_sent() {
        let mut stream = pruned();
        let base = stream.after(5).unwrap();
        stream.prune(OTHER, 2, KEY, base, at(0));
        stream.prune(SOURCE, 3, KEY, base, at(0));
        hear(&mut stream, 6, 6);
        stream.confirm(PEER, 1, sum(&[6]));
        assert!(missing(&mut stream, SOURCE).is_empty());
        assert_eq!(stream.stored.len(), 1);
        assert_eq!(missing(&mut stream, OTHER), [6]);
        assert!(stream.stored.is_empty());
    }

    #[test]
    fn digests_are_bounded_but_for_what_is_not_confirmed() {
        let mut stream = stream(&[]);
        for digest in 0..5000 {
            stream.push(digest);
            stream.trim(usize::MAX);
        }
        assert_eq!(stream.len(), RECENT);
        stream.prune(PEER, 1, KEY, stream.end(), at(0));
        for digest in 0..5000 {
            hear(&mut stream, digest, 1);
            stream.trim(64);
        }
        assert_eq!(stream.len(), 5000);
        stream.confirm(PEER, 1, sum(&(0..4000).collect::<Vec<_>>()));
        stream.trim(64);
        assert_eq!(stream.len(), 1000);
        assert_eq!(missing(&mut stream, PEER).len(), 1000);
        stream.trim(64);
        assert_eq!(stream.len(), 64);
    }

    #[test]
    fn who_does_not_confirm_is_refused_longer_each_time() {
        let mut stream = stream(&[]);
        stream.refuse(PEER, at(100));
        assert!(stream.refuses(PEER, at(109)) && !stream.refuses(PEER, at(110)));
        assert!(!stream.refuses(OTHER, at(100)) && !stream.is_free(at(109)));
        stream.refuse(PEER, at(110));
        assert!(stream.refuses(PEER, at(129)) && !stream.refuses(PEER, at(130)));
        (0..100).for_each(|_| stream.refuse(PEER, at(130)));
        assert!(!stream.refuses(PEER, at(130 + 640)));
    }
}
