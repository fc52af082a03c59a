//! Broadcasts in meshes of 20 to 100,000 nodes: redundant copies, hops, time to the last node.
//!
//! `cargo bench --bench scale` runs the scenarios of iroh-gossip's published simulation (its seeds, its latencies of 10
//! to 50 ms that are constant per link, its accounting) and prints its published figures beside ours.
//!
//! | argument | runs |
//! |---|---|
//! | none | Single, Multi and All with 20 and 100 nodes, Single and Multi with 1,000 |
//! | `large` | Single and Multi with 10,000 nodes |
//! | `huge` | Single with 100,000 nodes |
//! | `repeat` | 20 authors that all publish in each of 30 rounds, 1,000 nodes |
//! | `crowd` | All with 100 nodes: each round separately |
//! | `bulk` | one author at a time, messages of 64 KiB and 1 MiB, 1,000 nodes that write 100 Mbit/s each: beside the flood |
//! | `deaths` | 10 and 30 of 100 nodes die, closing their links or silently, and 20 others go on publishing, 1,000 nodes |
//! | `flood` | the same scenarios as without an argument, with everything that spares copies turned off |
//!
//! Arguments can be combined; `SEEDS=<count>` runs fewer seeds than the four.

#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark may panic")]

use std::time::{Duration, Instant};

use actix_mesh::mesh::Params;
use actix_mesh::mesh::sim::{Network, Node, Round};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// The seeds of iroh-gossip's `simulations/all.toml`.
const SEEDS: [u64; 4] = [0, 1, 212_312_388_123, 123];

/// The time for the links to settle.
const WARM_UP: Duration = Duration::from_secs(60);

/// A round that takes longer than this misses a node.
const PATIENCE: Duration = Duration::from_secs(20);

/// Who publishes in a round.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Authors {
    /// Always the same node.
    Single,
    /// One random node.
    Multi,
    /// Every node.
    All,
    /// All of the same twenty nodes.
    Twenty,
}

/// The figures of iroh-gossip 0.101: true means over the same seeds.
struct Published {
    rmr: f64,
    /// The last hop, minus one.
    ldh: f64,
    ms: f64,
}

struct Scenario {
    authors: Authors,
    nodes: usize,
    rounds: usize,
    published: Option<Published>,
}

fn scenario(authors: Authors, nodes: usize, rounds: usize) -> Scenario {
    Scenario {
        authors,
        nodes,
        rounds,
        published: None,
    }
}

fn published(
    authors: Authors,
    nodes: usize,
    rounds: usize,
    (rmr, ldh, ms): (f64, f64, f64),
) -> Scenario {
    Scenario {
        published: Some(Published { rmr, ldh, ms }),
        ..scenario(authors, nodes, rounds)
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |name: &str| arguments.iter().any(|argument| argument == name);
    let named = ["large", "huge", "repeat", "crowd", "bulk", "deaths"];
    let spare = !has("flood");
    println!(
        "{:24} {:>6} | {:>7} {:>7} {:>5} {:>5} {:>5} {:>7} {:>7} {:>6} {:>8} | {:>7} {:>5} {:>6} | {:>7} {:>6}",
        "scenario",
        "nodes",
        "RMR",
        "later",
        "hops",
        "p99",
        "last",
        "p99 ms",
        "last ms",
        "missed",
        "ctl B",
        "iroh",
        "last",
        "ms",
        "degree",
        "took s",
    );
    if !named.iter().any(|name| has(name)) {
        usual().iter().for_each(|it| run(it, spare));
    }
    if has("repeat") {
        run(&scenario(Authors::Twenty, 1000, 30), spare);
    }
    if has("crowd") {
        crowd(spare);
    }
    if has("deaths") {
        for share in [0.1, 0.3] {
            deaths(share, false, spare);
            deaths(share, true, spare);
        }
    }
    if has("bulk") {
        for size in [64 << 10, 1 << 20] {
            bulk(size, false);
            bulk(size, true);
        }
    }
    if has("large") {
        run(
            &published(Authors::Single, 10_000, 30, (0.22, 19.0, 514.0)),
            spare,
        );
        run(
            &published(Authors::Multi, 10_000, 30, (0.56, 30.0, 859.0)),
            spare,
        );
    }
    if has("huge") {
        run(&scenario(Authors::Single, 100_000, 10), spare);
    }
}

fn usual() -> Vec<Scenario> {
    use Authors::{All, Multi, Single};
    vec![
        published(Single, 20, 30, (0.147, 2.75, 89.0)),
        published(Single, 100, 30, (0.089, 6.0, 172.0)),
        published(Single, 1000, 30, (0.075, 13.75, 377.0)),
        published(Multi, 20, 30, (0.424, 4.8, 162.0)),
        published(Multi, 100, 30, (0.480, 10.4, 313.0)),
        published(Multi, 1000, 30, (0.469, 21.2, 617.0)),
        published(All, 20, 30, (1.392, 5.4, 431.0)),
        published(All, 100, 5, (1.074, 10.9, 774.0)),
    ]
}

fn seeds(scenario: &Scenario) -> &'static [u64] {
    let most = if scenario.nodes >= 10_000 { 1 } else { 4 };
    let wanted = std::env::var("SEEDS")
        .ok()
        .and_then(|text| text.parse().ok());
    &SEEDS[..wanted.unwrap_or(most).min(SEEDS.len())]
}

/// Makes a mesh in which every node joined through an earlier one.
fn grown(nodes: usize, seed: u64, spare: bool) -> (Network, Vec<Node>, StdRng) {
    let mut dice = StdRng::seed_from_u64(seed);
    let latency = Duration::from_millis(10)..Duration::from_millis(50);
    let mut net = Network::new(seed)
        .latency(latency)
        .constant_latency()
        .check_every(10_000)
        .without_history();
    let all: Vec<Node> = (0..nodes)
        .map(|_| net.add_with(|params| set(params, spare)))
        .collect();
    // All nodes join within 20 s, however many there are.
    let pause = Duration::from_secs(20) / u32::try_from(nodes).unwrap();
    for (index, node) in all.iter().enumerate().skip(1) {
        net.connect(*node, all[dice.random_range(0..index)]);
        net.run_for(pause);
    }
    net.run_for(WARM_UP);
    assert_eq!(net.components(), 1, "seed {seed}: the mesh is not whole");
    (net, all, dice)
}

fn set(params: &mut Params, spare: bool) {
    params.prune = spare;
    if !spare {
        (params.soft_max_peers, params.announce_from) = (0, 0);
    }
}

fn authors(scenario: &Scenario, nodes: &[Node], dice: &mut StdRng) -> Vec<Node> {
    match scenario.authors {
        Authors::Single => vec![nodes[0]],
        Authors::Multi => vec![nodes[dice.random_range(0..nodes.len())]],
        Authors::All => nodes.to_vec(),
        Authors::Twenty => nodes.iter().step_by(nodes.len() / 20).copied().collect(),
    }
}

fn rounds(scenario: &Scenario, seed: u64, spare: bool) -> (Vec<Round>, Network) {
    let (mut net, nodes, mut dice) = grown(scenario.nodes, seed, spare);
    let mut rounds = Vec::new();
    for round in 0..scenario.rounds {
        net.begin_round();
        for author in authors(scenario, &nodes, &mut dice) {
            net.broadcast(author, format!("round {round} of {author:?}"))
                .unwrap();
        }
        rounds.push(net.finish_round(PATIENCE));
    }
    (rounds, net)
}

fn run(scenario: &Scenario, spare: bool) {
    let start = Instant::now();
    let (mut all, mut later, mut degrees) = (Vec::new(), Vec::new(), String::new());
    for seed in seeds(scenario) {
        let (rounds, net) = rounds(scenario, *seed, spare);
        let degree = net.degrees();
        degrees = format!(
            "{}/{:.1}/{}/{}",
            degree.min, degree.mean, degree.spread.p99, degree.spread.last
        );
        // Each author has been heard about once by then.
        let first = match scenario.authors {
            Authors::All | Authors::Twenty => 1,
            _ => rounds.len() / 3,
        };
        later.extend_from_slice(&rounds[first..]);
        all.extend(rounds);
    }
    print(scenario, &all, &later, &degrees, start.elapsed());
}

fn mean(rounds: &[Round], of: impl Fn(&Round) -> f64) -> f64 {
    rounds.iter().map(of).sum::<f64>() / f64::from(u32::try_from(rounds.len()).unwrap())
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

fn print(scenario: &Scenario, all: &[Round], later: &[Round], degrees: &str, took: Duration) {
    let name = format!("{:?} ({} rounds)", scenario.authors, scenario.rounds);
    let missed: u64 = all.iter().map(|round| round.missed).sum();
    let control = mean(all, |round| count(round.control_bytes))
        / mean(all, |round| count(round.nodes * round.messages));
    let theirs = match &scenario.published {
        Some(it) => format!("{:7.3} {:5.1} {:6.0}", it.rmr, it.ldh + 1.0, it.ms),
        None => format!("{:>7} {:>5} {:>6}", "-", "-", "-"),
    };
    println!(
        "{name:24} {:6} | {:7.3} {:7.3} {:5.1} {:5.1} {:5.1} {:7.0} {:7.0} {missed:6} {control:8.0} | {theirs} | {degrees} {:6.1}",
        scenario.nodes,
        mean(all, Round::rmr),
        mean(later, Round::rmr),
        mean(all, |round| f64::from(round.hops.p50)),
        mean(all, |round| f64::from(round.hops.p99)),
        mean(all, |round| f64::from(round.hops.last)),
        mean(all, |round| ms(round.times.p99)),
        mean(all, |round| ms(round.times.last)),
        took.as_secs_f64(),
    );
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below it")]
fn count(number: u64) -> f64 {
    number as f64
}

/// Measures large messages over uplinks of 100 Mbit/s.
fn bulk(size: usize, spare: bool) {
    let start = Instant::now();
    let bulk = scenario(Authors::Multi, 1000, 10);
    let mut all = Vec::new();
    let mut degrees = String::new();
    for seed in &seeds(&bulk)[..1] {
        let (mut net, nodes, mut dice) = grown(bulk.nodes, *seed, spare);
        for node in &nodes {
            net.uplink(*node, 12.5e6);
        }
        for round in 0..bulk.rounds {
            net.begin_round();
            for author in authors(&bulk, &nodes, &mut dice) {
                let text = format!("round {round} ");
                let padding = "x".repeat(size - text.len());
                net.broadcast(author, text + &padding).unwrap();
            }
            all.push(net.finish_round(PATIENCE));
            net.run_for(PATIENCE);
        }
        let degree = net.degrees();
        degrees = format!(
            "{}/{:.1}/{}/{}",
            degree.min, degree.mean, degree.spread.p99, degree.spread.last
        );
    }
    println!(
        "{} KiB, {}:",
        size >> 10,
        if spare { "offered" } else { "flooded" }
    );
    print(&bulk, &all, &all, &degrees, start.elapsed());
}

/// Measures each round of All with 100 nodes: the cost of the first, and of the later ones.
fn crowd(spare: bool) {
    let crowd = scenario(Authors::All, 100, 5);
    for seed in seeds(&crowd) {
        let (rounds, _) = rounds(&crowd, *seed, spare);
        let each: Vec<String> = rounds
            .iter()
            .map(|round| format!("{:.3}", round.rmr()))
            .collect();
        println!("All 100, seed {seed}: RMR by round {}", each.join(" "));
    }
}

/// Measures the next messages of 20 authors after a share of 1,000 nodes dies at once, closing their links or silently.
fn deaths(share: f64, quiet: bool, spare: bool) {
    let scenario = scenario(Authors::Twenty, 1000, 5);
    for seed in seeds(&scenario) {
        let (mut net, nodes, mut dice) = grown(scenario.nodes, *seed, spare);
        let speaking = authors(&scenario, &nodes, &mut dice);
        let mut number = 0;
        let mut round = |net: &mut Network| {
            number += 1;
            net.begin_round();
            for author in &speaking {
                net.broadcast(*author, format!("{number} of {author:?}"))
                    .unwrap();
            }
            net.finish_round(PATIENCE)
        };
        for _ in 0..scenario.rounds {
            round(&mut net);
            net.run_for(Duration::from_secs(1));
        }
        for node in nodes.iter().filter(|node| !speaking.contains(node)) {
            if dice.random_bool(share) {
                match quiet {
                    true => net.power_off(*node),
                    false => net.crash(*node),
                }
            }
        }
        let parts = net.components();
        let after = [round(&mut net), round(&mut net)];
        let each = after.map(|it| {
            let [p99, last] = [it.times.p99, it.times.last].map(ms);
            format!(
                "{p99:.0} / {last:.0} ms, missed {}, RMR {:.2}",
                it.missed,
                it.rmr()
            )
        });
        println!(
            "{:.0} % die {}, {parts} parts, 99 % / all: {}; then {}",
            share * 100.0,
            if quiet { "silently" } else { "and close" },
            each[0],
            each[1],
        );
    }
}
