//! Several messages hashed at once, one in each lane of the processor's vectors.
//!
//! Owns which message stands in which lane. Long messages begin first, and a lane whose message is done takes the next one,
//! so that a long message does not hold short ones.

use std::cmp::Reverse;

use fearless_simd::{Level, Simd};
use sha2::block_api::compress512;

use super::{
    Digest, FEWEST, Packets, Stamped,
    rounds::{BLOCK, Block, START, State, absorb},
};
use crate::wire::{
    base58::{self, Digits},
    vectors::{LANES, NARROW},
};

/// Vectors at most: the second fills the waits of the first.
const VECTORS: usize = 2;

/// Bytes that follow the message: a mark, and its length in bits.
const CLOSING: usize = 1 + 16;

/// The digest of each message; `None` if one by one is faster, for want of messages or of wide vectors.
pub(super) fn digests<'a, P: Packets<'a>>(messages: &[Stamped<P>]) -> Option<Vec<Digest>> {
    if messages.len() < FEWEST || NARROW {
        return None;
    }
    match Level::new() {
        Level::Avx512(simd) => Some(run(simd, VECTORS, messages)),
        // Half as wide, so that one of our vectors is two of its own.
        Level::Avx2(simd) => Some(run(simd, 1, messages)),
        _ => None,
    }
}

fn run<'a, S: Simd, P: Packets<'a>>(
    simd: S,
    vectors: usize,
    messages: &[Stamped<P>],
) -> Vec<Digest> {
    let mut digests = vec![[0; 48]; messages.len()];
    let mut waiting = longest_first(messages).into_iter();
    let mut lanes = Lanes::new();
    while lanes.fill(vectors * LANES, messages, &mut waiting) >= FEWEST {
        lanes.step(simd, &mut digests);
    }
    lanes.finish_one_by_one(&mut digests);
    digests
}

/// The places of the messages, in the order in which they are to begin.
fn longest_first<'a, P: Packets<'a>>(messages: &[Stamped<P>]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..messages.len()).collect();
    if messages.len() > LANES {
        let len = |message: &Stamped<P>| message.packets.clone().map(<[u8]>::len).sum::<usize>();
        order.sort_by_cached_key(|&index| Reverse(len(&messages[index]) / BLOCK));
    }
    order
}

/// A message on its way through a lane.
struct Passage<'a, P> {
    /// Its place among the messages; `None` once it is through.
    index: Option<usize>,
    /// Packets not yet begun.
    packets: Option<P>,
    /// What is left of the packet begun.
    rest: &'a [u8],
    /// Whole blocks still to come, where they lie.
    body: &'a [Block],
    /// Where packets meet, and where the message ends, blocks are put together.
    joint: [Block; 2],
    /// Which of those are still to come.
    first: usize,
    last: usize,
    /// Bytes of the packets begun.
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

    /// The blocks that come next and lie together.
    fn next(&self) -> &[Block] {
        match self.body {
            [] => &self.joint[self.first..self.last],
            body => body,
        }
    }

    /// Passes blocks that are hashed; whether the message is through.
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

    /// Finds the blocks that come next: as they lie if they are whole, else put together.
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

    /// Puts together the end, of which the first bytes are there: the time, a mark, zeros, and the length in bits.
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

/// Writes times in base58. Messages that come together mostly bear the same.
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
    passages: [Passage<'a, P>; VECTORS * LANES],
    states: [State; VECTORS],
    clock: Clock,
}

impl<'a, P: Packets<'a>> Lanes<'a, P> {
    fn new() -> Lanes<'a, P> {
        Lanes {
            passages: [const { Passage::none() }; VECTORS * LANES],
            states: [[[0; LANES]; 8]; VECTORS],
            clock: Clock(0, base58::encode_u64(0)),
        }
    }

    /// Lets waiting messages into that many lanes, as far as they are free; how many are in use then.
    fn fill(
        &mut self,
        lanes: usize,
        messages: &[Stamped<P>],
        waiting: &mut impl Iterator<Item = usize>,
    ) -> usize {
        let mut used = 0;
        for (lane, passage) in self.passages[..lanes].iter_mut().enumerate() {
            if !passage.is_under_way()
                && let Some(index) = waiting.next()
            {
                passage.begin(index, &messages[index], &mut self.clock);
                for (words, word) in self.states[lane / LANES].iter_mut().zip(START) {
                    words[lane % LANES] = word;
                }
            }
            used += usize::from(passage.is_under_way());
        }
        used
    }

    /// Hashes as many blocks as lie together in every lane.
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
        // A free lane goes along with another.
        let blocks = self.passages.each_ref().map(|passage| match passage.index {
            Some(_) => &passage.next()[..count],
            None => nearest,
        });
        let (blocks, _) = blocks.as_chunks::<LANES>();
        match self.passages[LANES..].iter().any(Passage::is_under_way) {
            true => hash::<S, 2>(simd, &mut self.states, blocks),
            false => hash::<S, 1>(simd, &mut self.states, blocks),
        }
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

/// Hashes the blocks of the first `V` vectors.
fn hash<S: Simd, const V: usize>(simd: S, states: &mut [State], blocks: &[[&[Block]; LANES]]) {
    if let (Some(states), Some(blocks)) = (states.first_chunk_mut::<V>(), blocks.first_chunk::<V>())
    {
        simd.vectorize(
            #[inline(always)]
            || absorb(simd, states, blocks),
        );
    }
}

fn state(states: &[State], lane: usize) -> [u64; 8] {
    let words = &states[lane / LANES];
    std::array::from_fn(|i| words[i][lane % LANES])
}

/// SHA-384 shows six of the eight words.
fn digest(state: &[u64; 8]) -> Digest {
    let mut digest = [0; 48];
    let (words, _) = digest.as_chunks_mut::<8>();
    for (word, value) in words.iter_mut().zip(state) {
        *word = value.to_be_bytes();
    }
    digest
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// In all widths of vectors that this machine has; the narrowest is everywhere.
    pub(in super::super) fn in_every_width<'a, P: Packets<'a>>(
        messages: &[Stamped<P>],
    ) -> Vec<Vec<Digest>> {
        let level = Level::new();
        let sse2 = level.as_sse2().map(|simd| run(simd, VECTORS, messages));
        let avx2 = level.as_avx2().map(|simd| run(simd, 1, messages));
        let avx512 = level.as_avx512().map(|simd| run(simd, VECTORS, messages));
        [sse2, avx2, avx512].into_iter().flatten().collect()
    }
}
