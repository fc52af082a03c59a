//! Inflating what a peer sent: which method it looks like, and never more output than allowed.

use std::fmt;

use flate2::{Decompress, FlushDecompress, Status};

use super::Method;
use crate::wire::error::DecodeError;

/// Decompressors, kept between frames because making one costs more than a small frame.
#[derive(Default)]
pub struct Inflater {
    zlib: Option<Decompress>,
    gzip: Option<Decompress>,
}

/// What inflating gave.
#[derive(Debug, PartialEq, Eq)]
pub struct Inflated {
    /// The method that the bytes were in.
    pub method: Method,
    /// Room as asked for, then what came out.
    pub bytes: Vec<u8>,
    /// Whether the compressed stream ended exactly where the input did. Not every peer bears bytes after it.
    pub exact: bool,
}

/// Output grows from here by doubling, with what was really inflated.
const FIRST_ROOM: usize = 512;

impl Inflater {
    /// Nothing is allocated before the first use.
    pub fn new() -> Inflater {
        Inflater::default()
    }

    /// The method that the first bytes of a body look like; `None` for a plain body. A plain 0.4 body begins with two zero
    /// bytes and cannot be mistaken for any of them.
    pub fn sniff(body: &[u8]) -> Option<Method> {
        match body {
            [0x1f, 0x8b, ..] => Some(Method::Gzip),
            [b'B', b'Z', b'h', ..] => Some(Method::Bzip2),
            [0xfd, b'7', b'z', b'X', b'Z', 0x00, ..] => Some(Method::Lzma),
            [cmf, flags, ..] if is_zlib(*cmf, *flags) => Some(Method::Zlib),
            _ => None,
        }
    }

    /// Inflates a body that looks compressed to at most `limit` bytes, which come after `room` zero bytes. `None`: it is plain.
    ///
    /// A body looks like one method at most, so the limit is shared by all that are tried.
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
            Method::Bzip2 => bzip2(body, &mut output),
            Method::Lzma => lzma(body, &mut output),
        };
        Some(match outcome {
            Ok(exact) => Ok(Inflated {
                method,
                bytes: output.bytes,
                exact,
            }),
            Err(Failure::TooLarge) => Err(DecodeError::TooLarge { limit }),
            Err(Failure::Corrupt) => Err(DecodeError::BadCompression(method)),
            #[allow(dead_code)]
            Err(Failure::Unavailable) => Err(DecodeError::UnknownCompression(method)),
        })
    }
}

impl fmt::Debug for Inflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inflater").finish_non_exhaustive()
    }
}

fn is_zlib(cmf: u8, flags: u8) -> bool {
    let deflate = cmf & 0x0f == 8 && cmf >> 4 <= 7;
    let preset_dictionary = flags & 0x20 != 0;
    deflate && !preset_dictionary && u16::from_be_bytes([cmf, flags]).is_multiple_of(31)
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
    #[cfg_attr(all(feature = "bzip2", feature = "liblzma"), allow(dead_code))]
    Unavailable,
}

struct Output {
    bytes: Vec<u8>,
    limit: usize,
}

impl Output {
    /// Makes room for more, but for a single byte past the limit only: if that is used, the limit is passed.
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

    /// Gives back what doubling took too much, and says whether the whole input was used.
    fn finish(&mut self, consumed: u64, input: &[u8]) -> Result<bool, Failure> {
        if self.bytes.len() > self.limit {
            return Err(Failure::TooLarge);
        }
        self.bytes.shrink_to_fit();
        Ok(usize::try_from(consumed) == Ok(input.len()))
    }
}

fn rest(input: &[u8], consumed: u64) -> &[u8] {
    usize::try_from(consumed)
        .ok()
        .and_then(|at| input.get(at..))
        .unwrap_or_default()
}

fn flate(state: &mut Decompress, input: &[u8], output: &mut Output) -> Result<bool, Failure> {
    loop {
        output.grow()?;
        let before = (state.total_in(), output.bytes.len());
        let input_left = rest(input, state.total_in());
        let status = state
            .decompress_vec(input_left, &mut output.bytes, FlushDecompress::None)
            .map_err(|_| Failure::Corrupt)?;
        if status == Status::StreamEnd {
            return output.finish(state.total_in(), input);
        }
        if before == (state.total_in(), output.bytes.len()) {
            return Err(Failure::Corrupt);
        }
    }
}

#[cfg(feature = "bzip2")]
fn bzip2(input: &[u8], output: &mut Output) -> Result<bool, Failure> {
    let mut state = bzip2::Decompress::new(false);
    loop {
        output.grow()?;
        let before = (state.total_in(), output.bytes.len());
        let status = state
            .decompress_vec(rest(input, state.total_in()), &mut output.bytes)
            .map_err(|_| Failure::Corrupt)?;
        if status == bzip2::Status::StreamEnd {
            return output.finish(state.total_in(), input);
        }
        if before == (state.total_in(), output.bytes.len()) {
            return Err(Failure::Corrupt);
        }
    }
}

#[cfg(not(feature = "bzip2"))]
fn bzip2(_: &[u8], _: &mut Output) -> Result<bool, Failure> {
    Err(Failure::Unavailable)
}

/// Memory for one .xz frame. The reference peers compress with preset 6, which needs 9 MiB; a dictionary larger than
/// a frame may become is of no use to anybody else.
#[cfg(feature = "liblzma")]
const XZ_MEMORY: u64 = 24 * 1024 * 1024;

#[cfg(feature = "liblzma")]
fn lzma(input: &[u8], output: &mut Output) -> Result<bool, Failure> {
    use liblzma::stream::{Action, Status, Stream};

    let mut state = Stream::new_stream_decoder(XZ_MEMORY, 0).map_err(|_| Failure::Corrupt)?;
    loop {
        output.grow()?;
        let before = (state.total_in(), output.bytes.len());
        let status = state
            .process_vec(
                rest(input, state.total_in()),
                &mut output.bytes,
                Action::Run,
            )
            .map_err(|_| Failure::Corrupt)?;
        if status == Status::StreamEnd {
            return output.finish(state.total_in(), input);
        }
        if before == (state.total_in(), output.bytes.len()) {
            return Err(Failure::Corrupt);
        }
    }
}

#[cfg(not(feature = "liblzma"))]
fn lzma(_: &[u8], _: &mut Output) -> Result<bool, Failure> {
    Err(Failure::Unavailable)
}
