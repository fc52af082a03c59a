//! js2p dials us by WebSocket over TLS. We cannot dial it that way: it has no option for a certificate.

use std::time::Duration;

use actix_mesh::tls::Authority;

use super::reference::js2p;
use super::support::peer::{Peer, unique};

#[test]
fn a_js2p_dials_us_by_websocket_over_tls_and_both_are_heard() {
    let dir = tempfile::tempdir().unwrap();
    let ca = dir.path().join("ca");
    let authority = Authority::init(&ca).unwrap();
    authority
        .issue("127.0.0.1", Duration::from_secs(24 * 60 * 60))
        .unwrap();
    let Some(them) = js2p("wss").peer_trusting("them", &ca.join("ca.crt")) else {
        return;
    };
    let prefix = ca.join("127.0.0.1").display().to_string();
    let how = ["--max-outgoing", "0", "--wire", "0.7", "--wss", &prefix];
    let us = Peer::ours_with("us", &how);
    them.join(&us);
    for (from, to) in [(&us, &them), (&them, &us)] {
        let text = unique(&"over wss".repeat(100));
        from.say(&text);
        assert_eq!(to.hears_once(&text)["sender"], *from.id);
    }
    them.is_untroubled();
}
