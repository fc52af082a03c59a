//! The cost of relaying over loopback: a node in a separate process, beside a relay of blocking threads written by
//! hand.
//!
//!     cargo bench --bench relay                      hubs and duplicates
//!     cargo bench --bench relay -- hubs              one peer feeds, 1 or 8 listen
//!     cargo bench --bench relay -- duplicates        seven peers feed the same
//!     cargo bench --bench relay -- fan-out           1 to 500 listen
//!     cargo bench --bench relay -- payload           16 B to 1 MB
//!     cargo bench --bench relay -- cache             up to a million live ids
//!     cargo bench --bench relay -- slow              beside peers that take nothing
//!     cargo bench --bench relay -- full-mesh         2 to 16 nodes, all of which send
//!
//! Messages are composed before the clock starts, and sent and counted by raw sockets in this process. The figures are
//! the CPU time of the hub's process alone, in user and system, from the first byte to the last: the median of rounds
//! in which all hubs take turns. The ratio is the median of the ratios of each round. Every message must arrive exactly
//! once.

#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark may panic")]

mod by_hand;
mod contest;
mod crowd;
mod duplicates;
#[path = "../harness/mod.rs"]
mod harness;
mod hub;
mod mesh;
mod slow;
mod stream;

use contest::{CAPACITY, Contender, Outcome, contest, count_of};
use hub::{BY_HAND, Kind, NODE, NODE_WITH_INBOX, NODE_WITH_ZLIB};
use stream::Form;

fn main() {
    let words: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| !word.starts_with("--"))
        .collect();
    match words.split_first() {
        Some((first, rest)) if first == "hub" => hub::run(rest),
        Some((first, rest)) if first == "nodes" => mesh::run(rest),
        Some(_) => words.iter().for_each(|word| case(word)),
        None => ["hubs", "duplicates"].into_iter().for_each(case),
    }
}

fn case(word: &str) {
    match word {
        "hubs" => hubs(),
        "duplicates" => duplicates::told(),
        "fan-out" => fan_out(),
        "payload" => payload(),
        "cache" => cache(),
        "slow" => slow::told(),
        "full-mesh" => mesh::told(),
        _ => panic!("no such case: {word}"),
    }
}

fn contender((kind, form): (Kind, Form), sinks: usize) -> Contender {
    Contender::new(kind, form, 1 + sinks, CAPACITY)
}

fn hubs() {
    let hubs = [
        (BY_HAND, Form::Plain),
        (NODE, Form::Plain),
        (NODE_WITH_INBOX, Form::Plain),
        (NODE_WITH_ZLIB, Form::ZlibRelayed),
        (NODE_WITH_ZLIB, Form::ZlibNew),
    ];
    for sinks in [1, 8] {
        for size in [100, 160, 1024, 64 * 1024] {
            let contenders = hubs.map(|hub| contender(hub, sinks)).into();
            println!("\n## Relay 1 to {sinks}, {size} B\n");
            println!(
                "| hub | ns a message | of the threads | user | system | messages/s | delivered |"
            );
            println!("|---|--:|--:|--:|--:|--:|--:|");
            contest(contenders, size, count_of(size))
                .iter()
                .for_each(row);
        }
    }
}

fn row(outcome: &Outcome) {
    let form = match outcome.form {
        Form::Plain => "",
        Form::ZlibRelayed => ", relayed before",
        Form::ZlibNew => ", from its author",
    };
    println!(
        "| {}{form} | {:.0} | {:.2} | {:.0} % | {:.0} % | {:.0} | {} of {} |",
        outcome.kind.name,
        outcome.cost,
        outcome.ratio,
        outcome.user,
        100.0 - outcome.user,
        outcome.rate,
        outcome.delivered,
        outcome.expected,
    );
}

/// Measures the cost of one more peer: a copy in the kernel, and nothing else.
fn fan_out() {
    const SIZE: usize = 160;
    let hubs = [
        (BY_HAND, Form::Plain),
        (NODE, Form::Plain),
        (NODE_WITH_ZLIB, Form::ZlibNew),
    ];
    println!("\n## Fan-out, {SIZE} B\n");
    println!(
        "| listeners | threads: ns a copy | node: ns a message | a copy | of the threads | zlib, from its author: a copy | delivered by the node |"
    );
    println!("|--:|--:|--:|--:|--:|--:|--:|");
    for sinks in [1, 8, 50, 100, 250, 500] {
        let contenders = hubs.map(|hub| contender(hub, sinks)).into();
        let count = (1_000_000 / sinks).min(count_of(SIZE));
        let outcomes = contest(contenders, SIZE, count);
        let [threads, node, zlib] = &outcomes[..] else {
            unreachable!("as many as there are hubs")
        };
        let copy = |outcome: &Outcome| outcome.cost / sinks as f64;
        println!(
            "| {sinks} | {:.0} | {:.0} | {:.0} | {:.2} | {:.0} | {} of {} |",
            copy(threads),
            node.cost,
            copy(node),
            node.ratio,
            copy(zlib),
            node.delivered,
            node.expected,
        );
    }
}

fn payload() {
    println!("\n## Payload, 1 to 1\n");
    println!(
        "| payload | threads: ns a message | node: ns a message | of the threads | ns a byte | delivered by the node |"
    );
    println!("|--:|--:|--:|--:|--:|--:|");
    for size in [
        16,
        100,
        160,
        1 << 10,
        4 << 10,
        16 << 10,
        64 << 10,
        256 << 10,
        1 << 20,
    ] {
        let hubs = [(BY_HAND, Form::Plain), (NODE, Form::Plain)];
        let contenders = hubs.map(|hub| contender(hub, 1)).into();
        let outcomes = contest(contenders, size, count_of(size));
        let (threads, node) = (&outcomes[0], &outcomes[1]);
        println!(
            "| {size} | {:.0} | {:.0} | {:.2} | {:.2} | {} of {} |",
            threads.cost,
            node.cost,
            node.ratio,
            node.cost / size as f64,
            node.delivered,
            node.expected,
        );
    }
}

/// Relays the same messages while hubs remember more and more others, all in turn, so that they can be compared.
fn cache() {
    const SIZE: usize = 160;
    const LIVE: [usize; 4] = [0, 10_000, 100_000, 1_000_000];
    let pair = |live| [BY_HAND, NODE].map(|kind| remembering(kind, live));
    let contenders = LIVE.into_iter().flat_map(pair).collect();
    let outcomes = contest(contenders, SIZE, 10_000);
    let (pairs, _) = outcomes.as_chunks();
    println!("\n## Live ids, 1 to 1, {SIZE} B\n");
    println!(
        "| live ids | threads: ns a message | node: ns a message | of the threads | of none live | delivered by the node |"
    );
    println!("|--:|--:|--:|--:|--:|--:|");
    for (live, [threads, node]) in LIVE.iter().zip(pairs) {
        println!(
            "| {live} | {:.0} | {:.0} | {:.2} | {:.2} | {} of {} |",
            threads.cost,
            node.cost,
            node.cost / threads.cost,
            node.cost / outcomes[1].cost,
            node.delivered,
            node.expected
        );
    }
}

/// Makes a hub that has relayed that many messages, stamped within the last seconds.
fn remembering(kind: Kind, live: usize) -> Contender {
    const TOGETHER: usize = 50_000;
    const SECONDS: usize = 20;
    let mut contender = Contender::new(kind, Form::Plain, 2, 1 << 21);
    let now = stream::unix();
    for begun in (0..live).step_by(TOGETHER) {
        let age = (live - begun) * SECONDS / live;
        let count = TOGETHER.min(live - begun);
        let messages = stream::messages_of(now - age as u64, Form::Plain, 16, count);
        contender.relay(&[messages], count as u64);
    }
    contender
}
