//! Broadcasts between neighbours: in both directions, twice in a second, too old, and of bytes that are not text.

use std::thread;

use serde_json::json;

use crate::QUIET;
use crate::peer::{Peer, unique};
use crate::py2p::Py2p;
use crate::wire::{self, BROADCAST, RawPeer};

#[test]
fn broadcasts_pass_both_ways() {
    let Some(py2p) = Py2p::ready() else { return };
    let (us, py) = (Peer::ours("us"), py2p.peer("py"));
    us.join(&py);

    let ours = unique("from us: ß, 漢字");
    let answer = us.order(json!({"do": "send", "packets": [ours, "", {"hex": "7a"}]}));
    assert_eq!(answer["handed_to"], json!([py.id]));
    let heard = py.hears_once(&ours);
    assert_eq!(heard["packets"], json!([ours, "", "z"]));
    assert_eq!(
        (&heard["sender"], &heard["id"]),
        (&json!(us.id), &answer["id"])
    );

    let theirs = unique("from py: ß, 漢字");
    py.order(json!({"do": "send", "packets": [theirs, "", "z"]}));
    let heard = us.hears_once(&theirs);
    assert_eq!(heard["packets"], json!([theirs, "", "z"]));
    assert_eq!(
        (&heard["sender"], &heard["from"]),
        (&json!(py.id), &json!(py.id))
    );
    assert_eq!(heard["flag"], "broadcast");
    py.is_untroubled();
}

#[test]
fn a_send_under_the_whisper_flag_reaches_the_neighbours_only() {
    let Some(py2p) = Py2p::ready() else { return };
    let (us, near, far) = (Peer::ours("us"), py2p.peer("near"), py2p.peer("far"));
    us.join(&near);
    far.join(&near);
    let text = unique("for neighbours");
    us.order(json!({"do": "send", "packets": [text], "flag": "whisper"}));
    assert_eq!(near.hears_once(&text)["flag"], "\u{2}");
    assert_eq!(far.times_heard(text), 0, "a whisper is not relayed");
}

#[test]
fn the_same_text_twice_in_a_second_is_delivered_twice() {
    let Some(py2p) = Py2p::ready() else { return };
    let (us, py) = (Peer::ours("us"), py2p.peer("py"));
    us.join(&py);
    let text = unique("twice");
    let ids = [us.say(&text)["id"].clone(), us.say(&text)["id"].clone()];
    assert_ne!(
        ids[0], ids[1],
        "the later one takes the next second, so it has an id of its own"
    );
    for id in &ids {
        py.wait_for("both of them", |line| line["id"] == *id);
    }
    assert_eq!(py.times_heard(text), 2);
}

#[test]
fn two_authors_of_one_text_are_both_heard() {
    let us = Peer::ours("us");
    let (mut one, mut two) = (RawPeer::join(&us), RawPeer::join(&us));
    let (text, time) = (unique("one text"), wire::now());
    for author in [&mut one, &mut two] {
        let frame = wire::frame(BROADCAST, &author.id, &[BROADCAST, text.as_bytes()], time);
        author.write(&frame);
    }
    for author in [&one, &two] {
        us.wait_for("the text of each author", |line| {
            line["packets"][0] == *text && line["sender"] == *author.id
        });
    }
}

#[test]
fn two_framings_of_one_text_are_both_heard() {
    let us = Peer::ours("us");
    let mut author = RawPeer::join(&us);
    let (text, time) = (unique("framed"), wire::now());
    let (head, tail) = text.split_at(3);
    for payload in [
        &[BROADCAST, text.as_bytes()][..],
        &[BROADCAST, head.as_bytes(), tail.as_bytes()],
    ] {
        let frame = wire::frame(BROADCAST, &author.id, payload, time);
        author.write(&frame);
        author.write(&frame);
    }
    assert_eq!(us.hears_once(&text)["packets"], json!([text]));
    assert_eq!(us.hears_once(head)["packets"], json!([head, tail]));
}

#[test]
fn a_broadcast_older_than_a_minute_is_dropped() {
    let Some(py2p) = Py2p::ready() else { return };
    let (us, author, next) = (Peer::ours("us"), py2p.peer("author"), py2p.peer("next"));
    author.join(&us);
    next.join(&us);
    let (stale, fresh) = (unique("62 s old"), unique("50 s old"));
    author.order(json!({"do": "send_aged", "packets": [stale], "age": 62}));
    author.order(json!({"do": "send_aged", "packets": [fresh], "age": 50}));
    us.hears_once(&fresh);
    next.hears_once(&fresh);
    assert_eq!(us.times_heard(&*stale), 0, "expired");
    assert_eq!(next.times_heard(stale), 0, "and not relayed either");
}

#[test]
fn bytes_that_are_no_text_are_refused_by_default() {
    let Some(py2p) = Py2p::ready() else { return };
    let (us, py) = (Peer::ours("us"), py2p.peer("py"));
    us.join(&py);
    let error = us.refused(json!({"do": "send", "packets": [{"hex": "fffe80"}]}));
    assert_eq!(error["code"], "not_text", "{error}");
    let to_py = json!({"do": "whisper", "to": py.id, "packets": [{"hex": "fffe80"}]});
    assert_eq!(us.refused(to_py)["code"], "not_text");
    thread::sleep(QUIET);
    assert_eq!(py.times_heard(json!({"hex": "fffe80"})), 0);
}

#[test]
fn bytes_that_are_no_text_pass_when_allowed() {
    let Some(py2p) = Py2p::ready() else { return };
    let us = Peer::ours_with("us", &["--max-outgoing", "0", "--allow-binary"]);
    let py = py2p.peer("py");
    us.join(&py);
    us.order(json!({"do": "send", "packets": [{"hex": "fffe80"}]}));
    py.hears(json!({"hex": "fffe80"}));
    py.is_untroubled();
}

#[test]
fn bytes_that_are_no_text_are_delivered_and_relayed_to_py2p() {
    let Some(py2p) = Py2p::ready() else { return };
    let (us, author, next) = (Peer::ours("us"), py2p.peer("author"), py2p.peer("next"));
    author.join(&us);
    next.join(&us);
    author.order(json!({"do": "send", "packets": [{"hex": "fffe81"}]}));
    for hearer in [&us, &next] {
        assert_eq!(hearer.hears(json!({"hex": "fffe81"}))["sender"], *author.id);
    }
    next.is_untroubled();
}
