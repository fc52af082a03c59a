//! Endless `request *`: what a py2p sends after a deferred reply has corrupted its table (protocol trap 7).

use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use super::peer::{Peer, unique};
use super::proxy::{Proxy, Way};
use super::py2p::Py2p;
use super::wire::{PEERS, REQUEST, RawPeer, WHISPER, bodies};
use super::{GLANCE, PATIENCE};

/// Within this time a bounded answerer stays below `ANSWERS`, whatever the flood.
const WATCH: Duration = Duration::from_secs(3);
const ANSWERS: usize = 30;

#[test]
fn a_flood_of_requests_is_answered_at_a_bounded_rate() {
    let us = Peer::ours("us");
    let (mut flooder, mut calm) = (RawPeer::join(&us), RawPeer::join(&us));
    (0..3000).for_each(|_| flooder.send(WHISPER, &[REQUEST, b"*"]));
    let answers = flooder
        .frames_within(WATCH)
        .iter()
        .filter(|packets| packets[4] == PEERS)
        .count();
    assert!(
        (1..=ANSWERS).contains(&answers),
        "{answers} answers to 3000 requests"
    );

    let text = unique("as ever");
    flooder.broadcast(&text);
    us.hears_once(&text);
    calm.expect("the relay", |packets| packets[5..] == [text.as_bytes()]);
}

#[test]
fn we_stay_up_beside_a_py2p_whose_reply_was_deferred() {
    let Some(py2p) = Py2p::ready() else { return };
    let (us, author, replier) = (Peer::ours("us"), py2p.peer("author"), py2p.peer("replier"));
    let proxy = Proxy::to(&us.listen);
    author.join(&us);
    replier.order(json!({"do": "connect", "addr": proxy.addr}));
    replier.linked(&us);

    let (text, reply) = (unique("from afar"), unique("reply"));
    author.say(&text);
    let heard = replier.hears(&*text);
    replier.order(json!({"do": "reply", "to": heard["id"], "packets": [reply]}));
    // The py2p may lose the reply with the connections that it closes then.
    author.hears_within(&reply, WATCH);
    wait_for_flood(&proxy);
    let before = bodies(&proxy.bytes(Way::FromTarget)).len();
    thread::sleep(WATCH);
    let answers = bodies(&proxy.bytes(Way::FromTarget)).len() - before;
    assert!(answers <= ANSWERS, "{answers} frames sent into the flood");

    let text = unique("as ever");
    author.say(&text);
    us.hears_once(&text);
    assert!(us.has_peer(&author));
}

/// Without a flood this case would prove nothing.
fn wait_for_flood(proxy: &Proxy) {
    let deadline = Instant::now() + PATIENCE;
    while bodies(&proxy.bytes(Way::ToTarget)).len() < 100 {
        assert!(Instant::now() < deadline, "this py2p did not flood");
        thread::sleep(GLANCE);
    }
}
