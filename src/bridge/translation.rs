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

/// The protocol's own kinds: a byte in the older generations, a number from 0.6 on. In the first packet each stands for
/// the other, so a number or a text beside them must not become one.
fn is_own_kind(at: usize, packet: &[u8]) -> bool {
    at == 0 && matches!(packet, [0..0x20])
}

/// Encodes a value as text.
fn as_text(at: usize, packet: &Packet) -> Packet {
    let bytes = packet.as_bytes();
    let is_plain = |text: &str| told(at, text).is_none() && !is_own_kind(at, bytes);
    match packet.form() {
        Form::Text if packet.as_str().is_none_or(is_plain) => packet.clone(),
        Form::Number if is_own_kind(at, bytes) => Packet::from(bytes),
        _ => Packet::from(format!(
            "{MARK}{}",
            URL_SAFE_NO_PAD.encode(packet.encoded())
        )),
    }
}

/// Decodes text into the value it stands for.
fn as_value(at: usize, packet: &Packet) -> Option<Packet> {
    let text = packet.as_str()?;
    if is_own_kind(at, text.as_bytes()) {
        return text.bytes().next().map(|kind| Packet::value(&kind.into()));
    }
    Some(told(at, text).unwrap_or_else(|| Packet::from(text)))
}

/// Decodes marked text. Marked text that `as_text` would not have produced stays text: this returns `None`.
fn told(at: usize, text: &str) -> Option<Packet> {
    let raw = URL_SAFE_NO_PAD.decode(text.strip_prefix(MARK)?).ok()?;
    let value = Packet::decoded(&raw)?;
    (as_text(at, &value).as_bytes() == text.as_bytes()).then_some(value)
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

    /// Two bridges beside each other must tell a message alike, or it arrives twice.
    #[test]
    fn kinds_come_back_as_they_went() {
        let numbers = (0..300).map(|number| Packet::value(&json!(number)));
        let texts = (0..128).map(|byte: u8| Packet::from(char::from(byte).to_string()));
        let more = [
            "", "/", "ok", "mesh+", "mesh+AA", "mesh+IQ", "mesh+oS8", "é",
        ]
        .map(Packet::from);
        let bytes = [Packet::binary(&b"/"[..]), Packet::binary(&[0][..])];
        let kinds: Vec<Packet> = numbers.chain(texts).chain(more).chain(bytes).collect();
        for kind in &kinds {
            for old in [Generation::V0_4, Generation::V0_5] {
                forth_and_back(&Packets::from((kind.clone(), Packet::from("text"))), old);
            }
        }
        for kind in kinds.iter().filter(|kind| kind.form() == Form::Text) {
            let payload = Packets::from((kind.clone(), Packet::from("text")));
            let there = translate(&payload, Generation::V0_4, Generation::V0_7).unwrap();
            let back = translate(&there, Generation::V0_7, Generation::V0_4).unwrap();
            assert_eq!(back, payload);
        }
        let slash = Packets::from((Packet::from("/"), Packet::from("text")));
        let there = translate(&slash, Generation::V0_4, Generation::V0_7);
        assert_eq!(
            there,
            Some(slash),
            "a user's kind is the same on both sides"
        );
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
