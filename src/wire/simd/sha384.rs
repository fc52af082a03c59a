//! Several messages hashed at once, one in each lane of the processor's vectors.
//!
//! Owns which message stands in which lane. Long messages begin first, and a lane whose message is done takes the next one,
//! so that a long message does not hold short ones.

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

/// Bytes that follow the message: a mark, and its length in bits.
const CLOSING: usize = 1 + 16;

/// The digest of each message; `None` if one by one is faster, for want of messages or of wide vectors.
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

/// With fewer messages in a vector, one by one is faster: a vector of four costs twice what a message does alone. Vectors
/// that are full always pay.
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

    /// Lets waiting messages into the lanes that are free.
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

    /// Whether hashing what is in the lanes is faster than hashing it one by one: the vectors that have to be computed must
    /// hold enough messages on average.
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
pub(in crate::wire) mod tests {
    use super::*;

    /// In all widths of vectors that this machine has; the narrowest is everywhere.
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
