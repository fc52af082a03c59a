//! T38, F22: large messages are offered before they are sent, and reach every node exactly once.

use std::collections::BTreeMap;
use std::time::Duration;

use actix_mesh::mesh::sim::{Network, Node};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt, SeedableRng};

use super::laws::seeds;

fn second() -> Duration {
    Duration::from_secs(1)
}

/// A mesh of this many nodes, a share of which has no extensions.
fn grown(seed: u64, count: usize, plain: f64) -> (Network, Vec<Node>, StdRng) {
    grown_in(Network::new(seed).check_every(20), count, plain, false)
}

/// The same, in this network.
pub(super) fn grown_in(
    mut net: Network,
    count: usize,
    plain: f64,
    prune: bool,
) -> (Network, Vec<Node>, StdRng) {
    let seed = net.seed();
    let mut dice = StdRng::seed_from_u64(seed);
    let nodes: Vec<Node> = (0..count)
        .map(|_| {
            let extensions = !dice.random_bool(plain);
            net.add_with(|params| (params.extensions, params.prune) = (extensions, prune))
        })
        .collect();
    for (index, node) in nodes.iter().enumerate().skip(1) {
        net.connect(*node, nodes[dice.random_range(0..index)]);
        net.run_for(Duration::from_millis(dice.random_range(0..80)));
    }
    net.run_for(second() * 20);
    assert_eq!(net.components(), 1, "seed {seed}");
    (net, nodes, dice)
}

/// A payload, large or small: a number, and padding.
fn payload(number: usize, dice: &mut StdRng) -> String {
    let padding = match number % 3 {
        0 => 10,
        _ => dice.random_range(17_000..120_000),
    };
    format!("{number} {}", "x".repeat(padding))
}

fn heard(net: &mut Network, node: Node) -> BTreeMap<usize, usize> {
    let mut heard = BTreeMap::new();
    for message in net.take_delivered(node) {
        let text = message.text();
        let number = text.split(' ').next().unwrap().parse().unwrap();
        *heard.entry(number).or_default() += 1;
    }
    heard
}

#[test]
fn f22_a_large_message_comes_to_everybody_once_with_hardly_a_copy_too_many() {
    for seed in seeds(10) {
        let count = 4 + usize::try_from(seed % 4).unwrap() * 12;
        let (mut net, nodes, mut dice) = grown(seed, count, 0.0);
        for number in 0..12 {
            let author = *nodes.choose(&mut dice).unwrap();
            net.begin_round();
            net.broadcast(author, payload(number, &mut dice)).unwrap();
            let round = net.finish_round(second() * 10);
            net.run_for(second());
            assert_eq!(round.missed, 0, "seed {seed}: {number}");
            if number % 3 > 0 && count > 4 {
                let most = round.delivered + round.delivered / 20;
                assert!(round.copies <= most, "seed {seed}: {number}: {round:?}");
            }
            for node in nodes.iter().filter(|node| **node != author) {
                assert_eq!(
                    heard(&mut net, *node),
                    [(number, 1)].into(),
                    "seed {seed}: {node:?}"
                );
            }
        }
    }
}

#[test]
fn f22_in_a_crowd_of_both_kinds_that_all_publish_nothing_is_lost_and_nothing_heard_twice() {
    for seed in seeds(10) {
        let share = [0.0, 0.1, 0.5, 0.9][usize::try_from(seed % 4).unwrap()];
        let (mut net, nodes, mut dice) = grown(seed, 16, share);
        let mut own: BTreeMap<Node, usize> = BTreeMap::new();
        let total = 120;
        for number in 0..total {
            let author = *nodes.choose(&mut dice).unwrap();
            net.broadcast(author, payload(number, &mut dice)).unwrap();
            *own.entry(author).or_default() += 1;
            net.run_for(Duration::from_millis(dice.random_range(0..60)));
        }
        net.run_for(second() * 30);
        for node in &nodes {
            let heard = heard(&mut net, *node);
            let own = own.get(node).copied().unwrap_or(0);
            assert_eq!(heard.len(), total - own, "seed {seed}: {node:?}");
            assert!(
                heard.values().all(|times| *times == 1),
                "seed {seed}: {node:?}"
            );
        }
    }
}

/// A node that offered a message dies before it has sent it, with or without notice.
#[test]
fn f22_when_a_fifth_dies_what_it_offered_is_fetched_from_others() {
    let (mut tried, seeds) = (0, seeds(20));
    for seed in &seeds {
        let (mut net, nodes, mut dice) = grown(*seed, 40, 0.0);
        let author = nodes[0];
        net.broadcast(author, payload(1, &mut dice)).unwrap();
        net.run_for(Duration::from_millis(dice.random_range(20..200)));
        let quiet = seed % 2 == 0;
        for node in &nodes[1..] {
            if dice.random_bool(0.2) {
                match quiet {
                    true => net.power_off(*node),
                    false => net.crash(*node),
                }
            }
        }
        if net.components() > 1 {
            continue;
        }
        tried += 1;
        net.run_for(second() * 20);
        let up: Vec<Node> = nodes[1..]
            .iter()
            .copied()
            .filter(|it| net.is_up(*it))
            .collect();
        for node in up {
            assert_eq!(
                heard(&mut net, node),
                [(1, 1)].into(),
                "seed {seed}: {node:?}"
            );
        }
    }
    assert!(10 * tried >= 9 * seeds.len(), "the meshes fell apart");
}
