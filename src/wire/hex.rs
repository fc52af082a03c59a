//! Hexadecimal text, and the JSON form of bytes: a string if they are valid UTF-8, else `{"hex": ".."}`.

use serde::{Deserialize, Serialize};

/// The digits of every byte: a table, because from generation 0.6 on each delivered message has its id converted.
static DIGITS: [[u8; 2]; 256] = {
    let digits = b"0123456789abcdef";
    let mut pairs = [[0; 2]; 256];
    let mut byte = 0;
    while byte < pairs.len() {
        pairs[byte] = [digits[byte >> 4], digits[byte & 15]];
        byte += 1;
    }
    pairs
};

/// Encodes each byte as two lower-case digits.
pub fn encode(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| DIGITS[usize::from(*byte)])
        .map(char::from)
        .collect()
}

/// Encodes a digest without an allocation.
pub(crate) fn digest(bytes: &[u8; 32]) -> [u8; 64] {
    let mut text = [0; 64];
    for (pair, byte) in text.as_chunks_mut::<2>().0.iter_mut().zip(bytes) {
        *pair = DIGITS[usize::from(*byte)];
    }
    text
}

/// Decodes pairs of digits, upper or lower case; `None` for anything else.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else {
        return None;
    };
    let byte = |&[high, low]: &[u8; 2]| Some(nibble(high)? << 4 | nibble(low)?);
    pairs.iter().map(byte).collect()
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// The JSON form `{"hex": ".."}`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Hex {
    hex: String,
}

impl From<&[u8]> for Hex {
    fn from(bytes: &[u8]) -> Self {
        Hex { hex: encode(bytes) }
    }
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a string or {\"hex\": \"..\"}")]
enum Form {
    Text(String),
    Hex(Hex),
}

/// A string, or bytes as `{"hex": ".."}`.
#[derive(Deserialize)]
#[serde(try_from = "Form")]
pub(crate) enum TextOrHex {
    Text(String),
    Hex(Vec<u8>),
}

impl TryFrom<Form> for TextOrHex {
    type Error = &'static str;

    fn try_from(form: Form) -> Result<Self, Self::Error> {
        match form {
            Form::Text(text) => Ok(TextOrHex::Text(text)),
            Form::Hex(Hex { hex }) => decode(&hex)
                .map(TextOrHex::Hex)
                .ok_or("\"hex\" must hold pairs of hexadecimal digits"),
        }
    }
}
