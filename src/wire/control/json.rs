//! The JSON in control messages: written exactly as py2p prints it, read as leniently as both reference peers do.

use std::fmt::Write as _;

use serde_json::Value;

use crate::wire::{
    address::Address,
    compression::Method,
    control::{Dialect, PeerEntry},
    error::ControlError,
    id::NodeId,
};

/// The longest JSON that is read. Parsed values take up to a hundred times the text, so a message costs at most 12 MiB
/// while it is parsed.
pub(crate) const MAX_LEN: usize = 128 * 1024;

/// The most entries read from one list of peers.
pub(crate) const MAX_PEERS: usize = 1024;

/// The most entries read from a list of methods.
const MAX_METHODS: usize = 64;

fn parse(text: &[u8]) -> Result<Value, ControlError> {
    if text.len() > MAX_LEN {
        return Err(ControlError::BadJson);
    }
    serde_json::from_slice(text).map_err(|_| ControlError::BadJson)
}

/// Writes `["127.0.0.1", 31001]`. An unknown address becomes one that no peer dials: `null` crashes js2p.
pub(crate) fn write_address(address: Option<&Address>) -> String {
    match address {
        Some(Address { host, port }) => format!("[\"{host}\", {port}]"),
        None => "[\"0.0.0.0\", 0]".to_owned(),
    }
}

pub(crate) fn read_address(text: &[u8]) -> Option<Address> {
    address(&parse(text).ok()?)
}

fn address(value: &Value) -> Option<Address> {
    let [host, port, ..] = value.as_array()?.as_slice() else {
        return None;
    };
    let port = port_number(port).filter(|&port| port != 0)?;
    Address::new(host.as_str()?, port).ok()
}

fn port_number(value: &Value) -> Option<u16> {
    match value {
        Value::String(text) => text.parse().ok(),
        Value::Number(number) => match number.as_u64() {
            Some(port) => u16::try_from(port).ok(),
            None => number.as_f64().and_then(whole),
        },
        _ => None,
    }
}

/// A float with an integral value displays without a fraction.
fn whole(number: f64) -> Option<u16> {
    number.to_string().parse().ok()
}

/// Writes `["\u0013", "\u0011"]`, without the space in the tight dialect.
pub(crate) fn write_methods(methods: &[Method], dialect: Dialect) -> String {
    write_announcement(methods, dialect, None)
}

/// Writes the same followed by a word, which reference peers keep but never choose.
pub(crate) fn write_announcement(
    methods: &[Method],
    dialect: Dialect,
    word: Option<&str>,
) -> String {
    let comma = match dialect {
        Dialect::Spaced => ", ",
        Dialect::Tight => ",",
    };
    let numbers = methods.iter().map(|method| method.number());
    let mut texts: Vec<_> = numbers
        .map(|number| format!("\"\\u{number:04x}\""))
        .collect();
    texts.extend(word.map(|word| format!("\"{word}\"")));
    format!("[{}]", texts.join(comma))
}

/// Whether a list of methods contains that word.
pub(crate) fn announces(text: &[u8], word: &str) -> bool {
    let value = parse(text).unwrap_or_default();
    let mut list = value.as_array().into_iter().flatten().take(MAX_METHODS);
    list.any(|value| value.as_str() == Some(word))
}

/// Returns the known methods of a list, in order and without duplicates; none if the JSON is not a list.
pub(crate) fn read_methods(text: &[u8]) -> Result<Vec<Method>, ControlError> {
    let value = parse(text)?;
    let mut methods = Vec::new();
    for method in value
        .as_array()
        .into_iter()
        .flatten()
        .take(MAX_METHODS)
        .filter_map(method)
    {
        if !methods.contains(&method) {
            methods.push(method);
        }
    }
    Ok(methods)
}

fn method(value: &Value) -> Option<Method> {
    let number = match value {
        Value::String(text) => {
            let mut characters = text.chars();
            characters
                .next()
                .filter(|_| characters.next().is_none())
                .map(u32::from)
        }
        Value::Number(number) => number
            .as_u64()
            .and_then(|number| u32::try_from(number).ok()),
        _ => None,
    };
    Method::from_number(number?)
}

/// Detects the separator in a list of at least two methods.
pub(crate) fn dialect(text: &[u8]) -> Dialect {
    match text.windows(3).any(|three| three == b"\",\"") {
        true => Dialect::Tight,
        false => Dialect::Spaced,
    }
}

/// Writes `[[["127.0.0.1", 30411], "<id>"], ...]`.
pub(crate) fn write_peers(peers: &[PeerEntry]) -> String {
    let mut text = String::from("[");
    for (index, peer) in peers.iter().enumerate() {
        let comma = if index == 0 { "" } else { ", " };
        write!(text, "{comma}{}", write_peer(&peer.address, &peer.id))
            .expect("writing to a String cannot fail");
    }
    text.push(']');
    text
}

/// Writes `[["127.0.0.1", 30411], "<id>"]`.
pub(crate) fn write_peer(address: &Address, id: &NodeId) -> String {
    format!("[{}, \"{id}\"]", write_address(Some(address)))
}

/// Returns the usable entries of a list, and the number of the others.
pub(crate) fn read_peers(text: &[u8]) -> Result<(Vec<PeerEntry>, usize), ControlError> {
    let value = parse(text)?;
    let list = value.as_array().ok_or(ControlError::BadForm)?;
    let entries: Vec<_> = list
        .iter()
        .take(MAX_PEERS)
        .filter_map(|entry| peer(entry).ok())
        .collect();
    let skipped = list.len() - entries.len();
    Ok((entries, skipped))
}

pub(crate) fn read_peer(text: &[u8]) -> Result<PeerEntry, ControlError> {
    peer(&parse(text)?)
}

fn peer(value: &Value) -> Result<PeerEntry, ControlError> {
    let Some([place, name, ..]) = value.as_array().map(Vec::as_slice) else {
        return Err(ControlError::BadForm);
    };
    Ok(PeerEntry {
        id: id(name)?,
        address: address(place).ok_or(ControlError::NoAddress)?,
    })
}

/// Reads an id as text, or as js2p prints a buffer with that text: `{"type":"Buffer","data":[52,121]}`.
fn id(value: &Value) -> Result<NodeId, ControlError> {
    if let Some(text) = value.as_str() {
        return Ok(NodeId::parse(text)?);
    }
    let data = value
        .get("data")
        .and_then(Value::as_array)
        .ok_or(ControlError::BadForm)?;
    let byte = |value: &Value| value.as_u64().and_then(|byte| u8::try_from(byte).ok());
    let bytes: Option<Vec<u8>> = data.iter().map(byte).collect();
    Ok(NodeId::parse(bytes.ok_or(ControlError::BadForm)?)?)
}
