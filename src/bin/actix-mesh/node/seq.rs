//! `"seq"`, a program's identifier for a command, echoed unchanged in the answer.
//!
//! Owns how it is found in a line, even in one that is not JSON or too long to keep: the sender has to know which of
//! its lines was refused. Nothing else in a line is parsed here.

use std::fmt;

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

/// The most bytes of a `seq`. A longer one is not echoed.
const MAX_LEN: usize = 1024;

/// A JSON value as it was written; `null` if there was none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seq(String);

impl Default for Seq {
    fn default() -> Self {
        Self(String::from("null"))
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Seq {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw = RawValue::from_string(self.0.clone()).map_err(serde::ser::Error::custom)?;
        raw.serialize(serializer)
    }
}

impl Seq {
    /// Finds the `seq` of a whole line.
    pub(crate) fn of(line: &[u8]) -> Self {
        let mut finder = SeqFinder::default();
        finder.feed(line);
        finder.found()
    }
}

/// Finds the first `"seq"` of a line's object, byte by byte, without buffering the line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SeqFinder {
    /// The number of open objects and lists.
    depth: usize,
    in_text: bool,
    escaped: bool,
    /// The last string at the outermost level, up to a limit.
    key: Vec<u8>,
    /// The value while it is being read.
    value: Option<Vec<u8>>,
    found: Option<Vec<u8>>,
}

impl SeqFinder {
    /// Reads the next bytes of the line.
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if self.found.is_some() {
                return;
            }
            self.step(byte);
        }
    }

    fn step(&mut self, byte: u8) {
        let outermost = self.depth == 1;
        if self.in_text {
            self.keep(byte);
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.in_text = false,
                _ => {}
            }
            if self.in_text && outermost && self.value.is_none() && self.key.len() <= MAX_LEN {
                self.key.push(byte);
            }
            return;
        }
        match byte {
            b',' | b'}' if outermost && self.value.is_some() => self.end(),
            b':' if outermost && self.value.is_none() && self.key == b"seq" => {
                self.value = Some(Vec::new());
                return;
            }
            b'"' => {
                self.in_text = true;
                if outermost && self.value.is_none() {
                    self.key.clear();
                }
            }
            _ => {}
        }
        if self.found.is_some() {
            return;
        }
        match byte {
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
        self.keep(byte);
    }

    fn keep(&mut self, byte: u8) {
        if let Some(value) = &mut self.value
            && value.len() <= MAX_LEN
        {
            value.push(byte);
        }
    }

    fn end(&mut self) {
        self.found = self.value.take();
    }

    /// Returns the `seq` found.
    pub(crate) fn found(self) -> Seq {
        let text = self.found.filter(|value| value.len() <= MAX_LEN);
        let text = text.and_then(|value| String::from_utf8(value).ok());
        let text = text.filter(|text| serde_json::from_str::<&RawValue>(text).is_ok());
        text.map_or_else(Seq::default, |text| Seq(text.trim().to_owned()))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn seq(text: &str) -> Seq {
        Seq(text.to_owned())
    }

    #[test]
    fn it_is_found_wherever_it_stands_and_comes_back_as_it_came() {
        for (line, found) in [
            (r#"{"seq":7,"do":"peers"}"#, "7"),
            (r#"{"do":"peers" , "seq" : 7 }"#, "7"),
            (
                r#"{"do":"send","packets":["\"seq\":1",{"seq":2}],"seq":3}"#,
                "3",
            ),
            (
                r#"{"seq":123456789012345678901234567890.10}"#,
                "123456789012345678901234567890.10",
            ),
            (r#"{"seq":{"a":[1,"}"]},"do":"x"}"#, r#"{"a":[1,"}"]}"#),
            (r#"{"seq":"a,b"}"#, r#""a,b""#),
            (r#"{"packets":["\ud800"],"seq":5}"#, "5"),
            ("\u{feff}{\"seq\":5}", "5"),
            (r#"{"seq":1,"seq":2}"#, "1"),
            (r#"{"do":"seq"}"#, "null"),
            (r#"{"seq":}"#, "null"),
            (r#"{"seq":nonsense}"#, "null"),
            (r#"{"seq":5"#, "null"),
            (r#"["seq",5]"#, "null"),
            ("", "null"),
        ] {
            assert_eq!(Seq::of(line.as_bytes()), seq(found), "{line}");
        }
    }

    #[test]
    fn it_is_found_in_pieces_and_bounded() {
        let line = format!(
            r#"{{"packets":["{}"],"seq":77,"do":"send"}}"#,
            "x".repeat(10_000)
        );
        let mut finder = SeqFinder::default();
        line.as_bytes()
            .chunks(7)
            .for_each(|piece| finder.feed(piece));
        assert_eq!(finder.found(), seq("77"));
        let long = format!(r#"{{"seq":"{}"}}"#, "x".repeat(5000));
        assert_eq!(Seq::of(long.as_bytes()), Seq::default());
    }
}
