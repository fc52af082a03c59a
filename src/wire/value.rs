//! MessagePack values, the packets of generations 0.6 and 0.7: where a value begins and ends, how it is written, and
//! its JSON equivalent.
//!
//! Does not know what a value means in a message.

use super::hex;

/// The type of a packet, where the generation has types.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Form {
    /// Untyped bytes: received in generations 0.4 and 0.5, or given without a type. Sent as text if they are valid
    /// UTF-8, else as binary.
    #[default]
    Plain,
    /// Text.
    Text,
    /// Binary, even if the bytes are valid UTF-8.
    Binary,
    /// A whole number from 0 to 127, one byte. The protocol's flags are such numbers.
    Number,
    /// Any other value, in its MessagePack encoding.
    Value,
}

/// The deepest nesting that is converted to JSON.
const MAX_DEPTH: usize = 16;

/// Returns the length of a value's head, the length of its contents, and the number of values nested in it.
fn head(bytes: &[u8]) -> Option<(usize, usize, usize)> {
    let be = |from: usize, len: usize| -> Option<usize> {
        let bytes = bytes.get(from..from + len)?;
        Some(
            bytes
                .iter()
                .fold(0, |sum, byte| sum << 8 | usize::from(*byte)),
        )
    };
    Some(match *bytes.first()? {
        0x00..=0x7f | 0xc0 | 0xc2 | 0xc3 | 0xe0..=0xff => (1, 0, 0),
        marker @ 0x80..=0x8f => (1, 0, 2 * usize::from(marker & 0x0f)),
        marker @ 0x90..=0x9f => (1, 0, usize::from(marker & 0x0f)),
        marker @ 0xa0..=0xbf => (1, usize::from(marker & 0x1f), 0),
        0xc4 | 0xd9 => (2, be(1, 1)?, 0),
        0xc5 | 0xda => (3, be(1, 2)?, 0),
        0xc6 | 0xdb => (5, be(1, 4)?, 0),
        0xc7 => (3, be(1, 1)?, 0),
        0xc8 => (4, be(1, 2)?, 0),
        0xc9 => (6, be(1, 4)?, 0),
        0xcc | 0xd0 => (1, 1, 0),
        0xcd | 0xd1 => (1, 2, 0),
        0xca | 0xce | 0xd2 => (1, 4, 0),
        0xcb | 0xcf | 0xd3 => (1, 8, 0),
        0xd4 => (2, 1, 0),
        0xd5 => (2, 2, 0),
        0xd6 => (2, 4, 0),
        0xd7 => (2, 8, 0),
        0xd8 => (2, 16, 0),
        0xdc => (3, 0, be(1, 2)?),
        0xdd => (5, 0, be(1, 4)?),
        0xde => (3, 0, 2 * be(1, 2)?),
        0xdf => (5, 0, be(1, 4)?.checked_mul(2)?),
        0xc1 => return None,
    })
}

/// Returns the length of the value at the start of these bytes, nested values included.
pub(super) fn value_len(bytes: &[u8]) -> Option<usize> {
    let (mut at, mut left) = (0_usize, 1_usize);
    while left > 0 {
        let rest = bytes.get(at..)?;
        let (before, contents, inside) = head(rest)?;
        at = at.checked_add(before)?.checked_add(contents)?;
        left = (left - 1).checked_add(inside)?;
        // Each value takes at least one byte, so a larger count cannot be true.
        if at > bytes.len() || left > bytes.len() - at {
            return None;
        }
    }
    Some(at)
}

/// Returns the length of the head to skip, and the form. Only text and binary have a head to skip; other values are
/// kept as they are encoded.
pub(super) fn form(raw: &[u8]) -> (usize, Form) {
    let form = match raw.first() {
        Some(0xa0..=0xbf | 0xd9..=0xdb) => Form::Text,
        Some(0xc4..=0xc6) => Form::Binary,
        Some(0x00..=0x7f) => Form::Number,
        _ => Form::Value,
    };
    let skip = match form {
        Form::Text | Form::Binary => head(raw).map_or(0, |(before, ..)| before),
        _ => 0,
    };
    (skip, form)
}

/// Returns the contents of a value, if these bytes are exactly one value.
#[cfg(any(feature = "bridge", test))]
pub(crate) fn whole(raw: &[u8]) -> Option<(&[u8], Form)> {
    let (skip, form) = form(raw);
    (value_len(raw)? == raw.len()).then(|| (&raw[skip.min(raw.len())..], form))
}

/// Reads a whole number, even if it is encoded as a float.
pub(crate) fn whole_number(raw: &[u8]) -> Option<u64> {
    match *raw {
        [number @ 0x00..=0x7f] => Some(u64::from(number)),
        [0xcc, ref rest @ ..]
        | [0xcd, ref rest @ ..]
        | [0xce, ref rest @ ..]
        | [0xcf, ref rest @ ..] => {
            Some(rest.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
        }
        [0xd0, ref rest @ ..]
        | [0xd1, ref rest @ ..]
        | [0xd2, ref rest @ ..]
        | [0xd3, ref rest @ ..]
            if rest.first().is_some_and(|first| *first < 0x80) =>
        {
            Some(rest.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
        }
        [0xca, a, b, c, d] => whole_float(f64::from(f32::from_be_bytes([a, b, c, d]))),
        [0xcb, ref rest @ ..] => whole_float(f64::from_be_bytes(rest.try_into().ok()?)),
        _ => None,
    }
}

/// A float without a fraction displays as digits only.
fn whole_float(number: f64) -> Option<u64> {
    number.to_string().parse().ok()
}

pub(crate) fn write_array(len: usize, out: &mut Vec<u8>) {
    match (u8::try_from(len), u16::try_from(len), u32::try_from(len)) {
        (Ok(len @ 0..=15), ..) => out.push(0x90 | len),
        (_, Ok(len), _) => sized(0xdc, &len.to_be_bytes(), out),
        (.., len) => sized(0xdd, &len.unwrap_or(u32::MAX).to_be_bytes(), out),
    }
}

pub(crate) fn write_number(number: u64, out: &mut Vec<u8>) {
    match (
        u8::try_from(number),
        u16::try_from(number),
        u32::try_from(number),
    ) {
        (Ok(number @ 0..=0x7f), ..) => out.push(number),
        (Ok(number), ..) => sized(0xcc, &[number], out),
        (_, Ok(number), _) => sized(0xcd, &number.to_be_bytes(), out),
        (.., Ok(number)) => sized(0xce, &number.to_be_bytes(), out),
        _ => sized(0xcf, &number.to_be_bytes(), out),
    }
}

fn write_negative(number: i64, out: &mut Vec<u8>) {
    match (
        i8::try_from(number),
        i16::try_from(number),
        i32::try_from(number),
    ) {
        (Ok(number @ -32..), ..) => out.extend_from_slice(&number.to_be_bytes()),
        (Ok(number), ..) => sized(0xd0, &number.to_be_bytes(), out),
        (_, Ok(number), _) => sized(0xd1, &number.to_be_bytes(), out),
        (.., Ok(number)) => sized(0xd2, &number.to_be_bytes(), out),
        _ => sized(0xd3, &number.to_be_bytes(), out),
    }
}

pub(crate) fn write_text(text: &[u8], out: &mut Vec<u8>) {
    match (u8::try_from(text.len()), u16::try_from(text.len())) {
        (Ok(len @ 0..=31), _) => out.push(0xa0 | len),
        (Ok(len), _) => sized(0xd9, &[len], out),
        (_, Ok(len)) => sized(0xda, &len.to_be_bytes(), out),
        _ => sized(0xdb, &length(text.len()), out),
    }
    out.extend_from_slice(text);
}

pub(crate) fn write_binary(bytes: &[u8], out: &mut Vec<u8>) {
    match (u8::try_from(bytes.len()), u16::try_from(bytes.len())) {
        (Ok(len), _) => sized(0xc4, &[len], out),
        (_, Ok(len)) => sized(0xc5, &len.to_be_bytes(), out),
        _ => sized(0xc6, &length(bytes.len()), out),
    }
    out.extend_from_slice(bytes);
}

/// Encodes a length in four bytes. A longer value is refused before it gets here.
fn length(len: usize) -> [u8; 4] {
    u32::try_from(len).unwrap_or(u32::MAX).to_be_bytes()
}

fn sized(marker: u8, size: &[u8], out: &mut Vec<u8>) {
    out.push(marker);
    out.extend_from_slice(size);
}

/// The maximum number of values, at all depths, in a value that is converted to JSON: each may be one byte on the wire
/// and takes some forty times as much once parsed.
pub(crate) const MAX_VALUES: usize = 65_536;

/// Converts a value to JSON: binary that is valid UTF-8 to a string, other binary to `{"hex": ..}`. `None` if the value
/// is nested too deep, holds more than [`MAX_VALUES`], or has no JSON equivalent.
pub(crate) fn to_json(raw: &[u8]) -> Option<serde_json::Value> {
    let mut left = MAX_VALUES;
    let (value, len) = json(raw, 0, &mut left)?;
    (len == raw.len()).then_some(value)
}

fn json(raw: &[u8], depth: usize, left: &mut usize) -> Option<(serde_json::Value, usize)> {
    use serde_json::{Map, Value};
    *left = left.checked_sub(1)?;
    let (before, contents, inside) = head(raw)?;
    let end = before.checked_add(contents)?;
    let inner = raw.get(before..end)?;
    let marker = *raw.first()?;
    let value = match marker {
        0xc0 => Value::Null,
        0xc2 | 0xc3 => Value::Bool(marker == 0xc3),
        0xa0..=0xbf | 0xd9..=0xdb => Value::String(String::from_utf8_lossy(inner).into_owned()),
        0xc4..=0xc6 => match std::str::from_utf8(inner) {
            Ok(text) => Value::String(text.to_owned()),
            Err(_) => binary(inner),
        },
        0xca => f64::from(f32::from_be_bytes(inner.try_into().ok()?)).into(),
        0xcb => f64::from_be_bytes(inner.try_into().ok()?).into(),
        0xe0..=0xff => i64::from(i8::from_be_bytes([marker])).into(),
        0xd0..=0xd3 => {
            let negative = inner.first().is_some_and(|first| *first >= 0x80);
            let start = if negative { -1 } else { 0 };
            inner
                .iter()
                .fold(start, |sum: i64, byte| sum << 8 | i64::from(*byte))
                .into()
        }
        0x00..=0x7f | 0xcc..=0xcf => whole_number(raw.get(..end)?)?.into(),
        0xc7..=0xc9 | 0xd4..=0xd8 => binary(inner),
        _ if depth == MAX_DEPTH => return None,
        _ => {
            let is_map = matches!(marker, 0x80..=0x8f | 0xde | 0xdf);
            let (mut at, mut list, mut map) = (before, Vec::new(), Map::new());
            let mut key = None;
            for _ in 0..inside {
                let (value, len) = json(raw.get(at..)?, depth + 1, left)?;
                at = at.checked_add(len)?;
                match (is_map, key.take()) {
                    (false, _) => list.push(value),
                    (true, None) => key = Some(value),
                    (true, Some(Value::String(key))) => drop(map.insert(key, value)),
                    (true, Some(key)) => drop(map.insert(key.to_string(), value)),
                }
            }
            let value = if is_map {
                Value::Object(map)
            } else {
                Value::Array(list)
            };
            return Some((value, at));
        }
    };
    Some((value, end))
}

fn binary(bytes: &[u8]) -> serde_json::Value {
    serde_json::json!({ "hex": hex::encode(bytes) })
}

/// Appends JSON as a MessagePack value.
pub(crate) fn write_json(value: &serde_json::Value, out: &mut Vec<u8>) {
    use serde_json::Value;
    match value {
        Value::Null => out.push(0xc0),
        Value::Bool(yes) => out.push(0xc2 + u8::from(*yes)),
        Value::String(text) => write_text(text.as_bytes(), out),
        Value::Number(number) => match (number.as_u64(), number.as_i64()) {
            (Some(number), _) => write_number(number, out),
            (_, Some(number)) => write_negative(number, out),
            _ => sized(
                0xcb,
                &number.as_f64().unwrap_or_default().to_be_bytes(),
                out,
            ),
        },
        Value::Array(list) => {
            write_array(list.len(), out);
            list.iter().for_each(|value| write_json(value, out));
        }
        Value::Object(map) => {
            match u16::try_from(map.len()) {
                Ok(len @ 0..=15) => out.push(0x80 | len.to_be_bytes()[1]),
                Ok(len) => sized(0xde, &len.to_be_bytes(), out),
                Err(_) => sized(0xdf, &length(map.len()), out),
            }
            for (key, value) in map {
                write_text(key.as_bytes(), out);
                write_json(value, out);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn json_comes_back_as_it_went() {
        let value = json!([5, "text", ["127.0.0.1", 31001], [19, 17], null, true, -7, 1.5,
            {"a": [1, {"b": 65536}]}, 4_294_967_296_u64, "x".repeat(300)]);
        let mut raw = Vec::new();
        write_json(&value, &mut raw);
        assert_eq!(value_len(&raw), Some(raw.len()));
        assert_eq!(to_json(&raw), Some(value));
    }

    #[test]
    fn what_is_nested_without_end_is_refused_and_costs_nothing() {
        assert_eq!(value_len(&[0x91; 1 << 16]), None);
        let mut deep = vec![0x91; 1 << 16];
        deep.push(0);
        assert_eq!(value_len(&deep), Some(deep.len()));
        assert_eq!(to_json(&deep), None);
        let wide = |inside: usize| {
            let mut wide = vec![0xdd];
            wide.extend_from_slice(&u32::try_from(inside).expect("small").to_be_bytes());
            wide.resize(5 + inside, 0);
            wide
        };
        assert!(to_json(&wide(MAX_VALUES - 1)).is_some());
        assert_eq!(to_json(&wide(MAX_VALUES)), None);
        assert_eq!(value_len(&[0xdd, 0xff, 0xff, 0xff, 0xff]), None);
        assert_eq!(value_len(&[0xdf, 0xff, 0xff, 0xff, 0xff]), None);
        assert_eq!(value_len(&[0xc6, 0xff, 0xff, 0xff, 0xff]), None);
    }

    #[test]
    fn whole_numbers_are_read_in_every_form() {
        for raw in [
            &[7_u8][..],
            &[0xcc, 7],
            &[0xcd, 0, 7],
            &[0xce, 0, 0, 0, 7],
            &[0xcf, 0, 0, 0, 0, 0, 0, 0, 7],
            &[0xd0, 7],
            &[0xcb, 0x40, 0x1c, 0, 0, 0, 0, 0, 0],
            &[0xca, 0x40, 0xe0, 0, 0],
        ] {
            assert_eq!(whole_number(raw), Some(7), "{raw:x?}");
        }
        for raw in [
            &[0xd0_u8, 0xff][..],
            &[0xcb, 0x3f, 0xf8, 0, 0, 0, 0, 0, 0],
            &[0xa1, b'7'],
            &[],
        ] {
            assert_eq!(whole_number(raw), None, "{raw:x?}");
        }
    }
}
