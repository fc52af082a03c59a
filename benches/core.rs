//! The cost of a message in the core. Inbound: decoded, looked up, proven, and relayed to two peers. Duplicate:
//! received again. Outbound: composed, remembered, and sent to three peers.
//!
//! `cargo bench --bench core`. Every batch is one read of up to 64 KiB; nothing is written to a socket.

#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark may panic")]

mod harness;

use std::cell::RefCell;
use std::sync::LazyLock;
use std::time::Duration;

use actix_mesh::mesh::{ConnId, Effects, Input, Mesh, Now, Outgoing, Params};
use actix_mesh::wire::{
    Address, Codec, Composer, Control, Dialect, Flag, Generation, Hold, Limits, NodeId, Packet,
    Packets, Subnet,
};
use bytes::BytesMut;
use harness::{Way, side_by_side, timed};
use tokio_util::codec::Decoder as _;

/// The generation: `WIRE=0.7 cargo bench --bench core` measures another.
static GENERATION: LazyLock<Generation> = LazyLock::new(|| {
    let wire = std::env::var("WIRE").unwrap_or_else(|_| String::from("0.4"));
    wire.parse().unwrap()
});
const NOW: Now = Now {
    monotonic: Duration::from_secs(1000),
    unix: 1_700_000_000,
};
const CHUNK: usize = 64 * 1024;

fn main() {
    for size in [100, 1024] {
        sending(size);
    }
    for audience in [false, true] {
        for size in [100, 160, 1024, 64 * 1024] {
            for frames in [1, 8, CHUNK / (size + 170)] {
                relaying(size, frames.max(1), audience);
            }
        }
    }
}

fn address(port: u16) -> Address {
    format!("127.0.0.1:{port}").parse().unwrap()
}

/// A node whose peers are simulated by the benchmark.
struct Node {
    mesh: Mesh,
    peers: Vec<ConnId>,
    out: Effects,
    codec: Codec,
}

impl Node {
    fn new(audience: bool) -> Self {
        let mut params = Params::new(Subnet::default(), address(1000));
        params.waterfall_capacity = 1 << 24;
        params.generation = *GENERATION;
        let me = Self::id("us");
        let mut codec = Codec::new(*GENERATION, Limits::default());
        codec.established();
        let mut node = Node {
            mesh: Mesh::new(params, me, 1),
            peers: Vec::new(),
            out: Effects::new(),
            codec,
        };
        node.mesh.set_audience(audience);
        for (port, name) in (2000..).zip(["a", "b", "c"]) {
            node.join(name, port);
        }
        node
    }

    fn id(name: &str) -> NodeId {
        NodeId::derive(name, &Subnet::default().id(*GENERATION), b"salt")
    }

    fn join(&mut self, name: &str, port: u16) {
        let control = Control::Handshake {
            id: Self::id(name),
            subnet: Subnet::default().id(*GENERATION),
            address: Some(address(port)),
            methods: Vec::new(),
            dialect: Dialect::Spaced,
            extended: false,
        };
        let composer = Composer::new(*GENERATION, Limits::default(), Self::id(name));
        let payload = control.packets(*GENERATION);
        let composed = composer
            .compose(&Flag::Whisper, &payload, NOW.unix)
            .unwrap();
        let conn = self.mesh.next_conn();
        self.peers.push(conn);
        let addr = address(port);
        self.mesh
            .handle(NOW, Input::Accepted { conn, addr }, &mut self.out);
        self.hear(self.peers.len() - 1, &composed.frames.plain);
        assert_eq!(self.mesh.peers().len(), self.peers.len());
    }

    /// Handles one read from that peer.
    fn hear(&mut self, peer: usize, bytes: &[u8]) {
        let batch = self
            .codec
            .decode(&mut BytesMut::from(bytes))
            .unwrap()
            .unwrap();
        let conn = self.peers[peer];
        self.mesh
            .handle(NOW, Input::Received { conn, batch }, &mut self.out);
        self.out.clear();
    }
}

/// Makes chunks of messages that were never used before.
fn chunks(size: usize, frames: usize, first: &mut u64, count: usize) -> Vec<Vec<u8>> {
    let author = Composer::new(*GENERATION, Limits::default(), Node::id("a far author"));
    let mut chunk = || {
        let mut bytes = Vec::new();
        for _ in 0..frames {
            *first += 1;
            let body = format!("{first:016}").into_bytes().repeat(size / 16 + 1);
            let payload = [Packet::from("\0"), Packet::from(&body[..size])];
            let composed = author
                .compose(&Flag::Broadcast, &payload, NOW.unix)
                .unwrap();
            bytes.extend_from_slice(&composed.frames.plain);
        }
        bytes
    };
    (0..count).map(|_| chunk()).collect()
}

fn relaying(size: usize, frames: usize, audience: bool) {
    let title = format!(
        "core, {size} B, {frames} in a read{}",
        if audience { ", delivered too" } else { "" }
    );
    if !harness::wanted(&title) {
        return;
    }
    // One peer sends everything first, the next sends it again.
    let count = (256 * 1024 / (frames * (size + 170))).clamp(1, 400);
    let node = RefCell::new(Node::new(audience));
    let heard = RefCell::new(Vec::new());
    let mut first = 0;
    let mut hear = |peer: usize| {
        let mut node = node.borrow_mut();
        if peer == 0 {
            *heard.borrow_mut() = chunks(size, frames, &mut first, count);
        }
        let heard = heard.borrow();
        let (took, ()) = timed(|| heard.iter().for_each(|chunk| node.hear(peer, chunk)));
        (took, frames * count)
    };
    let hear = RefCell::new(&mut hear);
    let ways = vec![
        Way::timing_itself("fresh", || hear.borrow_mut()(0)),
        Way::timing_itself("duplicate", || hear.borrow_mut()(1)),
    ];
    side_by_side(&title, ways);
    let stats = node.borrow().mesh.stats();
    assert_eq!(
        stats.duplicates, stats.relayed,
        "each was heard twice, and passed on once"
    );
}

/// Makes outgoing messages that were never sent before.
fn own(size: usize, count: usize, first: &mut u64) -> Vec<Outgoing> {
    let mut own = || {
        *first += 1;
        let body = format!("{first:016}").into_bytes().repeat(size / 16 + 1);
        Outgoing {
            packets: Packets::from(&body[..size]),
            flag: Flag::Broadcast,
            kind: None,
            allow_empty: false,
        }
    };
    (0..count).map(|_| own()).collect()
}

fn sending(size: usize) {
    const TOGETHER: usize = 64;
    const ROUNDS: usize = 32;
    let title = format!("core, {size} B of our own");
    if !harness::wanted(&title) {
        return;
    }
    let state = RefCell::new((Node::new(false), 0));
    let send = |together: bool| {
        let (node, first) = &mut *state.borrow_mut();
        let bursts: Vec<_> = (0..ROUNDS).map(|_| own(size, TOGETHER, first)).collect();
        let hold = Hold::none();
        let (took, ()) = timed(|| {
            for burst in bursts {
                let burst = burst.into_iter();
                let sent: Vec<_> = if together {
                    node.mesh.send_many(NOW, burst, &hold, &mut node.out)
                } else {
                    burst
                        .map(|what| node.mesh.send(NOW, what, hold.clone(), &mut node.out))
                        .collect()
                };
                assert!(sent.iter().all(Result::is_ok));
                node.out.clear();
            }
        });
        (took, ROUNDS * TOGETHER)
    };
    let ways = vec![
        Way::timing_itself("one by one", || send(false)),
        Way::timing_itself(format!("{TOGETHER} together"), || send(true)),
    ];
    side_by_side(&title, ways);
}
