//! Whispers between neighbours, and the replies to them.

use serde_json::json;

use crate::peer::{Peer, unique};
use crate::py2p::Py2p;

#[test]
fn we_whisper_and_a_py2p_replies() {
    let Some(py2p) = Py2p::ready() else { return };
    let (us, py, other) = (Peer::ours("us"), py2p.peer("py"), py2p.peer("other"));
    us.join(&py);
    us.join(&other);
    assert_whispered_and_replied(&us, &py, &other);
}

#[test]
fn a_py2p_whispers_and_we_reply() {
    let Some(py2p) = Py2p::ready() else { return };
    let (us, py, other) = (Peer::ours("us"), py2p.peer("py"), py2p.peer("other"));
    py.join(&us);
    other.join(&py);
    assert_whispered_and_replied(&py, &us, &other);
}

fn assert_whispered_and_replied(asker: &Peer, answerer: &Peer, other: &Peer) {
    let (question, reply) = (unique("question"), unique("reply"));
    asker.order(json!({"do": "whisper", "to": answerer.id, "packets": [question, "?"]}));
    let heard = answerer.hears_once(&question);
    assert_eq!(heard["packets"], json!([question, "?"]));
    assert_eq!(heard["sender"], *asker.id);
    answerer.order(json!({"do": "reply", "to": heard["id"], "packets": [reply]}));
    let heard = asker.hears_once(&reply);
    assert_eq!(heard["sender"], *answerer.id);
    assert_eq!(heard["type"], "\u{2}", "a reply is a whisper");
    assert_eq!(
        other.times_heard(question) + other.times_heard(reply),
        0,
        "nobody else hears a whisper"
    );
}

#[test]
fn a_broadcast_is_replied_to_by_both_kinds() {
    let Some(py2p) = Py2p::ready() else { return };
    let (us, py) = (Peer::ours("us"), py2p.peer("py"));
    us.join(&py);
    for (author, hearer) in [(&us, &py), (&py, &us)] {
        let (text, reply) = (unique("who is there"), unique("me"));
        author.say(&text);
        let message = hearer.hears(&*text);
        hearer.order(json!({"do": "reply", "to": message["id"], "packets": [reply]}));
        assert_eq!(author.hears_once(&reply)["sender"], *hearer.id);
    }
    py.is_untroubled();
}

#[test]
fn a_reply_to_an_unknown_message_is_refused() {
    let us = Peer::ours("us");
    let error = us.refused(json!({"do": "reply", "to": "2NEpo7TZRRrLZSi2U", "packets": ["?"]}));
    assert!(
        error["code"].is_string() && error["message"].is_string(),
        "{error}"
    );
}
