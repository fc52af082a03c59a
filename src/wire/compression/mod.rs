//! Compression of a frame's body: the methods and their choice, inflating under a hard limit, deflating with reused
//! state.
//!
//! Knows nothing of frames: bodies in, bodies out.

mod compress;
mod decompress;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use compress::Deflater;
pub use decompress::{Inflated, Inflater};

#[cfg(feature = "snappy")]
pub(in crate::wire) use decompress::SNAPPY_EXPANSION;

/// Whether a plain body begins like a zlib or gzip stream, which a binary id does by chance about once in a thousand
/// times.
///
/// js2p inflates such a body without checking the stream's checksum: it refuses some as damaged, and spends seconds and
/// gigabytes on others. Compressing them removes the ambiguity.
pub(in crate::wire) fn is_ambiguous(body: &[u8]) -> bool {
    body.starts_with(&[0x1f, 0x8b]) || decompress::begins_as_zlib(body)
}

/// A way to compress a frame's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Method {
    /// RFC 1950.
    #[serde(rename = "zlib")]
    Zlib,
    /// RFC 1952.
    #[serde(rename = "gzip")]
    Gzip,
    /// A .bz2 stream; feature `bzip2`.
    #[serde(rename = "bz2")]
    Bzip2,
    /// An .xz container; feature `liblzma`.
    #[serde(rename = "lzma")]
    Lzma,
    /// A block of snappy without framing; feature `snappy`, from generation 0.5 on.
    #[serde(rename = "snappy")]
    Snappy,
}

/// A set of methods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Methods(u8);

impl Methods {
    pub(crate) fn of(methods: &[Method]) -> Methods {
        Methods(
            methods
                .iter()
                .fold(0, |bits, method| bits | 1 << *method as u8),
        )
    }
}

impl Method {
    /// Returns the methods of this build in the reference peers' order of preference: snappy, zlib, gzip, bz2, lzma.
    pub fn available() -> &'static [Method] {
        &[
            #[cfg(feature = "snappy")]
            Method::Snappy,
            Method::Zlib,
            Method::Gzip,
            #[cfg(feature = "bzip2")]
            Method::Bzip2,
            #[cfg(feature = "liblzma")]
            Method::Lzma,
        ]
    }

    /// Chooses the method for sending: the first of our own list that the peer announced. The peer's order does not
    /// matter.
    pub fn choose(ours: &[Method], theirs: &[Method]) -> Option<Method> {
        ours.iter().copied().find(|method| theirs.contains(method))
    }

    /// Returns the byte that announces the method, the same in every generation.
    pub(crate) fn number(self) -> u8 {
        match self {
            Method::Bzip2 => 0x10,
            Method::Gzip => 0x11,
            Method::Lzma => 0x12,
            Method::Zlib => 0x13,
            Method::Snappy => 0x20,
        }
    }

    /// Returns the method that a code point announces.
    pub(crate) fn from_number(number: u32) -> Option<Method> {
        [
            Method::Zlib,
            Method::Gzip,
            Method::Bzip2,
            Method::Lzma,
            Method::Snappy,
        ]
        .into_iter()
        .find(|method| u32::from(method.number()) == number)
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Method::Zlib => "zlib",
            Method::Gzip => "gzip",
            Method::Bzip2 => "bz2",
            Method::Lzma => "lzma",
            Method::Snappy => "snappy",
        })
    }
}
