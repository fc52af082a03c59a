//! Hashes several messages at once, one in each lane of the processor's vectors.
//!
//! Owns which message is in which lane. Long messages start first, and a lane takes the next message as soon as its own
//! is done, so that a long message does not delay short ones.

use std::cmp::Reverse;

use fearless_simd::{Level, Simd, SimdBase as _};
use sha2::block_api::compress512;

use super::{
    lanes::{LANES, NARROW},
    sha512_rounds::{BLOCK, Block, START, State, absorb},
};
use crate::wire::{
    base58::{self, Digits},
    sha384::stamped::{Digest, FEWEST, Packets, Stamped},
};

/// Bytes after the message: a mark, and its length in bits.
const CLOSING: usize = 1 + 16;

/// Returns the digest of each message; `None` if one by one is faster: too few messages or no wide vectors.
pub(in crate::wire) fn digests<'a, P: Packets<'a>>(messages: &[Stamped<P>]) -> Option<Vec<Digest>> {
    if NARROW {
        return None;
    }
    match Level::new() {
        Level::Avx512(simd) if messages.len() >= fewest(simd) => Some(run(simd, messages)),
        Level::Avx2(simd) if messages.len() >= fewest(simd) => Some(run(simd, messages)),
        _ => None,
    }
}

/// Returns the fewest messages in a vector that are faster than one by one: a vector of four costs twice what a single
/// message does. A full vector always pays off.
fn fewest<S: Simd>(_: S) -> usize {
    match S::u64s::LEN {
        LANES => FEWEST,
        narrow => narrow.min(3),
    }
}

fn run<'a, S: Simd, P: Packets<'a>>(simd: S, messages: &[Stamped<P>]) -> Vec<Digest> {
    let mut digests = vec![[0; 48]; messages.len()];
    let mut waiting = longest_first(messages).into_iter();
    let mut lanes = Lanes::new();
    loop {
        lanes.fill(messages, &mut waiting);
        if !lanes.pay(simd) {
            break;
        }
        lanes.step(simd, &mut digests);
    }
    lanes.finish_one_by_one(&mut digests);
    digests
}

/// Returns the indices of the messages in the order in which they start.
fn longest_first<'a, P: Packets<'a>>(messages: &[Stamped<P>]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..messages.len()).collect();
    if messages.len() > LANES {
        let len = |message: &Stamped<P>| message.packets.clone().map(<[u8]>::len).sum::<usize>();
        order.sort_by_cached_key(|&index| Reverse(len(&messages[index]) / BLOCK));
    }
    order
}

/// The progress of a message through a lane.
struct Passage<'a, P> {
    /// Its index among the messages; `None` once it is done.
    index: Option<usize>,
    /// Packets not yet started.
    packets: Option<P>,
    /// The rest of the current packet.
    rest: &'a [u8],
    /// Whole blocks still to hash, in place.
    body: &'a [Block],
    /// Blocks assembled where packets meet and where the message ends.
    joint: [Block; 2],
    /// The blocks of `joint` still to hash: `first..last`.
    first: usize,
    last: usize,
    /// Bytes of the packets started.
    len: usize,
    time: u64,
}

impl<'a, P: Packets<'a>> Passage<'a, P> {
    const fn none() -> Passage<'a, P> {
        Passage {
            index: None,
            packets: None,
            rest: &[],
            body: &[],
            joint: [[0; BLOCK]; 2],
            first: 0,
            last: 0,
            len: 0,
            time: 0,
        }
    }

    fn begin(&mut self, index: usize, message: &Stamped<P>, clock: &mut Clock) {
        self.index = Some(index);
        self.packets = Some(message.packets.clone());
        self.rest = &[];
        self.len = 0;
        self.time = message.time;
        self.prepare(clock);
    }

    fn is_under_way(&self) -> bool {
        self.index.is_some()
    }

    /// Returns the next contiguous blocks.
    fn next(&self) -> &[Block] {
        match self.body {
            [] => &self.joint[self.first..self.last],
            body => body,
        }
    }

    /// Skips hashed blocks; returns whether the message is done.
    fn advance(&mut self, blocks: usize, clock: &mut Clock) -> bool {
        match self.body {
            [] => self.first += blocks,
            body => self.body = &body[blocks..],
        }
        if self.next().is_empty() && self.packets.is_some() {
            self.prepare(clock);
        }
        self.next().is_empty()
    }

    /// Finds the next blocks: in place if they are whole, else assembled in `joint`.
    fn prepare(&mut self, clock: &mut Clock) {
        let mut len = 0;
        loop {
            if len == 0 {
                (self.body, self.rest) = self.rest.as_chunks();
            }
            if !self.body.is_empty() {
                return;
            }
            let (fits, rest) = self.rest.split_at(self.rest.len().min(BLOCK - len));
            self.joint[0][len..len + fits.len()].copy_from_slice(fits);
            self.rest = rest;
            len += fits.len();
            if len == BLOCK {
                (self.first, self.last) = (0, 1);
                return;
            }
            match self.packets.as_mut().and_then(Iterator::next) {
                Some(packet) => {
                    self.len += packet.len();
                    self.rest = packet;
                }
                None => return self.close(len, clock),
            }
        }
    }

    /// Assembles the end after the `len` bytes already there: the time, a mark, zeros, and the length in bits.
    fn close(&mut self, len: usize, clock: &mut Clock) {
        let time = clock.text(self.time);
        let end = len + time.len();
        let blocks = (end + CLOSING).div_ceil(BLOCK);
        let (text, closing) = self.joint[..blocks].as_flattened_mut().split_at_mut(end);
        text[len..].copy_from_slice(time);
        closing.fill(0);
        closing[0] = 0x80;
        let bits = 8 * (self.len + time.len()) as u128;
        if let Some(length) = closing.last_chunk_mut() {
            *length = bits.to_be_bytes();
        }
        (self.first, self.last) = (0, blocks);
        self.packets = None;
    }
}

/// Encodes times in base58 and keeps the last: messages that arrive together mostly have the same time.
struct Clock(u64, Digits);

impl Clock {
    fn text(&mut self, time: u64) -> &[u8] {
        if self.0 != time {
            *self = Clock(time, base58::encode_u64(time));
        }
        &self.1
    }
}

struct Lanes<'a, P> {
    passages: [Passage<'a, P>; LANES],
    states: State,
    clock: Clock,
}

impl<'a, P: Packets<'a>> Lanes<'a, P> {
    fn new() -> Lanes<'a, P> {
        Lanes {
            passages: [const { Passage::none() }; LANES],
            states: [[0; LANES]; 8],
            clock: Clock(0, base58::encode_u64(0)),
        }
    }

    /// Starts queued messages in free lanes.
    fn fill(&mut self, messages: &[Stamped<P>], waiting: &mut impl Iterator<Item = usize>) {
        for (lane, passage) in self.passages.iter_mut().enumerate() {
            if !passage.is_under_way()
                && let Some(index) = waiting.next()
            {
                passage.begin(index, &messages[index], &mut self.clock);
                for (words, word) in self.states.iter_mut().zip(START) {
                    words[lane] = word;
                }
            }
        }
    }

    /// Whether hashing the lanes is faster than hashing one by one: the vectors to compute must hold enough messages on
    /// average.
    fn pay<S: Simd>(&self, simd: S) -> bool {
        let in_use = self.in_use();
        let vectors = in_use.chunks(S::u64s::LEN);
        let vectors = vectors.filter(|lanes| lanes.contains(&true)).count();
        let messages = in_use.iter().filter(|used| **used).count();
        messages > 0 && messages >= fewest(simd) * vectors
    }

    fn in_use(&self) -> [bool; LANES] {
        self.passages.each_ref().map(Passage::is_under_way)
    }

    /// Hashes as many blocks as are contiguous in every lane.
    fn step<S: Simd>(&mut self, simd: S, digests: &mut [Digest]) {
        let under_way = self
            .passages
            .iter()
            .filter(|passage| passage.is_under_way());
        let Some(nearest) = under_way
            .map(Passage::next)
            .min_by_key(|blocks| blocks.len())
        else {
            return;
        };
        let count = nearest.len();
        // A free lane hashes another lane's blocks.
        let blocks = self.passages.each_ref().map(|passage| match passage.index {
            Some(_) => &passage.next()[..count],
            None => nearest,
        });
        let in_use = self.in_use();
        simd.vectorize(
            #[inline(always)]
            || absorb(simd, &mut self.states, &blocks, &in_use),
        );
        self.advance(count, digests);
    }

    fn advance(&mut self, blocks: usize, digests: &mut [Digest]) {
        for (lane, passage) in self.passages.iter_mut().enumerate() {
            if let Some(index) = passage.index
                && passage.advance(blocks, &mut self.clock)
            {
                passage.index = None;
                digests[index] = digest(&state(&self.states, lane));
            }
        }
    }

    fn finish_one_by_one(&mut self, digests: &mut [Digest]) {
        for (lane, passage) in self.passages.iter_mut().enumerate() {
            if let Some(index) = passage.index.take() {
                let mut state = state(&self.states, lane);
                let mut through = false;
                while !through {
                    compress512(&mut state, passage.next());
                    through = passage.advance(passage.next().len(), &mut self.clock);
                }
                digests[index] = digest(&state);
            }
        }
    }
}

fn state(states: &State, lane: usize) -> [u64; 8] {
    states.map(|words| words[lane])
}

/// SHA-384 is six of the eight words.
fn digest(state: &[u64; 8]) -> Digest {
    let mut digest = [0; 48];
    let (words, _) = digest.as_chunks_mut::<8>();
    for (word, value) in words.iter_mut().zip(state) {
        *word = value.to_be_bytes();
    }
    digest
}

#[cfg(test)]
pub(in crate::wire) mod tests {
    use super::*;

    /// Hashes in every vector width of this machine; every machine has the narrowest.
    pub(in crate::wire) fn in_every_width<'a, P: Packets<'a>>(
        messages: &[Stamped<P>],
    ) -> Vec<Vec<Digest>> {
        let level = Level::new();
        let sse2 = level.as_sse2().map(|simd| run(simd, messages));
        let avx2 = level.as_avx2().map(|simd| run(simd, messages));
        let avx512 = level.as_avx512().map(|simd| run(simd, messages));
        [sse2, avx2, avx512].into_iter().flatten().collect()
    }
}
