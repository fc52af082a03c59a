//! Compresses outbound bodies, fast rather than small.

use std::fmt;

use flate2::{Compress, Compression, FlushCompress, Status};

use super::Method;

/// Compressors, kept between frames because making one costs more than compressing a small frame (some 300 KiB each).
#[derive(Default)]
pub struct Deflater {
    zlib: Option<Compress>,
    gzip: Option<Compress>,
}

impl Deflater {
    /// Allocates nothing before the first use.
    pub fn new() -> Deflater {
        Deflater::default()
    }

    /// Compresses a body; `None` if this build lacks the method. zlib and gzip use level 1.
    pub fn deflate(&mut self, method: Method, body: &[u8]) -> Option<Vec<u8>> {
        let mut out = Vec::with_capacity(body.len() / 2 + 64);
        self.append(method, body, usize::MAX, &mut out)?;
        Some(out)
    }

    /// Appends the compressed body; `None` if it takes more than `limit` bytes or the method is not available.
    pub(crate) fn append(
        &mut self,
        method: Method,
        body: &[u8],
        limit: usize,
        out: &mut Vec<u8>,
    ) -> Option<()> {
        let limit = limit.saturating_add(out.len());
        match method {
            Method::Zlib => flate(
                reset(&mut self.zlib, || Compress::new(Compression::fast(), true)),
                body,
                limit,
                out,
            ),
            Method::Gzip => flate(
                reset(&mut self.gzip, || {
                    Compress::new_gzip(Compression::fast(), 15)
                }),
                body,
                limit,
                out,
            ),
            #[cfg(feature = "bzip2")]
            Method::Bzip2 => within(limit, out, bzip2(body)?),
            #[cfg(feature = "liblzma")]
            Method::Lzma => within(limit, out, lzma(body)?),
            #[cfg(feature = "snappy")]
            Method::Snappy => within(
                limit,
                out,
                snap::raw::Encoder::new().compress_vec(body).ok()?,
            ),
            #[allow(unreachable_patterns, reason = "reached in builds without all methods")]
            _ => None,
        }
    }
}

impl fmt::Debug for Deflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deflater").finish_non_exhaustive()
    }
}

fn reset(slot: &mut Option<Compress>, make: impl FnOnce() -> Compress) -> &mut Compress {
    if let Some(state) = slot {
        state.reset();
    }
    slot.get_or_insert_with(make)
}

fn flate(state: &mut Compress, body: &[u8], limit: usize, out: &mut Vec<u8>) -> Option<()> {
    loop {
        if out.len() == out.capacity() {
            out.reserve(out.len().max(64));
        }
        let consumed = usize::try_from(state.total_in()).ok()?;
        let status = state
            .compress_vec(body.get(consumed..)?, out, FlushCompress::Finish)
            .ok()?;
        if out.len() > limit {
            return None;
        }
        if status == Status::StreamEnd {
            return Some(());
        }
    }
}

#[cfg(any(feature = "bzip2", feature = "liblzma", feature = "snappy"))]
fn within(limit: usize, out: &mut Vec<u8>, deflated: Vec<u8>) -> Option<()> {
    if out.len() + deflated.len() > limit {
        return None;
    }
    out.extend_from_slice(&deflated);
    Some(())
}

#[cfg(feature = "bzip2")]
fn bzip2(body: &[u8]) -> Option<Vec<u8>> {
    use std::io::Read as _;

    let mut out = Vec::new();
    bzip2::read::BzEncoder::new(body, bzip2::Compression::fast())
        .read_to_end(&mut out)
        .ok()?;
    Some(out)
}

#[cfg(feature = "liblzma")]
fn lzma(body: &[u8]) -> Option<Vec<u8>> {
    use std::io::Read as _;

    let mut out = Vec::new();
    liblzma::read::XzEncoder::new(body, 1)
        .read_to_end(&mut out)
        .ok()?;
    Some(out)
}
