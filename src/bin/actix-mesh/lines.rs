//! Lines of bounded length: a line that is too long is skipped and reported, and reading continues with the next.
//!
//! Knows nothing of a line's content but its `seq`.

use std::io::{self, BufRead, Read as _};

use crate::node::seq::{Seq, SeqFinder};

/// A line without its line ending.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line {
    Whole(Vec<u8>),
    /// The line exceeded the limit, which is given with the line's `seq`, if it has one.
    TooLong(usize, Seq),
}

/// Iterates over the lines of an input; the last may lack its line ending.
#[derive(Debug)]
pub(crate) struct Lines<R> {
    input: R,
    limit: usize,
}

impl<R: BufRead> Lines<R> {
    /// Allows `limit` bytes in a line, not counting its ending.
    pub(crate) fn new(input: R, limit: usize) -> Self {
        Self { input, limit }
    }

    fn read(&mut self) -> io::Result<Option<Line>> {
        let most = u64::try_from(self.limit)
            .unwrap_or(u64::MAX)
            .saturating_add(1);
        let mut line = Vec::new();
        self.input
            .by_ref()
            .take(most)
            .read_until(b'\n', &mut line)?;
        match line.last() {
            None => return Ok(None),
            Some(b'\n') => drop(line.pop()),
            Some(_) if line.len() > self.limit => {
                let seq = self.skip(&line)?;
                return Ok(Some(Line::TooLong(self.limit, seq)));
            }
            Some(_) => {}
        }
        Ok(Some(Line::Whole(line)))
    }

    /// Skips the rest of a line, of which `begun` has been read.
    fn skip(&mut self, begun: &[u8]) -> io::Result<Seq> {
        let mut finder = SeqFinder::default();
        finder.feed(begun);
        loop {
            let piece = self.input.fill_buf()?;
            let end = piece.iter().position(|byte| *byte == b'\n');
            let len = end.map_or(piece.len(), |end| end + 1);
            finder.feed(&piece[..end.unwrap_or(len)]);
            self.input.consume(len);
            if end.is_some() || len == 0 {
                return Ok(finder.found());
            }
        }
    }
}

impl<R: BufRead> Iterator for Lines<R> {
    type Item = io::Result<Line>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(input: &str, limit: usize) -> Vec<Line> {
        Lines::new(input.as_bytes(), limit)
            .map(Result::unwrap)
            .collect()
    }

    fn whole(line: &str) -> Line {
        Line::Whole(line.into())
    }

    #[test]
    fn the_last_line_may_lack_its_end() {
        assert_eq!(lines("a\n\nb", 9), [whole("a"), whole(""), whole("b")]);
        assert_eq!(lines("a\n", 9), [whole("a")]);
        assert_eq!(lines("", 9), []);
    }

    #[test]
    fn a_line_over_the_limit_is_told_and_the_next_is_read() {
        assert_eq!(
            lines("1234\n12345\n123456789\n12\n", 4),
            [
                whole("1234"),
                Line::TooLong(4, Seq::default()),
                Line::TooLong(4, Seq::default()),
                whole("12")
            ]
        );
        assert_eq!(lines("12345", 4), [Line::TooLong(4, Seq::default())]);
        let long = Line::TooLong(9, Seq::of(b"{\"seq\":5}"));
        assert_eq!(
            lines("{\"do\":\"send\",\"packets\":[],\"seq\":5}\nshort", 9),
            [long, whole("short")]
        );
    }
}
