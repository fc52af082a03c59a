//! The long-running cases, and the limits that hold meanwhile.

use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::attackers::{self, KINDS};
use crate::process::{Good, Process, join};
use crate::support::raw::Raw;
use crate::support::{open_files, until};

/// All cases, by name.
pub(crate) const CASES: &[(&str, fn())] = &[
    ("mixed attacks", mixed_attacks),
    ("trickling sockets", trickling_sockets),
    ("idle peers", idle_peers),
];

const MIB: usize = 1 << 20;

fn number(variable: &str, otherwise: usize) -> usize {
    let text = std::env::var(variable).ok();
    text.and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

fn count_in(value: &serde_json::Value) -> usize {
    usize::try_from(value.as_u64().unwrap()).unwrap()
}

fn mib(kib: usize) -> f64 {
    kib as f64 / 1024.0
}

/// As many sockets as the descriptor limit allows; the node, in its own process, needs as many.
fn crowd(wanted: usize) -> usize {
    let count = wanted.min(open_files().saturating_sub(200));
    if count < wanted {
        println!("  only {count} of {wanted}: raise the limit on open files (ulimit -n)");
    }
    count
}

/// Every kind of attacker at once, and two honest peers that exchange messages.
fn mixed_attacks() {
    let time = Duration::from_secs(number("SOAK", 5) as u64);
    let mut node = Process::start(1024);
    let base = node.resident("VmRSS");
    let over = Arc::new(AtomicBool::new(false));
    let attackers: Vec<_> = (0..KINDS)
        .map(|kind| {
            let (addr, over) = (node.addr, Arc::clone(&over));
            std::thread::spawn(move || attackers::attack(kind, addr, &over))
        })
        .collect();
    let (mut one, mut other) = (Good::join(node.addr), Good::join(node.addr));
    let (began, mut printed) = (Instant::now(), 0);
    let (mut most_peers, mut times) = (0, Vec::new());
    while began.elapsed() < time {
        // In both directions, or one peer would seem dead.
        times.extend([one.talk_to(&other), other.talk_to(&one)]);
        std::thread::sleep(Duration::from_millis(100));
        let status = node.status();
        most_peers = most_peers.max(count_in(&status["peers"]));
        if began.elapsed().as_secs() / 10 >= printed {
            printed = began.elapsed().as_secs() / 10 + 1;
            println!(
                "  {:4} s: {:.1} MiB resident, {} peers, {} messages received, {} bad frames",
                began.elapsed().as_secs(),
                mib(node.resident("VmRSS")),
                status["peers"],
                status["stats"]["received"],
                status["stats"]["bad_frames"],
            );
        }
    }
    over.store(true, Ordering::Relaxed);
    attackers
        .into_iter()
        .for_each(|thread| thread.join().unwrap());
    let most = node.resident("VmHWM") - base;
    println!(
        "  at most {:.1} MiB more than before ({:.1} MiB), with {most_peers} peers",
        mib(most),
        mib(base),
    );
    times.sort();
    println!(
        "  a message between good peers took {:?}, or {:?} at most, of {}",
        times[times.len() / 2],
        times.last().unwrap(),
        times.len(),
    );
    assert!(node.status()["stats"]["received"].as_u64().unwrap() > 0);
    assert!(most * 1024 <= (64 + most_peers) * MIB, "{most} KiB");
}

fn trickling_sockets() {
    let count = crowd(number("SOCKETS", 1000));
    let mut node = Process::start(1024);
    let mut crowd: Vec<TcpStream> = Vec::new();
    let mut most_open = 0;
    for n in 0..count {
        let mut stream = TcpStream::connect(node.addr).unwrap();
        let _ = std::io::Write::write_all(&mut stream, &[0]);
        crowd.push(stream);
        most_open = most_open.max(if n % 100 == 0 { node.descriptors() } else { 0 });
        if (n + 1) % 1000 == 0 {
            tell_join(&node, n + 1);
        }
    }
    // They go on, a byte each.
    for stream in &mut crowd {
        let _ = std::io::Write::write_all(stream, &[0]);
    }
    tell_join(&node, count);
    let waiting = count_in(&node.status()["awaiting"]);
    assert!(waiting <= 384, "{waiting} wait");
    println!(
        "  {:.1} MiB resident at most, and {most_open} descriptors",
        mib(node.resident("VmHWM"))
    );
    // Those pending, those closing, and some just told to close.
    assert!(most_open < 1000, "{most_open} descriptors");
}

fn tell_join(node: &Process, among: usize) {
    let began = Instant::now();
    let joined = join(node.addr);
    assert!(joined.is_some(), "a good peer was not let in");
    println!("  joined among {among} after {:?}", began.elapsed());
}

fn idle_peers() {
    let count = crowd(number("PEERS", 300));
    let mut node = Process::start(count + 16);
    let base = node.resident("VmRSS");
    let _peers: Vec<Raw> = (0..count).map(|_| join(node.addr).unwrap()).collect();
    until("all are there", || {
        count_in(&node.status()["peers"]) == count
    });
    let each = (node.resident("VmRSS") - base) as f64 / count as f64;
    println!("  {count} idle peers: {each:.1} KiB resident each");
    tell_join(&node, count);
    let (mut one, other) = (Good::join(node.addr), Good::join(node.addr));
    let took = one.talk_to(&other);
    println!("  a message took {took:?}, and went to all of them");
}
