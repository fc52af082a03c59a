//! The JSON interface for programs: one JSON object per line, in both directions.
//!
//! Owns the field names, except those of commands, answers and events.

mod strict;

use actix_mesh::{Event, Flag, Generation, Message, MessageId, Node, NodeId, Packet, SubnetId};
use serde::{Deserialize as _, Serialize};
use serde_json::Value;

use self::strict::Strict;
use super::command::{Command, Done, Outcome};
use super::directory::Directory;
use super::interface::{Interface, Read};
use super::seq::Seq;
use crate::command_error::CommandError;
use crate::lines::Line;

/// The program's own lines; the crate's events are printed as they are.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Said<'a> {
    Ready {
        id: &'a NodeId,
        listen: String,
        subnet: Subnet<'a>,
        wire: Generation,
    },
    Page {
        url: &'a str,
    },
    Answer {
        seq: Seq,
        #[serde(flatten)]
        outcome: Told,
    },
    Message {
        id: &'a MessageId,
        sender: &'a NodeId,
        from: &'a NodeId,
        flag: &'a Flag,
        #[serde(rename = "type")]
        kind: &'a Packet,
        packets: &'a [Packet],
        time: u64,
        /// Messages that this program missed just before this one.
        #[serde(skip_serializing_if = "is_zero")]
        missed: u64,
    },
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks by reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[derive(Serialize)]
struct Subnet<'a> {
    name: &'a str,
    encryption: &'a str,
    id: &'a SubnetId,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Told {
    Ok(Done),
    Error(CommandError),
}

/// The JSON interface: see the module.
#[derive(Debug)]
pub(crate) struct Json;

impl Interface for Json {
    fn ready(&self, node: &Node, wire: Generation) -> String {
        line(&Said::Ready {
            id: &node.id,
            listen: node.addr.to_string(),
            subnet: Subnet {
                name: &node.subnet.name,
                encryption: &node.subnet.encryption,
                id: &node.subnet_id,
            },
            wire,
        })
    }

    fn page(&self, url: &str) -> String {
        line(&Said::Page { url })
    }

    fn read(&self, line: Line, _: &Directory) -> Read {
        match parse(line) {
            Ok((seq, command)) => Read::Do { seq, command },
            Err((seq, why)) => Read::Say(answer(seq, Err(CommandError::new("bad_line", why)))),
        }
    }

    fn answer(&self, seq: Seq, outcome: Outcome) -> Option<String> {
        Some(answer(seq, outcome))
    }

    fn message(&self, message: &Message) -> Option<String> {
        Some(line(&Said::Message {
            id: message.id(),
            sender: message.sender(),
            from: message.from(),
            flag: message.flag(),
            kind: message.kind(),
            packets: message.body(),
            time: message.time(),
            missed: message.missed(),
        }))
    }

    fn event(&self, event: &Event) -> Option<String> {
        Some(line(event))
    }
}

fn answer(seq: Seq, outcome: Outcome) -> String {
    let outcome = match outcome {
        Ok(done) => Told::Ok(done),
        Err(refusal) => Told::Error(refusal),
    };
    line(&Said::Answer { seq, outcome })
}

fn line(said: &impl Serialize) -> String {
    serde_json::to_string(said).expect("these types have JSON forms: their maps have text keys")
}

/// Parses a line into a command and its `seq`; or returns the error, with the `seq` if the line has one.
fn parse(line: Line) -> Result<(Seq, Command), (Seq, String)> {
    let text = match line {
        Line::Whole(text) => text,
        Line::TooLong(limit, seq) => {
            return Err((seq, format!("a line has at most {limit} bytes")));
        }
    };
    // Some programs write a byte order mark first.
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&text);
    let seq = Seq::of(text);
    match command(text) {
        Ok(command) => Ok((seq, command)),
        Err(why) => Err((seq, why)),
    }
}

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

fn command(text: &[u8]) -> Result<Command, String> {
    let Strict(value) = serde_json::from_slice(text).map_err(|why| format!("no JSON: {why}"))?;
    let Value::Object(mut fields) = value else {
        return Err("a line is an object: {\"do\":..}".into());
    };
    fields.remove("seq");
    Command::deserialize(Value::Object(fields)).map_err(|why| why.to_string())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use actix_mesh::{CloseReason, Direction, Packets};
    use serde_json::json;

    use super::super::directory::tests::message;
    use super::super::seq::tests::seq as seq_of;
    use super::*;

    fn read(line: &str) -> Read {
        Json.read(Line::Whole(line.into()), &Directory::default())
    }

    fn command(line: &str) -> Command {
        match read(line) {
            Read::Do { command, .. } => command,
            other => panic!("{line}: {other:?}"),
        }
    }

    /// Returns the refusal of a bad line, and its `seq`.
    fn refusal(line: Line) -> (Value, Value) {
        let Read::Say(said) = Json.read(line, &Directory::default()) else {
            panic!("a bad line was taken")
        };
        let mut said: Value = serde_json::from_str(&said).unwrap();
        assert_eq!(said["event"], "answer");
        assert_eq!(said["error"]["code"], "bad_line");
        assert_eq!(said.as_object().unwrap().len(), 3);
        (said["seq"].take(), said["error"]["message"].take())
    }

    fn id(text: &str) -> NodeId {
        text.parse().unwrap()
    }

    #[test]
    fn every_command_is_read() {
        let addr = || "localhost:4444".parse().unwrap();
        let packets = || Packets::from(["a", "b"]);
        let rows = [
            (
                r#"{"do":"connect","addr":"localhost:4444"}"#,
                Command::Connect {
                    addr: addr(),
                    expect: None,
                },
            ),
            (
                r#"{"do":"connect","addr":"localhost:4444","expect":"A"}"#,
                Command::Connect {
                    addr: addr(),
                    expect: Some(id("A")),
                },
            ),
            (
                r#"{"do":"send","packets":["a",{"hex":"62"}]}"#,
                Command::Send {
                    packets: packets(),
                    flag: None,
                    kind: None,
                },
            ),
            (
                r#"{"type":"t","flag":"whisper","packets":["a","b"],"do":"send"}"#,
                Command::Send {
                    packets: packets(),
                    flag: Some(Flag::Whisper),
                    kind: Some("t".into()),
                },
            ),
            (
                r#"{"do":"send","flag":null,"type":null,"packets":[]}"#,
                Command::Send {
                    packets: Packets::default(),
                    flag: None,
                    kind: None,
                },
            ),
            (
                r#"{"do":"whisper","to":"A","packets":["a","b"]}"#,
                Command::Whisper {
                    to: id("A"),
                    packets: packets(),
                    kind: None,
                    within: None,
                },
            ),
            (
                r#"{"do":"whisper","to":"A","packets":["a","b"],"within":2.5}"#,
                Command::Whisper {
                    to: id("A"),
                    packets: packets(),
                    kind: None,
                    within: Some(Duration::from_millis(2500)),
                },
            ),
            (
                r#"{"do":"whisper","to":"A","type":"t","packets":["a","b"]}"#,
                Command::Whisper {
                    to: id("A"),
                    packets: packets(),
                    kind: Some("t".into()),
                    within: None,
                },
            ),
            (
                r#"{"do":"reply","to":"M","packets":["a","b"]}"#,
                Command::Reply {
                    to: "M".parse().unwrap(),
                    packets: packets(),
                },
            ),
            (
                r#"{"do":"disconnect","peer":"A"}"#,
                Command::Disconnect { peer: id("A") },
            ),
            (r#"{"do":"peers"}"#, Command::Peers {}),
            (r#"{"do":"awaiting"}"#, Command::Awaiting {}),
            (r#"{"do":"request_peers"}"#, Command::RequestPeers {}),
            (r#"{"do":"status"}"#, Command::Status {}),
            ("  {\"do\" : \"quit\"}\r", Command::Quit {}),
        ];
        for (line, meant) in rows {
            assert_eq!(command(line), meant, "{line}");
        }
    }

    #[test]
    fn seq_may_be_anything_and_comes_back() {
        for seq in [json!(7), json!("x"), json!({"a": [1]}), json!(null)] {
            let line = json!({"do": "peers", "seq": seq}).to_string();
            assert_eq!(
                read(&line),
                Read::Do {
                    seq: seq_of(&seq.to_string()),
                    command: Command::Peers {}
                }
            );
        }
        let outcome = Ok(Done::Asked { asked: 3 });
        let said: Value =
            serde_json::from_str(&Json.answer(seq_of("7"), outcome).unwrap()).unwrap();
        assert_eq!(
            said,
            json!({"event": "answer", "seq": 7, "ok": {"asked": 3}})
        );
    }

    #[test]
    fn a_bad_line_is_answered_under_its_seq_if_it_has_one() {
        for line in [
            "",
            " ",
            "nonsense",
            "[]",
            "7",
            "null",
            "{",
            r#"{"do":"peers"} x"#,
            "{\"do\":\"peers\u{0}\"}",
        ] {
            assert_eq!(refusal(Line::Whole(line.into())).0, Value::Null, "{line}");
        }
        assert_eq!(refusal(Line::Whole(vec![b'"', 0xff, b'"'])).0, Value::Null);
        let (seq, why) = refusal(Line::TooLong(9, seq_of("5")));
        assert_eq!((seq, why), (json!(5), json!("a line has at most 9 bytes")));
        for line in [
            "{\"seq\":5,\"do\":\"send\",\"packets\":[\"\\ud800\"]}",
            "{\"seq\":5,\"do\":\"peers\",\"do\":\"status\"}",
            "{\"seq\":5,\"do\":\"send\",\"packets\":[{\"hex\":\"00\",\"hex\":\"01\"}]}",
        ] {
            assert_eq!(refusal(Line::Whole(line.into())).0, 5, "{line}");
        }
        let marked = "\u{feff}{\"do\":\"peers\",\"seq\":12345678901234567890123}";
        let big = seq_of("12345678901234567890123");
        assert!(matches!(read(marked), Read::Do { seq, .. } if seq == big));
        assert_eq!(refusal(Line::Whole("[".repeat(1000).into())).0, Value::Null);
        for fields in [
            r#""do":"dance""#,
            r#""do":7"#,
            r#""peers":[]"#,
            r#""do":"peers","whose":"mine""#,
            r#""do":"connect""#,
            r#""do":"connect","addr":"nowhere""#,
            r#""do":"connect","addr":"a:70000""#,
            r#""do":"connect","addr":"a:1","expect":"0""#,
            r#""do":"send""#,
            r#""do":"send","packets":"a""#,
            r#""do":"send","packets":[{"hex":"0"}]"#,
            r#""do":"send","packets":[{"hex":"00","more":1}]"#,
            r#""do":"send","packets":["a"],"flag":"loud""#,
            r#""do":"whisper","to":"","packets":["a"]"#,
            r#""do":"whisper","to":"A","packets":["a"],"within":-1"#,
            r#""do":"whisper","to":"A","packets":["a"],"within":1e9"#,
            r#""do":"whisper","to":"A","packets":["a"],"within":"1""#,
            r#""do":"reply","packets":["a"]"#,
            r#""do":"disconnect","peer":7"#,
        ] {
            let (seq, message) = refusal(Line::Whole(format!("{{\"seq\":5,{fields}}}").into()));
            assert_eq!(seq, 5, "{fields}");
            assert!(!message.as_str().unwrap().is_empty());
        }
    }

    #[test]
    fn a_message_names_packet_0_apart_from_those_behind_it() {
        let said = Json.message(&message("M", "A")).unwrap();
        let flag = "broadcast";
        let meant = json!({
            "event": "message", "id": "M", "sender": "A", "from": "B", "flag": flag,
            "type": "\0", "packets": ["hi"], "time": 7,
        });
        assert_eq!(serde_json::from_str::<Value>(&said).unwrap(), meant);
    }

    #[test]
    fn events_say_who_where_and_why() {
        let addr = "127.0.0.1:4444".parse().unwrap();
        let joined = Event::PeerJoined {
            peer: id("A"),
            addr,
            direction: Direction::Incoming,
        };
        assert_eq!(
            Json.event(&joined).unwrap(),
            r#"{"event":"peer_joined","peer":"A","addr":"127.0.0.1:4444","direction":"incoming"}"#
        );
        let left = Event::PeerLeft {
            peer: id("A"),
            reason: CloseReason::ByPeer,
            unwritten: actix_mesh::Traffic::default(),
        };
        assert_eq!(
            Json.event(&left).unwrap(),
            r#"{"event":"peer_left","peer":"A","reason":{"code":"by_peer"}}"#
        );
    }

    #[test]
    fn a_refusal_stands_under_error() {
        let said = Json
            .answer(seq_of("1"), Err(CommandError::new("refused", "why")))
            .unwrap();
        assert_eq!(
            said,
            r#"{"event":"answer","seq":1,"error":{"code":"refused","message":"why"}}"#
        );
    }
}
