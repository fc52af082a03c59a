//! The laws of the mesh, on thousands of virtual networks, each from a seed.
//!
//! A broken law names its seed; `SEED=<seed> cargo test --test simulation <name>` runs that one alone, and
//! `SEEDS=<count>` changes how many are run.

use std::time::Duration;

use actix_mesh::mesh::sim::{Network, Node};
use actix_mesh::mesh::{
    Acceptance, Answer, CloseReason, ConnectError, Direction, Event, Params, WhisperError,
};
use actix_mesh::wire::{Composer, Flag, Generation, Limits, SubFlag, Subnet};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

pub(super) fn seeds(count: u64) -> Vec<u64> {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse().ok());
    match number("SEED") {
        Some(seed) => vec![seed],
        None => {
            let first = number("FIRST").unwrap_or(0);
            (first..first + number("SEEDS").unwrap_or(count)).collect()
        }
    }
}

fn second() -> Duration {
    Duration::from_secs(1)
}

/// Connects each node to an earlier one, and some further pairs.
fn grow(net: &mut Network, nodes: &[Node], dice: &mut StdRng) {
    for (index, node) in nodes.iter().enumerate().skip(1) {
        net.connect(*node, nodes[dice.random_range(0..index)]);
        if dice.random_bool(0.3) {
            let other = nodes[dice.random_range(0..nodes.len())];
            net.connect(*node, other);
        }
        net.run_for(Duration::from_millis(dice.random_range(0..80)));
    }
    net.run_for(second() * 2);
}

fn texts(net: &Network, node: Node) -> Vec<String> {
    net.delivered(node)
        .iter()
        .map(|message| message.text())
        .collect()
}

#[test]
fn f8_every_connected_node_delivers_every_broadcast_exactly_once() {
    for seed in seeds(400) {
        let mut dice = StdRng::seed_from_u64(seed);
        let mut net = Network::new(seed);
        let count = dice.random_range(2..12);
        let nodes = net.add_many(count);
        grow(&mut net, &nodes, &mut dice);
        for (index, node) in nodes.iter().enumerate() {
            net.broadcast(*node, format!("from {index}"))
                .unwrap_or_else(|e| panic!("seed {seed}: {e}"));
            // The same text from every node: ids that differ only in the author.
            net.broadcast(*node, "all alike")
                .unwrap_or_else(|e| panic!("seed {seed}: {e}"));
        }
        net.run_for(second() * 2);
        for (index, node) in nodes.iter().enumerate() {
            let mut got = texts(&net, *node);
            got.sort();
            let others = (0..nodes.len()).filter(|other| *other != index);
            let mut expected: Vec<String> = others.map(|other| format!("from {other}")).collect();
            expected.extend((1..nodes.len()).map(|_| "all alike".to_owned()));
            expected.sort();
            assert_eq!(
                got,
                expected,
                "seed {seed}: node {index} of {}",
                nodes.len()
            );
        }
    }
}

/// From its author to all others, and from each of those to all but the author and itself.
#[test]
fn t23_in_a_full_mesh_a_broadcast_is_sent_as_often_as_promised_and_no_more() {
    for count in 2..9 {
        // Every path takes less than two others, so every node gets it from its author first.
        let near = Duration::from_millis(10)..Duration::from_millis(11);
        let mut net = Network::new(1).latency(near);
        let nodes: Vec<Node> = (0..count)
            .map(|_| net.add_with(|params| params.max_outgoing = 0))
            .collect();
        for (index, node) in nodes.iter().enumerate() {
            for other in &nodes[..index] {
                net.connect(*node, *other);
                net.run_for(second());
            }
        }
        let heard = |net: &Network| -> u64 {
            let stats = nodes.iter().map(|node| net.mesh(*node).stats());
            stats
                .map(|stats| stats.delivered + stats.duplicates + stats.echoes)
                .sum()
        };
        let before = heard(&net);
        net.broadcast(nodes[0], "to all").unwrap();
        net.run_for(second());
        assert_eq!(
            heard(&net) - before,
            (count - 1) * (count - 1),
            "{count} nodes"
        );
    }
}

/// What two nodes send from the moment they learn of each other, while their dials cross and after.
#[test]
fn f14_around_a_crossing_nothing_is_lost_and_nothing_heard_twice() {
    for seed in seeds(1_000) {
        let mut dice = StdRng::seed_from_u64(seed);
        let least = Duration::from_millis(dice.random_range(1..50));
        let mut net = Network::new(seed).latency(least..least * 3);
        let (a, b) = (net.add(), net.add());
        net.connect(a, b);
        net.run_for(Duration::from_millis(dice.random_range(0..120)));
        net.connect(b, a);
        let mut said = [0, 0];
        for _ in 0..150 {
            net.run_for(Duration::from_millis(10));
            for (node, count) in [a, b].into_iter().zip(&mut said) {
                if !net.mesh(node).peers().is_empty() {
                    let text = format!("{count} of {}", net.id(node));
                    net.broadcast(node, &*text).unwrap();
                    *count += 1;
                }
            }
        }
        net.run_for(second() * 8);
        for (node, other, count) in [(a, b, said[1]), (b, a, said[0])] {
            let mut heard = texts(&net, node);
            heard.sort();
            let other = net.id(other);
            let mut all: Vec<String> = (0..count).map(|n| format!("{n} of {other}")).collect();
            all.sort();
            assert_eq!(heard, all, "seed {seed}");
            let quiet = net
                .events(node)
                .iter()
                .all(|event| !matches!(event, Event::PeerLeft { .. } | Event::IdConflict { .. }));
            assert!(quiet, "seed {seed}: {:?}", net.events(node));
            assert_eq!(net.mesh(node).peers().len(), 1, "seed {seed}");
        }
    }
}

/// Up to nine in ten of the peers that a seed names cannot be dialled.
#[test]
fn f16_dead_entries_leave_nobody_with_the_seed_alone() {
    for seed in seeds(300) {
        let mut dice = StdRng::seed_from_u64(seed);
        let mut net = Network::new(seed);
        let hub = net.add_with(|params| params.max_outgoing = 0);
        let living = dice.random_range(2..8);
        let dead = dice.random_range(0..=9 * living).min(60);
        for _ in 0..dead {
            let node = net.add_with(|params| params.max_outgoing = 0);
            net.hide(node);
            net.connect(node, hub);
        }
        net.run_for(second() * 2);
        let nodes: Vec<Node> = (0..living).map(|_| net.add()).collect();
        for node in &nodes {
            net.connect(*node, hub);
            net.run_for(Duration::from_millis(dice.random_range(0..500)));
        }
        net.run_for(second() * 60);
        for node in &nodes {
            let links = net.mesh(*node).peers().len();
            assert!(
                links >= 2,
                "seed {seed}: {links} links of {living} living, {dead} dead"
            );
        }
        net.crash(hub);
        net.run_for(second() * 60);
        let mut reached = vec![net.id(nodes[0])];
        let mut at = 0;
        while at < reached.len() {
            let here = nodes.iter().find(|node| net.id(**node) == reached[at]);
            let peers = here.map(|node| net.mesh(*node).peers()).unwrap_or_default();
            for peer in peers {
                if !reached.contains(&peer.id) {
                    reached.push(peer.id);
                }
            }
            at += 1;
        }
        let together = nodes.iter().all(|node| reached.contains(&net.id(*node)));
        assert!(together, "seed {seed}: {living} living, {dead} dead");
    }
}

/// Both ends report it, whichever clock moved.
#[test]
fn f15_a_clock_that_steps_is_told_on_both_sides() {
    for seed in seeds(300) {
        let mut dice = StdRng::seed_from_u64(seed);
        let mut net = Network::new(seed);
        let (a, b) = (net.add(), net.add());
        net.connect(a, b);
        net.run_for(second() * dice.random_range(2..30));
        let step = [300, -600, 90, -75][dice.random_range(0..4)];
        net.skew(a, step);
        for n in 0..5 {
            net.broadcast(b, &*format!("{n}")).unwrap();
            net.broadcast(a, &*format!("{n} too")).unwrap();
            net.run_for(second());
        }
        for (node, seconds) in [(a, -step), (b, step)] {
            let told = net.events(node).iter().any(|event| {
                matches!(event, Event::ClockSkew { seconds: told, .. } if told.abs_diff(seconds) <= 1)
            });
            assert!(told, "seed {seed}: {:?}", net.events(node));
        }
    }
}

#[test]
fn f3_crossing_dials_always_leave_one_link() {
    for seed in seeds(3000) {
        let mut dice = StdRng::seed_from_u64(seed);
        let mut net = Network::new(seed);
        let (a, b) = (net.add(), net.add());
        let first = net.connect(a, b);
        net.run_for(Duration::from_millis(dice.random_range(0..120)));
        let second_dial = net.connect(b, a);
        net.run_for(second() * 8);
        let (at_a, at_b) = (net.mesh(a).peers(), net.mesh(b).peers());
        assert_eq!((at_a.len(), at_b.len()), (1, 1), "seed {seed}");
        assert_ne!(
            at_a[0].direction, at_b[0].direction,
            "seed {seed}: two halves of two links"
        );
        for ticket in [first, second_dial] {
            let answer = net.answer(ticket);
            assert!(
                matches!(
                    answer,
                    Some(Answer::Connect(
                        Ok(_) | Err(ConnectError::AlreadyConnected(_))
                    ))
                ),
                "seed {seed}: {answer:?}",
            );
        }
        assert!(net.mesh(a).awaiting().is_empty() && net.mesh(b).awaiting().is_empty());
        net.broadcast(a, "hello").unwrap();
        net.run_for(second());
        assert_eq!(texts(&net, b), ["hello"], "seed {seed}");
    }
}

#[test]
fn nothing_is_left_when_all_peers_have_left() {
    for seed in seeds(300) {
        let mut dice = StdRng::seed_from_u64(seed);
        let mut net = Network::new(seed);
        // Without reconnecting: a node without peers would look for lost ones for ever.
        let alone = |params: &mut Params| params.max_reconnect_delay = Duration::ZERO;
        let nodes: Vec<Node> = (0..6).map(|_| net.add_with(alone)).collect();
        grow(&mut net, &nodes, &mut dice);
        let stranger = net.id(nodes[5]);
        net.whisper(nodes[0], stranger, "hello", second() * 3);
        for node in &nodes[1..] {
            match dice.random_range(0..3) {
                0 => net.crash(*node),
                1 => net.shut_down(*node),
                _ => {
                    for other in &nodes {
                        net.disconnect(*node, *other);
                    }
                    net.shut_down(*node);
                }
            }
            net.run_for(Duration::from_millis(dice.random_range(0..500)));
        }
        net.run_for(second() * 200);
        let mesh = net.mesh(nodes[0]);
        assert!(mesh.peers().is_empty(), "seed {seed}: {:?}", mesh.peers());
        assert!(
            mesh.awaiting().is_empty(),
            "seed {seed}: {:?}",
            mesh.awaiting()
        );
        assert_eq!(mesh.waiting_whispers(), 0, "seed {seed}");
        assert_eq!(mesh.stats().waterfall_entries, 0, "seed {seed}");
    }
}

#[test]
fn a_whisper_finds_its_peer_through_others() {
    for seed in seeds(300) {
        let mut net = Network::new(seed);
        // No dials because of peers lists, so that the line stays a line.
        let nodes: Vec<Node> = (0..4)
            .map(|_| net.add_with(|params| params.max_outgoing = 0))
            .collect();
        for pair in nodes.windows(2) {
            net.connect(pair[0], pair[1]);
        }
        net.run_for(second());
        let target = net.id(nodes[3]);
        let ticket = net.whisper(nodes[0], target.clone(), "psst", second() * 10);
        net.run_for(second() * 3);
        match net.answer(ticket) {
            Some(Answer::Whisper(Ok(whispered))) => assert!(whispered.discovered),
            other => panic!("seed {seed}: {other:?}"),
        }
        assert_eq!(texts(&net, nodes[3]), ["psst"], "seed {seed}");
        assert!(texts(&net, nodes[1]).is_empty() && texts(&net, nodes[2]).is_empty());
    }
}

#[test]
fn a_whisper_to_nobody_fails_at_its_deadline_and_says_so() {
    let mut net = Network::new(1);
    let (a, b) = (net.add(), net.add());
    net.connect(a, b);
    net.run_for(second());
    let nobody = Network::new(2).add_one_id();
    let ticket = net.whisper(a, nobody, "psst", second() * 5);
    net.run_for(second() * 4);
    assert_eq!(net.answer(ticket), None);
    net.run_for(second() * 3);
    assert!(matches!(
        net.answer(ticket),
        Some(Answer::Whisper(Err(WhisperError::NotFound { .. })))
    ));
    assert!(
        net.events(a)
            .iter()
            .any(|event| matches!(event, Event::Undeliverable { .. }))
    );
    assert_eq!(net.mesh(a).stats().undeliverable, 1);
}

#[test]
fn peers_lists_connect_a_star_into_a_mesh_within_max_outgoing() {
    for seed in seeds(200) {
        let mut net = Network::new(seed);
        let nodes = net.add_many(10);
        for node in &nodes[1..] {
            net.connect(*node, nodes[0]);
            net.run_for(Duration::from_millis(200));
        }
        net.run_for(second() * 20);
        for node in &nodes {
            let peers = net.mesh(*node).peers();
            let dialled = peers
                .iter()
                .filter(|peer| peer.direction == Direction::Outgoing)
                .count();
            // Its own connect, and crossings it won, may add to that.
            assert!(dialled <= 5, "seed {seed}: {dialled}");
        }
        let links: usize = nodes.iter().map(|node| net.mesh(*node).peers().len()).sum();
        assert!(
            links > 2 * (nodes.len() - 1),
            "seed {seed}: the star stayed a star"
        );
    }
}

#[test]
fn another_subnet_is_refused_on_both_sides_with_both_ids() {
    let mut net = Network::new(7);
    let a = net.add();
    let b = net.add_with(|params| params.subnet = Subnet::new("other", "Plaintext"));
    let ticket = net.connect(a, b);
    net.run_for(second());
    let (ours, theirs) = (
        net.mesh(a).subnet_id().clone(),
        net.mesh(b).subnet_id().clone(),
    );
    let reason = CloseReason::OtherSubnet {
        theirs: theirs.to_string(),
        ours: Box::new(ours),
    };
    assert!(
        matches!(net.answer(ticket), Some(Answer::Connect(Err(ConnectError::Closed { reason: r, .. }))) if *r == reason),
        "{:?}",
        net.answer(ticket)
    );
    for node in [a, b] {
        assert!(
            net.events(node)
                .iter()
                .any(|event| matches!(event, Event::Refused { .. }))
        );
        assert!(net.mesh(node).peers().is_empty());
    }
}

#[test]
fn a_node_does_not_link_to_itself() {
    let mut net = Network::new(9);
    let (a, b) = (net.add(), net.add());
    net.connect(a, b);
    let ticket = net.connect(a, a);
    net.run_for(second());
    assert!(matches!(
        net.answer(ticket),
        Some(Answer::Connect(Err(ConnectError::Oneself)))
    ));
    assert_eq!(net.mesh(a).peers().len(), 1);
}

#[test]
fn equal_seeds_give_equal_runs() {
    let run = |seed| {
        let mut dice = StdRng::seed_from_u64(seed);
        let mut net = Network::new(seed);
        let nodes = net.add_many(8);
        grow(&mut net, &nodes, &mut dice);
        let _ = net.broadcast(nodes[3], "once");
        net.run_for(second());
        nodes
            .iter()
            .map(|node| format!("{:?}", net.events(*node)))
            .collect::<Vec<_>>()
    };
    assert_eq!(run(42), run(42));
    assert_ne!(run(42), run(43));
}

trait AddOneId {
    fn add_one_id(self) -> actix_mesh::NodeId;
}

impl AddOneId for Network {
    fn add_one_id(mut self) -> actix_mesh::NodeId {
        let node = self.add();
        self.id(node)
    }
}

/// One minute of faults: nodes crash and come back, the network parts and heals, clocks are off.
fn disturb(net: &mut Network, nodes: &[Node], dice: &mut StdRng) {
    for node in nodes {
        net.skew(*node, dice.random_range(-40..=40));
    }
    for _ in 0..60 {
        net.run_for(second());
        for node in nodes {
            // 30 % of the nodes each minute.
            if net.is_up(*node) && dice.random_bool(0.005) {
                net.crash(*node);
            } else if !net.is_up(*node) && dice.random_bool(0.2) {
                come_back(net, *node, nodes);
            }
        }
        if dice.random_bool(0.05) {
            let (left, right) = nodes.split_at(dice.random_range(1..nodes.len()));
            net.part(left, right);
        } else if dice.random_bool(0.1) {
            net.heal();
        }
        // Clock skew beyond what broadcasts tolerate.
        if dice.random_bool(0.02) {
            net.skew(nodes[0], dice.random_range(-90..=90));
        }
    }
    net.heal();
    for node in nodes {
        net.skew(*node, 0);
        if !net.is_up(*node) {
            come_back(net, *node, nodes);
        }
    }
}

/// Like a user's program: restarts, then connects to the seed.
fn come_back(net: &mut Network, node: Node, nodes: &[Node]) {
    net.restart(node, |_| {});
    let seed = if node == nodes[0] { nodes[1] } else { nodes[0] };
    net.keep(node, seed);
}

#[test]
fn f2_the_mesh_heals_within_twice_the_back_off_cap() {
    for seed in seeds(150) {
        let mut dice = StdRng::seed_from_u64(seed);
        let mut net = Network::new(seed);
        let count = dice.random_range(3..16);
        let nodes = net.add_many(count);
        grow(&mut net, &nodes, &mut dice);
        disturb(&mut net, &nodes, &mut dice);
        net.run_for(second() * 60);
        assert_eq!(
            net.components(),
            1,
            "seed {seed}: {count} nodes did not find together"
        );
        net.broadcast(nodes[0], "whole again")
            .unwrap_or_else(|e| panic!("seed {seed}: {e}"));
        net.run_for(second() * 2);
        for node in &nodes[1..] {
            let copies = texts(&net, *node)
                .iter()
                .filter(|text| *text == "whole again")
                .count();
            assert_eq!(copies, 1, "seed {seed}: {node:?}");
        }
    }
}

/// `NODES=<count>` changes the number of nodes.
#[test]
fn f8_a_large_mesh_delivers_each_message_exactly_once_to_every_node() {
    let count = std::env::var("NODES")
        .ok()
        .and_then(|text| text.parse().ok());
    for seed in seeds(2) {
        let mut dice = StdRng::seed_from_u64(seed);
        let mut net = Network::new(seed);
        let nodes = net.add_many(count.unwrap_or(300));
        for (index, node) in nodes.iter().enumerate().skip(1) {
            // Connects to a node that joined shortly before: a long thin mesh, plus the connections from peers lists.
            let back = dice.random_range(1..=index.min(20));
            net.connect(*node, nodes[index - back]);
            net.run_for(Duration::from_millis(5));
        }
        net.run_for(second() * 5);
        assert_eq!(net.components(), 1, "seed {seed}");
        let authors: Vec<usize> = (0..10).map(|_| dice.random_range(0..nodes.len())).collect();
        for (number, author) in authors.iter().enumerate() {
            net.broadcast(nodes[*author], format!("message {number}"))
                .unwrap_or_else(|e| panic!("seed {seed}: {e}"));
        }
        net.run_for(second() * 20);
        for (index, node) in nodes.iter().enumerate() {
            let mut got = texts(&net, *node);
            got.sort();
            let mut expected: Vec<String> = (0..authors.len())
                .filter(|number| authors[*number] != index)
                .map(|number| format!("message {number}"))
                .collect();
            expected.sort();
            assert_eq!(got, expected, "seed {seed}: node {index}");
        }
    }
}

/// Every node validates; sometimes one takes so long that it fails open.
#[test]
fn f21_what_validators_accept_is_heard_once_and_what_they_reject_goes_nowhere() {
    fn judge(message: &actix_mesh::Message) -> Option<Acceptance> {
        match message.text() {
            text if text.contains("good") => Some(Acceptance::Accept),
            text if text.contains("late") => None,
            text if text.contains("old") => Some(Acceptance::Ignore),
            _ => Some(Acceptance::Reject),
        }
    }
    for seed in seeds(100) {
        let mut dice = StdRng::seed_from_u64(seed);
        let mut net = Network::new(seed);
        let count = dice.random_range(3..12);
        let nodes = net.add_many(count);
        grow(&mut net, &nodes, &mut dice);
        for node in &nodes {
            let at_most = Duration::from_millis(dice.random_range(0..400));
            net.validate(*node, "price", true, judge, at_most);
        }
        let mut good = 0;
        for round in 0..20 {
            let node = nodes[dice.random_range(0..count)];
            // A node that wrote ten rejected messages is closed.
            let words = if round < 8 { 4 } else { 3 };
            let word = ["good", "late", "old", "bad"][dice.random_range(0..words)];
            good += usize::from(word == "good" || word == "late");
            net.broadcast(node, ["price", &format!("{word} {round}")])
                .unwrap_or_else(|e| panic!("seed {seed}: {e}"));
            net.run_for(Duration::from_millis(dice.random_range(0..300)));
        }
        net.run_for(second() * 10);
        let mut heard = 0;
        for node in &nodes {
            let texts = texts(&net, *node);
            let once: std::collections::BTreeSet<_> = texts.iter().collect();
            assert_eq!(once.len(), texts.len(), "seed {seed}: twice");
            let passed = |text: &&String| text.contains("good") || text.contains("late");
            assert!(
                texts.iter().all(|text| passed(&text)),
                "seed {seed}: {texts:?}"
            );
            heard += texts.len();
            assert_eq!(net.mesh(*node).proposals(), 0, "seed {seed}");
            assert_eq!(net.mesh(*node).stats().bans, 0, "seed {seed}");
        }
        assert_eq!(heard, good * (count - 1), "seed {seed}");
    }
}

/// A member fills the caches with messages of any stamp, in a ring with latency.
#[test]
fn f20_whatever_a_member_sends_nothing_is_delivered_twice_and_relays_end_with_it() {
    for seed in seeds(60) {
        let mut dice = StdRng::seed_from_u64(seed);
        let latency = Duration::from_millis(5)..Duration::from_millis(dice.random_range(20..200));
        let mut net = Network::new(seed).latency(latency);
        let nodes: Vec<Node> = (0..4)
            .map(|_| net.add_with(|params| params.waterfall_capacity = 400))
            .collect();
        let (ring, member) = (&nodes[..3], nodes[3]);
        for (from, to) in [(0, 1), (1, 2), (2, 0), (3, 0)] {
            net.connect(nodes[from], nodes[to]);
            net.run_for(second());
        }
        let own = Composer::new(Generation::V0_4, Limits::default(), net.id(member));
        let broadcast = |net: &mut Network, round: usize| {
            for (number, node) in ring.iter().enumerate() {
                // The node may have no peer any more.
                let _ = net.broadcast(*node, format!("{number} says {round}"));
            }
        };
        for round in 0..100 {
            if round % 10 == 0 {
                broadcast(&mut net, round);
            }
            // Now and then more within a second than the cache holds at all, and all of that second.
            let (most, spread) = match dice.random_range(0..10) {
                0 => (3000, 1),
                _ => (120, 59),
            };
            for number in 0..dice.random_range(0..most) {
                // The simulated clock begins at that second.
                let now = 1_500_000_000 + net.now().as_secs();
                let time = now.saturating_add_signed(dice.random_range(-spread..spread));
                let text = format!("{round} {number}");
                let payload = [SubFlag::Broadcast.packet(Generation::V0_4), text.into()];
                let composed = own.compose(&Flag::Broadcast, &payload, time).unwrap();
                net.inject(member, nodes[0], composed.frames.plain);
            }
            net.run_for(Duration::from_millis(100));
        }
        for round in 100..110 {
            broadcast(&mut net, round);
            net.run_for(second());
        }
        net.run_for(second() * 70);
        let relayed = |net: &Network| -> u64 {
            ring.iter()
                .map(|node| net.mesh(*node).stats().relayed)
                .sum()
        };
        let full = net.mesh(nodes[0]).stats();
        assert!(
            full.waterfall_closed > 0,
            "seed {seed}: the cache was never full"
        );
        let before = relayed(&net);
        net.run_for(second() * 10);
        assert_eq!(relayed(&net), before, "seed {seed}: relays go on");
        for node in ring {
            let mut heard = std::collections::HashSet::new();
            for message in net.delivered(*node) {
                let is_new = heard.insert((message.sender().clone(), message.text()));
                assert!(
                    is_new,
                    "seed {seed}: {} was delivered twice",
                    message.text()
                );
            }
            let last = net.delivered(*node).last().map(|message| message.text());
            assert!(
                last.is_some_and(|text| text.ends_with("says 109")),
                "seed {seed}: deaf"
            );
        }
    }
}
