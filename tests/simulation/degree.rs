//! T37: nodes with more peers than they need close some connections, and nothing is lost.

use std::collections::BTreeMap;
use std::time::Duration;

use actix_mesh::mesh::sim::{Network, Node};
use actix_mesh::mesh::{Answer, CloseReason, Event};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::laws::seeds;

/// Connects every node through the first node's list or an earlier node's; users ask for a few connections.
fn crowd(net: &mut Network, nodes: &[Node], dice: &mut StdRng) -> Vec<(Node, Node)> {
    let mut asked = Vec::new();
    for (index, node) in nodes.iter().enumerate().skip(1) {
        let other = match dice.random_bool(0.5) {
            true => nodes[0],
            false => nodes[dice.random_range(0..index)],
        };
        match index % 4 {
            0 => {
                net.connect(*node, other);
                asked.push((*node, other));
            }
            _ => net.meet(*node, other),
        }
        net.run_for(Duration::from_millis(dice.random_range(0..60)));
    }
    asked
}

fn are_linked(net: &Network, a: Node, b: Node) -> bool {
    let id = net.id(b);
    net.mesh(a).peers().iter().any(|peer| peer.id == id)
}

fn spared(net: &Network, node: Node) -> usize {
    let parted = |event: &&Event| matches!(event, Event::PeerLeft { reason, .. } if *reason == CloseReason::Spare);
    net.events(node).iter().filter(parted).count()
}

#[test]
fn t37_nodes_part_until_none_has_too_many_and_nothing_is_lost_by_it() {
    for seed in seeds(8) {
        let mut dice = StdRng::seed_from_u64(seed);
        let mut net = Network::new(seed);
        let nodes = net.add_many(dice.random_range(40..90));
        let asked = crowd(&mut net, &nodes, &mut dice);
        net.run_for(Duration::from_secs(2));
        assert_eq!(net.components(), 1, "seed {seed}");
        let mut whispers = BTreeMap::new();
        let mut heard = BTreeMap::new();
        let rounds = 150;
        for round in 0..rounds {
            let author = nodes[dice.random_range(0..nodes.len())];
            net.broadcast(author, format!("round {round}")).unwrap();
            *heard.entry(author).or_insert(0) += 1;
            // Whispers on connections that may be closing.
            let busy = nodes[dice.random_range(0..nodes.len().min(8))];
            let peers = net.mesh(busy).peers();
            let to = peers[dice.random_range(0..peers.len())].id.clone();
            let (what, within) = (format!("whisper {round}"), Duration::from_secs(10));
            whispers.insert(what.clone(), net.whisper(busy, to, what, within));
            net.run_for(Duration::from_millis(300));
        }
        net.run_for(Duration::from_secs(60));

        let of = |node: Node| net.delivered(node).iter().map(|message| message.text());
        let mut whispered: BTreeMap<String, u32> = BTreeMap::new();
        for node in &nodes {
            let own = heard.get(node).copied().unwrap_or(0);
            let mut rounds_heard: Vec<String> = of(*node).collect();
            rounds_heard.sort();
            let all = rounds_heard.len();
            rounds_heard.dedup();
            assert_eq!(
                rounds_heard.len(),
                all,
                "seed {seed}: {node:?} heard one twice"
            );
            let (rounds_heard, more): (Vec<_>, Vec<_>) = rounds_heard
                .into_iter()
                .partition(|text| text.starts_with("round"));
            assert_eq!(rounds_heard.len(), rounds - own, "seed {seed}: {node:?}");
            more.into_iter()
                .for_each(|text| *whispered.entry(text).or_default() += 1);
        }
        for (what, ticket) in whispers {
            let answer = net
                .answer(ticket)
                .unwrap_or_else(|| panic!("seed {seed}: {what}"));
            assert!(
                matches!(answer, Answer::Whisper(Ok(_))),
                "seed {seed}: {what}: {answer:?}"
            );
            assert_eq!(whispered.get(&what), Some(&1), "seed {seed}: {what}");
        }
        let degrees = net.degrees();
        assert!(degrees.min >= 3, "seed {seed}: {degrees:?}");
        // All but the first, where users connected: its own dials, the first peers, and those kept for a user.
        let mut others: Vec<usize> = nodes[1..]
            .iter()
            .map(|node| net.mesh(*node).peers().len())
            .collect();
        others.sort_unstable();
        assert!(
            others[others.len() * 9 / 10] <= 12,
            "seed {seed}: {others:?}"
        );
        assert!(
            others.iter().all(|links| *links <= 15),
            "seed {seed}: {others:?}"
        );
        assert_eq!(net.components(), 1, "seed {seed}");
        assert!(spared(&net, nodes[0]) > 0, "seed {seed}: {degrees:?}");
        for (a, b) in asked {
            assert!(are_linked(&net, a, b), "seed {seed}: {a:?} asked for {b:?}");
        }
    }
}

#[test]
fn t37_who_has_not_announced_is_never_asked_to_go() {
    for seed in seeds(10) {
        let mut dice = StdRng::seed_from_u64(seed);
        let mut net = Network::new(seed);
        let nodes: Vec<Node> = (0..60)
            .map(|number| net.add_with(|params| params.extensions = number % 3 != 1))
            .collect();
        crowd(&mut net, &nodes, &mut dice);
        net.run_for(Duration::from_secs(90));
        let parted: usize = nodes.iter().map(|node| spared(&net, *node)).sum();
        assert!(parted > 0, "seed {seed}");
        for node in nodes.iter().filter(|node| node.0 % 3 == 1) {
            assert_eq!(spared(&net, *node), 0, "seed {seed}: {node:?}");
        }
        assert_eq!(net.components(), 1, "seed {seed}");
    }
}

#[test]
fn t37_a_mesh_comes_to_rest() {
    for seed in seeds(10) {
        let mut dice = StdRng::seed_from_u64(seed);
        let mut net = Network::new(seed);
        let sought = dice.random_range(1..7);
        let nodes: Vec<Node> = (0..dice.random_range(10..80))
            .map(|_| net.add_with(|params| params.max_outgoing = sought))
            .collect();
        crowd(&mut net, &nodes, &mut dice);
        net.run_for(Duration::from_secs(600));
        let parted = |net: &Network| nodes.iter().map(|node| spared(net, *node)).sum::<usize>();
        let before = parted(&net);
        net.run_for(Duration::from_secs(600));
        // Where there is hardly room for all, a node that found no other place comes back after ten minutes.
        let later = (parted(&net) - before) / 2;
        assert!(
            later <= nodes.len().div_ceil(8),
            "seed {seed}: {later}, {sought} sought"
        );
    }
}
