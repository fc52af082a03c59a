//! The memory of an idle connection in a closed mesh, without the kernel's.
//!
//! Every allocation of this program is counted. Its peers run in another process, this program started again, because
//! TLS takes memory on both ends.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};

use peak_alloc::PeakAlloc;

#[path = "../support/mod.rs"]
mod support;

use support::at_rest;
use support::closed;
use support::raw::Raw;
use support::victim::Victim;

#[global_allocator]
static COUNTED: PeakAlloc = PeakAlloc;

/// Bytes a connection may use, even in a debug build.
const LAW: usize = 16 * 1024;
/// Peers in each of two crowds: the first makes the node grow once, the second is measured.
const CROWD: usize = 100;
/// The variable with the node's address, for the members' process.
const ADDRESS: &str = "ACTIX_MESH_TEST_ADDRESS";

#[test]
fn an_idle_connection_of_a_closed_mesh_is_small() {
    let victim = Victim::deaf(|config| config.max_incoming(2 * CROWD));
    let mut members = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "members", "--nocapture"])
        .env(closed::FOLDER, closed::folder())
        .env(ADDRESS, victim.addr.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut tell = members.stdin.take().unwrap();
    let mut sizes = Vec::new();
    let mut before = at_rest(|| COUNTED.current_usage());
    for crowd in 1..=2 {
        writeln!(tell, "{CROWD}").unwrap();
        victim.until_peers(crowd * CROWD);
        let now = at_rest(|| COUNTED.current_usage());
        sizes.push(now.saturating_sub(before) / CROWD);
        before = now;
    }
    eprintln!("{sizes:?} bytes for each of {CROWD} idle connections");
    assert!(sizes[1] <= LAW, "{sizes:?} bytes");
    drop(tell);
    members.wait().unwrap();
}

/// The members' process: as many join as each line of its input says, and stay until EOF.
#[test]
#[ignore = "it is started by the other test"]
fn members() {
    let addr = std::env::var(ADDRESS).unwrap();
    let subnet = actix_mesh::Subnet::new("mesh", "TLS").id(support::raw::GENERATION);
    let mut all = Vec::new();
    for line in BufReader::new(std::io::stdin()).lines() {
        for _ in 0..line.unwrap().parse().unwrap() {
            let (stream, id) = closed::dial(addr.parse().unwrap());
            let mut raw = Raw::over(stream, &subnet, id);
            raw.greet(|_| {});
            raw.expect(|heard| heard.kind() == Some(actix_mesh::wire::SubFlag::Peers));
            all.push(raw);
        }
    }
}
