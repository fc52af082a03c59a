//! The golden vectors of generations 0.5, 0.6 and 0.7.

use crate::support::vectors::{hex, load, text};
use actix_mesh::wire::{
    Batch, Composer, Control, Flag, Generation, IdRule, Limits, NodeId, Packet,
};
use serde_json::Value;

fn batch(generation: Generation, bytes: &[u8]) -> Option<Batch> {
    Batch::from_frames(generation, Limits::default(), bytes).ok()
}

/// Reads a packet of a row: bytes in hexadecimal, or a typed value.
fn packet(value: &Value) -> Packet {
    let Some(kind) = value.get("t") else {
        return Packet::from(hex(value));
    };
    let inner = &value["v"];
    match kind.as_str().unwrap() {
        "bin" => Packet::binary(hex(inner)),
        _ => Packet::value(&plain(value)),
    }
}

/// Returns a value without its types.
fn plain(value: &Value) -> Value {
    let inner = &value["v"];
    match value["t"].as_str().unwrap() {
        "array" => inner.as_array().unwrap().iter().map(plain).collect(),
        "map" => {
            let pairs = inner.as_array().unwrap().iter();
            let pairs = pairs.map(|pair| {
                (
                    plain(&pair[0]).as_str().unwrap().to_owned(),
                    plain(&pair[1]),
                )
            });
            Value::Object(pairs.collect())
        }
        "str" => Value::String(text(inner)),
        // py2p writes ids in lists in this form.
        "bin" => Value::String(String::from_utf8(hex(inner)).unwrap()),
        "nil" => Value::Null,
        _ => inner.clone(),
    }
}

fn name_of(value: &Value) -> String {
    match value.get("t").and_then(Value::as_str) {
        Some("bin") => String::from_utf8(hex(&value["v"])).unwrap(),
        Some(_) => text(&value["v"]),
        None => text(value),
    }
}

/// Whether this crate writes the row identically: it never writes numbers in a wider form, or the types of the other
/// language.
fn is_written_alike(row: &Value) -> bool {
    let name = text(&row["name"]);
    let nested = |packet: &Value| packet["v"].to_string().contains("\"t\":\"bin\"");
    let nested = row["payload"].as_array().unwrap().iter().any(nested);
    row["decode_only"] == false && row["sender"]["t"] != "bin" && !name.ends_with("@js") && !nested
}

fn check(file: &str, generation: Generation) {
    let (mut read, mut written) = (0, 0);
    for row in load(file, "vectors") {
        let name = format!("{generation} {}", text(&row["name"]));
        let bytes = hex(&row["frame"]);
        let batch = batch(generation, &bytes).unwrap_or_else(|| panic!("{name}"));
        if name.ends_with("sender_not_base58")
            || row["compression"] == "snappy"
            || row["compression"] == "20"
            || row["compression"] == 32
        {
            continue;
        }
        let frame = batch
            .get(0)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(frame.sender(), name_of(&row["sender"]).as_bytes(), "{name}");
        assert_eq!(frame.message_id().as_str(), text(&row["id"]), "{name}");
        assert_eq!(
            Some(frame.time()),
            row["time"].to_string().trim_end_matches(".0").parse().ok(),
            "{name}"
        );
        let payload: Vec<Packet> = row["payload"]
            .as_array()
            .unwrap()
            .iter()
            .map(packet)
            .collect();
        let me = NodeId::parse("A").unwrap();
        let mut copies = actix_mesh::wire::Copies::new(0);
        let message = frame.message(&me, &mut copies);
        assert_eq!(message.packets().len(), payload.len(), "{name}");
        for (heard, said) in message.packets().iter().zip(&payload) {
            // A number may arrive in a wider form.
            let alike =
                serde_json::to_string(heard).unwrap() == serde_json::to_string(said).unwrap();
            let number = |packet: &Packet| serde_json::to_value(packet).unwrap().as_f64();
            let same = number(heard).is_some() && number(heard) == number(said);
            assert!(heard == said || alike || same, "{name}: {heard:?} {said:?}");
            if !generation.is_text_only() && !same {
                assert_eq!(heard.form(), said.form(), "{name}");
            }
        }
        let rule = row.get("id_rule").and_then(Value::as_str);
        let by_bytes = rule.is_none_or(|rule| rule == "bytes");
        assert_eq!(frame.verify() == Ok(IdRule::Bytes), by_bytes, "{name}");
        assert!(frame.verify().is_ok(), "{name}");
        read += 1;
        if !by_bytes || !is_written_alike(&row) {
            continue;
        }
        let flag = match row["type"].get("t") {
            None => Flag::read(&hex(&row["type"]), generation),
            Some(_) => frame.flag(),
        };
        let composed = Composer::new(generation, Limits::default(), me)
            .compose_as(
                &NodeId::parse(name_of(&row["sender"])).unwrap(),
                &flag,
                &payload,
                frame.time(),
            )
            .unwrap();
        assert_eq!(composed.id.as_str(), text(&row["id"]), "{name}");
        assert_eq!(&composed.frames.plain[..], &bytes[..], "{name}");
        written += 1;
    }
    assert!(
        read > 30 && written > 10,
        "{generation}: {read} read, {written} written"
    );
}

#[test]
fn messages_of_0_5_are_read_and_written_as_the_references_do() {
    check("message_0_5.json", Generation::V0_5);
}

/// Both generations write the same bytes.
#[test]
fn messages_of_0_6_and_0_7_are_read_and_written_as_the_references_do() {
    check("message_0_6.json", Generation::V0_6);
    check("message_0_6.json", Generation::V0_7);
}

const LENIENT: &str =
    "py2p takes what is there, and the id does not see it; this crate reads exactly";
const SNIFFED: &str = "the method is told by the bytes, so it need not have been announced";
const NO_ID: &str = "a sender that is no id cannot be answered or routed to";
const NO_MESSAGE: &str =
    "js2p takes what py2p refuses: a message without type, sender or time is none";
const CHECKSUM: &str =
    "js2p does not look at the checksum of zlib; the message is not the one that was sent";

/// Rows where this crate's verdict differs from "whatever either reference decoder accepts", and why.
const DIFFERENCES_0_5: &[(&str, bool, &str)] = &[
    ("last_packet_overrun", false, LENIENT),
    ("trailing_bytes", false, LENIENT),
    ("trailing_zero_byte", false, LENIENT),
    ("sender_changed_id_still_ok", false, NO_ID),
    ("empty_sender", false, NO_ID),
    ("comp_13_not_announced", true, SNIFFED),
    ("comp_13_corrupt_middle", false, CHECKSUM),
    ("comp_11_not_announced", true, SNIFFED),
    ("comp_10_not_announced", true, SNIFFED),
    ("comp_10_announced_as_zlib", true, SNIFFED),
    ("comp_10_announced_as_gzip", true, SNIFFED),
    ("comp_12_not_announced", true, SNIFFED),
    ("comp_12_announced_as_zlib", true, SNIFFED),
    ("comp_12_announced_as_gzip", true, SNIFFED),
];

const DIFFERENCES_0_6: &[(&str, bool, &str)] = &[
    ("not_array_str", false, NO_MESSAGE),
    ("array_empty", false, NO_MESSAGE),
    ("array_1", false, NO_MESSAGE),
    ("array_2", false, NO_MESSAGE),
    ("time_as_str", false, NO_MESSAGE),
    ("time_as_nil", false, NO_MESSAGE),
    ("sender_nil", false, NO_ID),
    ("comp_13_not_announced", true, SNIFFED),
    ("comp_11_not_announced", true, SNIFFED),
    ("comp_10_not_announced", true, SNIFFED),
    ("comp_10_announced_as_zlib", true, SNIFFED),
    ("comp_10_announced_as_gzip", true, SNIFFED),
    ("comp_12_not_announced", true, SNIFFED),
    ("comp_12_announced_as_zlib", true, SNIFFED),
    ("comp_12_announced_as_gzip", true, SNIFFED),
];

#[test]
fn malformed_frames_of_0_5_and_0_6_get_the_verdict_of_the_references() {
    for (file, generation) in [
        ("invalid_0_5.json", Generation::V0_5),
        ("invalid_0_6.json", Generation::V0_6),
    ] {
        let mut differ = Vec::new();
        let expected = match generation {
            Generation::V0_5 => DIFFERENCES_0_5,
            _ => DIFFERENCES_0_6,
        };
        for row in load(file, "vectors") {
            let name = text(&row["name"]);
            let theirs = row["py_decoder"]["ok"] == true || row["js_decoder"]["ok"] == true;
            let batch = batch(generation, &hex(&row["frame"]));
            let ours = batch.is_some_and(|batch| {
                batch.len() == 1 && batch.get(0).is_ok_and(|frame| frame.verify().is_ok())
            });
            if ours != theirs {
                differ.push((name, ours));
            }
        }
        let expected = expected
            .iter()
            .map(|(name, ours, _)| ((*name).to_owned(), *ours));
        assert_eq!(differ, expected.collect::<Vec<_>>(), "{generation}");
    }
}

#[test]
fn conversations_of_later_generations_are_understood() {
    for (name, generation) in [
        ("py_py_0_5", Generation::V0_5),
        ("js_js_0_5", Generation::V0_5),
        ("js_py_0_5", Generation::V0_5),
        ("py_py_0_6", Generation::V0_6),
        ("js_js_0_6", Generation::V0_6),
        ("py_py_0_7", Generation::V0_7),
        ("js_js_0_7", Generation::V0_7),
    ] {
        let mut controls = 0;
        for row in load(&format!("transcripts/{name}.json"), "frames") {
            let Some(decoded) = row.get("decoded") else {
                continue;
            };
            let name = format!("{name} {}", row["n"]);
            let bytes = hex(&row["frame_hex"]);
            let batch = batch(generation, &bytes).unwrap();
            let frame = batch
                .get(0)
                .unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(frame.verify().map(drop), Ok(()), "{name}");
            assert_eq!(
                serde_json::to_value(frame.flag()).unwrap(),
                decoded["main"],
                "{name}"
            );
            match Control::read(&frame, generation) {
                None => assert!(
                    matches!(
                        decoded["sub"].as_str(),
                        Some("broadcast" | "whisper") | None
                    ),
                    "{name} {decoded}"
                ),
                Some(Ok(control)) => {
                    controls += 1;
                    assert!(control.allowed_under(&frame.flag()), "{name}");
                    // Writing the message again and reading it gives the same.
                    let me = NodeId::parse("A").unwrap();
                    let packets = control.packets(generation);
                    let again = Composer::new(generation, Limits::default(), me)
                        .compose(&frame.flag(), &packets, 1)
                        .unwrap();
                    let again = self::batch(generation, &again.frames.plain).unwrap();
                    let again = Control::read(&again.get(0).unwrap(), generation)
                        .unwrap()
                        .unwrap();
                    let skipped = matches!(control, Control::Peers { skipped: 1.., .. });
                    assert!(skipped || again == control, "{name}: {again:?} {control:?}");
                }
                Some(Err(error)) => panic!("{name}: {error} {decoded}"),
            }
        }
        assert!(controls > 3, "{name}: {controls}");
    }
}
