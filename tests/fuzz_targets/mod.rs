//! The fuzz targets: one function each, which takes bytes and checks laws that must hold.
//!
//! `cargo fuzz` runs them on inputs that it generates (`fuzz/`), the tests on the corpus beside this file and on random
//! inputs. A broken law panics.

#![allow(dead_code, reason = "each program that includes this uses some of it")]
#![allow(clippy::unwrap_used, reason = "a law that is broken panics")]

pub(crate) mod cut;
pub(crate) mod operations;
pub(crate) mod secured;
pub(crate) mod words;

/// A target: its name, which is also that of its corpus, and the function that runs an input.
pub(crate) type Target = (&'static str, fn(&[u8]));

/// All targets.
pub(crate) const TARGETS: &[Target] = &[
    ("frame", cut::frame),
    ("packets", cut::packets),
    ("splits", cut::splits),
    ("zlib", cut::zlib),
    ("gzip", cut::gzip),
    ("bzip2", cut::bzip2),
    ("lzma", cut::lzma),
    ("base58", words::base58),
    ("control", words::control),
    ("peer_book", words::peer_book),
    ("mesh", operations::mesh),
    ("proof", secured::proof),
    ("certificate", secured::certificate),
];

/// Bytes taken one after the other; zeros after the end.
pub(crate) struct Bytes<'a>(pub(crate) &'a [u8]);

impl<'a> Bytes<'a> {
    pub(crate) fn next(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        *first
    }

    /// Returns a number below `bound`.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::from(self.next()) % bound.max(1)
    }

    /// Returns as many bytes as the next byte says, or all that are left.
    pub(crate) fn some(&mut self) -> &'a [u8] {
        let count = usize::from(self.next()).min(self.0.len());
        let (some, rest) = self.0.split_at(count);
        self.0 = rest;
        some
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
