//! How the program starts, fails and ends.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::process::Child;

use serde_json::json;

use super::peer::{Peer, unique};
use super::{piped, run, stderr, stdout};

/// Where nobody listens.
pub(crate) fn closed_port() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

#[test]
fn help_has_examples_and_exit_codes() {
    for arguments in [
        &["--help"][..],
        &["node", "--help"],
        &["decode", "--help"],
        &["encode", "--help"],
    ] {
        let output = run(arguments, "");
        assert_eq!(output.status.code(), Some(0));
        for part in ["Example", "Exit codes:", "Usage: actix-mesh"] {
            assert!(
                stdout(&output).contains(part),
                "{part} is missing in {arguments:?}"
            );
        }
    }
    let version = run(&["--version"], "");
    assert_eq!(
        stdout(&version),
        format!("actix-mesh {}\n", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn what_is_not_understood_is_a_usage_error() {
    for arguments in [
        &[][..],
        &["dance"],
        &["node", "--loud"],
        &["node", "--encryption", "SSL"],
        &["node", "--wire", "0.9"],
        &["node", "--connect", "nowhere"],
        &["node", "--format", "xml"],
        &["decode", "--wire", "4"],
    ] {
        let output = run(arguments, "");
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(!output.stderr.is_empty() && output.stdout.is_empty());
    }
}

#[test]
fn a_port_in_use_is_named() {
    let holder = Peer::ours("holder");
    let output = run(
        &["node", "--listen", &holder.listen, "--format", "json"],
        "",
    );
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty());
    let said = stderr(&output);
    assert!(
        said.contains(&holder.listen) && said.contains("in use"),
        "{said}"
    );
}

#[test]
fn an_address_that_is_none_is_named() {
    let output = run(&["node", "--listen", "here"], "");
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("here"), "{}", stderr(&output));
}

#[test]
fn nobody_reading_our_output_ends_us_cleanly() {
    let mut child = piped(&["node", "--format", "json"]);
    let mut output = BufReader::new(child.stdout.take().unwrap());
    output.read_line(&mut String::new()).unwrap();
    drop(output);
    let mut input = child.stdin.take().unwrap();
    writeln!(input, "{{\"do\":\"peers\"}}").unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(errors(&mut child), "");
}

fn errors(child: &mut Child) -> String {
    let mut said = String::new();
    let mut errors = child.stderr.take().unwrap();
    errors.read_to_string(&mut said).unwrap();
    said
}

#[cfg(unix)]
#[test]
fn a_signal_makes_us_write_what_waits_and_end() {
    let hearer = Peer::ours("hearer");
    for signal in ["-TERM", "-INT"] {
        let arguments = ["node", "--format", "json", "--connect", &hearer.listen];
        let mut child = piped(&arguments);
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut input = child.stdin.take().unwrap();
        let mut wait_for = |what: &str| {
            let mut told = lines.by_ref().map(Result::unwrap);
            told.find(|line| line.contains(what)).expect(what)
        };
        wait_for("peer_joined");
        let text = unique("last words");
        writeln!(input, "{}", json!({"do": "send", "packets": [text]})).unwrap();
        wait_for("answer");
        let pid = child.id().to_string();
        let kill = std::process::Command::new("kill")
            .args([signal, &pid])
            .status();
        assert!(kill.unwrap().success());
        assert_eq!(child.wait().unwrap().code(), Some(0), "{signal}");
        hearer.hears(text);
    }
}
