//! The waterfall cache: which broadcasts were seen, for as long as they are accepted.
//!
//! Owns the memory of fingerprints, by the second each message is stamped with. A message carries its second, so a
//! look-up touches one second's tables, and an expired second is dropped as a whole. A second that is dropped early is
//! closed: its stamps are refused, so that nothing is taken for new twice. It reads no clock, and of peers knows only
//! who brought stamps that lie ahead.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::hash::{Hash, Hasher};

use crate::wire::{Fingerprint, NodeId};

/// Tables per second: each grows separately, so no insertion rehashes a whole second.
const SHARDS: usize = 32;

/// Stamps further ahead than this do not come from a clock that is slightly off.
const AHEAD: u64 = 2;
/// Such stamps may fill one part in this many of the cache: they evict stamps of correct clocks.
const AHEAD_SHARE: usize = 8;
/// Seconds that a second stays open after its end: its messages are still on their way.
const GRACE: u64 = 1;
/// While a second is open, the cache may hold this many times its capacity.
const OPEN: usize = 4;

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
    /// How many of its entries each neighbour brought when the stamp lay ahead.
    ahead: BTreeMap<NodeId, usize>,
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
    /// The sum of what the seconds hold of stamps that lie ahead, by neighbour.
    ahead: BTreeMap<NodeId, usize>,
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
            ahead: BTreeMap::new(),
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

    /// Whether a message stamped `time` must be refused, because the cache could not remember it.
    ///
    /// Stamps that lie ahead share a part of the cache. A neighbour may bring as many as it leaves free: one fills half
    /// of the part, two fill two thirds, and the next always finds room.
    pub(crate) fn refuses(&self, unix: u64, time: u64, from: &NodeId) -> bool {
        self.closed(time)
            || self.is_full()
            || lies_ahead(unix, time) && {
                let all: usize = self.ahead.values().sum();
                let own = self.ahead.get(from).copied().unwrap_or(0);
                own + all >= self.capacity / AHEAD_SHARE
            }
    }

    /// Whether the seconds that are still open fill the cache alone.
    fn is_full(&self) -> bool {
        self.entries >= self.capacity.saturating_mul(OPEN)
    }

    /// Returns what is known of a fingerprint stamped `time`.
    #[inline]
    pub(crate) fn look(&self, time: u64, fingerprint: Fingerprint) -> Seen {
        self.second(time)
            .map_or(Seen::Fresh, |second| second.look(fingerprint))
    }

    /// Remembers the fingerprint of one of our own messages, and returns what was known of it before.
    ///
    /// `time` must have been found neither expired nor premature: this bounds the seconds kept.
    pub(crate) fn remember(&mut self, time: u64, fingerprint: Fingerprint) -> Seen {
        let seen = self.second_for(time).remember(fingerprint);
        self.entries += usize::from(seen != Seen::Same);
        seen
    }

    /// Remembers fingerprints as [`remember`](Self::remember) would one after the other. In a tight loop their cache
    /// misses overlap. `from`: the neighbour that brought them, if they are not ours.
    pub(crate) fn remember_all(
        &mut self,
        unix: u64,
        fingerprints: &[(u64, Fingerprint)],
        from: Option<&NodeId>,
    ) -> Vec<Seen> {
        let mut seen = Vec::with_capacity(fingerprints.len());
        for those in fingerprints.chunk_by(|before, next| before.0 == next.0) {
            let Some(&(time, _)) = those.first() else {
                continue;
            };
            let second = self.second_for(time);
            let before = second.entries;
            let known = |(_, fingerprint): &(u64, Fingerprint)| second.remember(*fingerprint);
            seen.extend(those.iter().map(known));
            let added = second.entries - before;
            if lies_ahead(unix, time)
                && let Some(from) = from
            {
                *second.ahead.entry(from.clone()).or_default() += added;
                *self.ahead.entry(from.clone()).or_default() += added;
            }
            self.entries += added;
        }
        seen
    }

    /// Forgets what has expired, and evicts what there is no room for.
    ///
    /// Call it before the stamps of a batch are checked, and not while the batch is handled: between the check and
    /// [`remember_all`](Self::remember_all) no second may be closed.
    pub(crate) fn make_room(&mut self, unix: u64) {
        self.forget(unix);
        while self.entries >= self.capacity && self.evict_oldest(|time| is_over(unix, time)) {}
        // What is under way has priority over what was under way a second ago.
        while self.is_full() && self.evict_oldest(|time| time < unix) {}
    }

    /// Forgets every second that has expired.
    pub(crate) fn forget(&mut self, unix: u64) {
        // Frees an eighth of the tables, at least one. Called once a second, this keeps at most eight seconds' worth.
        let left = self.spent.len();
        self.spent.truncate(left - left.div_ceil(8));
        while !self.seconds.is_empty() && self.expired(unix, self.first) {
            self.forget_oldest();
        }
        // The clock was set back: these seconds have not come yet.
        if self.closed.is_some_and(|time| self.premature(unix, time)) {
            self.closed = None;
        }
        self.count_ahead(unix);
    }

    /// Counts stamps as ahead no longer once they are not.
    fn count_ahead(&mut self, unix: u64) {
        if self.ahead.is_empty() {
            return;
        }
        let now = usize::try_from(unix.saturating_add(AHEAD + 1).saturating_sub(self.first));
        for second in self.seconds.iter_mut().take(now.unwrap_or(usize::MAX)) {
            let Some(second) = second else { continue };
            release(&mut self.ahead, std::mem::take(&mut second.ahead));
        }
    }

    /// Forgets the oldest second, and returns the number of its fingerprints.
    fn forget_oldest(&mut self) -> usize {
        self.first = self.first.saturating_add(1);
        let Some(Some(second)) = self.seconds.pop_front() else {
            return 0;
        };
        release(&mut self.ahead, second.ahead);
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

    /// Returns the second of that stamp; creates it for its first fingerprint.
    #[inline]
    fn second_for(&mut self, time: u64) -> &mut Second {
        let index = time.checked_sub(self.first).map(usize::try_from);
        let is_there = matches!(index, Some(Ok(index)) if self.seconds.get(index).is_some_and(Option::is_some));
        if !is_there {
            self.begin_second(time);
        }
        let index = usize::try_from(time - self.first).unwrap_or(0);
        self.seconds[index].get_or_insert_default()
    }

    /// Creates a second, with as much room as one like it needs.
    #[cold]
    fn begin_second(&mut self, time: u64) {
        self.reach(time);
        let index = usize::try_from(time - self.first).unwrap_or(0);
        // A second resembles the one before it. Never reserves more than the free capacity.
        let before = index
            .checked_sub(1)
            .and_then(|before| self.seconds[before].as_ref());
        let most = self.capacity.saturating_mul(OPEN);
        let free = most.saturating_sub(self.entries);
        let expected = before.map_or(0, |before| before.entries).min(free);
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
        self.seconds[index] = Some(second);
    }

    /// Extends the row of seconds to include `time`, which lies near now: the row stays short.
    fn reach(&mut self, time: u64) {
        let span = 2 * self.window + 1;
        let newest = self.first.saturating_add(self.seconds.len() as u64);
        let far = newest.saturating_add(span) < time || time.saturating_add(span) < self.first;
        if self.seconds.is_empty() || far {
            // The first message, or the clock has jumped.
            self.seconds.clear();
            self.ahead.clear();
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

    /// Evicts and closes the oldest second that has fingerprints, if it may be; false if it may not.
    fn evict_oldest(&mut self, may_be: impl Fn(u64) -> bool) -> bool {
        while !self.seconds.is_empty() && may_be(self.first) {
            let time = self.first;
            let evicted = self.forget_oldest();
            if evicted > 0 {
                self.evicted += evicted as u64;
                self.closed = self.closed.max(Some(time));
                return true;
            }
        }
        false
    }
}

/// Whether messages stamped with that second have had time to arrive.
fn is_over(unix: u64, time: u64) -> bool {
    time.saturating_add(GRACE) < unix
}

fn lies_ahead(unix: u64, time: u64) -> bool {
    time > unix.saturating_add(AHEAD)
}

fn release(ahead: &mut BTreeMap<NodeId, usize>, of_second: BTreeMap<NodeId, usize>) {
    for (neighbour, count) in of_second {
        if let Some(sum) = ahead.get_mut(&neighbour) {
            *sum -= count;
            if *sum == 0 {
                ahead.remove(&neighbour);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fingerprint(id: u64, strict: u64) -> Fingerprint {
        let strict = spread(strict);
        Fingerprint { id, strict }
    }

    /// Remembers one fingerprint, as a node that has just heard it from a neighbour.
    fn hear(cache: &mut Waterfall, unix: u64, time: u64, fingerprint: Fingerprint) -> Seen {
        cache.make_room(unix);
        cache.remember_all(unix, &[(time, fingerprint)], Some(&id("a neighbour")))[0]
    }

    fn id(name: &str) -> NodeId {
        NodeId::of_key(name.as_bytes())
    }

    fn spread(n: u64) -> u64 {
        n.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    #[test]
    fn the_same_claim_is_fresh_once() {
        let mut cache = Waterfall::new(60, 1000);
        assert_eq!(hear(&mut cache, 100, 100, fingerprint(7, 1)), Seen::Fresh);
        assert_eq!(cache.look(100, fingerprint(7, 1)), Seen::Same);
        assert_eq!(hear(&mut cache, 160, 100, fingerprint(7, 1)), Seen::Same);
    }

    #[test]
    fn two_authors_of_one_id_are_twins_and_both_remembered() {
        let mut cache = Waterfall::new(60, 1000);
        hear(&mut cache, 100, 100, fingerprint(7, 1));
        assert_eq!(hear(&mut cache, 100, 100, fingerprint(7, 2)), Seen::Twin);
        assert_eq!(cache.look(100, fingerprint(7, 2)), Seen::Same);
        assert_eq!(cache.look(100, fingerprint(7, 3)), Seen::Twin);
    }

    #[test]
    fn a_claim_is_kept_until_its_own_second_expires() {
        let mut cache = Waterfall::new(60, 1000);
        hear(&mut cache, 100, 160, fingerprint(1, 1)); // as far in the future as is accepted
        hear(&mut cache, 100, 40, fingerprint(2, 2)); // as old as is accepted
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
            hear(&mut cache, 1000, 990, fingerprint(n, n));
        }
        assert!(!cache.closed(990));
        hear(&mut cache, 1000, 1000, fingerprint(200, 200));
        assert!(cache.closed(990) && cache.closed(980) && !cache.closed(991));
        cache.make_room(1061);
        assert!(cache.expired(1061, 990));
    }

    #[test]
    fn t26_an_open_second_is_remembered_whatever_its_rate_until_it_fills_the_cache_alone() {
        let mut cache = Waterfall::new(60, 100);
        let neighbour = id("a neighbour");
        let all: Vec<_> = (0..400).map(|n| fingerprint(spread(n), n)).collect();
        for it in &all {
            assert!(!cache.refuses(1000, 1000, &neighbour));
            assert_eq!(hear(&mut cache, 1000, 1000, *it), Seen::Fresh);
        }
        assert!(cache.refuses(1000, 1000, &neighbour), "there is no room");
        for it in &all {
            assert_eq!(hear(&mut cache, 1000, 1000, *it), Seen::Same);
        }
        assert_eq!((cache.len(), cache.evicted()), (400, 0));
        // The next second has priority. Without it, this one stays open for a second more.
        cache.make_room(1001);
        assert!(cache.closed(1000) && !cache.refuses(1001, 1001, &neighbour));
    }

    #[test]
    fn t26_a_second_over_its_capacity_is_closed_a_second_after_its_end() {
        let mut cache = Waterfall::new(60, 100);
        for n in 0..250 {
            hear(&mut cache, 1000, 1000, fingerprint(spread(n), n));
        }
        cache.make_room(1001);
        assert!(!cache.closed(1000));
        cache.make_room(1002);
        assert!(cache.closed(1000) && !cache.closed(1001));
        assert_eq!((cache.len(), cache.evicted()), (0, 250));
    }

    /// Sends stamps ahead under that id, as many as are accepted, and returns their number.
    fn crowd(cache: &mut Waterfall, name: &str, start: u64) -> usize {
        let neighbour = id(name);
        let mut taken = 0;
        for n in start..start + 10_000 {
            let time = 1003 + n % 57;
            cache.make_room(1000);
            if !cache.refuses(1000, time, &neighbour) {
                cache.remember_all(1000, &[(time, fingerprint(spread(n), n))], Some(&neighbour));
                taken += 1;
            }
        }
        taken
    }

    #[test]
    fn t26_stamps_ahead_have_a_share_and_a_neighbour_leaves_half_of_what_is_free() {
        let mut cache = Waterfall::new(60, 800);
        hear(&mut cache, 1000, 1000, fingerprint(1, 1));
        assert_eq!(crowd(&mut cache, "the first", 10_000), 50);
        assert_eq!(crowd(&mut cache, "the first", 20_000), 0);
        assert_eq!(crowd(&mut cache, "the second", 30_000), 25);
        assert_eq!(crowd(&mut cache, "the third", 40_000), 13);
        assert_eq!(cache.look(1000, fingerprint(1, 1)), Seen::Same);
        let first = id("the first");
        assert!(
            !cache.refuses(1000, 1002, &first),
            "a clock may be a little off"
        );
        cache.make_room(1056);
        assert!(
            !cache.refuses(1056, 1059, &first),
            "what was ahead is not for ever"
        );
        cache.make_room(1121);
        assert!(cache.ahead.is_empty() && cache.len() == 0);
    }

    #[test]
    fn a_clock_that_is_set_back_closes_nothing_for_ever() {
        let mut cache = Waterfall::new(60, 1);
        hear(&mut cache, 5000, 4990, fingerprint(1, 1));
        hear(&mut cache, 5000, 5000, fingerprint(2, 2));
        assert!(cache.closed(4990));
        cache.forget(1000);
        assert!(!cache.closed(1000));
    }

    #[test]
    fn a_full_cache_forgets_its_oldest_second_first() {
        let mut cache = Waterfall::new(60, 100);
        for n in 0..100 {
            hear(&mut cache, 100, 50 + n % 10, fingerprint(spread(n), n));
        }
        assert_eq!(
            hear(&mut cache, 100, 100, fingerprint(spread(1000), 0)),
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
            cache.make_room(time);
            let seen = cache.remember_all(time, &fingerprints, None);
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
                .map(|&(time, fingerprint)| alone.remember(time, fingerprint));
            let one_by_one: Vec<_> = one_by_one.collect();
            let many = at_once.remember_all(120, &fingerprints, None);
            assert_eq!(many, one_by_one);
            at_once.make_room(120);
            alone.make_room(120);
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
    fn a_second_begins_in_the_memory_of_one_that_is_spent() {
        const MANY: u64 = 64 * SHARDS as u64;
        let mut cache = Waterfall::new(60, 100);
        let mut before = 0;
        for time in 0..10 {
            for n in time * MANY..(time + 1) * MANY {
                hear(&mut cache, time, time, fingerprint(spread(n), n));
            }
            if time > 4 {
                assert!(room(&cache) <= before, "{} of {before}", room(&cache));
            }
            before = room(&cache).max(before);
        }
    }

    /// In all these streams the tables have room for at most 2.75 fingerprints for each of the capacity, if the seconds
    /// that are open do not exceed it, and for 6 if they do.
    #[test]
    fn memory_is_bounded_however_the_seconds_differ() {
        const MANY: u32 = 50_000;
        let many = u64::from(MANY);
        let crowded_and_quiet = |time: u64| if time.is_multiple_of(2) { 1600 } else { 40 };
        type Stream<'a> = &'a dyn Fn(u64) -> u64;
        let streams: [(Stream<'_>, f64); 8] = [
            (&|_| 833, 2.75),
            (&|_| many / 3, 2.75),
            (&crowded_and_quiet, 2.75),
            (&|time| time * 30, 2.75),
            (
                &|time| if time.is_multiple_of(40) { many } else { 40 },
                2.75,
            ),
            (&|_| many, 6.0),
            (&|_| many * 4, 6.0),
            (
                &|time| {
                    if time.is_multiple_of(2) {
                        many * 4
                    } else {
                        many
                    }
                },
                6.0,
            ),
        ];
        for (number, (stream, bound)) in streams.iter().enumerate() {
            let mut cache = Waterfall::new(60, MANY as usize);
            let mut most = 0;
            let seconds = if *bound > 3.0 { 12 } else { 150 };
            for time in 0..seconds {
                let fingerprints =
                    (0..stream(time)).map(|n| (time, fingerprint(spread(time << 20 | n), n)));
                for burst in fingerprints.collect::<Vec<_>>().chunks(300) {
                    cache.make_room(time);
                    if !cache.refuses(time, time, &id("a neighbour")) {
                        cache.remember_all(time, burst, None);
                    }
                    most = most.max(room(&cache));
                }
            }
            let most = most as f64 / f64::from(MANY);
            println!("stream {number}: room for {most:.2}");
            assert!(most <= *bound, "stream {number}: {most}");
        }
    }

    #[test]
    fn a_clock_that_jumps_does_not_grow_the_row_of_seconds() {
        let mut cache = Waterfall::new(60, 1000);
        for (n, unix) in [0, 5_000_000, 100, u64::MAX, 61, 1_000_000_000_000]
            .into_iter()
            .enumerate()
        {
            hear(&mut cache, unix, unix, fingerprint(spread(n as u64), 0));
            assert!(
                cache.seconds.len() <= 2 * 121 + 1,
                "{}",
                cache.seconds.len()
            );
        }
    }
}
