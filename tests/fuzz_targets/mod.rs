//! What is fuzzed: one function for each target, from bytes to laws that must hold.
//!
//! `cargo fuzz` runs them on inputs of its own (`fuzz/`), the tests on the corpus beside this file and on
//! inputs drawn by chance. A law that is broken panics.

#![allow(dead_code, reason = "each program that includes this uses some of it")]
#![allow(clippy::unwrap_used, reason = "a law that is broken panics")]

pub(crate) mod cut;
pub(crate) mod operations;
pub(crate) mod secured;
pub(crate) mod words;

/// A target: its name, which is that of its corpus, and what runs an input.
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

/// Bytes taken one after the other; zeros when they are used up.
pub(crate) struct Bytes<'a>(pub(crate) &'a [u8]);

impl<'a> Bytes<'a> {
    pub(crate) fn next(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        *first
    }

    /// A number below that one.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::from(self.next()) % bound.max(1)
    }

    /// As many as the next byte says, as far as there are so many.
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
