//! T17: a node that nearly every peers list sends to attackers keeps a connection to an honest node.
//!
//! The node is real, its world is played: every dial is answered. Nine of ten addresses it gets are the attackers'.
//! `SEEDS=<count>` changes how many worlds are tried.

use std::collections::BTreeMap;
use std::time::Duration;

use actix_mesh::Address;
use actix_mesh::mesh::{ConnId, Effect, Effects, Ended, Input, Mesh, Now, Params};
use actix_mesh::wire::{
    Batch, Composer, Control, Dialect, Flag, Generation, Limits, NodeId, PeerEntry, Subnet,
};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

const GENERATION: Generation = Generation::V0_4;
/// Addresses in the world, and how many of them are the attackers'.
const POOL: (usize, usize) = (1000, 900);
/// Entries of each list, as many as our own nodes send.
const LISTED: usize = 64;

struct World {
    victim: Mesh,
    now: Now,
    dice: StdRng,
    pool: Vec<PeerEntry>,
    /// Networks in which the attackers have addresses.
    networks: usize,
    /// The peers the victim dialled, and whether they are honest.
    links: BTreeMap<ConnId, bool>,
    source: ConnId,
}

impl World {
    fn new(seed: u64, networks: usize) -> Self {
        let me = Address::new("198.51.100.1", 1000).unwrap();
        let victim = Mesh::new(
            Params::new(Subnet::default(), me.clone()),
            id(&me.to_string()),
            seed,
        );
        let mut world = Self {
            victim,
            now: Now {
                monotonic: Duration::ZERO,
                unix: 1_500_000_000,
            },
            dice: StdRng::seed_from_u64(seed),
            pool: Vec::new(),
            networks,
            links: BTreeMap::new(),
            source: ConnId(0),
        };
        world.pool = (0..POOL.0).map(|number| world.entry(number)).collect();
        // The peer that sends the lists is an attacker, and dialled the victim.
        world.source = world.victim.next_conn();
        let conn = world.source;
        let addr = Address::new("20.0.0.1", 5000).unwrap();
        world.input(Input::Accepted { conn, addr });
        world.greet(conn, &id("source"));
        world
    }

    /// Attackers share a few networks; each honest node has its own.
    fn entry(&mut self, number: usize) -> PeerEntry {
        let network = match number < POOL.1 {
            true => format!("20.{}", self.dice.random_range(0..self.networks)),
            false => format!("30.{}", number - POOL.1),
        };
        let [c, d]: [u8; 2] = self.dice.random();
        let address = Address::new(format!("{network}.{c}.{d}"), 1000).unwrap();
        let id = id(&format!("{number}"));
        PeerEntry { id, address }
    }

    fn input(&mut self, input: Input) {
        let mut out = Effects::new();
        self.victim.handle(self.now, input, &mut out);
        for effect in out {
            match effect {
                Effect::Dial { conn, addr } => self.answer(conn, addr),
                Effect::Close { conn, .. } => drop(self.links.remove(&conn)),
                _ => {}
            }
        }
    }

    /// Answers a dial under the id that the list named.
    fn answer(&mut self, conn: ConnId, addr: Address) {
        let entry = self.pool.iter().find(|entry| entry.address == addr);
        let id = entry.unwrap().id.clone();
        self.links.insert(conn, addr.host.starts_with("30."));
        self.input(Input::Dialed { conn, addr });
        self.greet(conn, &id);
    }

    fn greet(&mut self, conn: ConnId, id: &NodeId) {
        let handshake = Control::Handshake {
            id: id.clone(),
            subnet: Subnet::default().id(GENERATION),
            address: None,
            methods: vec![],
            dialect: Dialect::Spaced,
            extended: false,
        };
        self.say(conn, id, &handshake);
    }

    fn say(&mut self, conn: ConnId, id: &NodeId, control: &Control) {
        let composer = Composer::new(GENERATION, Limits::default(), id.clone());
        let packets = control.packets(GENERATION);
        let composed = composer.compose(&Flag::Whisper, &packets, self.now.unix);
        let frame = composed.unwrap().frames.plain;
        let batch = Batch::from_frames(GENERATION, Limits::default(), &frame).unwrap();
        self.input(Input::Received { conn, batch });
    }

    fn hear_a_list(&mut self) {
        let pick = |_| self.pool[self.dice.random_range(0..self.pool.len())].clone();
        let entries = (0..LISTED).map(pick).collect();
        let list = Control::Peers {
            entries,
            skipped: 0,
        };
        self.say(self.source, &id("source"), &list);
    }

    fn pass(&mut self, seconds: u64) {
        self.now.monotonic += Duration::from_secs(seconds);
        self.now.unix += seconds;
    }

    fn honest(&self) -> usize {
        self.links.values().filter(|honest| **honest).count()
    }

    /// Honest nodes leave; attackers stay.
    fn lose_the_honest(&mut self) {
        let lost = self.links.iter().filter(|(_, honest)| **honest);
        for conn in lost.map(|(conn, _)| *conn).collect::<Vec<_>>() {
            self.links.remove(&conn);
            let why = Ended::ByPeer;
            self.input(Input::Closed { conn, why });
        }
    }
}

fn id(name: &str) -> NodeId {
    NodeId::derive(name, &Subnet::default().id(GENERATION), b"salt")
}

/// Whether the node found honest peers every time.
fn holds(seed: u64, networks: usize) -> bool {
    let mut world = World::new(seed, networks);
    (0..5).all(|_| {
        world.lose_the_honest();
        for _ in 0..4 {
            world.pass(1);
            world.hear_a_list();
        }
        assert!(world.links.len() <= 4, "max_outgoing");
        world.honest() >= 1
    })
}

#[test]
fn t17_attackers_of_few_networks_never_surround_a_node() {
    let seeds = std::env::var("SEEDS").ok();
    let seeds: u64 = seeds.and_then(|text| text.parse().ok()).unwrap_or(100);
    for networks in [1, 3, 4, 16] {
        let held = (0..seeds).filter(|seed| holds(*seed, networks)).count();
        let share = 100.0 * held as f64 / seeds as f64;
        eprintln!(
            "attackers of {networks} networks: {share:.1} % of {seeds} nodes keep an honest link"
        );
        // With no more networks than a node has connections, attackers can take them all.
        assert!(networks >= 4 || held as u64 == seeds, "{networks} networks");
    }
}
