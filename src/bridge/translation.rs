//! Translates payloads between generations without loss: a payload that comes back is unchanged.
//!
//! Generations 0.4 and 0.5 carry bytes, which have to be text where js2p takes part; from 0.6 on a packet is a typed
//! value. Text is text on both sides. In the older generations every other value travels as marked text: `mesh+` and
//! the value's MessagePack in base64url. Text that looks like that is encoded the same way.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::wire::{Form, Generation, Packet, Packets};

/// The prefix of a value encoded as text.
const MARK: &str = "mesh+";

/// Translates a payload; `None` for bytes that are not text, because their type would be lost on the way back.
pub(super) fn translate(payload: &[Packet], from: Generation, to: Generation) -> Option<Packets> {
    let packets = payload.iter().enumerate();
    match (from.is_text_only(), to.is_text_only()) {
        (false, true) => Some(packets.map(|(at, packet)| as_text(at, packet)).collect()),
        (true, false) => packets.map(|(at, packet)| as_value(at, packet)).collect(),
        _ => Some(payload.into()),
    }
}

/// Encodes a value as text.
fn as_text(at: usize, packet: &Packet) -> Packet {
    match packet.form() {
        Form::Text if packet.as_str().is_none_or(|text| told(text).is_none()) => packet.clone(),
        // The protocol's own kinds.
        Form::Number if at == 0 => Packet::from(packet.as_bytes()),
        _ => Packet::from(format!(
            "{MARK}{}",
            URL_SAFE_NO_PAD.encode(packet.encoded())
        )),
    }
}

/// Decodes text into the value it stands for.
fn as_value(at: usize, packet: &Packet) -> Option<Packet> {
    let text = packet.as_str()?;
    if at == 0
        && let &[number @ 0..48] = text.as_bytes()
    {
        return Some(Packet::value(&number.into()));
    }
    Some(told(text).unwrap_or_else(|| Packet::from(text)))
}

/// Decodes marked text. Marked text that `as_text` would not have produced stays text: this returns `None`.
fn told(text: &str) -> Option<Packet> {
    let raw = URL_SAFE_NO_PAD.decode(text.strip_prefix(MARK)?).ok()?;
    let value = Packet::decoded(&raw)?;
    (as_text(1, &value).as_bytes() == text.as_bytes()).then_some(value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn forth_and_back(payload: &Packets, old: Generation) {
        let told = translate(payload, Generation::V0_7, old).unwrap();
        assert!(told.is_text());
        let back = translate(&told, old, Generation::V0_7).unwrap();
        assert_eq!(back, *payload);
        for (back, packet) in back.iter().zip(payload) {
            assert_eq!(back.encoded(), packet.encoded());
        }
        // A second bridge tells it alike.
        assert_eq!(translate(&back, Generation::V0_7, old).unwrap(), told);
    }

    #[test]
    fn values_come_back_as_they_went() {
        let payload: Packets = [
            Packet::value(&json!(0)),
            Packet::from("text"),
            Packet::binary(&b"hi"[..]),
            Packet::binary(vec![0xff, 0]),
            Packet::value(&json!(7)),
            Packet::value(&json!([1, {"a": null}])),
            Packet::from("mesh+"),
            Packet::from("mesh+o2hp"),
            Packet::from(""),
        ]
        .into_iter()
        .collect();
        for old in [Generation::V0_4, Generation::V0_5] {
            forth_and_back(&payload, old);
        }
        let same = translate(&payload, Generation::V0_6, Generation::V0_7);
        assert_eq!(same, Some(payload));
    }

    #[test]
    fn bytes_that_are_not_text_are_not_carried() {
        let payload = Packets::from((Packet::from("\0"), Packet::from([0xff_u8])));
        assert_eq!(
            translate(&payload, Generation::V0_4, Generation::V0_7),
            None
        );
        assert!(translate(&payload, Generation::V0_4, Generation::V0_5).is_some());
    }

    proptest! {
        #[test]
        fn text_comes_back_as_it_went(texts in proptest::collection::vec(".{0,20}|mesh\\+[a-zA-Z0-9_-]{0,12}", 1..4)) {
            let payload: Packets = std::iter::once("\0".to_owned()).chain(texts).collect();
            let there = translate(&payload, Generation::V0_4, Generation::V0_7).unwrap();
            let back = translate(&there, Generation::V0_7, Generation::V0_4).unwrap();
            prop_assert_eq!(back, payload);
        }
    }
}
