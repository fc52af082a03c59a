//! Builds a batch: finds frames, inflates compressed ones, and checks their shape.

use std::cell::RefCell;

use bytes::BytesMut;

#[cfg(feature = "snappy")]
use crate::wire::compression::SNAPPY_EXPANSION;
use crate::wire::{
    base58,
    compression::{Inflated, Inflater, Method},
    decode::batch::{Batch, Content, Entry, Source},
    encode::encoded::Hold,
    error::DecodeError,
    generation::{Generation, Profile},
    id,
    layout::{Found, Layout, PREFIX, prefix},
    limits::Limits,
    value,
};

/// A batch under construction.
#[derive(Debug)]
pub(in crate::wire) struct Reading {
    profile: &'static Profile,
    limits: Limits,
    /// The current limit of a body, on the wire and inflated.
    frame_limit: usize,
    /// Bytes inflated so far. A failed attempt counts as what it may have cost.
    inflated: usize,
    /// A sender whose shape is already checked: consecutive frames mostly have the same one.
    sender: Vec<u8>,
    batch: Batch,
}

/// No byte of a deflated stream expands to more than this.
const EXPANSION: usize = 1032;

thread_local! {
    /// Inflating keeps 40 KiB of state between frames: one per thread, so that a connection needs none.
    static INFLATER: RefCell<Inflater> = RefCell::new(Inflater::new());
}

impl Reading {
    pub(in crate::wire) fn new(
        generation: Generation,
        limits: Limits,
        frame_limit: usize,
    ) -> Reading {
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
            sender: Vec::new(),
            batch,
        }
    }

    pub(in crate::wire) fn len(&self) -> usize {
        self.batch.entries.len()
    }

    /// Reserves room for about that many frames like the first.
    pub(in crate::wire) fn expect(&mut self, frames: usize) {
        self.batch.entries.reserve(frames);
        self.batch.ends.reserve(frames * self.batch.ends.len());
    }

    /// Returns the number of bytes inflated, failed attempts included.
    pub(in crate::wire) fn inflated(&self) -> usize {
        self.inflated
    }

    /// Adds the frame that begins at `at` in the chunk.
    pub(in crate::wire) fn take(&mut self, at: usize, frame: &[u8]) {
        self.take_within(usize::MAX, at, frame);
    }

    /// Adds the frame, unless the total inflated would exceed `room`; returns whether it was added.
    pub(in crate::wire) fn take_within(&mut self, room: usize, at: usize, frame: &[u8]) -> bool {
        let room = room.saturating_sub(self.inflated);
        let Some(content) = self.read(&frame[PREFIX..], room) else {
            return false;
        };
        let len = u32::try_from(frame.len()).unwrap_or(u32::MAX);
        self.batch.entries.push(Entry { at, len, content });
        true
    }

    pub(in crate::wire) fn finish(self) -> Batch {
        self.batch
    }

    /// Returns `None` if the frame needs more than `room`.
    #[inline(always)]
    fn read(&mut self, body: &[u8], room: usize) -> Option<Result<Content, DecodeError>> {
        let limit = self.frame_limit.min(room);
        let inflated = match Inflater::sniff(body) {
            Some(_) => INFLATER.with_borrow_mut(|inflater| inflater.inflate(body, limit, PREFIX)),
            None => None,
        };
        Some(match inflated {
            Some(Err(DecodeError::TooLarge { .. })) if limit < self.frame_limit => return None,
            None => match self.parse(body, Source::Plain) {
                Err(error) => return self.read_snappy(body, room, error),
                Ok(content) if self.is_doubtful(body, &content) => {
                    let before = content.first_end as usize;
                    let ends = self.batch.ends.split_off(before);
                    let error = DecodeError::BadCompression(Method::Snappy);
                    match self.read_snappy(body, room, error) {
                        Some(Err(_)) => {
                            self.batch.ends.truncate(before);
                            self.batch.ends.extend(ends);
                            Ok(content)
                        }
                        read => return read,
                    }
                }
                plain => plain,
            },
            Some(Ok(inflated)) => self.read_inflated(inflated),
            // A body that only looks compressed may be plain; if it is not, the first error says more.
            Some(Err(error)) => {
                let plain = self.parse(body, Source::Plain);
                // A binary id looks like the head of a stream about once in a thousand times.
                let by_chance = plain.is_ok() && self.profile.layout.begins_with_digest();
                let most = if by_chance {
                    body.len().saturating_mul(EXPANSION)
                } else {
                    usize::MAX
                };
                self.inflated += self.frame_limit.min(most);
                match plain {
                    Err(_) => return self.read_snappy(body, room, error),
                    plain => plain,
                }
            }
        })
    }

    /// Whether a body that reads as a plain frame may be a snappy block. A block begins with most of its contents
    /// verbatim, and so occasionally reads as a frame with an unknown flag.
    fn is_doubtful(&self, body: &[u8], content: &Content) -> bool {
        if !cfg!(feature = "snappy") || !self.profile.snappy {
            return false;
        }
        if !self.profile.layout.begins_with_digest() {
            return false;
        }
        let first = self.batch.ends[content.first_end as usize] as usize;
        let start = content.start as usize;
        let packet = body.get(start..start + first).unwrap_or_default();
        let number = self.profile.layout.flag(packet);
        !number.is_some_and(|number| self.profile.flags.main.iter().any(|(it, _)| *it == number))
    }

    /// Reads a body that is neither plain nor visibly compressed as a snappy block; if it is not one, returns `error`.
    #[cfg(feature = "snappy")]
    #[cold]
    fn read_snappy(
        &mut self,
        body: &[u8],
        room: usize,
        error: DecodeError,
    ) -> Option<Result<Content, DecodeError>> {
        if !self.profile.snappy {
            return Some(Err(error));
        }
        let limit = self.frame_limit.min(room);
        match Inflater::unsnap(body, limit, PREFIX) {
            Some(Err(DecodeError::TooLarge { .. })) if limit < self.frame_limit => None,
            Some(Ok(inflated)) => Some(self.read_inflated(inflated).map_err(|_| error)),
            // The attempt may have cost as much as a valid block.
            Some(Err(DecodeError::BadCompression(_))) => {
                self.inflated += limit.min(body.len().saturating_mul(SNAPPY_EXPANSION));
                Some(Err(error))
            }
            _ => Some(Err(error)),
        }
    }

    #[cfg(not(feature = "snappy"))]
    #[cold]
    fn read_snappy(
        &mut self,
        _: &[u8],
        _: usize,
        error: DecodeError,
    ) -> Option<Result<Content, DecodeError>> {
        Some(Err(error))
    }

    fn read_inflated(&mut self, inflated: Inflated) -> Result<Content, DecodeError> {
        let Inflated {
            method,
            mut bytes,
            exact,
        } = inflated;
        self.inflated += bytes.capacity();
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
        self.batch.inflated.push(bytes);
        Ok(content)
    }

    /// Inlined because a result returned through memory is loaded back before its stores complete.
    #[inline(always)]
    fn parse(&mut self, body: &[u8], source: Source) -> Result<Content, DecodeError> {
        let ends = &mut self.batch.ends;
        let before = ends.len();
        let found = self
            .profile
            .layout
            .split(body, self.limits.frame_packets(), ends)
            .map_err(|error| error.of_users(self.limits.packets))?;
        let header = read_header(
            self.profile.layout,
            body,
            found,
            &ends[before..],
            &mut self.sender,
        );
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

/// Checks the shape of sender and id and returns the time. `known` is a sender that needs no check, or empty.
#[inline]
fn read_header(
    layout: Layout,
    body: &[u8],
    found: Found,
    ends: &[u32],
    known: &mut Vec<u8>,
) -> Result<u64, DecodeError> {
    match layout {
        Layout::MessagePack => return read_packed_header(body, found, ends, known),
        Layout::SizesFirst | Layout::Interleaved => {}
    }
    let Some(&[flag, sender, id, time]) = ends.first_chunk::<4>() else {
        return Err(DecodeError::TooFewPackets(ends.len()));
    };
    let packets = body.get(found.start as usize..).unwrap_or_default();
    let packet = |from: u32, to: u32| {
        layout.contents(packets.get(from as usize..to as usize).unwrap_or_default())
    };
    check_sender(packet(flag, sender), known)?;
    id::check(packet(sender, id)).map_err(DecodeError::BadId)?;
    base58::decode_u64(packet(id, time)).map_err(|_| DecodeError::BadTime)
}

/// The same for a MessagePack array: its id is bytes, its time a number, and three packets precede the payload.
fn read_packed_header(
    body: &[u8],
    found: Found,
    ends: &[u32],
    known: &mut Vec<u8>,
) -> Result<u64, DecodeError> {
    let Some(&[flag, sender, time]) = ends.first_chunk::<3>() else {
        return Err(DecodeError::TooFewPackets(ends.len()));
    };
    let packets = body.get(found.start as usize..).unwrap_or_default();
    let packet = |from: u32, to: u32| packets.get(from as usize..to as usize).unwrap_or_default();
    check_sender(Layout::MessagePack.contents(packet(flag, sender)), known)?;
    value::whole_number(packet(sender, time)).ok_or(DecodeError::BadTime)
}

/// Checks the shape of a sender, unless it is the known one.
#[inline]
fn check_sender(sender: &[u8], known: &mut Vec<u8>) -> Result<(), DecodeError> {
    if sender.is_empty() || sender != known.as_slice() {
        id::check(sender).map_err(DecodeError::BadSender)?;
        known.clear();
        known.extend_from_slice(sender);
    }
    Ok(())
}
