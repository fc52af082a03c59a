//! Both sides dial each other at the same time.
//!
//! Proxies hold back every byte until both connections are open, so the dials certainly cross; then they release one
//! first. The dial of the greater id survives. Where that one is also the first, a py2p corrupts its table and drops
//! both: the link must then be made again.

use std::thread;
use std::time::Instant;

use serde_json::json;

use super::peer::{Peer, unique};
use super::proxy::Proxy;
use super::py2p::Py2p;
use super::{GLANCE, PATIENCE, QUIET};

/// The dial whose handshakes arrive first.
#[derive(Clone, Copy)]
enum First {
    Ours,
    Theirs,
}

#[test]
fn our_id_greater_our_dial_first() {
    assert_one_link_is_left("below", First::Ours);
}

#[test]
fn our_id_greater_their_dial_first() {
    assert_one_link_is_left("below", First::Theirs);
}

#[test]
fn their_id_greater_our_dial_first() {
    assert_one_link_is_left("above", First::Ours);
}

#[test]
fn their_id_greater_their_dial_first() {
    assert_one_link_is_left("above", First::Theirs);
}

fn assert_one_link_is_left(side: &str, first: First) {
    let Some(py2p) = Py2p::ready() else { return };
    let us = Peer::ours("us");
    let py = py2p.peer_with("py", json!({side: us.id}));
    let (our_dial, their_dial) = (Proxy::held(&py.listen), Proxy::held(&us.listen));
    us.tell(json!({"do": "connect", "addr": our_dial.addr}));
    py.tell(json!({"do": "connect", "addr": their_dial.addr}));
    our_dial.wait_dialled();
    their_dial.wait_dialled();
    let order = match first {
        First::Ours => [&our_dial, &their_dial],
        First::Theirs => [&their_dial, &our_dial],
    };
    order[0].release();
    thread::sleep(GLANCE * 5);
    order[1].release();

    assert_messages_flow(&us, &py);
    thread::sleep(QUIET);
    assert_messages_flow(&us, &py);
    assert_eq!(us.peers().len(), 1, "one link is left on our side");
    assert_eq!(py.peers().len(), 1, "and one on theirs");
}

/// Sends new messages in both directions until each side has received one, checking that there is never more than one
/// link.
fn assert_messages_flow(us: &Peer, py: &Peer) {
    let deadline = Instant::now() + PATIENCE;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let heard =
        |peer: &Peer, texts: &[String]| texts.iter().any(|text| peer.times_heard(&**text) > 0);
    while !(heard(py, &ours) && heard(us, &theirs)) {
        let links = us.peers();
        assert!(links.len() <= 1, "two links to one peer: {links:?}");
        assert!(
            Instant::now() < deadline,
            "no messages flow; ours: {links:?}, theirs: {:?}",
            py.peers()
        );
        for (author, texts) in [(us, &mut ours), (py, &mut theirs)] {
            let text = unique("after the crossing");
            // While there is no link this is refused, and the next round tries again.
            let _ = author.ask(json!({"do": "send", "packets": [text]}));
            texts.push(text);
        }
        thread::sleep(GLANCE * 10);
    }
}

#[test]
fn a_py2p_of_a_greater_id_that_dials_again_is_met_again() {
    assert_met_again("above");
}

#[test]
fn a_py2p_of_a_smaller_id_that_dials_again_is_met_again() {
    assert_met_again("below");
}

/// A py2p that dials a peer a second time closes one of the two connections, or both.
fn assert_met_again(side: &str) {
    let Some(py2p) = Py2p::ready() else { return };
    let us = Peer::ours("us");
    let py = py2p.peer_with("py", json!({side: us.id}));
    py.join(&us);
    assert_messages_flow(&us, &py);
    py.tell(json!({"do": "connect", "addr": us.listen}));
    thread::sleep(QUIET);
    let begun = Instant::now();
    assert_messages_flow(&us, &py);
    eprintln!(
        "messages flow again {:?} after the second dial",
        QUIET + begun.elapsed()
    );
    thread::sleep(QUIET);
    assert_messages_flow(&us, &py);
    assert_eq!((us.peers().len(), py.peers().len()), (1, 1));
}
