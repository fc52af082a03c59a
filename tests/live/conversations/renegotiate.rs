//! A py2p renegotiates compression, or asks for the last message again.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::peer::{Peer, unique};
use crate::proxy::{Proxy, Way};
use crate::py2p::Py2p;
use crate::wire::{Method, bodies};
use crate::{GLANCE, PATIENCE, QUIET};

#[test]
fn we_keep_to_the_methods_a_py2p_asks_for() {
    let Some(py2p) = Py2p::ready() else { return };
    for (methods, expected) in [
        (&["gzip"][..], Method::Gzip),
        (&["bz2"], Method::Bz2),
        (&[], Method::Plain),
    ] {
        let (us, py, proxy) = linked_by_proxy(&py2p);
        py.order(json!({"do": "renegotiate", "peer": us.id, "methods": methods}));
        thread::sleep(QUIET);
        let before = proxy.methods(Way::FromTarget).len();
        exchange(&us, &py);
        let used = proxy.methods(Way::FromTarget);
        let fits = |method: &Method| *method == expected || *method == Method::Plain;
        assert!(
            used[before..].iter().all(fits),
            "asked for {methods:?}, we used {used:?}"
        );
        assert!(
            used[before..].contains(&expected),
            "asked for {methods:?}, we used {used:?}"
        );
        py.is_untroubled();
    }
}

#[test]
fn the_talk_about_methods_ends() {
    let Some(py2p) = Py2p::ready() else { return };
    let (us, py, proxy) = linked_by_proxy(&py2p);
    for methods in [["gzip", "zlib"], ["zlib", "gzip"], ["zlib", "gzip"]] {
        py.order(json!({"do": "renegotiate", "peer": us.id, "methods": methods}));
    }
    thread::sleep(QUIET);
    let frames = bodies(&proxy.bytes(Way::FromTarget)).len();
    assert!(
        frames <= 2 + 3,
        "handshake, peers and at most an answer each, not {frames} frames"
    );
    exchange(&us, &py);
    py.is_untroubled();
}

#[test]
fn we_send_the_last_message_again_when_asked() {
    let Some(py2p) = Py2p::ready() else { return };
    let (us, py) = (Peer::ours("us"), py2p.peer("py"));
    us.join(&py);
    let text = unique("say it again");
    us.say(&text);
    py.hears_once(&text);
    // A new second gives a new id: within the same one it would be a duplicate to a py2p.
    thread::sleep(Duration::from_millis(1100));
    py.order(json!({"do": "resend", "peer": us.id}));
    let again = |line: &Value| line["packets"][0] == *text;
    let deadline = Instant::now() + PATIENCE;
    while py.lines(again).len() < 2 {
        assert!(Instant::now() < deadline, "it was not sent again");
        thread::sleep(GLANCE);
    }
    thread::sleep(QUIET);
    assert_eq!(py.times_heard(text), 2);
    py.is_untroubled();
}

#[test]
fn a_request_to_resend_harms_nothing_before_we_have_said_anything() {
    let Some(py2p) = Py2p::ready() else { return };
    let (us, py) = (Peer::ours("us"), py2p.peer("py"));
    py.join(&us);
    py.order(json!({"do": "resend", "peer": us.id}));
    // The resend must not overtake the exchange: its answer would repeat that.
    thread::sleep(QUIET);
    exchange(&us, &py);
    py.is_untroubled();
}

fn linked_by_proxy(py2p: &Py2p) -> (Peer, Peer, Proxy) {
    let (us, py) = (Peer::ours("us"), py2p.peer("py"));
    let proxy = Proxy::to(&us.listen);
    py.order(json!({"do": "connect", "addr": proxy.addr}));
    py.linked(&us);
    (us, py, proxy)
}

/// A broadcast in each direction, long enough that compression pays.
fn exchange(us: &Peer, py: &Peer) {
    let filler = "the same words again ".repeat(20);
    for (author, hearer) in [(us, py), (py, us)] {
        let text = unique("goes on");
        author.order(json!({"do": "send", "packets": [text, filler]}));
        hearer.hears_once(&text);
    }
}
