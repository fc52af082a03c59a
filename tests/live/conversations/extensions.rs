//! This crate's protocol extensions: a py2p in the mesh sees none of them.

use serde_json::json;

use crate::peer::{Peer, unique};
use crate::py2p::Py2p;

/// `mesh+`
const EXTENSION: &str = "6d6573682b";

#[test]
fn a_py2p_among_ours_keeps_its_link_and_sees_nothing_new() {
    let Some(py2p) = Py2p::ready() else { return };
    let (a, b, py) = (Peer::ours("a"), Peer::ours("b"), py2p.peer("py"));
    a.join(&b);
    py.join(&a);
    b.join(&py);
    for author in [&a, &b, &py] {
        let text = unique("to all");
        author.say(&text);
        for hearer in [&a, &b, &py].into_iter().filter(|it| it.id != author.id) {
            hearer.hears_once(&text);
        }
    }
    // Its renegotiation answer omits what we announced; nothing changes because of that.
    py.order(json!({"do": "renegotiate", "peer": a.id, "methods": ["gzip"]}));
    let text = unique("still");
    a.say(&text);
    py.hears_once(&text);
    let kinds = py.order(json!({"do": "kinds_seen"}))["kinds"].clone();
    let kinds = kinds.as_array().expect("a list");
    assert!(!kinds.contains(&json!(EXTENSION)), "{kinds:?}");
    assert_eq!(py.peers().len(), 2);
    py.is_untroubled();
}

#[test]
fn what_a_py2p_says_under_the_reserved_kind_is_neither_obeyed_nor_delivered() {
    let Some(py2p) = Py2p::ready() else { return };
    let (us, py) = (Peer::ours("us"), py2p.peer("py"));
    py.join(&us);
    let text = unique("forged");
    let forged = json!({"do": "send", "packets": ["topology?", text], "flag": {"hex": "02"}, "type": "mesh+"});
    py.order(forged);
    let after = unique("after");
    py.say(&after);
    us.hears_once(&after);
    assert_eq!(us.times_heard(text), 0);
    assert_eq!(us.peers().len(), 1);
}
