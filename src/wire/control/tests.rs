//! Tests for printing and reading the JSON of control messages.

use super::*;
use crate::wire::{Batch, Composer, Limits};

const GENERATION: Generation = Generation::V0_4;
const ID: &str = "9kjDBKJt4rRbqigZpDnDb6aX27ytjb1YhvcavpDtwBfMMiuMu3LVJzvnjwGcssN6rh";

fn read(payload: &[&str]) -> Option<Result<Control, ControlError>> {
    let me = NodeId::parse("A").unwrap();
    let payload: Vec<Packet> = payload.iter().map(|&packet| Packet::from(packet)).collect();
    let composed = Composer::new(GENERATION, Limits::default(), me)
        .compose(&Flag::Whisper, &payload, 0)
        .unwrap();
    let batch = Batch::from_frames(GENERATION, Limits::default(), &composed.frames.plain).unwrap();
    Control::read(&batch.get(0).unwrap(), GENERATION)
}

fn texts(control: &Control) -> Vec<String> {
    let packets = control.packets(GENERATION);
    packets
        .iter()
        .map(|packet| packet.as_str().unwrap().to_owned())
        .collect()
}

fn place(host: &str, port: u16) -> Address {
    Address::new(host, port).unwrap()
}

fn node(id: &str) -> NodeId {
    NodeId::parse(id).unwrap()
}

fn peers(json: &str) -> (Vec<PeerEntry>, usize) {
    match read(&["\x07", json]) {
        Some(Ok(Control::Peers { entries, skipped })) => (entries, skipped),
        other => panic!("{json}: {other:?}"),
    }
}

fn handshake(address: &str, methods: &str) -> (Option<Address>, Vec<Method>, Dialect) {
    match read(&["\x03", ID, "S", address, methods]) {
        Some(Ok(Control::Handshake {
            address,
            methods,
            dialect,
            ..
        })) => (address, methods, dialect),
        other => panic!("{address} {methods}: {other:?}"),
    }
}

#[test]
fn json_is_printed_as_py2p_prints_it() {
    let all = vec![Method::Zlib, Method::Gzip, Method::Bzip2, Method::Lzma];
    let control = Control::Handshake {
        id: node(ID),
        subnet: SubnetId::parse("S").unwrap(),
        address: Some(place("127.0.0.1", 31001)),
        methods: all.clone(),
        dialect: Dialect::Spaced,
        extended: false,
    };
    let methods = r#"["\u0013", "\u0011", "\u0010", "\u0012"]"#;
    let expected = ["\x03", ID, "S", r#"["127.0.0.1", 31001]"#, methods];
    assert_eq!(texts(&control), expected);
    assert_eq!(texts(&Control::Compression(all)), ["\x01", methods]);
    assert_eq!(texts(&Control::Compression(Vec::new())), ["\x01", "[]"]);
    assert_eq!(texts(&Control::Resend), ["\x09"]);
    assert_eq!(texts(&Control::RequestPeers), ["\x08", "*"]);
}

#[test]
fn lists_of_peers_are_printed_as_py2p_prints_them() {
    let entry = |port| PeerEntry {
        id: node("A"),
        address: place("127.0.0.1", port),
    };
    let list = |entries| {
        texts(&Control::Peers {
            entries,
            skipped: 0,
        })
    };
    assert_eq!(list(vec![]), ["\x07", "[]"]);
    let two = r#"[[["127.0.0.1", 1], "A"], [["127.0.0.1", 2], "A"]]"#;
    assert_eq!(list(vec![entry(1), entry(2)]), ["\x07", two]);
    let response = Control::Response {
        request: RequestId::parse("R").unwrap(),
        id: node("A"),
        address: place("::1", 1),
    };
    assert_eq!(texts(&response), ["\x0a", "R", r#"[["::1", 1], "A"]"#]);
}

#[test]
fn spacing_tells_js2p_from_py2p() {
    let home = r#"["127.0.0.1", 31001]"#;
    let both = vec![Method::Zlib, Method::Gzip];
    let spaced = handshake(home, r#"["\u0013", "\u0011"]"#);
    let address = Some(place("127.0.0.1", 31001));
    assert_eq!(spaced, (address.clone(), both.clone(), Dialect::Spaced));
    let tight = handshake(home, r#"["\u0013","\u0011"]"#);
    assert_eq!(tight, (address, both, Dialect::Tight));
}

#[test]
fn methods_are_read_liberally() {
    let methods = |json: &str| handshake("[]", json).1;
    assert_eq!(
        methods(r#"["\u0013"," ","??",17,null,"\u0013"]"#),
        [Method::Zlib, Method::Snappy, Method::Gzip]
    );
    assert_eq!(methods("{}"), []);
    assert_eq!(methods("null"), []);
    assert_eq!(
        read(&["\x03", ID, "S", "[]", "]"]),
        Some(Err(ControlError::BadJson))
    );
}

#[test]
fn addresses_that_cannot_be_dialled_are_none() {
    let address = |json: &str| handshake(json, "[]").0;
    assert_eq!(
        address(r#"["host.example",1.0]"#),
        Some(place("host.example", 1))
    );
    assert_eq!(address(r#"["h", "65535"]"#), Some(place("h", 65535)));
    for bad in [
        "null",
        "",
        "[]",
        r#"["h"]"#,
        r#"["h", 0]"#,
        r#"["h", 65536]"#,
        r#"["h", -1]"#,
        r#"["h", 1.5]"#,
        r#"["h", null]"#,
        r#"["", 1]"#,
        r#"["a b", 1]"#,
        r#"["a\"", 1]"#,
        r#"["a\\", 1]"#,
        r#"["a\n", 1]"#,
        r#"[1, 1]"#,
        r#""h:1""#,
    ] {
        assert_eq!(address(bad), None, "{bad}");
    }
    let long = |len| format!("[\"{}\", 1]", "h".repeat(len));
    assert!(address(&long(255)).is_some());
    assert!(address(&long(256)).is_none());
}

#[test]
fn unusable_peers_are_skipped_and_counted() {
    let good = PeerEntry {
        id: node("A"),
        address: place("h", 1),
    };
    assert_eq!(peers(r#"[[["h",1],"A"]]"#), (vec![good.clone()], 0));
    let buffer = r#"[[["h", 1], {"type":"Buffer","data":[65]}]]"#;
    assert_eq!(peers(buffer), (vec![good.clone()], 0));
    let mixed = r#"[[null, "A"], [["h", 1], "[object Object]"], [["h", 1], "A"], [["h", 1], null], 7, [], {}]"#;
    assert_eq!(peers(mixed), (vec![good], 6));
    assert_eq!(read(&["\x07", "{}"]), Some(Err(ControlError::BadForm)));
    assert_eq!(read(&["\x07", "[[["]), Some(Err(ControlError::BadJson)));
}

#[test]
fn lists_of_peers_are_bounded() {
    let list = |count| format!("[{}]", vec![r#"[["h",1],"A"]"#; count].join(","));
    let (entries, skipped) = peers(&list(1030));
    assert_eq!((entries.len(), skipped), (1024, 6));
    let json = list(20_000);
    assert_eq!(read(&["\x07", &json]), Some(Err(ControlError::BadJson)));
    let deep = "[".repeat(100_000);
    assert_eq!(read(&["\x07", &deep]), Some(Err(ControlError::BadJson)));
}

#[test]
fn answers_without_an_address_are_errors() {
    let answer = |json| read(&["\x0a", "R", json]).unwrap();
    assert!(answer(r#"[["h", 1], {"type":"Buffer","data":[52,121]}]"#).is_ok());
    assert_eq!(answer(r#"[null, "A"]"#), Err(ControlError::NoAddress));
    assert!(matches!(
        answer(r#"[["h", 1], "[object Object]"]"#),
        Err(ControlError::BadId(_))
    ));
    assert_eq!(
        answer(r#"[["h", 1], {"data":[256]}]"#),
        Err(ControlError::BadForm)
    );
}

#[test]
fn missing_arguments_are_errors() {
    let missing = |got, needed| Some(Err(ControlError::TooFewPackets { got, needed }));
    assert_eq!(read(&["\x03", ID, "S", "[]"]), missing(4, 5));
    assert_eq!(read(&["\x07"]), missing(1, 2));
    assert_eq!(read(&["\x08"]), missing(1, 2));
    assert_eq!(read(&["\x08", "R"]), missing(2, 3));
    assert_eq!(read(&["\x0a", "R"]), missing(2, 3));
    assert_eq!(read(&["\x01"]), missing(1, 2));
}

#[test]
fn other_kinds_are_no_control_messages() {
    for kind in [
        "\x00", "\x02", "\x04", "\x05", "\x06", "\x0b", "\x0c", "\x0d", "", "mine",
    ] {
        assert_eq!(read(&[kind, "x"]), None, "{kind:?}");
    }
    assert_eq!(read(&[]), None);
}

#[test]
fn control_messages_count_only_as_the_references_send_them() {
    let under = |control: &Control| {
        let flags = [
            Flag::Broadcast,
            Flag::Waterfall,
            Flag::Whisper,
            Flag::Renegotiate,
            Flag::Ping,
        ];
        flags.map(|flag| control.allowed_under(&flag))
    };
    let (request, id) = (RequestId::parse("R").unwrap(), node("A"));
    let asked = Control::Request {
        request: request.clone(),
        wanted: id.clone(),
    };
    let answered = Control::Response {
        request,
        id,
        address: place("h", 1),
    };
    let peers = Control::Peers {
        entries: Vec::new(),
        skipped: 0,
    };
    assert_eq!(under(&peers), [false, false, true, false, false]);
    assert_eq!(
        under(&Control::RequestPeers),
        [false, false, true, false, false]
    );
    assert_eq!(under(&asked), [true, true, true, false, false]);
    assert_eq!(under(&answered), [true, true, false, false, false]);
    assert_eq!(under(&Control::Resend), [false, false, false, true, false]);
    assert_eq!(
        under(&Control::Compression(Vec::new())),
        [false, false, false, true, false]
    );
}
