//! The whole frames of one read: ranges in the chunk that was read, and how they are passed on.
//!
//! Knows where frames and packets lie; what a stream is and when it ends is the codec's.

use std::cell::RefCell;

use bytes::{Bytes, BytesMut};
use smallvec::SmallVec;

use super::{
    base58,
    compression::{Inflated, Inflater, Method},
    error::DecodeError,
    frame::{Frame, HEADER},
    frames::{Frames, Hold},
    generation::{Generation, Profile},
    id,
    layout::{Found, PREFIX, prefix},
    limits::Limits,
    proof,
};

/// The frames of one read, in order. Those that do not decode are among them as errors.
///
/// A plain frame costs no allocation: it is a range of the chunk, and the bounds of all packets share one vector.
#[derive(Debug)]
pub struct Batch {
    generation: Generation,
    /// The frames as they came, length prefixes included.
    chunk: BytesMut,
    entries: Vec<Entry>,
    /// The ends of all packets of all frames.
    ends: Vec<u32>,
    /// Inflated bodies behind a length prefix of their own.
    inflated: Vec<Vec<u8>>,
    hold: Hold,
}

/// Enough frames to fill the lanes they are hashed in several times, and few enough for what is noted of them to stay near.
const PROVEN_AT_ONCE: usize = 64;

/// One frame of the chunk, whole with its prefix.
#[derive(Clone, Copy, Debug)]
struct Entry {
    at: usize,
    len: u32,
    content: Result<Content, DecodeError>,
}

#[derive(Clone, Copy, Debug)]
struct Content {
    /// Where in the body the first packet begins.
    start: u32,
    /// Where in the batch's `ends` its packets are.
    first_end: u32,
    packets: u32,
    source: Source,
    time: u64,
}

#[derive(Clone, Copy, Debug)]
enum Source {
    Plain,
    Inflated {
        index: u32,
        method: Method,
        /// Nothing came after the compressed stream: the bytes may be passed on as they are.
        exact: bool,
    },
}

/// A batch in the making.
#[derive(Debug)]
pub(super) struct Reading {
    profile: &'static Profile,
    limits: Limits,
    /// The largest body now, on the wire and inflated.
    frame_limit: usize,
    inflated: usize,
    batch: Batch,
}

thread_local! {
    /// Inflating needs 40 KiB of state between frames: one a thread, so that a connection needs none.
    static INFLATER: RefCell<Inflater> = RefCell::new(Inflater::new());
}

impl Reading {
    pub(super) fn new(generation: Generation, limits: Limits, frame_limit: usize) -> Reading {
        let batch = Batch {
            generation,
            chunk: BytesMut::new(),
            entries: Vec::new(),
            ends: Vec::new(),
            inflated: Vec::new(),
            hold: Hold::none(),
        };
        Reading {
            profile: generation.profile(),
            limits,
            frame_limit,
            inflated: 0,
            batch,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.batch.entries.len()
    }

    /// The bytes held by what was inflated.
    pub(super) fn inflated(&self) -> usize {
        self.inflated
    }

    /// Adds the frame which begins at `at` in the chunk.
    pub(super) fn take(&mut self, at: usize, frame: &[u8]) {
        let content = self.read(&frame[PREFIX..]);
        let len = u32::try_from(frame.len()).unwrap_or(u32::MAX);
        self.batch.entries.push(Entry { at, len, content });
    }

    pub(super) fn finish(self) -> Batch {
        self.batch
    }

    fn read(&mut self, body: &[u8]) -> Result<Content, DecodeError> {
        let inflated = match Inflater::sniff(body) {
            Some(_) => INFLATER
                .with_borrow_mut(|inflater| inflater.inflate(body, self.frame_limit, PREFIX)),
            None => None,
        };
        match inflated {
            None => self.parse(body, Source::Plain),
            Some(Ok(inflated)) => self.read_inflated(inflated),
            // What only looks compressed may be plain; if it is not, what went wrong first says more.
            Some(Err(error)) => self.parse(body, Source::Plain).map_err(|_| error),
        }
    }

    fn read_inflated(&mut self, inflated: Inflated) -> Result<Content, DecodeError> {
        let Inflated {
            method,
            mut bytes,
            exact,
        } = inflated;
        let index = u32::try_from(self.batch.inflated.len()).unwrap_or(u32::MAX);
        let content = self.parse(
            &bytes[PREFIX..],
            Source::Inflated {
                index,
                method,
                exact,
            },
        )?;
        let length = prefix(bytes.len() - PREFIX);
        bytes[..PREFIX].copy_from_slice(&length);
        self.inflated += bytes.capacity();
        self.batch.inflated.push(bytes);
        Ok(content)
    }

    fn parse(&mut self, body: &[u8], source: Source) -> Result<Content, DecodeError> {
        let ends = &mut self.batch.ends;
        let before = ends.len();
        let found = self.profile.layout.split(body, self.limits.packets, ends)?;
        let header = read_header(body, found, &ends[before..]);
        if header.is_err() {
            ends.truncate(before);
        }
        Ok(Content {
            start: found.start,
            first_end: u32::try_from(before).unwrap_or(u32::MAX),
            packets: found.count,
            source,
            time: header?,
        })
    }
}

/// Checks the shape of sender and id and gives the time.
#[inline]
fn read_header(body: &[u8], found: Found, ends: &[u32]) -> Result<u64, DecodeError> {
    let Some(&[flag, sender, id, time]) = ends.first_chunk::<HEADER>() else {
        return Err(DecodeError::TooFewPackets(ends.len()));
    };
    let packets = body.get(found.start as usize..).unwrap_or_default();
    let packet = |from: u32, to: u32| packets.get(from as usize..to as usize).unwrap_or_default();
    id::check(packet(flag, sender)).map_err(DecodeError::BadSender)?;
    id::check(packet(sender, id)).map_err(DecodeError::BadId)?;
    base58::decode_u64(packet(id, time)).map_err(|_| DecodeError::BadTime)
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

    fn frame(&self, entry: &Entry, content: &Content) -> Frame<'_> {
        let (framed, compression) = match content.source {
            Source::Plain => (entry.of(&self.chunk), None),
            Source::Inflated { index, method, .. } => (self.inflated(index), Some(method)),
        };
        let first = content.first_end as usize;
        Frame {
            generation: self.generation,
            bytes: framed
                .get(PREFIX + content.start as usize..)
                .unwrap_or_default(),
            ends: &self.ends[first..first + content.packets as usize],
            time: content.time,
            compression,
            wire_len: entry.len as usize,
        }
    }

    fn inflated(&self, index: u32) -> &[u8] {
        self.inflated
            .get(index as usize)
            .map(Vec::as_slice)
            .unwrap_or_default()
    }

    pub(super) fn set_chunk(&mut self, chunk: BytesMut) {
        self.chunk = chunk;
    }

    /// Bytes taken from the stream.
    pub fn wire_len(&self) -> usize {
        self.chunk.len()
    }

    /// Bytes that the batch keeps alive: the chunk and what was inflated of it.
    pub fn cost(&self) -> usize {
        self.chunk.len() + self.inflated.iter().map(Vec::capacity).sum::<usize>()
    }

    /// Ties something to the life of the batch's bytes, those relayed included.
    pub fn hold(&mut self, hold: Hold) {
        self.hold = hold;
    }

    /// Proves several frames: `out` becomes one verdict for each of `which`. A frame is proven if its id is the hash of its
    /// payload and time, by either rule; a message must not be kept, relayed or delivered before.
    pub fn prove(&self, which: &[usize], out: &mut Vec<Result<(), DecodeError>>) {
        out.clear();
        for which in which.chunks(PROVEN_AT_ONCE) {
            let frames: Vec<_> = which
                .iter()
                .map(|&index| self.get(index).map_err(|error| *error))
                .collect();
            out.extend(proof::prove_each(&frames).map(|proof| proof.map(drop)));
        }
    }

    /// The frames picked, as they are to be relayed, in copies: for peers with a list of their own.
    ///
    /// Plain frames become one [`Frames`], each compressed frame one of its own. Everything stays byte for byte, but the main
    /// flag becomes that of a relay. What is picked must be broadcasts; all else is left out.
    pub fn relay_some(&self, picked: &[usize]) -> SmallVec<[Frames; 1]> {
        let mut relay = Relay::new(self, picked);
        relay.copy_plain();
        relay.copy_inflated();
        relay.out
    }

    /// The frames picked, as they are to be relayed: without a copy where that is the whole chunk, else in one copy.
    pub fn into_relay(self, picked: &[usize]) -> SmallVec<[Frames; 1]> {
        match self.is_whole(picked) {
            true => self.give_away(),
            false => self.relay_some(picked),
        }
    }

    /// Whether these are all frames, each once and in order, plain, and to be relayed.
    fn is_whole(&self, picked: &[usize]) -> bool {
        picked.len() == self.entries.len()
            && picked.iter().enumerate().all(|(at, &index)| at == index)
            && self.iter().all(|frame| {
                frame.is_ok_and(|frame| frame.compression().is_none() && frame.is_broadcast())
            })
    }

    fn give_away(mut self) -> SmallVec<[Frames; 1]> {
        let relay = self.generation.profile().flags.relay;
        for entry in &self.entries {
            if let Ok(content) = &entry.content {
                mark(entry.of_mut(&mut self.chunk), content, relay);
            }
        }
        let count = u32::try_from(self.entries.len()).unwrap_or(u32::MAX);
        match count {
            0 => SmallVec::new(),
            _ => SmallVec::from_elem(plain(self.chunk.freeze(), count, self.hold), 1),
        }
    }
}

impl Entry {
    fn of<'a>(&self, chunk: &'a [u8]) -> &'a [u8] {
        chunk
            .get(self.at..self.at + self.len as usize)
            .unwrap_or_default()
    }

    fn of_mut<'a>(&self, chunk: &'a mut [u8]) -> &'a mut [u8] {
        chunk
            .get_mut(self.at..self.at + self.len as usize)
            .unwrap_or_default()
    }
}

/// Writes the main flag of a relay over that of a broadcast: a single byte, outside of what the id hashes.
#[inline]
fn mark(framed: &mut [u8], content: &Content, relay: u8) {
    if let Some(flag) = framed.get_mut(PREFIX + content.start as usize) {
        *flag = relay;
    }
}

fn plain(bytes: Bytes, count: u32, hold: Hold) -> Frames {
    Frames {
        plain: bytes,
        count,
        compressed: None,
        compressible: false,
        hold,
    }
}

/// Copies of picked frames in the making.
struct Relay<'a> {
    batch: &'a Batch,
    picked: SmallVec<[(&'a Entry, &'a Content); 64]>,
    relay_flag: u8,
    out: SmallVec<[Frames; 1]>,
}

impl<'a> Relay<'a> {
    fn new(batch: &'a Batch, picked: &[usize]) -> Relay<'a> {
        let entry = |&index: &usize| {
            let entry = batch.entries.get(index)?;
            let content = entry.content.as_ref().ok()?;
            batch
                .frame(entry, content)
                .is_broadcast()
                .then_some((entry, content))
        };
        Relay {
            batch,
            picked: picked.iter().filter_map(entry).collect(),
            relay_flag: batch.generation.profile().flags.relay,
            out: SmallVec::new(),
        }
    }

    fn copy_plain(&mut self) {
        let is_plain = |(_, content): &&(&Entry, &Content)| matches!(content.source, Source::Plain);
        let size: usize = self
            .picked
            .iter()
            .filter(is_plain)
            .map(|(entry, _)| entry.len as usize)
            .sum();
        if size == 0 {
            return;
        }
        let mut count = 0;
        let mut bytes = Vec::with_capacity(size);
        for (entry, content) in self.picked.iter().filter(is_plain) {
            let at = bytes.len();
            bytes.extend_from_slice(entry.of(&self.batch.chunk));
            mark(&mut bytes[at..], content, self.relay_flag);
            count += 1;
        }
        self.out
            .push(plain(Bytes::from(bytes), count, self.batch.hold.clone()));
    }

    fn copy_inflated(&mut self) {
        for (entry, content) in &self.picked {
            let Source::Inflated {
                index,
                method,
                exact,
            } = content.source
            else {
                continue;
            };
            let mut bytes = self.batch.inflated(index).to_vec();
            let is_relay = self
                .batch
                .generation
                .profile()
                .flags
                .is_relay(self.batch.frame(entry, content).flag_bytes());
            mark(&mut bytes, content, self.relay_flag);
            let as_it_came =
                (is_relay && exact).then(|| Bytes::copy_from_slice(entry.of(&self.batch.chunk)));
            self.out.push(Frames {
                plain: Bytes::from(bytes),
                count: 1,
                compressible: as_it_came.is_none(),
                compressed: as_it_came.map(|bytes| (method, bytes)),
                hold: self.batch.hold.clone(),
            });
        }
    }
}
