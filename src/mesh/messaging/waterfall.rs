//! The waterfall cache: which broadcasts were seen, for as long as they are accepted.
//!
//! Owns the memory of fingerprints, by the second each message is stamped with. A message carries its second, so a
//! look-up touches one second's tables, and an expired second is dropped as a whole. It knows nothing of peers, and
//! reads no clock.

use std::collections::{HashSet, VecDeque};
use std::hash::{Hash, Hasher};

use crate::wire::Fingerprint;

/// Tables per second: each grows separately, so no insertion rehashes a whole second.
const SHARDS: usize = 32;

/// Stamps further ahead than this do not come from a clock that is slightly off.
const AHEAD: u64 = 2;
/// Such stamps may fill one part in this many of the cache: they evict stamps of correct clocks.
const AHEAD_SHARE: usize = 8;
/// Seconds after which an evicted second is closed.
const GRACE: u64 = 1;

/// What is known of a fingerprint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// Not seen.
    Fresh,
    /// The very same message: same id, author and packet boundaries.
    Same,
    /// Another message under the same id: another author, or other packet boundaries.
    Twin,
}

/// A fingerprint in eight bytes: 40 bits of the id's digest, which is the key, and 24 of the rest. Both are keyed
/// hashes. Among a million others of its second, a fresh message is mistaken for a seen one once in 2^49, and its id
/// for a taken one once in 2^25. Nobody without the key can influence that.
#[derive(Clone, Copy)]
struct Mark(u64);

const STRICT: u32 = 24;

impl Mark {
    fn of(fingerprint: Fingerprint) -> Self {
        Self(fingerprint.id << STRICT | fingerprint.strict >> (u64::BITS - STRICT))
    }

    fn id(self) -> u64 {
        self.0 >> STRICT
    }
}

/// Compares ids only.
impl PartialEq for Mark {
    fn eq(&self, other: &Self) -> bool {
        self.id() == other.id()
    }
}

impl Eq for Mark {}

impl Hash for Mark {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.id());
    }
}

/// Passes marks through: they are keyed hashes already.
#[derive(Default)]
struct Keyed(u64);

impl Hasher for Keyed {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(byte);
        }
    }
    /// Fills the lowest and the highest bits: tables use both.
    fn write_u64(&mut self, id: u64) {
        self.0 = id | id << STRICT;
    }
}

#[expect(
    clippy::disallowed_types,
    reason = "what it hashes are claims, digested under a key that the node draws at its start"
)]
type Table = HashSet<Mark, std::hash::BuildHasherDefault<Keyed>>;

/// Fingerprints seen with one second's stamp.
#[derive(Default)]
struct Second {
    shards: [Table; SHARDS],
    /// Fingerprints whose id was taken by another message.
    twins: HashSet<(u64, u64)>,
    entries: usize,
    /// Expected number of entries, as far as it can be estimated.
    expected: usize,
}

impl Second {
    /// Creates a second for about this many entries. Reserving saves a third of the cost of an insertion.
    fn sized(expected: usize) -> Box<Self> {
        Box::new(Self {
            expected,
            ..Self::default()
        })
    }

    #[inline]
    fn look(&self, fingerprint: Fingerprint) -> Seen {
        let mark = Mark::of(fingerprint);
        match self.shards[shard(fingerprint.id)].get(&mark) {
            None => Seen::Fresh,
            Some(seen) if seen.0 == mark.0 => Seen::Same,
            Some(_) => self.look_among_twins(fingerprint),
        }
    }

    #[cold]
    fn look_among_twins(&self, fingerprint: Fingerprint) -> Seen {
        if self.twins.contains(&(fingerprint.id, fingerprint.strict)) {
            Seen::Same
        } else {
            Seen::Twin
        }
    }

    #[inline]
    fn remember(&mut self, fingerprint: Fingerprint) -> Seen {
        let shard = &mut self.shards[shard(fingerprint.id)];
        if shard.is_empty() {
            make_room(shard, self.expected / SHARDS);
        }
        if shard.insert(Mark::of(fingerprint)) {
            self.entries += 1;
            return Seen::Fresh;
        }
        self.remember_again(fingerprint)
    }

    /// Remembers a fingerprint whose id is taken.
    #[cold]
    fn remember_again(&mut self, fingerprint: Fingerprint) -> Seen {
        let seen = self.look(fingerprint);
        if seen == Seen::Twin {
            self.twins.insert((fingerprint.id, fingerprint.strict));
            self.entries += 1;
        }
        seen
    }
}

/// Kept out of the hot path.
#[cold]
fn make_room(shard: &mut Table, expected: usize) {
    shard.reserve(expected);
}

/// Selects a table by bits that are not in the mark.
fn shard(id: u64) -> usize {
    usize::from(id.to_le_bytes()[7]) % SHARDS
}

/// See the module.
pub(crate) struct Waterfall {
    seconds: VecDeque<Option<Box<Second>>>,
    /// Tables of forgotten seconds. Freeing a whole second takes long, so they are freed a few at a time.
    spent: Vec<Table>,
    /// The stamp of `seconds[0]`.
    first: u64,
    entries: usize,
    capacity: usize,
    /// Maximum distance of an accepted stamp from now, on either side.
    window: u64,
    evicted: u64,
    /// Stamps up to this one were evicted and are refused: a duplicate could not be told from a new message.
    closed: Option<u64>,
    /// Becomes `closed` once these seconds are over: the current second is not refused for its rate.
    to_close: Option<u64>,
}

impl std::fmt::Debug for Waterfall {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Waterfall")
            .field("entries", &self.entries)
            .finish_non_exhaustive()
    }
}

impl Waterfall {
    pub(crate) fn new(window: u64, capacity: usize) -> Self {
        Self {
            seconds: VecDeque::new(),
            spent: Vec::new(),
            first: 0,
            entries: 0,
            capacity: capacity.max(1),
            window,
            evicted: 0,
            closed: None,
            to_close: None,
        }
    }

    /// Whether a message stamped `time` is too old to be accepted.
    pub(crate) fn expired(&self, unix: u64, time: u64) -> bool {
        time.saturating_add(self.window) < unix
    }

    /// Whether a message stamped `time` lies too far in the future: its second would have to be kept too long.
    pub(crate) fn premature(&self, unix: u64, time: u64) -> bool {
        unix.saturating_add(self.window) < time
    }

    /// Whether the second of that stamp was evicted because the cache was full.
    pub(crate) fn closed(&self, time: u64) -> bool {
        self.closed.is_some_and(|closed| time <= closed)
    }

    /// Whether this stamp lies ahead, and such stamps have used up their share of the cache.
    pub(crate) fn crowded_ahead(&self, unix: u64, time: u64) -> bool {
        let ahead = unix.saturating_add(AHEAD);
        time > ahead && {
            let skip = usize::try_from(ahead.saturating_add(1).saturating_sub(self.first));
            let seconds = self.seconds.iter().skip(skip.unwrap_or(usize::MAX));
            let entries: usize = seconds.flatten().map(|second| second.entries).sum();
            entries >= self.capacity / AHEAD_SHARE
        }
    }

    /// Returns what is known of a fingerprint stamped `time`.
    #[inline]
    pub(crate) fn look(&self, time: u64, fingerprint: Fingerprint) -> Seen {
        self.second(time)
            .map_or(Seen::Fresh, |second| second.look(fingerprint))
    }

    /// Remembers a fingerprint, and returns what was known of it before.
    ///
    /// `time` must have been found neither expired nor premature: this bounds the seconds kept.
    pub(crate) fn remember(&mut self, unix: u64, time: u64, fingerprint: Fingerprint) -> Seen {
        self.make_ready(unix, time);
        let second = self.second_mut(time);
        let seen = second.map_or(Seen::Fresh, |second| second.remember(fingerprint));
        self.entries += usize::from(seen != Seen::Same);
        seen
    }

    /// Remembers fingerprints as [`remember`](Self::remember) would one after the other. In a tight loop their cache
    /// misses overlap.
    pub(crate) fn remember_all(
        &mut self,
        unix: u64,
        fingerprints: &[(u64, Fingerprint)],
    ) -> Vec<Seen> {
        let mut seen = Vec::with_capacity(fingerprints.len());
        for mut rest in fingerprints.chunk_by(|before, next| before.0 == next.0) {
            while let Some(&(time, _)) = rest.first() {
                self.make_ready(unix, time);
                let room = self.capacity.saturating_sub(self.entries).max(1);
                let (now, later) = rest.split_at(room.min(rest.len()));
                if let Some(second) = self.second_mut(time) {
                    let before = second.entries;
                    seen.extend(
                        now.iter()
                            .map(|(_, fingerprint)| second.remember(*fingerprint)),
                    );
                    let added = second.entries - before;
                    self.entries += added;
                }
                rest = later;
            }
        }
        seen
    }

    /// Makes room for a fingerprint stamped `time`, and creates its second.
    fn make_ready(&mut self, unix: u64, time: u64) {
        self.forget(unix);
        let mut evicted = 0;
        if self.entries >= self.capacity {
            evicted = self.evict_oldest(unix);
        }
        if self.second(time).is_none() {
            self.begin_second(time, evicted);
        }
    }

    /// Forgets every second that has expired.
    pub(crate) fn forget(&mut self, unix: u64) {
        // Frees an eighth of the tables, at least one. Called once a second, this keeps at most eight seconds' worth.
        let left = self.spent.len();
        self.spent.truncate(left - left.div_ceil(8));
        while !self.seconds.is_empty() && self.expired(unix, self.first) {
            self.forget_oldest();
        }
        if self.to_close.is_some_and(|time| is_over(unix, time)) {
            self.closed = self.closed.max(self.to_close.take());
        }
        // The clock was set back: these seconds have not come yet.
        if self.closed.is_some_and(|time| self.premature(unix, time)) {
            self.closed = None;
        }
    }

    /// Forgets the oldest second, and returns the number of its fingerprints.
    fn forget_oldest(&mut self) -> usize {
        self.first = self.first.saturating_add(1);
        let Some(Some(second)) = self.seconds.pop_front() else {
            return 0;
        };
        let tables = second.shards.into_iter();
        self.spent.extend(tables.filter(|table| !table.is_empty()));
        self.entries -= second.entries;
        second.entries
    }

    /// The number of remembered fingerprints.
    pub(crate) fn len(&self) -> usize {
        self.entries
    }

    /// The number of fingerprints evicted because the cache was full.
    pub(crate) fn evicted(&self) -> u64 {
        self.evicted
    }

    fn second(&self, time: u64) -> Option<&Second> {
        let index = usize::try_from(time.checked_sub(self.first)?).ok()?;
        self.seconds.get(index)?.as_deref()
    }

    fn second_mut(&mut self, time: u64) -> Option<&mut Second> {
        let index = usize::try_from(time.checked_sub(self.first)?).ok()?;
        self.seconds.get_mut(index)?.as_deref_mut()
    }

    /// Creates a second for its first fingerprint; `evicted`: fingerprints just evicted for it.
    fn begin_second(&mut self, time: u64, evicted: usize) {
        self.reach(time);
        let index = usize::try_from(time - self.first).unwrap_or(0);
        // A second resembles the one before it; after an eviction, it resembles the evicted one. Never reserves more
        // than the free capacity.
        let before = index
            .checked_sub(1)
            .and_then(|before| self.seconds[before].as_ref());
        let free = self.capacity.saturating_sub(self.entries);
        let expected = before.map_or(evicted, |before| before.entries).min(free);
        let mut second = Second::sized(expected);
        // Spent tables are freed late: allocating others meanwhile would hold the memory of both.
        let like_it = expected / SHARDS / 2..=expected / SHARDS * 2;
        for shard in &mut second.shards {
            let spent = &mut self.spent;
            let Some(mut table) = spent.pop_if(|table| like_it.contains(&table.capacity())) else {
                break;
            };
            table.clear();
            *shard = table;
        }
        self.seconds[index].get_or_insert(second);
    }

    /// Extends the row of seconds to include `time`, which lies near now: the row stays short.
    fn reach(&mut self, time: u64) {
        let span = 2 * self.window + 1;
        let newest = self.first.saturating_add(self.seconds.len() as u64);
        let far = newest.saturating_add(span) < time || time.saturating_add(span) < self.first;
        if self.seconds.is_empty() || far {
            // The first message, or the clock has jumped.
            self.seconds.clear();
            self.entries = 0;
            self.first = time;
        }
        while time < self.first {
            self.seconds.push_front(None);
            self.first -= 1;
        }
        while time - self.first >= self.seconds.len() as u64 {
            self.seconds.push_back(None);
        }
    }

    /// Evicts the oldest second that has fingerprints, and returns their number.
    fn evict_oldest(&mut self, unix: u64) -> usize {
        let mut evicted = 0;
        let mut time = self.first;
        while evicted == 0 && !self.seconds.is_empty() {
            time = self.first;
            evicted = self.forget_oldest();
        }
        if evicted > 0 {
            self.evicted += evicted as u64;
            match is_over(unix, time) {
                true => self.closed = self.closed.max(Some(time)),
                false => self.to_close = self.to_close.max(Some(time)),
            }
        }
        evicted
    }
}

/// Whether messages stamped with that second have had time to arrive.
fn is_over(unix: u64, time: u64) -> bool {
    time.saturating_add(GRACE) < unix
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fingerprint(id: u64, strict: u64) -> Fingerprint {
        let strict = spread(strict);
        Fingerprint { id, strict }
    }

    fn spread(n: u64) -> u64 {
        n.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    #[test]
    fn the_same_claim_is_fresh_once() {
        let mut cache = Waterfall::new(60, 1000);
        assert_eq!(cache.remember(100, 100, fingerprint(7, 1)), Seen::Fresh);
        assert_eq!(cache.look(100, fingerprint(7, 1)), Seen::Same);
        assert_eq!(cache.remember(160, 100, fingerprint(7, 1)), Seen::Same);
    }

    #[test]
    fn two_authors_of_one_id_are_twins_and_both_remembered() {
        let mut cache = Waterfall::new(60, 1000);
        cache.remember(100, 100, fingerprint(7, 1));
        assert_eq!(cache.remember(100, 100, fingerprint(7, 2)), Seen::Twin);
        assert_eq!(cache.look(100, fingerprint(7, 2)), Seen::Same);
        assert_eq!(cache.look(100, fingerprint(7, 3)), Seen::Twin);
    }

    #[test]
    fn a_claim_is_kept_until_its_own_second_expires() {
        let mut cache = Waterfall::new(60, 1000);
        cache.remember(100, 160, fingerprint(1, 1)); // as far in the future as is accepted
        cache.remember(100, 40, fingerprint(2, 2)); // as old as is accepted
        cache.forget(101);
        assert_eq!(cache.len(), 1);
        cache.forget(220);
        assert_eq!(cache.look(160, fingerprint(1, 1)), Seen::Same);
        cache.forget(221);
        assert_eq!(cache.len(), 0);
        assert!(cache.expired(221, 160) && !cache.expired(220, 160));
    }

    #[test]
    fn t26_a_second_that_was_forgotten_before_its_time_is_closed() {
        let mut cache = Waterfall::new(60, 100);
        for n in 0..100 {
            cache.remember(1000, 990, fingerprint(n, n));
        }
        assert!(!cache.closed(990));
        cache.remember(1000, 1000, fingerprint(200, 200));
        assert!(cache.closed(990) && cache.closed(980) && !cache.closed(991));
        cache.forget(1061);
        assert!(cache.expired(1061, 990));
    }

    #[test]
    fn t26_a_second_that_goes_on_is_closed_once_it_is_over() {
        let mut cache = Waterfall::new(60, 100);
        for n in 0..250 {
            cache.remember(1000, 1000, fingerprint(n, n));
        }
        assert!(
            !cache.closed(1000),
            "its rate is too high, and it is not over"
        );
        cache.forget(1001);
        assert!(!cache.closed(1000));
        cache.forget(1002);
        assert!(cache.closed(1000) && !cache.closed(1001));
    }

    #[test]
    fn t26_stamps_ahead_have_a_share_and_push_out_nobody_else() {
        let mut cache = Waterfall::new(60, 800);
        cache.remember(1000, 1000, fingerprint(1, 1));
        let mut taken = 0;
        for n in 0..10_000 {
            let time = 1003 + n % 57;
            if !cache.crowded_ahead(1000, time) {
                cache.remember(1000, time, fingerprint(10 + n, n));
                taken += 1;
            }
        }
        assert_eq!(taken, 100);
        assert_eq!(cache.look(1000, fingerprint(1, 1)), Seen::Same);
        assert!(
            !cache.crowded_ahead(1000, 1002),
            "a clock may be a little off"
        );
        assert!(
            !cache.crowded_ahead(1056, 1059),
            "what was ahead is not for ever"
        );
    }

    #[test]
    fn a_clock_that_is_set_back_closes_nothing_for_ever() {
        let mut cache = Waterfall::new(60, 1);
        cache.remember(5000, 4990, fingerprint(1, 1));
        cache.remember(5000, 5000, fingerprint(2, 2));
        assert!(cache.closed(4990));
        cache.forget(1000);
        assert!(!cache.closed(1000));
    }

    #[test]
    fn a_full_cache_forgets_its_oldest_second_first() {
        let mut cache = Waterfall::new(60, 100);
        for n in 0..100 {
            cache.remember(100, 50 + n % 10, fingerprint(spread(n), n));
        }
        assert_eq!(
            cache.remember(100, 100, fingerprint(spread(1000), 0)),
            Seen::Fresh
        );
        assert_eq!((cache.len(), cache.evicted()), (91, 10));
        assert_eq!(cache.look(50, fingerprint(spread(0), 0)), Seen::Fresh);
        assert_eq!(cache.look(51, fingerprint(spread(1), 1)), Seen::Same);
    }

    #[test]
    fn memory_is_given_back_even_if_many_come_at_once_and_seldom() {
        let mut cache = Waterfall::new(60, 1_000_000);
        for time in 0..300_u64 {
            // Consecutive seconds differ in size, so no table is reused.
            let count = if time % 2 == 0 { 100 } else { 10_000 };
            let fingerprints: Vec<_> = (0..count)
                .map(|n| (time, fingerprint(spread(time * 10_000 + n), n)))
                .collect();
            let seen = cache.remember_all(time, &fingerprints);
            assert!(seen.iter().all(|seen| *seen == Seen::Fresh));
            assert!(cache.spent.len() <= 8 * SHARDS, "{}", cache.spent.len());
        }
        for time in 300..400 {
            cache.forget(time);
            assert!(cache.spent.len() <= 8 * SHARDS, "{}", cache.spent.len());
        }
        assert_eq!((cache.len(), cache.spent.len()), (0, 0));
    }

    #[test]
    fn many_at_once_are_remembered_as_one_by_one() {
        let (mut at_once, mut alone) = (Waterfall::new(60, 50), Waterfall::new(60, 50));
        for round in 0..20 {
            let fingerprints: Vec<_> = (0..30)
                .map(|n| {
                    (
                        100 + n % 3 + round,
                        fingerprint(spread((n * n + round) % 40), n % 2),
                    )
                })
                .collect();
            let one_by_one = fingerprints
                .iter()
                .map(|&(time, fingerprint)| alone.remember(120, time, fingerprint));
            let one_by_one: Vec<_> = one_by_one.collect();
            assert_eq!(at_once.remember_all(120, &fingerprints), one_by_one);
            assert_eq!(
                (at_once.len(), at_once.evicted()),
                (alone.len(), alone.evicted())
            );
        }
        assert!(alone.evicted() > 0);
    }

    /// Fingerprints that all tables have room for, spent ones included.
    fn room(cache: &Waterfall) -> usize {
        let seconds = cache.seconds.iter().flatten();
        let tables = seconds.flat_map(|second| &second.shards);
        tables.chain(&cache.spent).map(Table::capacity).sum()
    }

    #[test]
    fn a_full_cache_begins_anew_in_the_memory_it_had() {
        const MANY: usize = 64 * SHARDS;
        let mut cache = Waterfall::new(60, MANY);
        let mut before = 0;
        for n in 0..10 * MANY as u64 {
            let evicted = cache.evicted();
            cache.remember(7, 7, fingerprint(spread(n), n));
            if cache.evicted() > evicted {
                assert_eq!(cache.len(), 1);
                assert_eq!((room(&cache), cache.spent.len()), (before, 0));
            }
            before = room(&cache);
        }
        assert_eq!(cache.evicted(), 9 * MANY as u64);
    }

    /// In all these streams the tables have room for at most 2.5 fingerprints for each of the capacity.
    #[test]
    fn memory_is_bounded_however_the_seconds_differ() {
        const MANY: u32 = 50_000;
        let many = u64::from(MANY);
        let crowded_and_quiet = |time: u64| if time.is_multiple_of(2) { 1600 } else { 40 };
        let streams: [&dyn Fn(u64) -> u64; 5] = [
            &|_| 833,
            &|_| many / 2,
            &crowded_and_quiet,
            &|time| time * 30,
            &|time| if time.is_multiple_of(40) { many } else { 40 },
        ];
        for (number, stream) in streams.iter().enumerate() {
            let mut cache = Waterfall::new(60, MANY as usize);
            let mut most = 0;
            for time in 0..150 {
                cache.forget(time);
                let fingerprints =
                    (0..stream(time)).map(|n| (time, fingerprint(spread(time << 20 | n), n)));
                for burst in fingerprints.collect::<Vec<_>>().chunks(300) {
                    cache.remember_all(time, burst);
                    most = most.max(room(&cache));
                }
            }
            println!("stream {number}: room for {most}");
            assert!(most <= MANY as usize * 5 / 2, "stream {number}: {most}");
        }
    }

    #[test]
    fn a_clock_that_jumps_does_not_grow_the_row_of_seconds() {
        let mut cache = Waterfall::new(60, 1000);
        for (n, unix) in [0, 5_000_000, 100, u64::MAX, 61, 1_000_000_000_000]
            .into_iter()
            .enumerate()
        {
            cache.remember(unix, unix, fingerprint(spread(n as u64), 0));
            assert!(
                cache.seconds.len() <= 2 * 121 + 1,
                "{}",
                cache.seconds.len()
            );
        }
    }
}
