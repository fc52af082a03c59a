//! Authors: the connection on which each author was last heard first.
//!
//! Owns a bounded memory by author. A fresh broadcast came on the quickest path from its author, which leads back to
//! the author.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::mesh::input::ConnId;

/// Authors remembered in each of two generations. When the young generation is full, it replaces the old one.
const GENERATION: usize = 2048;

/// An author's connection is forgotten after this time without a message.
const STALE: Duration = Duration::from_secs(600);

/// What is known of an author.
#[derive(Clone, Copy, Debug)]
struct Author {
    /// The connection on which the last fresh message came.
    way: ConnId,
    heard: Duration,
}

/// See the module. Authors are stored under keyed digests of their ids.
#[derive(Debug, Default)]
pub(in crate::mesh) struct Authors {
    young: BTreeMap<u64, Author>,
    old: BTreeMap<u64, Author>,
}

impl Authors {
    /// Notes that a fresh message of this author came on this connection.
    pub(in crate::mesh) fn heard(&mut self, author: u64, way: ConnId, now: Duration) {
        if let Some(known) = self.young.get_mut(&author) {
            (known.way, known.heard) = (way, now);
            return;
        }
        if self.young.len() >= GENERATION {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(author, Author { way, heard: now });
    }

    /// Returns how many authors each connection leads to.
    pub(in crate::mesh) fn ways(&self, now: Duration) -> BTreeMap<ConnId, usize> {
        let mut ways = BTreeMap::new();
        let old = self.old.iter();
        let old = old.filter(|(author, _)| !self.young.contains_key(author));
        for (_, known) in self.young.iter().chain(old) {
            if now < known.heard + STALE {
                *ways.entry(known.way).or_default() += 1;
            }
        }
        ways
    }

    /// Returns the connection that leads to this author.
    pub(in crate::mesh) fn way_to(&self, author: u64, now: Duration) -> Option<ConnId> {
        let known = self.young.get(&author).or_else(|| self.old.get(&author))?;
        (now < known.heard + STALE).then_some(known.way)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_way_counts_and_grows_stale() {
        let mut authors = Authors::default();
        let at = Duration::from_secs;
        authors.heard(1, ConnId(1), at(1));
        authors.heard(1, ConnId(2), at(5));
        assert_eq!(authors.way_to(1, at(604)), Some(ConnId(2)));
        assert_eq!(authors.way_to(1, at(605)), None);
        assert_eq!(authors.way_to(2, at(5)), None);
    }

    #[test]
    fn memory_is_bounded_and_keeps_who_was_heard_last() {
        let mut authors = Authors::default();
        let now = Duration::from_secs(1);
        for author in 0..100_000 {
            authors.heard(author, ConnId(1), now);
            assert!(authors.young.len() + authors.old.len() <= 2 * GENERATION);
        }
        assert!(authors.way_to(99_000, now).is_some() && authors.way_to(0, now).is_none());
    }
}
