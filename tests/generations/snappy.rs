//! Snappy, which the references use from 0.5 on where it is installed.

use serde_json::json;

use crate::ours;
use crate::reference::{ALL, Reference};
use crate::support::peer::unique;

/// Sends long text in both directions, compressed by each side.
fn converse(reference: Reference) {
    let Some(them) = reference.peer_with_snappy("them") else {
        return;
    };
    let us = ours(reference);
    us.join(&them);
    assert_eq!(us.peers()[0]["compression"], "snappy", "{:?}", us.peers());
    for length in [300, 5000, 70_000] {
        for (from, to) in [(&us, &them), (&them, &us)] {
            let text = unique("snappy") + &"abcdefg ".repeat(length / 8);
            from.say(&text);
            to.hears_once(&text);
        }
    }
    let all = us.peers();
    let sent = all[0]["sent"]["bytes"].as_u64().unwrap();
    let received = all[0]["received"]["bytes"].as_u64().unwrap();
    assert!(sent < 30_000 && received < 30_000, "{all:?}");
    // Incompressible text is sent uncompressed.
    let noise: String = (0..400_u32)
        .map(|n| char::from(b'0' + (n.wrapping_mul(2_654_435_761) >> 25) as u8 % 75))
        .collect();
    let text = unique(&noise);
    us.say(&text);
    let heard = them.hears_once(&text);
    them.order(json!({"do": "reply", "to": heard["id"], "packets": ["and back"]}));
    us.hears_once("and back");
    them.is_untroubled();
}

#[test]
fn py2p_0_5() {
    converse(ALL[0]);
}

#[test]
fn py2p_0_6() {
    converse(ALL[1]);
}

#[test]
fn py2p_0_7() {
    converse(ALL[2]);
}

#[test]
fn js2p_0_7() {
    converse(ALL[3]);
}
