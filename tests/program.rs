//! The program `actix-mesh` by itself: its contract with whoever starts it, with no other implementation at hand.
//!
//! Every case starts fresh processes on free loopback ports. The cases live in `program/`; they know the
//! crate only as its program, and share with the live cases how a process is driven.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "live/coprocess.rs"]
#[allow(dead_code, reason = "the live cases use all of it")]
mod coprocess;
#[allow(dead_code, reason = "the vectors use all of it")]
mod packed;
#[path = "live/peer.rs"]
#[allow(dead_code, reason = "the live cases use all of it")]
mod peer;

#[path = "program/json.rs"]
mod json;
#[path = "program/life.rs"]
mod life;
#[path = "program/text.rs"]
mod text;
#[path = "program/tools.rs"]
mod tools;

use std::io::{self, Write as _};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

/// How long anything that must happen is waited for: far more than it takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long something that must not happen is watched for.
const QUIET: Duration = Duration::from_millis(700);

/// Between two looks at something that is polled.
const GLANCE: Duration = Duration::from_millis(20);

fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_actix-mesh"));
    command.args(arguments);
    command
}

fn piped(arguments: &[&str]) -> Child {
    program(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Runs the program on an input, to its end.
fn run(arguments: &[&str], input: impl Into<String>) -> Output {
    let input = input.into();
    let mut child = piped(arguments);
    let mut stdin = child.stdin.take().unwrap();
    std::thread::scope(|scope| {
        // One that reads nothing, as after a wrong option, is no failure of the input.
        scope.spawn(move || match stdin.write_all(input.as_bytes()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => panic!("{error}"),
            _ => {}
        });
        child.wait_with_output().unwrap()
    })
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}
