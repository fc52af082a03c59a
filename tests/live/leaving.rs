//! Links that end: on request, killed in the middle of a frame, or because our node was told to stop.

use serde_json::json;

use super::peer::{Peer, unique};
use super::py2p::Py2p;
use super::wire::{self, BROADCAST};

fn assert_left(us: &Peer, peer: &Peer) {
    let left = us.wait_for("its leaving", |line| {
        line["event"] == "peer_left" && line["peer"] == *peer.id
    });
    assert!(!left["reason"].is_null(), "{left}");
    assert!(!us.has_peer(peer));
}

#[test]
fn we_disconnect_and_may_meet_again() {
    let Some(py2p) = Py2p::ready() else { return };
    let (us, py) = (Peer::ours("us"), py2p.peer("py"));
    us.join(&py);
    us.order(json!({"do": "disconnect", "peer": py.id}));
    py.until("no peers", <[_]>::is_empty);
    assert_left(&us, &py);
    // The py2p is kept out for a while, unless our node dials it.
    let dial = py.tell(json!({"do": "connect", "addr": us.listen}));
    us.wait_for("the refusal", |line| {
        line["event"] == "refused" && line["reason"]["code"] == "unwanted"
    });
    // A py2p takes the end of one connection for that of the peer, so wait until it has noticed.
    let _ = py.answer(dial);
    py.until("no peers", <[_]>::is_empty);
    std::thread::sleep(super::QUIET);
    us.join(&py);
    us.say("back again");
    py.hears_once("back again");
}

#[test]
fn a_py2p_disconnects_and_may_meet_again() {
    let Some(py2p) = Py2p::ready() else { return };
    let (us, py) = (Peer::ours("us"), py2p.peer("py"));
    us.join(&py);
    py.order(json!({"do": "disconnect", "peer": us.id}));
    assert_left(&us, &py);
    us.join(&py);
    py.say("back again");
    us.hears_once("back again");
}

#[test]
fn disconnecting_a_stranger_is_refused() {
    let us = Peer::ours("us");
    let error = us.refused(json!({"do": "disconnect", "peer": "2NEpo7TZRRrLZSi2U"}));
    assert_eq!(error["code"], "unknown_peer", "{error}");
}

#[test]
fn a_py2p_killed_in_the_middle_of_a_frame_leaves_nothing_behind() {
    let Some(py2p) = Py2p::ready() else { return };
    let (us, mut victim, other) = (Peer::ours("us"), py2p.peer("victim"), py2p.peer("other"));
    victim.join(&us);
    other.join(&us);
    let cut = unique("cut");
    let frame = wire::frame(
        BROADCAST,
        &victim.id,
        &[BROADCAST, cut.as_bytes()],
        wire::now(),
    );
    let half: String = frame[..frame.len() / 2]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    victim.order(json!({"do": "raw", "peer": us.id, "hex": half}));
    victim.kill();
    assert_left(&us, &victim);
    assert_eq!(us.times_heard(cut), 0);

    let text = unique("without it");
    other.say(&text);
    us.hears_once(&text);
    us.say("we too");
    other.hears_once("we too");
}

#[test]
fn the_end_of_our_input_sends_what_was_accepted_and_ends_us() {
    let Some(py2p) = Py2p::ready() else { return };
    let (mut us, py) = (Peer::ours("us"), py2p.peer("py"));
    us.join(&py);
    let last = unique("last words");
    us.tell(json!({"do": "send", "packets": [last]}));
    us.close_input();
    py.hears_once(&last);
    assert_eq!(us.exit_code(), Some(0));
    py.until("no peers", <[_]>::is_empty);
}

#[test]
fn quit_ends_us() {
    let Some(py2p) = Py2p::ready() else { return };
    let (mut us, py) = (Peer::ours("us"), py2p.peer("py"));
    py.join(&us);
    us.tell(json!({"do": "quit"}));
    assert_eq!(us.exit_code(), Some(0));
    py.until("no peers", <[_]>::is_empty);
}
