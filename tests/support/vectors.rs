//! Reads the vector files: rows of JSON in which long strings are packed.

use std::io::Read as _;

use serde_json::Value;

/// Returns the rows of a file under that key.
pub(crate) fn load(file: &str, key: &str) -> Vec<Value> {
    let path = format!("{}/tests/vectors/{file}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let mut file: Value = serde_json::from_str(&text).unwrap();
    match file[key].take() {
        Value::Array(rows) => rows,
        other => panic!("{path} holds no rows but {other}"),
    }
}

/// Returns the bytes that a value gives in hexadecimal.
pub(crate) fn hex(value: &Value) -> Vec<u8> {
    if let Some(packed) = value.get("$hex_zlib") {
        return unpack(packed);
    }
    let text = text(value);
    let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(byte).collect()
}

/// Returns the text of a value.
pub(crate) fn text(value: &Value) -> String {
    match value.get("$utf8_zlib") {
        Some(packed) => String::from_utf8(unpack(packed)).unwrap(),
        None => value
            .as_str()
            .unwrap_or_else(|| panic!("not a string: {value}"))
            .to_owned(),
    }
}

/// Replaces every `{"type":"Buffer","data":[..]}` in the text with the string that the buffer holds.
pub(crate) fn without_buffers(text: &str) -> String {
    let Some((before, rest)) = text.split_once("{\"type\":\"Buffer\",\"data\":[") else {
        return text.to_owned();
    };
    let (data, after) = rest.split_once("]}").unwrap();
    let name: String = data
        .split(',')
        .map(|byte| char::from(byte.parse::<u8>().unwrap()))
        .collect();
    format!("{before}\"{name}\"{after}")
}

fn unpack(packed: &Value) -> Vec<u8> {
    let bytes = base64(packed.as_str().unwrap());
    let mut out = Vec::new();
    flate2::read::ZlibDecoder::new(&bytes[..])
        .read_to_end(&mut out)
        .unwrap();
    out
}

fn base64(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let (mut bits, mut count) = (0_u32, 0);
    for c in text.bytes().filter(|&c| c != b'=') {
        let value = match c {
            b'A'..=b'Z' => c - b'A',
            b'a'..=b'z' => c - b'a' + 26,
            b'0'..=b'9' => c - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => panic!("no base64: {c}"),
        };
        bits = (bits << 6 | u32::from(value)) & 0xfff_ffff;
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push(u8::try_from(bits >> count & 0xff).unwrap());
        }
    }
    out
}
