//! A batch: the whole frames of one read, as ranges of the chunk that was read.
//!
//! Knows where frames and packets lie, not how they were found or how they are relayed.

use bytes::BytesMut;

use crate::wire::{
    compression::Method,
    decode::frame::Frame,
    encode::encoded::Hold,
    error::DecodeError,
    generation::Generation,
    layout::PREFIX,
    message_id::{self, IdRule},
    sha384::stamped,
};

/// The frames of one read, in order. A frame that does not decode is in it as an error.
///
/// A plain frame costs no allocation: it is a range of the chunk, and the bounds of all packets share one vector.
#[derive(Debug)]
pub struct Batch {
    pub(in crate::wire) generation: Generation,
    /// The frames as they came, length prefixes included.
    pub(in crate::wire) chunk: BytesMut,
    pub(in crate::wire) entries: Vec<Entry>,
    /// The ends of the packets of all frames.
    pub(in crate::wire) ends: Vec<u32>,
    /// Inflated bodies, each after a length prefix.
    pub(in crate::wire) inflated: Vec<Vec<u8>>,
    pub(in crate::wire) hold: Hold,
}

/// Enough frames to fill the SIMD lanes several times, few enough for their state to stay in cache.
const PROVEN_AT_ONCE: usize = 64;

/// One frame of the chunk, with its prefix.
#[derive(Clone, Copy, Debug)]
pub(in crate::wire) struct Entry {
    pub(in crate::wire) at: usize,
    pub(in crate::wire) len: u32,
    pub(in crate::wire) content: Result<Content, DecodeError>,
}

#[derive(Clone, Copy, Debug)]
pub(in crate::wire) struct Content {
    /// Where in the body the first packet begins.
    pub(in crate::wire) start: u32,
    /// Where the ends of its packets begin in the batch's `ends`.
    pub(in crate::wire) first_end: u32,
    pub(in crate::wire) packets: u32,
    pub(in crate::wire) source: Source,
    pub(in crate::wire) time: u64,
}

#[derive(Clone, Copy, Debug)]
pub(in crate::wire) enum Source {
    Plain,
    Inflated {
        index: u32,
        method: Method,
        /// Nothing followed the compressed stream, so the bytes can be relayed as they are.
        exact: bool,
    },
}

impl Batch {
    /// Returns the number of frames, including those that do not decode.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are no frames.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Returns the frame with that index, or why it does not decode; [`DecodeError::NoSuchFrame`] if the index is out
    /// of range.
    #[inline]
    pub fn get(&self, index: usize) -> Result<Frame<'_>, &DecodeError> {
        let entry = self.entries.get(index).ok_or(&DecodeError::NoSuchFrame)?;
        entry
            .content
            .as_ref()
            .map(|content| self.frame(entry, content))
    }

    /// Iterates over all frames in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Result<Frame<'_>, &DecodeError>> {
        self.entries.iter().map(|entry| {
            entry
                .content
                .as_ref()
                .map(|content| self.frame(entry, content))
        })
    }

    /// Inlined because a frame returned through memory is loaded back before the stores queued ahead of it complete.
    #[inline]
    pub(in crate::wire) fn frame(&self, entry: &Entry, content: &Content) -> Frame<'_> {
        let (framed, compression) = match content.source {
            Source::Plain => (entry.of(&self.chunk), None),
            Source::Inflated { index, method, .. } => (self.inflated(index), Some(method)),
        };
        let first = content.first_end as usize;
        Frame {
            generation: self.generation,
            body: framed.get(PREFIX..).unwrap_or_default(),
            bytes: framed
                .get(PREFIX + content.start as usize..)
                .unwrap_or_default(),
            ends: &self.ends[first..first + content.packets as usize],
            time: content.time,
            compression,
            wire_len: entry.len as usize,
        }
    }

    pub(in crate::wire) fn inflated(&self, index: u32) -> &[u8] {
        self.inflated
            .get(index as usize)
            .map(Vec::as_slice)
            .unwrap_or_default()
    }

    pub(in crate::wire) fn set_chunk(&mut self, chunk: BytesMut) {
        self.chunk = chunk;
    }

    /// Returns the number of bytes taken from the stream.
    pub fn wire_len(&self) -> usize {
        self.chunk.len()
    }

    /// Returns the number of bytes that the batch keeps alive: the chunk, the inflated bodies, and the lists.
    pub fn cost(&self) -> usize {
        let lists = size_of::<Entry>() * self.entries.len() + size_of::<u32>() * self.ends.len();
        self.chunk.len() + self.inflated.iter().map(Vec::capacity).sum::<usize>() + lists
    }

    /// Ties `hold` to the lifetime of the batch's bytes, relayed ones included.
    pub fn hold(&mut self, hold: Hold) {
        self.hold = hold;
    }

    /// Returns what is tied to the batch's bytes.
    pub(crate) fn held(&self) -> &Hold {
        &self.hold
    }

    /// Copies one frame into a new batch, with the same hold.
    pub(crate) fn extract(&self, index: usize) -> Option<Batch> {
        let entry = self.entries.get(index)?;
        let mut content = entry.content.ok()?;
        let first = content.first_end as usize;
        let ends = self.ends.get(first..first + content.packets as usize)?;
        content.first_end = 0;
        let mut inflated = Vec::new();
        if let Source::Inflated { index, .. } = &mut content.source {
            inflated.push(self.inflated(*index).to_vec());
            *index = 0;
        }
        Some(Batch {
            generation: self.generation,
            chunk: BytesMut::from(entry.of(&self.chunk)),
            entries: vec![Entry {
                at: 0,
                len: entry.len,
                content: Ok(content),
            }],
            ends: ends.to_vec(),
            inflated,
            hold: self.hold.clone(),
        })
    }

    /// Verifies several frames: fills `out` with one result for each of `which`. A frame is proven if its id is the
    /// hash of its payload and time, by the rule in the result. A message must not be kept, relayed or delivered before
    /// it is proven.
    pub fn verify(&self, which: &[usize], out: &mut Vec<Result<IdRule, DecodeError>>) {
        out.clear();
        // Ids in base58 are written, and hashed, several at a time.
        let together = !self.generation.profile().layout.begins_with_digest();
        if which.len() < stamped::FEWEST || !together {
            let verify = |&index| self.get(index).map_err(|error| *error)?.verify();
            return out.extend(which.iter().map(verify));
        }
        for which in which.chunks(PROVEN_AT_ONCE) {
            let frames: Vec<_> = which
                .iter()
                .map(|&index| self.get(index).map_err(|error| *error))
                .collect();
            out.extend(message_id::verify_each(&frames));
        }
    }
}

impl Entry {
    pub(in crate::wire) fn of<'a>(&self, chunk: &'a [u8]) -> &'a [u8] {
        chunk
            .get(self.at..self.at + self.len as usize)
            .unwrap_or_default()
    }

    pub(in crate::wire) fn of_mut<'a>(&self, chunk: &'a mut [u8]) -> &'a mut [u8] {
        chunk
            .get_mut(self.at..self.at + self.len as usize)
            .unwrap_or_default()
    }
}
