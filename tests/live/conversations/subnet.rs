//! Nodes of different subnets refuse each other, and ours reports both subnets.

use serde_json::{Value, json};

use crate::peer::Peer;
use crate::py2p::Py2p;

#[test]
fn dialling_into_another_subnet_names_both() {
    let Some(py2p) = Py2p::ready() else { return };
    let (us, py) = (
        Peer::ours("us"),
        py2p.peer_with("py", json!({"subnet": "other"})),
    );
    let error = us.refused(json!({"do": "connect", "addr": py.listen}));
    assert_eq!(error["code"], "other_subnet", "{error}");
    for subnet in [&us.subnet, &py.subnet] {
        assert!(
            error["message"].as_str().unwrap().contains(subnet.as_str()),
            "{subnet} is missing in {error}"
        );
    }
    assert_strangers(&us, &py);
}

#[test]
fn a_dial_from_another_subnet_is_refused_and_told() {
    let Some(py2p) = Py2p::ready() else { return };
    let (us, py) = (
        Peer::ours("us"),
        py2p.peer_with("py", json!({"subnet": "other"})),
    );
    py.order(json!({"do": "connect", "addr": us.listen}));
    us.wait_for("an event that names their subnet", |line| {
        names(line, &py.subnet)
    });
    assert_strangers(&us, &py);
}

#[test]
fn a_named_subnet_is_the_same_on_both_sides() {
    let Some(py2p) = Py2p::ready() else { return };
    let us = Peer::ours_with("us", &["--subnet", "a"]);
    let (same, other) = (
        py2p.peer_with("same", json!({"subnet": "a"})),
        py2p.peer("mesh"),
    );
    assert_eq!(us.subnet, same.subnet, "both derive the subnet id alike");
    us.join(&same);
    assert_eq!(
        us.refused(json!({"do": "connect", "addr": other.listen}))["code"],
        "other_subnet"
    );
    assert_eq!(us.peers().len(), 1);
}

fn names(line: &Value, subnet: &str) -> bool {
    line["event"].is_string() && line.to_string().contains(subnet)
}

fn assert_strangers(us: &Peer, py: &Peer) {
    py.until("no peers", <[_]>::is_empty);
    assert!(us.peers().is_empty());
    let joined = us.lines(|line| line["event"] == "peer_joined");
    assert!(joined.is_empty(), "a stranger was announced: {joined:?}");
}
