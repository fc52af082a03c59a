//! Messages relayed by a third and a fourth node: delivered everywhere, once.

use serde_json::json;

use crate::peer::{Peer, unique};
use crate::py2p::Py2p;
use crate::wire::{BROADCAST, RawPeer, WATERFALL};

#[test]
fn py_us_py() {
    let Some(py2p) = Py2p::ready() else { return };
    assert_relayed(&[
        &py2p.peer("left py"),
        &Peer::ours("us"),
        &py2p.peer("right py"),
    ]);
}

#[test]
fn us_py_us() {
    let Some(py2p) = Py2p::ready() else { return };
    assert_relayed(&[
        &Peer::ours("us on the left"),
        &py2p.peer("py"),
        &Peer::ours("us on the right"),
    ]);
}

#[test]
fn py_us_us_py() {
    let Some(py2p) = Py2p::ready() else { return };
    let (left, right) = (Peer::ours("us on the left"), Peer::ours("us on the right"));
    assert_relayed(&[&py2p.peer("left py"), &left, &right, &py2p.peer("right py")]);
}

#[test]
fn around_a_ring_of_both_kinds() {
    let Some(py2p) = Py2p::ready() else { return };
    let ring = [
        Peer::ours("us 1"),
        py2p.peer("py 1"),
        Peer::ours("us 2"),
        py2p.peer("py 2"),
    ];
    link_chain(&ring.each_ref());
    ring[3].join(&ring[0]);
    assert_all_hear_all(&ring.each_ref());
}

fn assert_relayed(chain: &[&Peer]) {
    link_chain(chain);
    assert_all_hear_all(chain);
    let (first, last) = (chain[0], chain[chain.len() - 1]);
    assert!(
        !first.has_peer(last),
        "they met directly, so nothing was relayed"
    );
}

/// Each dials the next, so that both kinds of node dial and are dialled.
fn link_chain(chain: &[&Peer]) {
    chain.windows(2).for_each(|pair| pair[0].join(pair[1]));
}

fn assert_all_hear_all(nodes: &[&Peer]) {
    for author in nodes {
        let text = unique("for all");
        early_in_a_second();
        author.order(json!({"do": "send", "packets": [text, "and more"]}));
        for hearer in nodes.iter().filter(|node| node.id != author.id) {
            let message = hearer.hears_once(&text);
            assert_eq!(message["sender"], *author.id, "the author stays the author");
            assert_eq!(message["packets"], json!([text, "and more"]));
        }
        assert_eq!(author.times_heard(text), 0, "nobody hears himself");
    }
}

#[test]
fn a_relay_keeps_the_message_and_spares_its_author() {
    let us = Peer::ours("us");
    let (mut author, mut next) = (RawPeer::join(&us), RawPeer::join(&us));
    let text = unique("as it was");
    author.broadcast(&text);
    let relayed = next.expect("the relay", |packets| packets[5..] == [text.as_bytes()]);
    assert_eq!(relayed[0], WATERFALL);
    assert_eq!(relayed[1], author.id.as_bytes());
    assert_eq!(relayed[4], BROADCAST);
    assert_eq!(
        us.hears_once(&text)["id"],
        *String::from_utf8_lossy(&relayed[2])
    );
    let echoes = author.frames_within(crate::QUIET);
    assert!(echoes.is_empty(), "the author was sent {echoes:?}");
}

/// A py2p stamps a message for each connection separately: across a second's end that makes two messages.
fn early_in_a_second() {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let past = std::time::Duration::from_nanos(now.unwrap().subsec_nanos().into());
    if past > std::time::Duration::from_millis(500) {
        std::thread::sleep(std::time::Duration::from_millis(1010) - past);
    }
}
