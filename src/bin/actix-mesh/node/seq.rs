//! The name a program gives a command: `"seq"`, which comes back exactly as it came.
//!
//! Owns where it stands in a line, also in one that is no JSON or too long to be kept: whoever sent it has to know which of
//! its lines was refused. What else a line says is not understood here.

use std::fmt;

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

/// Bytes a `seq` may have. A longer one is not given back.
const MAX_LEN: usize = 1024;

/// A value of JSON, in the letters in which it came; `null` if there was none.
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
    /// That of a whole line.
    pub(crate) fn of(line: &[u8]) -> Self {
        let mut finder = SeqFinder::default();
        finder.feed(line);
        finder.found()
    }
}

/// Looks for the first `"seq"` of a line's object, byte by byte, without keeping the line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SeqFinder {
    /// Objects and lists that are open.
    depth: usize,
    in_text: bool,
    escaped: bool,
    /// The text that stood last at the outermost level, as far as it matters.
    key: Vec<u8>,
    /// The value, while it comes.
    value: Option<Vec<u8>>,
    found: Option<Vec<u8>>,
}

impl SeqFinder {
    /// Takes in what comes next of the line.
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

    /// What was found.
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
