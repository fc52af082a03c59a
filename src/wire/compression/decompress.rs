//! Inflates what a peer sent: detects the method and limits the output.

use std::fmt;

use flate2::{Decompress, FlushDecompress, Status};

use super::Method;
use crate::wire::error::DecodeError;

/// Decompressors, kept between frames because making one costs more than inflating a small frame.
#[derive(Default)]
pub struct Inflater {
    zlib: Option<Decompress>,
    gzip: Option<Decompress>,
}

/// The result of inflating.
#[derive(Debug, PartialEq, Eq)]
pub struct Inflated {
    /// The method of the compressed bytes.
    pub method: Method,
    /// The room asked for, then the output.
    pub bytes: Vec<u8>,
    /// Whether the compressed stream ended exactly where the input did. Not every peer accepts bytes after it.
    pub exact: bool,
}

/// Three bytes of a snappy block expand to at most 64.
#[cfg(feature = "snappy")]
pub(in crate::wire) const SNAPPY_EXPANSION: usize = 22;

/// The first size of the output, which then doubles with what was actually inflated.
const FIRST_ROOM: usize = 512;

impl Inflater {
    /// Allocates nothing before the first use.
    pub fn new() -> Inflater {
        Inflater::default()
    }

    /// Detects the method from the first bytes of a body; `None` for a plain body. A plain 0.4 body begins with two
    /// zero bytes and cannot be mistaken for a compressed one.
    pub fn sniff(body: &[u8]) -> Option<Method> {
        match body {
            [0x1f, 0x8b, ..] => Some(Method::Gzip),
            [b'B', b'Z', b'h', ..] => Some(Method::Bzip2),
            [0xfd, b'7', b'z', b'X', b'Z', 0x00, ..] => Some(Method::Lzma),
            [cmf, _, ..] if cmf >> 4 <= 7 && begins_as_zlib(body) => Some(Method::Zlib),
            _ => None,
        }
    }

    /// Inflates a snappy block. A block has no signature: only the output shows whether it was one. Otherwise works as
    /// [`inflate`](Self::inflate); `None` if the body cannot be a block, a check that costs nothing.
    #[cfg(feature = "snappy")]
    pub(in crate::wire) fn unsnap(
        body: &[u8],
        limit: usize,
        room: usize,
    ) -> Option<Result<Inflated, DecodeError>> {
        let len = snap::raw::decompress_len(body).ok()?;
        // No block expands by more than this, whatever length its head announces.
        if len > body.len().saturating_mul(SNAPPY_EXPANSION) {
            return None;
        }
        if len > limit {
            return Some(Err(DecodeError::TooLarge { limit }));
        }
        let mut bytes = vec![0; room + len];
        let made = snap::raw::Decoder::new().decompress(body, &mut bytes[room..]);
        Some(match made {
            Ok(made) if made == len => Ok(Inflated {
                method: Method::Snappy,
                bytes,
                exact: true,
            }),
            _ => Err(DecodeError::BadCompression(Method::Snappy)),
        })
    }

    /// Inflates a body that looks compressed to at most `limit` bytes, preceded by `room` zero bytes. `None` if it is
    /// plain.
    ///
    /// A body looks like at most one method, so one limit covers the attempt.
    pub fn inflate(
        &mut self,
        body: &[u8],
        limit: usize,
        room: usize,
    ) -> Option<Result<Inflated, DecodeError>> {
        let method = Inflater::sniff(body)?;
        let mut output = Output {
            bytes: vec![0; room],
            limit: room.saturating_add(limit),
        };
        let outcome = match method {
            Method::Zlib => flate(
                reset(&mut self.zlib, || Decompress::new(true)),
                body,
                &mut output,
            ),
            Method::Gzip => flate(
                reset(&mut self.gzip, || Decompress::new_gzip(15)),
                body,
                &mut output,
            ),
            #[cfg(feature = "bzip2")]
            Method::Bzip2 => bzip2(body, &mut output),
            #[cfg(feature = "liblzma")]
            Method::Lzma => lzma(body, &mut output),
            #[allow(unreachable_patterns, reason = "reached in builds without all methods")]
            _ => return Some(Err(DecodeError::UnknownCompression(method))),
        };
        Some(match outcome {
            Ok(exact) => Ok(Inflated {
                method,
                bytes: output.bytes,
                exact,
            }),
            Err(Failure::TooLarge) => Err(DecodeError::TooLarge { limit }),
            Err(Failure::Corrupt) => Err(DecodeError::BadCompression(method)),
        })
    }
}

impl fmt::Debug for Inflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inflater").finish_non_exhaustive()
    }
}

/// Whether these bytes begin like a zlib stream, with any window size: js2p does not check that.
pub(super) fn begins_as_zlib(body: &[u8]) -> bool {
    let Some(&[cmf, flags]) = body.first_chunk() else {
        return false;
    };
    let preset_dictionary = flags & 0x20 != 0;
    cmf & 0x0f == 8 && !preset_dictionary && u16::from_be_bytes([cmf, flags]).is_multiple_of(31)
}

fn reset(slot: &mut Option<Decompress>, make: impl FnOnce() -> Decompress) -> &mut Decompress {
    if let Some(state) = slot {
        state.reset(true);
    }
    slot.get_or_insert_with(make)
}

enum Failure {
    TooLarge,
    Corrupt,
}

struct Output {
    bytes: Vec<u8>,
    limit: usize,
}

/// The state of a decompressor after a step.
struct Step {
    /// Whether the stream has ended.
    ended: bool,
    /// Bytes of input consumed since the stream began.
    consumed: u64,
}

impl Output {
    /// Runs a decompressor to the end of its stream and returns whether that was the end of the input. `step` gets the
    /// rest of the input and fills the vector's spare room; it returns `None` for corrupt input.
    fn fill(
        &mut self,
        input: &[u8],
        mut step: impl FnMut(&[u8], &mut Vec<u8>) -> Option<Step>,
    ) -> Result<bool, Failure> {
        let mut rest = input;
        loop {
            self.grow()?;
            let before = (rest.len(), self.bytes.len());
            let Step { ended, consumed } = step(rest, &mut self.bytes).ok_or(Failure::Corrupt)?;
            rest = usize::try_from(consumed)
                .ok()
                .and_then(|at| input.get(at..))
                .unwrap_or_default();
            if ended {
                self.finish()?;
                return Ok(rest.is_empty());
            }
            if before == (rest.len(), self.bytes.len()) {
                return Err(Failure::Corrupt);
            }
        }
    }

    /// Makes room for more output, up to one byte past the limit: if that byte is used, the limit is exceeded.
    fn grow(&mut self) -> Result<(), Failure> {
        let len = self.bytes.len();
        if len > self.limit {
            return Err(Failure::TooLarge);
        }
        if len == self.bytes.capacity() {
            let more = len.max(FIRST_ROOM).min(self.limit - len + 1);
            self.bytes.reserve_exact(more);
        }
        Ok(())
    }

    /// Releases the spare room left by doubling.
    fn finish(&mut self) -> Result<(), Failure> {
        if self.bytes.len() > self.limit {
            return Err(Failure::TooLarge);
        }
        self.bytes.shrink_to_fit();
        Ok(())
    }
}

fn flate(state: &mut Decompress, input: &[u8], output: &mut Output) -> Result<bool, Failure> {
    output.fill(input, |rest, out| {
        let status = state
            .decompress_vec(rest, out, FlushDecompress::None)
            .ok()?;
        Some(Step {
            ended: status == Status::StreamEnd,
            consumed: state.total_in(),
        })
    })
}

#[cfg(feature = "bzip2")]
fn bzip2(input: &[u8], output: &mut Output) -> Result<bool, Failure> {
    let mut state = bzip2::Decompress::new(false);
    output.fill(input, |rest, out| {
        let status = state.decompress_vec(rest, out).ok()?;
        Some(Step {
            ended: status == bzip2::Status::StreamEnd,
            consumed: state.total_in(),
        })
    })
}

/// Memory for one .xz frame. The reference peers compress with preset 6, which needs 9 MiB; a dictionary much larger
/// than the largest frame is useless.
#[cfg(feature = "liblzma")]
const XZ_MEMORY: u64 = 12 * 1024 * 1024;

#[cfg(feature = "liblzma")]
fn lzma(input: &[u8], output: &mut Output) -> Result<bool, Failure> {
    use liblzma::stream::{Action, Status, Stream};

    let mut state = Stream::new_stream_decoder(XZ_MEMORY, 0).map_err(|_| Failure::Corrupt)?;
    output.fill(input, |rest, out| {
        let status = state.process_vec(rest, out, Action::Run).ok()?;
        Some(Step {
            ended: status == Status::StreamEnd,
            consumed: state.total_in(),
        })
    })
}
