//! Two nodes connect: who dialled, what each then knows of the other, and why a dial may fail.

use std::net::TcpListener;

use serde_json::json;

use crate::peer::Peer;
use crate::py2p::Py2p;
use crate::wire::RawPeer;

#[test]
fn we_dial_a_py2p() {
    let Some(py2p) = Py2p::ready() else { return };
    let (us, py) = (Peer::ours("us"), py2p.peer("py"));
    let answer = us.order(json!({"do": "connect", "addr": py.listen, "expect": py.id}));
    assert_eq!(
        answer["peer"], *py.id,
        "connect answers when the handshake is done, with the peer's id"
    );
    us.linked(&py);
    assert_links(&us, &py, "outgoing");
    py.is_untroubled();
}

#[test]
fn a_py2p_dials_us() {
    let Some(py2p) = Py2p::ready() else { return };
    let (us, py) = (Peer::ours("us"), py2p.peer("py"));
    py.join(&us);
    assert_links(&us, &py, "incoming");
    py.is_untroubled();
}

/// Checks what each of two linked nodes reports of the other.
fn assert_links(us: &Peer, py: &Peer, direction: &str) {
    let [theirs] = &py.peers()[..] else {
        panic!("py2p has one peer")
    };
    assert_eq!(
        theirs["addr"], *us.listen,
        "we tell the address we listen on"
    );
    assert_eq!(theirs["outgoing"], direction == "incoming");
    assert_eq!(
        theirs["methods"],
        json!(["13", "11", "10", "12", "6d6573682b31"]),
        "zlib, gzip, bz2, xz, in this order, and that we understand extensions"
    );
    let [ours] = &us.peers()[..] else {
        panic!("we have one peer")
    };
    assert_eq!(ours["id"], *py.id);
    assert_eq!(ours["direction"], direction);
    let joined = us.wait_for("the news", |line| line["event"] == "peer_joined");
    assert_eq!(
        (&joined["peer"], &joined["direction"]),
        (&json!(py.id), &json!(direction))
    );
}

#[test]
fn a_peer_with_another_id_than_expected_is_refused() {
    let Some(py2p) = Py2p::ready() else { return };
    let (us, py) = (Peer::ours("us"), py2p.peer("py"));
    let error =
        us.refused(json!({"do": "connect", "addr": py.listen, "expect": "2NEpo7TZRRrLZSi2U"}));
    assert_eq!(error["code"], "wrong_id", "{error}");
    py.until("no peers", <[_]>::is_empty);
    assert!(us.peers().is_empty());
}

#[test]
fn a_second_dial_of_a_connected_peer_is_none() {
    let Some(py2p) = Py2p::ready() else { return };
    let (us, py) = (Peer::ours("us"), py2p.peer("py"));
    us.join(&py);
    let done = us.order(json!({"do": "connect", "addr": py.listen}));
    assert_eq!(done["peer"], *py.id, "{done}");
    assert_eq!(us.peers().len(), 1);
    us.say("still there");
    py.hears_once("still there");
}

#[test]
fn we_do_not_link_to_ourselves() {
    let us = Peer::ours("us");
    let error = us.refused(json!({"do": "connect", "addr": us.listen}));
    assert_eq!(error["code"], "oneself", "{error}");
    assert!(us.peers().is_empty());
}

#[test]
fn a_port_where_nobody_listens_is_refused() {
    let us = Peer::ours("us");
    let free = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .to_string();
    let error = us.refused(json!({"do": "connect", "addr": free}));
    assert_eq!(error["code"], "refused", "{error}");
    assert!(
        error["message"].as_str().unwrap().contains(&free),
        "the error names the address: {error}"
    );
}

#[test]
fn a_peer_that_never_shakes_hands_times_out() {
    let us = Peer::ours("us");
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let error =
        us.refused(json!({"do": "connect", "addr": silent.local_addr().unwrap().to_string()}));
    assert!(
        error["code"].as_str().unwrap().ends_with("timeout"),
        "{error}"
    );
}

#[test]
fn a_connection_without_handshake_is_awaited_and_no_peer() {
    let us = Peer::ours("us");
    let mut stranger = RawPeer::dial(&us);
    stranger.expect("its handshake", |packets| {
        packets[4] == crate::wire::HANDSHAKE
    });
    assert!(
        us.peers().is_empty(),
        "the table holds peers after their handshake only"
    );
    let error = us.refused(json!({"do": "send", "packets": ["anyone?"]}));
    assert_eq!(error["code"], "no_peers", "{error}");
}
