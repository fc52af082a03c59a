//! Every compression method of a py2p, in both directions, with a proxy that records which was used.

use serde_json::json;

use crate::peer::{Peer, unique};
use crate::proxy::{Proxy, Way};
use crate::py2p::Py2p;
use crate::wire::Method;

#[test]
fn zlib() {
    assert_used(&["zlib"], Method::Zlib);
}

#[test]
fn gzip() {
    assert_used(&["gzip"], Method::Gzip);
}

#[test]
fn bz2() {
    assert_used(&["bz2"], Method::Bz2);
}

#[test]
fn xz() {
    assert_used(&["lzma"], Method::Xz);
}

#[test]
fn none() {
    assert_used(&[], Method::Plain);
}

/// Has a py2p that knows only this method exchange messages with our node, and asserts that both used it.
fn assert_used(methods: &[&str], expected: Method) {
    let Some(py2p) = Py2p::ready() else { return };
    let us = Peer::ours("us");
    let py = py2p.peer_with("py", json!({"methods": methods}));
    let proxy = Proxy::to(&us.listen);
    py.order(json!({"do": "connect", "addr": proxy.addr}));
    py.linked(&us);
    let (ours, theirs) = (unique("ours"), unique("theirs"));
    // Long enough that compression pays: a small message may be sent uncompressed.
    let filler = "the same words again ".repeat(20);
    us.order(json!({"do": "send", "packets": [ours, filler]}));
    py.hears_once(&ours);
    py.order(json!({"do": "send", "packets": [theirs, filler]}));
    assert_eq!(us.hears_once(&theirs)["packets"], json!([theirs, filler]));

    let sent = proxy.methods(Way::ToTarget);
    assert_eq!(sent[0], Method::Plain, "a handshake is plain");
    assert!(
        sent[1..].iter().all(|method| *method == expected),
        "py2p used {sent:?}"
    );
    let received = proxy.methods(Way::FromTarget);
    assert_eq!(received[0], Method::Plain, "a handshake is plain");
    assert!(received.contains(&expected), "we used {received:?}");
    assert!(
        received
            .iter()
            .all(|method| [Method::Plain, expected].contains(method)),
        "we used {received:?}"
    );
    py.is_untroubled();
}
