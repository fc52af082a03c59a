//! Frames no reference node sends. None may crash our node, change its table, or reach a py2p.

use std::time::Duration;

use super::PATIENCE;
use super::peer::{Peer, unique};
use super::py2p::Py2p;
use super::wire::{BROADCAST, HANDSHAKE, PEERS, RawPeer, WHISPER};

/// Asserts that the node still receives and relays messages.
fn assert_well(us: &mut Peer, hearer: &Peer) {
    assert!(us.is_running());
    let mut speaker = RawPeer::join(us);
    let text = unique("all is well");
    speaker.broadcast(&text);
    us.hears(&*text);
    hearer.hears_once(&text);
}

#[test]
fn bytes_that_are_no_frame_harm_only_their_sender() {
    let Some(py2p) = Py2p::ready() else { return };
    let (mut us, py) = (Peer::ours("us"), py2p.peer("py"));
    py.join(&us);
    let odd: [&[u8]; 6] = [
        &[0, 0, 0, 0],
        &[0, 0, 0, 3, 1, 2, 3],
        &[0, 0, 0, 8, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 1],
        b"GET / HTTP/1.1\r\nHost: mesh\r\n\r\n",
        &[
            0, 0, 0, 16, 0x78, 0x9c, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14,
        ],
        &[
            0, 0, 0, 20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        ],
    ];
    for bytes in odd {
        RawPeer::dial(&us).write_anyhow(bytes);
        RawPeer::join(&us).write_anyhow(bytes);
    }
    assert_well(&mut us, &py);
    assert!(us.has_peer(&py));
    py.is_untroubled();
}

#[test]
fn a_frame_announced_too_long_ends_the_connection_at_once() {
    let us = Peer::ours("us");
    let mut stranger = RawPeer::dial(&us);
    stranger.write(&[0xff, 0xff, 0xff, 0xff, 0]);
    assert!(stranger.is_closed_within(PATIENCE), "before the handshake");
    let mut member = RawPeer::join(&us);
    member.write(&[0xff, 0xff, 0xff, 0xff, 0]);
    assert!(member.is_closed_within(PATIENCE), "after it");
}

#[test]
fn a_stranger_that_says_nothing_is_let_go() {
    let us = Peer::ours("us");
    assert!(
        RawPeer::dial(&us).is_closed_within(PATIENCE),
        "a handshake has a deadline"
    );
}

#[test]
fn control_words_in_a_broadcast_are_not_obeyed() {
    let Some(py2p) = Py2p::ready() else { return };
    let (mut us, py) = (Peer::ours_with("us", &[]), py2p.peer("py"));
    py.join(&us);
    let mut impostor = RawPeer::join(&us);
    let victim = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    victim.set_nonblocking(true).unwrap();
    let port = victim.local_addr().unwrap().port();
    let false_id = b"2NEpo7TZRRrLZSi2U";
    let subnet = us.subnet.clone();
    impostor.send(
        BROADCAST,
        &[
            HANDSHAKE,
            false_id,
            subnet.as_bytes(),
            b"[\"127.0.0.1\", 9]",
            b"[]",
        ],
    );
    let list = format!("[[[\"127.0.0.1\", {port}], \"2NEpo7TZRRrLZSi2U\"]]");
    impostor.send(BROADCAST, &[PEERS, list.as_bytes()]);
    std::thread::sleep(Duration::from_millis(1500));
    assert!(
        victim.accept().is_err(),
        "a broadcast made us or a py2p dial somebody"
    );
    assert!(
        us.peers()
            .iter()
            .chain(&py.peers())
            .all(|peer| peer["id"] != "2NEpo7TZRRrLZSi2U")
    );
    assert_well(&mut us, &py);
}

#[test]
fn a_peers_list_of_nonsense_is_survived() {
    let Some(py2p) = Py2p::ready() else { return };
    let (mut us, py) = (Peer::ours_with("us", &[]), py2p.peer("py"));
    py.join(&us);
    for list in [
        "",
        "null",
        "{}",
        "[null]",
        "[[null, \"abc\"]]",
        "[[[\"127.0.0.1\", 99999], \"abc\"]]",
        "[[[\"\", 0], \"\"]]",
        "[[[\"127.0.0.1\", 1], \"[object Object]\"]]",
        "[[[\"127.0.0.1\", 1], {\"type\": \"Buffer\", \"data\": [300]}]]",
    ] {
        RawPeer::join(&us).send(WHISPER, &[PEERS, list.as_bytes()]);
    }
    assert_well(&mut us, &py);
    py.is_untroubled();
}
