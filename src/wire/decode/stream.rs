//! Cuts a stream into batches of whole frames.
//!
//! Owns the length prefix and its limits. A frame that does not decode is an item of its batch: only an unacceptable
//! length ends the stream. Nothing is allocated for bytes that are only announced.

use bytes::{Buf as _, BytesMut};
use tokio_util::codec::{Decoder, Encoder};

use crate::wire::{
    decode::batch::Batch, decode::batch_builder::Reading, encode::encoded::Frames,
    error::StreamError, generation::Generation, layout::PREFIX, limits::Limits,
};

/// A batch ends once its frames have inflated to more than this.
const INFLATED_PER_BATCH: usize = 1024 * 1024;

/// A batch ends after this many frames, so that empty frames do not cost many times their size.
const FRAMES_PER_BATCH: usize = 4096;

/// The most frames for which room is reserved before they are found.
const EXPECTED: usize = 256;

/// Chunks up to this size are copied, not split off, so that a queued message does not keep a whole read buffer alive.
const COPIED: usize = 4 * 1024;

/// The result of [`Codec::cut`].
#[derive(Debug)]
pub enum Cut {
    /// Whole frames, at least one.
    Batch(Batch),
    /// No whole frame.
    Nothing,
    /// The first frame inflates to more than the room given.
    TooTight,
}

/// The decoder of one connection's stream. Small: the state for inflating is kept per thread.
#[derive(Clone, Debug)]
pub struct Codec {
    generation: Generation,
    limits: Limits,
    established: bool,
}

impl Codec {
    /// Makes a codec for a connection before its handshake.
    pub fn new(generation: Generation, limits: Limits) -> Codec {
        Codec {
            generation,
            limits,
            established: false,
        }
    }

    /// Marks the handshake as done: frames up to the full limit are read, and many in one batch.
    pub fn established(&mut self) {
        self.established = true;
    }

    /// Whether the handshake is done.
    pub fn is_established(&self) -> bool {
        self.established
    }

    /// Works as [`decode`](Decoder::decode), but inflates at most `room` bytes: a frame that needs more ends the batch
    /// before it.
    pub fn cut(&mut self, src: &mut BytesMut, room: usize) -> Result<Cut, StreamError> {
        let (mut batch, taken, tight) = self.read(src, room)?;
        if taken > 0 {
            batch.set_chunk(take(src, taken));
            return Ok(Cut::Batch(batch));
        }
        Ok(if tight { Cut::TooTight } else { Cut::Nothing })
    }

    /// Returns the length, prefix included, of the frame at the start of `src`; `None` if the prefix is not complete.
    pub fn first_len(&self, src: &[u8]) -> Result<Option<usize>, StreamError> {
        let Some(announced) = announced(src) else {
            return Ok(None);
        };
        self.accept(announced)?;
        Ok(Some(PREFIX + announced))
    }

    /// Reads a batch; returns it with the bytes it took and whether it ended for lack of room.
    fn read(&self, src: &[u8], room: usize) -> Result<(Batch, usize, bool), StreamError> {
        let mut reading = Reading::new(self.generation, self.limits, self.frame_limit());
        let most = if self.established {
            FRAMES_PER_BATCH
        } else {
            1
        };
        let (mut taken, mut tight) = (0, false);
        while let Some(len) = self.frame_at(&src[taken..], taken == 0)? {
            if !reading.take_within(room, taken, &src[taken..taken + len]) {
                tight = true;
                break;
            }
            taken += len;
            if reading.len() == 1 {
                reading.expect((src.len() / len).min(most).min(EXPECTED) - 1);
            }
            if reading.len() == most || reading.inflated() > INFLATED_PER_BATCH {
                break;
            }
        }
        Ok((reading.finish(), taken, tight))
    }

    /// Returns the length, prefix included, of the frame at the start of `src`, if all of it is there. An unacceptable
    /// length is an error only if no frame precedes it in this batch.
    fn frame_at(&self, src: &[u8], first: bool) -> Result<Option<usize>, StreamError> {
        match self.first_len(src) {
            Err(_) if !first => Ok(None),
            Err(error) => Err(error),
            Ok(len) => Ok(len.filter(|&len| len <= src.len())),
        }
    }

    fn accept(&self, announced: usize) -> Result<(), StreamError> {
        match announced {
            _ if announced > self.limits.frame => Err(StreamError::Oversize {
                announced,
                limit: self.limits.frame,
            }),
            _ if announced > self.frame_limit() => Err(StreamError::BeforeHandshake {
                announced,
                limit: self.frame_limit(),
            }),
            _ => Ok(()),
        }
    }

    fn frame_limit(&self) -> usize {
        match self.established {
            true => self.limits.frame,
            false => self.limits.frame_before_handshake.min(self.limits.frame),
        }
    }
}

fn announced(src: &[u8]) -> Option<usize> {
    let prefix = src.first_chunk::<PREFIX>()?;
    Some(usize::try_from(u32::from_be_bytes(*prefix)).unwrap_or(usize::MAX))
}

fn take(src: &mut BytesMut, len: usize) -> BytesMut {
    if len > COPIED {
        return src.split_to(len);
    }
    let chunk = BytesMut::from(&src[..len]);
    src.advance(len);
    chunk
}

impl Decoder for Codec {
    type Item = Batch;
    type Error = StreamError;

    /// Decodes all whole frames in `src` as one batch; before the handshake, one frame. After an error `src` is
    /// unchanged.
    fn decode(&mut self, src: &mut BytesMut) -> Result<Option<Batch>, StreamError> {
        Ok(match self.cut(src, usize::MAX)? {
            Cut::Batch(batch) => Some(batch),
            Cut::Nothing | Cut::TooTight => None,
        })
    }

    fn decode_eof(&mut self, src: &mut BytesMut) -> Result<Option<Batch>, StreamError> {
        match self.decode(src)? {
            None if !src.is_empty() => Err(StreamError::Truncated {
                missing: missing(src),
            }),
            batch => Ok(batch),
        }
    }
}

/// Returns the number of bytes missing to the end of the first frame in `src`, or to the end of its prefix.
pub(in crate::wire) fn missing(src: &[u8]) -> usize {
    match announced(src) {
        Some(announced) => (PREFIX + announced).saturating_sub(src.len()),
        None => PREFIX - src.len(),
    }
}

impl Encoder<Frames> for Codec {
    type Error = StreamError;

    /// Appends the uncompressed frames.
    fn encode(&mut self, frames: Frames, dst: &mut BytesMut) -> Result<(), StreamError> {
        dst.extend_from_slice(frames.wire_form(None));
        Ok(())
    }
}

impl Batch {
    /// Reads these bytes as one batch, as on an established connection: for tests, simulations and tools.
    pub fn from_frames(
        generation: Generation,
        limits: Limits,
        bytes: &[u8],
    ) -> Result<Batch, StreamError> {
        let mut codec = Codec::new(generation, limits);
        codec.established();
        let mut reading = Reading::new(generation, limits, limits.frame);
        let mut taken = 0;
        while let Some(len) = codec.frame_at(&bytes[taken..], true)? {
            reading.take(taken, &bytes[taken..taken + len]);
            taken += len;
        }
        if taken < bytes.len() {
            return Err(StreamError::Truncated {
                missing: missing(&bytes[taken..]),
            });
        }
        let mut batch = reading.finish();
        batch.set_chunk(BytesMut::from(bytes));
        Ok(batch)
    }
}
