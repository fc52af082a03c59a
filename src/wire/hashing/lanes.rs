//! Several messages hashed at once, one in each lane of the processor's vectors.
//!
//! Owns which message stands in which lane. Long messages begin first, and a lane whose message is done takes the next one,
//! so that a long message does not hold short ones.

use fearless_simd::{Level, Simd};
use sha2::block_api::compress512;

use super::{
    Digest, Stamped,
    rounds::{Block, LANES, START, State, absorb},
};
use crate::wire::base58::{self, Digits};

/// Vectors at most: the second fills the waits of the first.
const VECTORS: usize = 2;

/// With fewer messages under way, one by one is faster.
const FEWEST: usize = 3;

/// Vectors gain nothing before the compiler has put them into registers.
const UNOPTIMISED: bool = cfg!(debug_assertions);

/// Bytes that follow the message: a mark, and its length in bits.
const CLOSING: usize = 1 + 16;

/// The digest of each message; `None` if one by one is faster, for want of messages or of wide vectors.
pub(super) fn digests(messages: &[Stamped<'_>]) -> Option<Vec<Digest>> {
    if messages.len() < FEWEST || UNOPTIMISED {
        return None;
    }
    match Level::new() {
        Level::Avx512(simd) => Some(run(simd, VECTORS, messages)),
        // Half as wide, so that one of our vectors is two of its own.
        Level::Avx2(simd) => Some(run(simd, 1, messages)),
        _ => None,
    }
}

fn run<S: Simd>(simd: S, vectors: usize, messages: &[Stamped<'_>]) -> Vec<Digest> {
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
fn longest_first(messages: &[Stamped<'_>]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..messages.len()).collect();
    if messages.len() > LANES {
        order.sort_by_key(|&index| std::cmp::Reverse(messages[index].payload.len() / 128));
    }
    order
}

/// A message on its way through a lane.
struct Passage<'a> {
    /// Its place among the messages; `None` once it is through.
    index: Option<usize>,
    /// The whole blocks still to come, where they lie.
    body: &'a [Block],
    /// What is left of the message, the time, and the closing.
    end: [Block; 2],
    /// Which of the end's blocks are still to come.
    first: usize,
    last: usize,
}

impl<'a> Passage<'a> {
    const NONE: Passage<'static> = Passage {
        index: None,
        body: &[],
        end: [[0; 128]; 2],
        first: 0,
        last: 0,
    };

    fn begin(&mut self, index: usize, message: &Stamped<'a>, time: &Digits) {
        let (body, rest) = message.payload.as_chunks::<128>();
        let len = rest.len() + time.len();
        let last = (len + CLOSING).div_ceil(128);
        let bytes = self.end[..last].as_flattened_mut();
        let (text, closing) = bytes.split_at_mut(len);
        text[..rest.len()].copy_from_slice(rest);
        text[rest.len()..].copy_from_slice(time);
        closing.fill(0);
        closing[0] = 0x80;
        let bits = 8 * (message.payload.len() + time.len()) as u128;
        if let Some(length) = closing.last_chunk_mut() {
            *length = bits.to_be_bytes();
        }
        self.index = Some(index);
        self.body = body;
        self.first = 0;
        self.last = last;
    }

    fn is_under_way(&self) -> bool {
        self.index.is_some()
    }

    /// The blocks that come next and lie together.
    fn next(&self) -> &[Block] {
        match self.body {
            [] => &self.end[self.first..self.last],
            body => body,
        }
    }

    fn advance(&mut self, blocks: usize) {
        match self.body {
            [] => self.first += blocks,
            body => self.body = &body[blocks..],
        }
    }

    fn is_through(&self) -> bool {
        self.body.is_empty() && self.first == self.last
    }
}

struct Lanes<'a> {
    passages: [Passage<'a>; VECTORS * LANES],
    states: [State; VECTORS],
    /// The time that was written last, in base58: of most messages that come together it is the same.
    time: (u64, Digits),
}

impl<'a> Lanes<'a> {
    fn new() -> Lanes<'a> {
        Lanes {
            passages: [Passage::NONE; VECTORS * LANES],
            states: [[[0; LANES]; 8]; VECTORS],
            time: (0, base58::encode_u64(0)),
        }
    }

    /// Lets waiting messages into that many lanes, as far as they are free; how many are in use then.
    fn fill(
        &mut self,
        lanes: usize,
        messages: &[Stamped<'a>],
        waiting: &mut impl Iterator<Item = usize>,
    ) -> usize {
        let mut used = 0;
        for lane in 0..lanes {
            if !self.passages[lane].is_under_way()
                && let Some(index) = waiting.next()
            {
                self.begin(lane, index, &messages[index]);
            }
            used += usize::from(self.passages[lane].is_under_way());
        }
        used
    }

    fn begin(&mut self, lane: usize, index: usize, message: &Stamped<'a>) {
        if self.time.0 != message.time {
            self.time = (message.time, base58::encode_u64(message.time));
        }
        self.passages[lane].begin(index, message, &self.time.1);
        for (words, word) in self.states[lane / LANES].iter_mut().zip(START) {
            words[lane % LANES] = word;
        }
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
            if let Some(index) = passage.index {
                passage.advance(blocks);
                if passage.is_through() {
                    passage.index = None;
                    digests[index] = digest(&state(&self.states, lane));
                }
            }
        }
    }

    fn finish_one_by_one(&mut self, digests: &mut [Digest]) {
        for (lane, passage) in self.passages.iter_mut().enumerate() {
            if let Some(index) = passage.index.take() {
                let mut state = state(&self.states, lane);
                compress512(&mut state, passage.body);
                compress512(&mut state, &passage.end[passage.first..passage.last]);
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
    pub(in super::super) fn in_every_width(messages: &[Stamped<'_>]) -> Vec<Vec<Digest>> {
        let level = Level::new();
        let sse2 = level.as_sse2().map(|simd| run(simd, VECTORS, messages));
        let avx2 = level.as_avx2().map(|simd| run(simd, 1, messages));
        let avx512 = level.as_avx512().map(|simd| run(simd, VECTORS, messages));
        [sse2, avx2, avx512].into_iter().flatten().collect()
    }
}
