//! `probe`: tells apart everything that can listen at an address, and says what to change.

use std::net::TcpListener;

use serde_json::Value;

use super::life::closed_port;
use super::peer::Peer;
use super::{run, stdout};

/// Runs `probe`; returns its report and whether it succeeded.
fn probe(addr: &str, options: &[&str]) -> (Value, bool) {
    let output = run(&[&["probe", addr][..], options].concat(), "");
    let report: Value = serde_json::from_str(stdout(&output).trim()).unwrap();
    assert_eq!(report["joined"], output.status.success());
    (report, output.status.success())
}

fn refused(addr: &str, options: &[&str], code: &str, advice: &str) {
    let (report, joined) = probe(addr, options);
    assert!(!joined, "{report}");
    assert_eq!(report["code"], code, "{report}");
    assert!(
        report["advice"].as_str().unwrap().contains(advice),
        "{report}"
    );
}

#[test]
fn a_node_is_found_in_each_generation() {
    for wire in ["0.4", "0.5", "0.6", "0.7"] {
        let node = Peer::ours_with("node", &["--wire", wire, "--subnet", "shop"]);
        let (report, joined) = probe(&node.listen, &["--subnet", "shop"]);
        assert!(joined, "{report}");
        assert_eq!(report["wire"], wire);
        assert_eq!(report["id"], node.id.as_str());
        assert!(report["round_trip_ms"].as_f64().unwrap() >= 0.0);
        assert_eq!(report["proven"], false);
    }
}

#[test]
fn what_keeps_a_node_out_is_said_with_what_to_change() {
    let node = Peer::ours("node");
    refused(
        &node.listen,
        &["--subnet", "shop"],
        "other_subnet",
        "--subnet",
    );
    refused(&node.listen, &["--wire", "0.5"], "bad_frame", "--wire");
    refused(
        &node.listen,
        &["--unauthenticated-ssl"],
        "insecure",
        "plaintext",
    );
    let ssl = Peer::ours_with("ssl", &["--unauthenticated-ssl"]);
    refused(&ssl.listen, &[], "insecure", "--unauthenticated-ssl");
    let (report, joined) = probe(&ssl.listen, &["--unauthenticated-ssl"]);
    assert!(joined, "{report}");
    refused(&closed_port(), &[], "refused", "no program listens");
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = silent.local_addr().unwrap().to_string();
    refused(
        &addr,
        &["--wire", "0.4"],
        "handshake_timeout",
        "may not speak",
    );
}
