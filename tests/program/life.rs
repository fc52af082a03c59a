//! How the program starts, fails and ends.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::process::Child;

use serde_json::json;

use super::peer::{Peer, unique};
use super::{piped, run, stderr, stdout};

/// Returns an address where no server listens.
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
        &["probe", "--help"],
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

/// Returns the exit code, within a time a person would wait.
#[cfg(unix)]
fn ended(child: &mut Child) -> Option<i32> {
    for _ in 0..1000 {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let _ = child.kill();
    panic!("it does not end");
}

#[cfg(unix)]
fn signal(child: &Child, name: &str) {
    let told = std::process::Command::new("kill")
        .args([name, &child.id().to_string()])
        .status();
    assert!(told.unwrap().success());
}

/// Runs a node the way a service manager does.
#[cfg(unix)]
#[test]
fn without_input_a_node_stays_until_a_signal_and_drains() {
    use std::process::{Command, Stdio};
    for (name, arguments) in [
        ("-TERM", &[][..]),
        ("-HUP", &[]),
        ("-INT", &["--detach-input"]),
    ] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_actix-mesh"))
            .args(["node", "--format", "json"])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut ready = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut ready)
            .unwrap();
        assert!(ready.contains("ready"), "{ready}");
        std::thread::sleep(std::time::Duration::from_millis(300));
        assert!(child.try_wait().unwrap().is_none(), "it stays");
        signal(&child, name);
        assert_eq!(ended(&mut child), Some(0), "{name}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn output_that_cannot_be_written_is_told_and_an_error() {
    use std::process::{Command, Stdio};
    let full = std::fs::File::options()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_actix-mesh"))
        .args(["node", "--format", "json"])
        .stdin(Stdio::null())
        .stdout(full)
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("standard output could not be written"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn piped_lines_that_were_not_sent_are_an_error() {
    let output = run(&["node", "--connect", &closed_port()], "hello\n");
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("1 line of standard input was not sent"),
        "{}",
        stderr(&output)
    );
}

#[cfg(unix)]
#[test]
fn a_pipe_as_peer_book_holds_nothing_up() {
    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("book");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    let output = run(
        &[
            "node",
            "--format",
            "json",
            "--peer-book",
            pipe.to_str().unwrap(),
        ],
        "{\"do\":\"quit\"}\n",
    );
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
}

#[test]
fn settings_are_flags_and_variables() {
    use std::process::{Command, Stdio};
    let node = |name: &str, value: &str| {
        let mut child = Command::new(env!("CARGO_BIN_EXE_actix-mesh"))
            .args(["node", "--format", "json"])
            .env(name, value)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A program that fails to start reads nothing.
        let _ = child
            .stdin
            .take()
            .unwrap()
            .write_all(b"{\"do\":\"quit\"}\n");
        child.wait_with_output().unwrap()
    };
    let output = node("ACTIX_MESH_SUBNET", "elsewhere");
    assert!(
        stdout(&output).contains("\"name\":\"elsewhere\""),
        "{}",
        stdout(&output)
    );
    assert_eq!(
        node("ACTIX_MESH_HANDSHAKE_TIMEOUT", "soon").status.code(),
        Some(2)
    );
    for arguments in [
        &[
            "node",
            "--connect-timeout",
            "2.5",
            "--max-reconnect-delay",
            "0",
            "--arbiters",
            "1",
        ][..],
        &[
            "node",
            "--compression",
            "gzip,zlib",
            "--max-peer-message-rate",
            "100",
        ],
        &[
            "node",
            "--compression",
            "none",
            "--keepalive-interval",
            "0",
            "--ban-loopback",
        ],
    ] {
        assert_eq!(
            run(arguments, "/quit\n").status.code(),
            Some(0),
            "{arguments:?}"
        );
    }
    let unknown = run(&["node", "--compression", "rar"], "");
    assert!(
        stderr(&unknown).contains("the methods of this build are snappy, zlib"),
        "{}",
        stderr(&unknown)
    );
}

/// As under systemd: the program reports that it is ready, and that it is stopping, on the socket it was given.
#[cfg(unix)]
#[test]
fn a_service_manager_is_told_when_it_is_ready_and_when_it_ends() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let socket = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
    socket
        .set_read_timeout(Some(crate::support::PATIENCE))
        .unwrap();
    let told = || {
        let mut buffer = [0; 256];
        let length = socket.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    };
    let mut child = crate::program(&["node", "--format", "json"])
        .env("NOTIFY_SOCKET", &path)
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    assert!(told().contains("READY=1"));
    drop(child.stdin.take());
    assert!(told().contains("STOPPING=1"));
    assert!(child.wait().unwrap().success());
}

/// Whether this machine delivers its own multicast datagrams, which mDNS between two of its programs needs.
fn carries_multicast() -> bool {
    use std::net::{Ipv4Addr, UdpSocket};
    let (group, any) = (Ipv4Addr::new(239, 255, 77, 77), Ipv4Addr::UNSPECIFIED);
    let carries = || {
        let hears = UdpSocket::bind((any, 0))?;
        hears.join_multicast_v4(&group, &Ipv4Addr::LOCALHOST)?;
        hears.set_read_timeout(Some(std::time::Duration::from_secs(2)))?;
        let says = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        says.set_multicast_loop_v4(true)?;
        says.send_to(b"?", (group, hears.local_addr()?.port()))?;
        hears.recv(&mut [0; 8])
    };
    carries().is_ok()
}

/// Two nodes that know each other only through mDNS.
#[test]
fn nodes_that_announce_themselves_meet_without_an_address() {
    if !carries_multicast() {
        println!("SKIPPED: this machine's network carries no multicast");
        return;
    }
    let subnet = format!("lan {}", std::process::id());
    let start = || {
        let arguments = ["--mdns", "--subnet", &subnet];
        crate::support::peer::Peer::ours_with("announced", &arguments)
    };
    let (one, two) = (start(), start());
    one.linked(&two);
}
