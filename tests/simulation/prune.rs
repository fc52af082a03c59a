//! F23: peers are asked not to send what others send sooner, and every message still reaches every node exactly once.

use std::collections::BTreeMap;
use std::time::Duration;

use actix_mesh::mesh::sim::{Network, Node};
use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;

use super::announce::grown_in;
use super::laws::seeds;

fn second() -> Duration {
    Duration::from_secs(1)
}

/// A mesh of this many nodes, a share of which has no extensions. For some seeds each connection keeps its latency.
fn grown(seed: u64, count: usize, plain: f64) -> (Network, Vec<Node>, StdRng) {
    let net = Network::new(seed).check_every(20);
    let net = match seed / 4 % 2 {
        0 => net,
        _ => net.constant_latency(),
    };
    grown_in(net, count, plain, true)
}

/// How often each number arrived since the last call.
fn heard(net: &mut Network, node: Node) -> BTreeMap<usize, usize> {
    let mut heard = BTreeMap::new();
    for message in net.take_delivered(node) {
        *heard.entry(message.text().parse().unwrap()).or_default() += 1;
    }
    heard
}

fn spared(net: &Network, nodes: &[Node]) -> u64 {
    let spared = nodes.iter().map(|node| net.mesh(*node).stats());
    spared
        .map(|stats| stats.spared - stats.spared_in_vain)
        .sum()
}

#[test]
fn f23_after_the_first_of_an_author_each_node_hears_hardly_a_copy_too_many() {
    for seed in seeds(10) {
        let count = 3 + usize::try_from(seed % 4).unwrap() * 12;
        let (mut net, nodes, _) = grown(seed, count, 0.0);
        let (mut steady, mut degrees) = (0, net.degrees());
        for round in 0..6 {
            net.begin_round();
            for (number, author) in nodes.iter().enumerate() {
                let number = round * count + number;
                net.broadcast(*author, number.to_string()).unwrap();
                net.run_for(Duration::from_millis(50));
            }
            let cost = net.finish_round(second() * 10);
            assert_eq!(cost.missed, 0, "seed {seed}: {round}");
            // A node whose request was ignored asks again by then.
            net.run_for(second() * 3);
            // Copies over a connection that just opened or closed do not count.
            steady = if net.degrees() == degrees {
                steady + 1
            } else {
                0
            };
            degrees = net.degrees();
            // With two connections a node counts from its first duplicate on, and ignores what it is asked before.
            if steady > 4 {
                let most = cost.delivered + cost.delivered / 20 + 2;
                assert!(cost.copies <= most, "seed {seed}: {round}: {cost:?}");
            }
        }
        for (at, node) in nodes.iter().enumerate() {
            let heard = heard(&mut net, *node);
            let others = (0..6 * count).filter(|number| number % count != at);
            let once: BTreeMap<usize, usize> = others.map(|number| (number, 1)).collect();
            assert_eq!(heard, once, "seed {seed}: {node:?}");
        }
    }
}

/// Authors send while connections break, nodes join, and nodes of both kinds relay for others.
#[test]
fn f23_while_links_break_and_nodes_come_nothing_is_lost_and_nothing_heard_twice() {
    for seed in seeds(10) {
        let share = [0.0, 0.1, 0.5, 0.9][usize::try_from(seed % 4).unwrap()];
        let (mut net, nodes, mut dice) = grown(seed, 16, share);
        let authors = &nodes[..4];
        let mut own: BTreeMap<Node, usize> = BTreeMap::new();
        let total = 240;
        for number in 0..total {
            let author = *authors.choose(&mut dice).unwrap();
            net.broadcast(author, number.to_string()).unwrap();
            *own.entry(author).or_default() += 1;
            net.run_for(Duration::from_millis(dice.random_range(0..120)));
            if number % 20 == 10 {
                let guest = net.add_with(|params| params.prune = true);
                net.connect(guest, *nodes.choose(&mut dice).unwrap());
            }
        }
        net.run_for(second() * 10);
        for node in &nodes {
            let heard = heard(&mut net, *node);
            let own = own.get(node).copied().unwrap_or(0);
            assert_eq!(heard.len(), total - own, "seed {seed}: {node:?}");
            let once = heard.values().all(|times| *times == 1);
            assert!(once, "seed {seed}: {node:?}");
        }
        if share < 0.5 {
            assert!(spared(&net, &nodes) > 0, "seed {seed}");
        }
    }
}

/// Paths from several authors lead through nodes that die, with or without notice. What is sent before and after
/// reaches every remaining node.
#[test]
fn f23_when_a_fifth_dies_others_send_what_is_missing() {
    let (mut tried, seeds) = (0, seeds(20));
    for seed in &seeds {
        let (mut net, nodes, mut dice) = grown(*seed, 40, 0.0);
        let authors: Vec<Node> = nodes[..5].to_vec();
        let mut number = 0;
        let mut say = |net: &mut Network| {
            for author in &authors {
                number += 1;
                net.broadcast(*author, number.to_string()).unwrap();
            }
        };
        for _ in 0..4 {
            say(&mut net);
            net.run_for(second());
        }
        say(&mut net);
        net.run_for(Duration::from_millis(dice.random_range(20..200)));
        let quiet = seed % 2 == 0;
        for node in &nodes[5..] {
            if dice.random_bool(0.2) {
                match quiet {
                    true => net.power_off(*node),
                    false => net.crash(*node),
                }
            }
        }
        say(&mut net);
        if net.components() > 1 {
            continue;
        }
        tried += 1;
        net.run_for(if quiet { second() * 12 } else { second() * 5 });
        say(&mut net);
        net.run_for(second() * 8);
        let up: Vec<Node> = nodes.iter().copied().filter(|it| net.is_up(*it)).collect();
        for node in up {
            let own = authors.iter().position(|author| *author == node);
            let others = (0..35).filter(|number| Some(number % 5) != own);
            let once: BTreeMap<usize, usize> = others.map(|number| (number + 1, 1)).collect();
            assert_eq!(heard(&mut net, node), once, "seed {seed}: {node:?}");
        }
    }
    assert!(10 * tried >= 8 * seeds.len(), "the meshes fell apart");
}
