//! The program `actix-mesh` alone: its contract with its caller, without another implementation.
//!
//! Every case starts fresh processes on free loopback ports. The cases know the crate only as its program, and share
//! the code that drives a process with the live cases.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../support/mod.rs"]
mod support;

mod bridge;
mod config;
mod deploy;
mod json;
mod life;
mod probe;
mod text;
mod tools;
mod top;

use std::io::{self, Write as _};
use std::process::{Child, Command, Output, Stdio};

use support::{peer, vectors};

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

/// Runs the program on an input until it exits.
fn run(arguments: &[&str], input: impl Into<String>) -> Output {
    let input = input.into();
    let mut child = piped(arguments);
    let mut stdin = child.stdin.take().unwrap();
    std::thread::scope(|scope| {
        // A program that reads no input, for example after a wrong option, does not fail the write.
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
