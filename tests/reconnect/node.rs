//! The nodes of a mesh that has to heal, in this process and in others, and checks on all of them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};

use actix_mesh::{NodeId, Peers, Send};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use crate::support::coprocess::Coprocess;
use crate::support::peer::{Peer, unique};
use crate::support::victim::Victim;
use crate::support::{GLANCE, PATIENCE, QUIET};

/// A node in its own process, which can be frozen and killed.
pub(crate) struct Program(Peer);

impl Program {
    /// Starts on a free port, connected to these.
    pub(crate) fn start(name: &str, connect: &[SocketAddr]) -> Self {
        Self::run(name, "127.0.0.1:0", connect)
    }

    /// Starts at the address of an earlier node, dialling none.
    pub(crate) fn start_at(name: &str, addr: SocketAddr) -> Self {
        Self::run(name, &addr.to_string(), &[])
    }

    fn run(name: &str, listen: &str, connect: &[SocketAddr]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_actix-mesh"));
        command.args(["node", "--format", "json", "--max-outgoing", "0"]);
        command.args(["--listen", listen]);
        for addr in connect {
            command.args(["--connect", &addr.to_string()]);
        }
        let process = Coprocess::start(name, &mut command);
        let ready = process.wait_for("its ready line", |line| line["event"] == "ready");
        Self(Peer::new(process, &ready, &ready["subnet"]["id"]))
    }

    pub(crate) fn id(&self) -> NodeId {
        NodeId::parse(&self.0.id).unwrap()
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.0.listen.parse().unwrap()
    }

    pub(crate) fn signal(&self, signal: &str) {
        let pid = self.0.pid().to_string();
        let kill = Command::new("kill").args(["-s", signal, &pid]).status();
        assert!(kill.unwrap().success());
    }

    /// Kills it with SIGKILL, so that it cannot close its connections in order.
    pub(crate) fn kill(&mut self) {
        self.0.kill();
    }
}

/// Waits until exactly these nodes form one mesh, and stay so for a while.
pub(crate) fn settle(nodes: &[&Victim]) {
    let deadline = Instant::now() + PATIENCE;
    let (mut before, mut since) = (BTreeMap::new(), Instant::now());
    loop {
        let table: BTreeMap<NodeId, BTreeSet<NodeId>> = nodes
            .iter()
            .map(|node| {
                let peers = node.ask(Peers).into_iter().map(|peer| peer.id);
                (node.id.clone(), peers.collect())
            })
            .collect();
        if table != before {
            (before, since) = (table, Instant::now());
        } else if since.elapsed() > Duration::from_secs(1) && are_one(&before) {
            return;
        }
        assert!(Instant::now() < deadline, "not one mesh: {before:?}");
        std::thread::sleep(GLANCE);
    }
}

fn are_one(table: &BTreeMap<NodeId, BTreeSet<NodeId>>) -> bool {
    let mutual = table.iter().all(|(node, peers)| {
        let known = |peer| table.get(peer).is_some_and(|back| back.contains(node));
        peers.iter().all(known)
    });
    let mut reached: BTreeSet<&NodeId> = table.keys().take(1).collect();
    loop {
        let further: BTreeSet<_> = reached.iter().flat_map(|node| &table[*node]).collect();
        let count = reached.len();
        if !mutual {
            return false;
        }
        reached.extend(further);
        if reached.len() == count {
            return count == table.len();
        }
    }
}

/// Each node sends a message, and each of the others receives it once.
pub(crate) fn hear_each_other(nodes: &[&Victim], programs: &[&Program]) {
    let mut said: Vec<(&str, String)> = Vec::new();
    for node in nodes {
        let text = unique("from a node");
        node.ask(Send::new(text.clone())).unwrap();
        said.push((node.id.as_str(), text));
    }
    for Program(program) in programs {
        let text = unique("from a program");
        program.say(&text);
        said.push((&program.id, text));
    }
    let of_others = |id: &str| -> Vec<String> {
        let others = said.iter().filter(|(author, _)| *author != id);
        others.map(|(_, text)| text.clone()).collect()
    };
    for node in nodes {
        hears_each_once(node, &of_others(node.id.as_str()));
    }
    for Program(program) in programs {
        for text in of_others(&program.id) {
            program.hears_once(&text);
        }
    }
}

/// Asserts that the node receives each of these texts exactly once.
pub(crate) fn hears_each_once(node: &Victim, texts: &[String]) {
    let mut heard: Vec<String> = Vec::new();
    let deadline = Instant::now() + PATIENCE;
    while !texts.iter().all(|text| heard.contains(text)) {
        assert!(
            Instant::now() < deadline,
            "heard only {} of {}",
            heard.len(),
            texts.len()
        );
        heard.extend(node.heard_within(GLANCE));
    }
    heard.extend(node.heard_within(QUIET));
    for text in texts {
        let times = heard.iter().filter(|heard| *heard == text).count();
        assert_eq!(times, 1, "{:?}", text.get(..40));
    }
}

/// Returns 64 KiB of incompressible text.
pub(crate) fn noise() -> String {
    let mut dice = StdRng::seed_from_u64(1);
    (0..64 << 10)
        .map(|_| char::from(dice.random_range(b'!'..=b'~')))
        .collect()
}
