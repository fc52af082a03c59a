//! `SSL` like the reference peers': encrypted, unauthenticated, in both roles.

use serde_json::json;

use crate::peer::Peer;
use crate::py2p::Py2p;

const OURS: &[&str] = &["--unauthenticated-ssl"];

#[test]
fn both_dial_each_other_over_ssl_and_hear_each_other() {
    let Some(py2p) = Py2p::ready() else { return };
    for we_dial in [true, false] {
        let us = Peer::ours_with("us", OURS);
        let py = py2p.peer_with("py", json!({"encryption": "SSL"}));
        assert_eq!(us.subnet, py.subnet, "both derive the subnet id alike");
        if we_dial {
            us.join(&py);
        } else {
            py.join(&us);
        }
        us.order(json!({"do": "send", "packets": ["from us"]}));
        py.wait_for("our broadcast", |line| line.to_string().contains("from us"));
        py.order(json!({"do": "send", "packets": ["from py"]}));
        us.wait_for("py2p's broadcast", |line| {
            line["event"] == "message" && line.to_string().contains("from py")
        });
    }
}

#[test]
fn ssl_and_plaintext_refuse_each_other_and_ours_says_why() {
    let Some(py2p) = Py2p::ready() else { return };
    let (us, py) = (Peer::ours_with("us", OURS), py2p.peer("plain"));
    let error = us.refused(json!({"do": "connect", "addr": py.listen}));
    assert_eq!(error["code"], "insecure", "{error}");
    let (us, py) = (
        Peer::ours("us"),
        py2p.peer_with("ssl", json!({"encryption": "SSL"})),
    );
    py.refused(json!({"do": "connect", "addr": us.listen}));
    us.wait_for("a refusal that names TLS", |line| {
        line["event"] == "refused" && line.to_string().contains("tls")
    });
    assert!(us.peers().is_empty());
}
