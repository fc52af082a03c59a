//! Healing over real sockets: a partition, links that drop bytes, processes that freeze or are killed. Each case ends
//! with every node receiving every other's message, once.
//!
//! The simulation covers the same in thousands of variants (`tests/simulation/laws.rs`); here the clocks, sockets and
//! processes are real. Timeouts are set short, and no test asserts how long anything takes.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod address_book;
mod door;
mod node;
#[path = "../support/mod.rs"]
mod support;

use std::time::{Duration, Instant};

use actix_mesh::{CloseReason, Config};

use door::{Door, State};
use node::{Program, hear_each_other, settle};
use support::PATIENCE;
use support::victim::Victim;

/// Shortens the timeouts, so that failures are noticed soon.
fn hasty(config: Config) -> Config {
    config
        .keepalive_interval(Duration::from_secs(2))
        .max_reconnect_delay(Duration::from_secs(1))
        .connect_timeout(Duration::from_secs(2))
        .handshake_timeout(Duration::from_secs(2))
}

/// A node that others reach only through a door.
fn behind(door: &Door, change: impl FnOnce(Config) -> Config) -> Victim {
    let victim = Victim::with(|config| change(hasty(config).advertise(door.addr)));
    door.lead_to(victim.addr);
    victim
}

fn is_lost(reason: &CloseReason) -> bool {
    matches!(
        reason,
        CloseReason::Unresponsive | CloseReason::ByPeer | CloseReason::Failed(_)
    )
}

#[test]
fn f2_real_nodes_on_two_sides_of_a_partition_find_together_again() {
    let doors: Vec<Door> = (0..5).map(|_| Door::new()).collect();
    let mut nodes: Vec<Victim> = Vec::new();
    for (number, door) in doors.iter().enumerate() {
        let node = behind(door, |config| match number {
            0 => config,
            // The first node of the other side; it knows the address across the partition.
            3 => config.connect(doors[2].addr),
            // Neighbours on one side connect directly, not through a door.
            _ => config.connect(nodes[number - 1].addr),
        });
        nodes.push(node);
    }
    let nodes: Vec<&Victim> = nodes.iter().collect();
    settle(&nodes);
    hear_each_other(&nodes, &[]);

    let (here, there) = nodes.split_at(3);
    let before: u64 = nodes.iter().map(|n| n.status().stats.dials_failed).sum();
    let parted = Instant::now();
    doors.iter().for_each(|door| door.set(State::Shut));
    settle(here);
    settle(there);
    hear_each_other(here, &[]);
    hear_each_other(there, &[]);
    let dials: u64 = nodes.iter().map(|n| n.status().stats.dials_failed).sum();
    let most = (parted.elapsed().as_secs() + 1) * nodes.len() as u64;
    assert!(dials - before <= most, "{} dials in vain", dials - before);

    doors.iter().for_each(|door| door.set(State::Open));
    settle(&nodes);
    hear_each_other(&nodes, &[]);
}

/// Two nodes whose only link drops bytes, as does every new one, whichever side dials.
fn half_open(state: State) {
    let doors = [Door::new(), Door::new()];
    let node = behind(&doors[0], |config| config);
    let dialler = behind(&doors[1], |config| config.connect(doors[0].addr));
    settle(&[&node, &dialler]);
    hear_each_other(&[&node, &dialler], &[]);
    let dialled = || doors.iter().map(Door::dialled).sum::<usize>();
    let before = dialled();
    doors.iter().for_each(|door| door.set(state));
    let reasons = [dialler.told_left(&node.id), node.told_left(&dialler.id)];
    assert!(reasons.iter().all(is_lost), "{reasons:?}");
    assert!(reasons.contains(&CloseReason::Unresponsive), "{reasons:?}");
    support::until("it is dialled, in vain", || {
        dialled() > before && node.status().stats.refused + dialler.status().stats.refused > 0
    });
    doors.iter().for_each(|door| door.set(State::Open));
    settle(&[&node, &dialler]);
    hear_each_other(&[&node, &dialler], &[]);
}

#[test]
fn f1_a_link_that_swallows_everything_or_one_way_is_noticed_and_made_again() {
    // In parallel: the cases mostly wait.
    std::thread::scope(|scope| {
        for (to, from) in [(true, true), (true, false), (false, true)] {
            scope.spawn(move || half_open(State::Swallows { to, from }));
        }
    });
}

#[test]
fn f1_a_frozen_process_is_given_up_and_is_back_when_it_goes_on() {
    let one = Victim::with(hasty);
    let other = Victim::with(|config| hasty(config).connect(one.addr));
    let frozen = Program::start("frozen", &[one.addr, other.addr]);
    one.until_peers(2);
    other.until_peers(2);
    frozen.signal("STOP");
    for node in [&one, &other] {
        assert_eq!(node.told_left(&frozen.id()), CloseReason::Unresponsive);
    }
    hear_each_other(&[&one, &other], &[]);
    frozen.signal("CONT");
    one.until_peers(2);
    other.until_peers(2);
    hear_each_other(&[&one, &other], &[&frozen]);
}

#[test]
fn f1_a_frozen_process_under_load_costs_the_others_nothing() {
    let patient = |config: Config| hasty(config).keepalive_interval(PATIENCE);
    let one = Victim::with(|config| patient(config).stall_timeout(Duration::from_secs(2)));
    let other = Victim::with(|config| patient(config).connect(one.addr));
    let frozen = Program::start("frozen", &[one.addr]);
    one.until_peers(2);
    frozen.signal("STOP");
    // Far more than all buffers on the way hold, and incompressible.
    let noise = node::noise();
    let texts: Vec<String> = (0..256).map(|n| format!("{n} {noise}")).collect();
    for text in &texts {
        one.ask(actix_mesh::Send::new(text.clone())).unwrap();
    }
    assert_eq!(one.told_left(&frozen.id()), CloseReason::SlowPeer);
    node::hears_each_once(&other, &texts);
    frozen.signal("CONT");
    one.until_peers(2);
    hear_each_other(&[&one, &other], &[&frozen]);
}

#[test]
fn f1_a_process_that_was_killed_and_starts_again_is_dialled_again() {
    let mut mortal = Program::start("mortal", &[]);
    let addr = mortal.addr();
    let keeper = Victim::with(|config| hasty(config).connect(addr));
    let other = Victim::with(|config| hasty(config).connect(keeper.addr));
    keeper.until_peers(2);
    hear_each_other(&[&keeper, &other], &[&mortal]);
    mortal.kill();
    assert!(is_lost(&keeper.told_left(&mortal.id())));
    hear_each_other(&[&keeper, &other], &[]);
    mortal = Program::start_at("mortal", addr);
    keeper.until_peers(2);
    hear_each_other(&[&keeper, &other], &[&mortal]);
}

/// It crashes: no shutdown, and its book is as last written.
#[test]
fn f5_a_node_that_crashed_finds_its_mesh_by_its_book() {
    let folder = tempfile::tempdir().unwrap();
    let book = folder.path().join("peers.json");
    let there = Victim::with(hasty);
    let crashing = Victim::with(|config| hasty(config).peer_book(&book).connect(there.addr));
    there.until_peers(1);
    let known = there.addr.to_string();
    support::until("the book is written", || {
        std::fs::read_to_string(&book).is_ok_and(|text| text.contains(&known))
    });
    drop(crashing);
    there.until_peers(0);
    let again = Victim::with(|config| hasty(config).peer_book(&book));
    there.until_peers(1);
    hear_each_other(&[&there, &again], &[]);
}
