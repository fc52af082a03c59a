//! Finding nodes that are not neighbours: by peers lists, and by searching the mesh for an id.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::peer::{Peer, unique};
use crate::py2p::Py2p;
use crate::{GLANCE, PATIENCE, QUIET};

#[test]
fn a_py2p_that_joins_us_finds_our_other_peers() {
    let Some(py2p) = Py2p::ready() else { return };
    let (us, first) = (Peer::ours("us"), py2p.peer("first"));
    first.join(&us);
    let second = py2p.peer_with("second", json!({"max_outgoing": 4}));
    second.join(&us);
    second.linked(&first);
    second.is_untroubled();
}

#[test]
fn we_find_the_other_peers_of_a_py2p_we_join() {
    let Some(py2p) = Py2p::ready() else { return };
    let (us, hub, other) = (
        Peer::ours_with("us", &[]),
        py2p.peer("hub"),
        py2p.peer("other"),
    );
    other.join(&hub);
    us.join(&hub);
    us.linked(&other);
    other.is_untroubled();
}

#[test]
fn we_take_no_more_than_max_outgoing_from_a_peers_list() {
    let Some(py2p) = Py2p::ready() else { return };
    let us = Peer::ours_with("us", &["--max-outgoing", "2"]);
    let hub = py2p.peer("hub");
    let others = ["a", "b", "c", "d"].map(|name| py2p.peer(name));
    others.iter().for_each(|other| other.join(&hub));
    us.join(&hub);
    us.until("two dialled peers", |peers| peers.len() == 2);
    thread::sleep(QUIET);
    assert_eq!(
        us.peers().len(),
        2,
        "the hub and one more: the dial of the hub counts"
    );
}

#[test]
fn we_whisper_to_an_id_that_a_py2p_knows() {
    let Some(py2p) = Py2p::ready() else { return };
    let (us, hub, wanted) = (Peer::ours("us"), py2p.peer("hub"), py2p.peer("wanted"));
    us.join(&hub);
    wanted.join(&hub);
    assert_finds(&us, &wanted);
    wanted.is_untroubled();
}

#[test]
fn we_whisper_to_an_id_at_the_other_end_of_a_chain() {
    let Some(py2p) = Py2p::ready() else { return };
    let chain = [
        Peer::ours("us"),
        py2p.peer("py"),
        Peer::ours("our other"),
        py2p.peer("wanted"),
    ];
    chain.windows(2).for_each(|pair| pair[0].join(&pair[1]));
    assert_finds(&chain[0], &chain[3]);
}

fn assert_finds(us: &Peer, wanted: &Peer) {
    assert!(!us.has_peer(wanted), "nothing to find");
    let text = unique("found you");
    us.order(json!({"do": "whisper", "to": wanted.id, "packets": [text], "within": 15}));
    assert_eq!(wanted.hears_once(&text)["sender"], *us.id);
    us.linked(wanted);
}

#[test]
fn we_reply_to_the_author_of_a_message_a_py2p_relayed() {
    let Some(py2p) = Py2p::ready() else { return };
    let (us, hub, author) = (Peer::ours("us"), py2p.peer("hub"), py2p.peer("author"));
    us.join(&hub);
    author.join(&hub);
    let (text, reply) = (unique("from afar"), unique("reply"));
    author.say(&text);
    let heard = us.hears(&*text);
    assert_eq!(heard["from"], *hub.id, "it came by way of the hub");
    us.order(json!({"do": "reply", "to": heard["id"], "packets": [reply]}));
    assert_eq!(author.hears_once(&reply)["sender"], *us.id);
}

#[test]
fn a_py2p_finds_by_our_answer_the_author_of_a_message_we_relayed() {
    let Some(py2p) = Py2p::ready() else { return };
    let (us, author, replier) = (Peer::ours("us"), py2p.peer("author"), py2p.peer("replier"));
    author.join(&us);
    replier.join(&us);
    assert_replies_to(&author, &replier);
    assert!(us.has_peer(&author), "we and the author go on");
}

#[test]
fn a_py2p_finds_us_by_the_answer_of_a_py2p() {
    let Some(py2p) = Py2p::ready() else { return };
    let (us, hub, replier) = (Peer::ours("us"), py2p.peer("hub"), py2p.peer("replier"));
    us.join(&hub);
    replier.join(&hub);
    assert_replies_to(&us, &replier);
    // Its whisper directly follows its handshake; then trap 7 may break the link again.
    us.wait_for("the replier's coming", |line| {
        line["event"] == "peer_joined" && line["peer"] == *replier.id
    });
}

fn assert_replies_to(author: &Peer, replier: &Peer) {
    let text = unique("from afar");
    author.say(&text);
    let heard = replier.hears(&*text);
    // A py2p records its request only after sending it, so an immediate answer can come too early.
    let reply = (0..6).map(|_| unique("reply")).find(|reply| {
        replier.order(json!({"do": "reply", "to": heard["id"], "packets": [reply]}));
        author.hears_within(reply, Duration::from_secs(5))
    });
    let reply = reply.expect("a reply of six");
    assert_eq!(author.hears_once(&reply)["sender"], *replier.id);
}

#[test]
fn a_whisper_to_an_id_nobody_knows_fails_at_its_deadline() {
    let Some(py2p) = Py2p::ready() else { return };
    let (us, py) = (Peer::ours("us"), py2p.peer("py"));
    us.join(&py);
    let asked = Instant::now();
    let error = us.refused(
        json!({"do": "whisper", "to": "2NEpo7TZRRrLZSi2U", "packets": ["?"], "within": 2}),
    );
    assert!(
        error["code"].is_string() && error["message"].is_string(),
        "{error}"
    );
    assert!(
        asked.elapsed().as_secs() >= 1,
        "it was given up before its time"
    );
    us.say("and on we go");
    py.hears_once("and on we go");
}

#[test]
fn asking_for_peers_finds_those_that_came_later() {
    let Some(py2p) = Py2p::ready() else { return };
    let (us, hub) = (Peer::ours_with("us", &[]), py2p.peer("hub"));
    us.join(&hub);
    let later = py2p.peer("later");
    later.join(&hub);
    assert!(!us.has_peer(&later));
    let deadline = Instant::now() + PATIENCE;
    while !us.has_peer(&later) {
        assert!(Instant::now() < deadline, "request_peers brought nobody");
        us.order(json!({"do": "request_peers"}));
        thread::sleep(GLANCE * 10);
    }
}
