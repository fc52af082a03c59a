//! The whole frames of one read: ranges in the chunk that was read.
//!
//! Knows where frames and packets lie. How they were found, and how they are passed on, is told elsewhere.

use bytes::BytesMut;

use crate::wire::{
    compression::Method,
    decode::frame::Frame,
    encode::encoded::Hold,
    error::DecodeError,
    generation::Generation,
    layout::{Layout, PREFIX},
    message_id::{self, IdRule},
    sha384::stamped,
};

/// The frames of one read, in order. Those that do not decode are among them as errors.
///
/// A plain frame costs no allocation: it is a range of the chunk, and the bounds of all packets share one vector.
#[derive(Debug)]
pub struct Batch {
    pub(in crate::wire) generation: Generation,
    /// The frames as they came, length prefixes included.
    pub(in crate::wire) chunk: BytesMut,
    pub(in crate::wire) entries: Vec<Entry>,
    /// The ends of all packets of all frames.
    pub(in crate::wire) ends: Vec<u32>,
    /// Inflated bodies behind a length prefix of their own.
    pub(in crate::wire) inflated: Vec<Vec<u8>>,
    pub(in crate::wire) hold: Hold,
}

/// Enough frames to fill the lanes they are hashed in several times, and few enough for what is noted of them to stay near.
const PROVEN_AT_ONCE: usize = 64;

/// One frame of the chunk, whole with its prefix.
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
    /// Where in the batch's `ends` its packets are.
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
        /// Nothing came after the compressed stream: the bytes may be passed on as they are.
        exact: bool,
    },
}

impl Batch {
    /// How many frames there are, those that do not decode included.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The frame of that number, or why it does not decode; [`DecodeError::NoSuchFrame`] for a number out of range.
    #[inline]
    pub fn get(&self, index: usize) -> Result<Frame<'_>, &DecodeError> {
        let entry = self.entries.get(index).ok_or(&DecodeError::NoSuchFrame)?;
        entry
            .content
            .as_ref()
            .map(|content| self.frame(entry, content))
    }

    /// All frames in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Result<Frame<'_>, &DecodeError>> {
        self.entries.iter().map(|entry| {
            entry
                .content
                .as_ref()
                .map(|content| self.frame(entry, content))
        })
    }

    /// Inline: handed over in memory, a frame is read back before it is written, behind all that is written before it.
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

    /// Bytes taken from the stream.
    pub fn wire_len(&self) -> usize {
        self.chunk.len()
    }

    /// Bytes that the batch keeps alive: the chunk, what was inflated of it, and its lists.
    pub fn cost(&self) -> usize {
        let lists = size_of::<Entry>() * self.entries.len() + size_of::<u32>() * self.ends.len();
        self.chunk.len() + self.inflated.iter().map(Vec::capacity).sum::<usize>() + lists
    }

    /// Ties something to the life of the batch's bytes, those relayed included.
    pub fn hold(&mut self, hold: Hold) {
        self.hold = hold;
    }

    /// What it is tied to.
    pub(crate) fn held(&self) -> &Hold {
        &self.hold
    }

    /// A copy of one frame, as a batch of its own that is tied to the same.
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

    /// Proves several frames: `out` becomes one verdict for each of `which`. A frame is proven if its id is the hash of its
    /// payload and time, by the rule it says; a message must not be kept, relayed or delivered before.
    pub fn verify(&self, which: &[usize], out: &mut Vec<Result<IdRule, DecodeError>>) {
        out.clear();
        let together = !matches!(self.generation.profile().layout, Layout::MessagePack);
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
