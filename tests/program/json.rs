//! The contract of `node --format json`, between our own nodes.

use std::io::{BufRead as _, BufReader, Write as _};

use serde_json::{Value, json};

use super::peer::{Peer, unique};

fn keys(object: &Value) -> Vec<&str> {
    let mut keys: Vec<_> = object
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    keys.sort_unstable();
    keys
}

fn linked() -> (Peer, Peer) {
    let (one, two) = (Peer::ours("one"), Peer::ours("two"));
    one.join(&two);
    (one, two)
}

#[test]
fn the_first_line_says_who_and_where() {
    let node = Peer::ours_with("node", &["--subnet", "a", "--wire", "0.4"]);
    let first = &node.lines(|_| true)[0];
    assert_eq!(keys(first), ["event", "id", "listen", "subnet", "wire"]);
    assert_eq!(first["event"], "ready");
    assert_eq!(first["wire"], "0.4");
    assert!(!first["listen"].as_str().unwrap().ends_with(":0"));
    assert_eq!(keys(&first["subnet"]), ["encryption", "id", "name"]);
    assert_eq!(first["subnet"]["name"], "a");
    assert_eq!(first["subnet"]["encryption"], "Plaintext");
}

#[test]
fn two_nodes_meet_and_each_says_so() {
    let (one, two) = linked();
    for (us, them, direction) in [(&one, &two, "outgoing"), (&two, &one, "incoming")] {
        let joined = us.wait_for("the news", |line| line["event"] == "peer_joined");
        let meant = json!({
            "event": "peer_joined", "peer": them.id, "addr": them.listen, "direction": direction
        });
        assert_eq!(joined, meant);
    }
    one.order(json!({"do": "disconnect", "peer": two.id}));
    for (us, them, code) in [(&one, &two, "requested"), (&two, &one, "by_peer")] {
        let left = us.wait_for("the news", |line| line["event"] == "peer_left");
        assert_eq!(
            left,
            json!({"event": "peer_left", "peer": them.id, "reason": {"code": code}})
        );
    }
}

#[test]
fn a_broadcast_is_whispered_back() {
    let (one, two) = linked();
    let (question, reply) = (unique("who?"), unique("I"));
    let sent = one.order(json!({"do": "send", "packets": [question, "", {"hex": "7a"}]}));
    assert_eq!(keys(&sent), ["handed_to", "id", "skipped", "time"]);
    assert_eq!(sent["handed_to"], json!([two.id]));
    let heard = two.hears(&*question);
    let meant = json!({
        "event": "message", "id": sent["id"], "sender": one.id, "from": one.id, "flag": "broadcast",
        "type": "\0", "packets": [question, "", "z"], "time": sent["time"],
    });
    assert_eq!(heard, meant);

    let whispered = two.order(json!({"do": "reply", "to": heard["id"], "packets": [reply]}));
    assert_eq!(whispered["to"], *one.id);
    let heard = one.hears(&*reply);
    assert_eq!(heard["flag"], "whisper");
    assert_eq!(heard["type"], "\u{2}");
    assert_eq!(heard["id"], whispered["id"]);

    let text = unique("once more");
    one.order(json!({"do": "whisper", "to": two.id, "packets": [text], "within": 2.5}));
    assert_eq!(two.hears(text)["sender"], *one.id);
}

#[test]
fn a_kind_of_the_users_own_arrives_as_it_is() {
    let (one, two) = linked();
    let text = unique("e4");
    one.order(json!({"do": "send", "packets": [text], "type": "chess", "flag": "whisper"}));
    let heard = two.hears(text);
    assert_eq!(
        (&heard["type"], &heard["flag"]),
        (&json!("chess"), &json!("whisper"))
    );
    let error = one.refused(json!({"do": "send", "packets": ["x"], "type": {"hex": "03"}}));
    assert_eq!(error["code"], "reserved_kind", "{error}");
    let error = one.refused(json!({"do": "send", "packets": ["x"], "flag": "ping"}));
    assert_eq!(error["code"], "reserved_flag", "{error}");
}

#[test]
fn a_whisper_goes_to_a_node_that_has_to_be_found() {
    let ends = [Peer::ours("one"), Peer::ours("two")];
    let middle = Peer::ours("middle");
    ends.iter().for_each(|end| end.join(&middle));
    let text = unique("found you");
    let whisper = json!({"do": "whisper", "to": ends[1].id, "packets": [text], "within": 15});
    assert_eq!(ends[0].order(whisper)["discovered"], true);
    assert_eq!(ends[1].hears_once(&text)["sender"], *ends[0].id);
}

#[test]
fn a_slow_command_holds_no_other_up() {
    let (one, two) = linked();
    let nobody = "2NEpo7TZRRrLZSi2U";
    let slow = json!({"do": "whisper", "to": nobody, "packets": ["?"], "within": 3});
    let slow = one.tell(slow);
    let text = unique("meanwhile");
    one.say(&text);
    two.hears(text);
    assert!(one.lines(|line| line["seq"] == slow).is_empty());
    let error = one.answer(slow).unwrap_err();
    assert_eq!(error["code"], "not_found", "{error}");
}

#[test]
fn lines_that_nobody_waits_for_are_done_in_their_order() {
    let (one, two) = linked();
    let numbers = 0..500_u32;
    for number in numbers.clone() {
        one.tell(json!({"do": "send", "packets": [number.to_string()]}));
    }
    two.hears("499");
    let heard = two.lines(|line| line["event"] == "message");
    let meant = numbers.map(|number| json!([number.to_string()]));
    assert!(
        heard
            .iter()
            .map(|line| &line["packets"])
            .eq(&meant.collect::<Vec<_>>())
    );
}

#[test]
fn bad_lines_are_answered_and_harm_nothing() {
    let node = Peer::ours("node");
    let bad = [
        "",
        "nonsense",
        "[1, 2]",
        "{\"do\":",
        r#"{"do":"dance"}"#,
        r#"{"do":"send"}"#,
        r#"{"do":"connect","addr":"nowhere"}"#,
        r#"{"do":"send","packets":["a"],"flag":"loud"}"#,
    ];
    bad.iter().for_each(|line| node.write_line(line));
    let error = node.refused(json!({"do": "whisper", "to": "0", "packets": ["a"]}));
    assert_eq!(error["code"], "bad_line", "{error}");
    let answers = node.lines(|line| line["event"] == "answer" && line["seq"].is_null());
    assert_eq!(answers.len(), bad.len());
    for answer in answers {
        assert_eq!(keys(&answer), ["error", "event", "seq"]);
        assert_eq!(keys(&answer["error"]), ["code", "message"]);
        assert_eq!(answer["error"]["code"], "bad_line");
    }
    assert_eq!(node.order(json!({"do": "peers"})), json!({"peers": []}));
}

#[test]
fn a_line_without_end_or_sense_costs_only_itself() {
    let mut child = super::piped(&["node", "--format", "json"]);
    let mut input = child.stdin.take().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = || serde_json::from_str::<Value>(&lines.next().unwrap().unwrap()).unwrap();
    assert_eq!(next()["event"], "ready");
    input.write_all(&vec![b'x'; 9 << 20]).unwrap();
    input.write_all(b"\n\xff\xfe\0\n").unwrap();
    for _ in 0..2 {
        assert_eq!(next()["error"]["code"], "bad_line");
    }
    input
        .write_all(b"{\"do\":\"awaiting\",\"seq\":{\"a\":[1]}}")
        .unwrap();
    drop(input);
    let meant = json!({"event": "answer", "seq": {"a": [1]}, "ok": {"awaiting": []}});
    assert_eq!(next(), meant, "the last line needs no end");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn every_question_has_an_answer_of_its_form() {
    let (one, two) = linked();
    let peers = &one.peers()[0];
    assert_eq!(
        keys(peers),
        [
            "addr",
            "compression",
            "direction",
            "id",
            "proven",
            "received",
            "sent",
            "since"
        ]
    );
    assert_eq!(peers["addr"], *two.listen);
    assert_eq!(
        one.order(json!({"do": "awaiting"})),
        json!({"awaiting": []})
    );
    assert_eq!(
        one.order(json!({"do": "request_peers"})),
        json!({"asked": 1})
    );
    let status = one.order(json!({"do": "status"}));
    assert_eq!(status["id"], *one.id);
    assert_eq!(status["peers"], 1);
    assert!(status["stats"].is_object() && status["troubles"].is_array());
    let error = one.refused(json!({"do": "reply", "to": "M", "packets": ["?"]}));
    assert_eq!(error["code"], "unknown_message", "{error}");
    let error = one.refused(json!({"do": "disconnect", "peer": "A"}));
    assert_eq!(error["code"], "unknown_peer", "{error}");
}

#[test]
fn packets_that_are_no_text_need_permission() {
    let (one, two) = linked();
    let error = one.refused(json!({"do": "send", "packets": ["a", {"hex": "00ff"}]}));
    assert_eq!(error["code"], "not_text", "{error}");
    let bold = Peer::ours_with("bold", &["--allow-binary"]);
    bold.join(&two);
    bold.order(json!({"do": "send", "packets": [{"hex": "00ff"}]}));
    assert_eq!(two.hears(json!({"hex": "00ff"}))["sender"], *bold.id);
}

#[test]
fn both_sides_are_told_that_their_subnets_differ() {
    let (one, two) = (
        Peer::ours("one"),
        Peer::ours_with("two", &["--subnet", "other"]),
    );
    let error = one.refused(json!({"do": "connect", "addr": two.listen}));
    assert_eq!(error["code"], "other_subnet", "{error}");
    let refused = two.wait_for("the news", |line| line["event"] == "refused");
    assert_eq!(refused["direction"], "incoming");
    let reason = &refused["reason"];
    assert_eq!(reason["code"], "other_subnet", "{refused}");
    assert_eq!(
        reason["detail"],
        json!({"theirs": one.subnet, "ours": two.subnet})
    );
    for subnet in [&one.subnet, &two.subnet] {
        assert!(
            error["message"].as_str().unwrap().contains(&**subnet),
            "{error}"
        );
    }
}

#[test]
fn a_dial_at_the_start_that_fails_is_told_and_the_node_goes_on() {
    let closed = super::life::closed_port();
    let arguments = ["--connect", &closed, "--max-outgoing", "0"];
    let node = Peer::ours_with("node", &arguments);
    let failed = node.wait_for("the news", |line| line["event"] == "dial_failed");
    let meant = json!({
        "event": "dial_failed", "addr": closed, "reason": {"code": "refused"}
    });
    assert_eq!(failed, meant);
    let other = Peer::ours_with("other", &["--connect", &node.listen]);
    other.linked(&node);
}

#[test]
fn what_was_asked_is_answered_before_the_end_of_input_ends_us() {
    let (mut one, two) = linked();
    let text = unique("last words");
    let sent = one.tell(json!({"do": "send", "packets": [text]}));
    let lost = one.tell(json!({"do": "whisper", "to": "A", "packets": ["?"], "within": 1}));
    one.close_input();
    two.hears(text);
    assert!(one.answer(sent).is_ok());
    assert_eq!(one.answer(lost).unwrap_err()["code"], "not_found");
    assert_eq!(one.exit_code(), Some(0));
}

#[test]
fn quit_answers_writes_what_waits_and_ends_us() {
    let (mut one, two) = linked();
    let text = unique("last words");
    one.tell(json!({"do": "send", "packets": [text]}));
    assert_eq!(one.order(json!({"do": "quit"})), json!({}));
    two.hears(text);
    assert_eq!(one.exit_code(), Some(0));
}

#[test]
fn who_does_not_read_misses_messages_and_is_told() {
    let mut child = super::piped(&["node", "--format", "json"]);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = || serde_json::from_str::<Value>(&lines.next().unwrap().unwrap()).unwrap();
    let author = Peer::ours("author");
    author.order(json!({"do": "connect", "addr": next()["listen"]}));
    // More than the pipe, the output queue and the subscription's queue hold together.
    let (filler, count) = ("x".repeat(1 << 20), 32);
    for number in 0..count {
        author.order(json!({"do": "send", "packets": [number.to_string(), filler]}));
    }
    assert_eq!(author.peers().len(), 1, "a slow reader costs no peer");
    let (mut heard, mut missed) = (0, 0);
    while heard + missed < count {
        let line = next();
        match line["event"].as_str().unwrap() {
            "message" => heard += 1,
            "lagged" => missed += line["missed"].as_u64().unwrap(),
            _ => {}
        }
    }
    assert_eq!(heard + missed, count);
    assert!(missed > 0, "the queues hold more than this case fills");
    drop(child.stdin.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
