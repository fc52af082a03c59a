//! A good neighbour: whatever a hostile peer makes our node relay, the py2p nodes beside it stay up and connected.

use serde_json::Value;

use super::peer::{Peer, unique};
use super::py2p::Py2p;
use super::wire::{BROADCAST, RawPeer, WATERFALL, frame, now};

/// Well-formed frames: each is complete and has its true id, so that it could be relayed.
const FRAMES: usize = 10_000;
/// After this many frames the nodes catch up: a py2p takes a millisecond for each.
const VOLLEY: usize = 500;

/// A small random generator, with the same sequence each time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }

    fn pick<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        let sides = u64::try_from(of.len()).expect("a few");
        of[usize::try_from(self.roll(sides)).expect("fewer")]
    }

    fn bytes(&mut self, most: u64) -> Vec<u8> {
        let count = self.roll(most);
        (0..count)
            .map(|_| self.roll(256).to_be_bytes()[7])
            .collect()
    }
}

fn hostile(dice: &mut Dice, number: usize, raw: &str, ids: &[&str]) -> Vec<u8> {
    let flag = if dice.roll(2) == 0 {
        BROADCAST
    } else {
        WATERFALL
    };
    let sender = match dice.roll(6) {
        0 => dice.pick(&ids[..4]).to_owned(),
        1 => "z".repeat(128),
        2 => "1".to_owned(),
        _ => raw.to_owned(),
    };
    let number = number.to_string().into_bytes();
    let kind = vec![dice.roll(40).to_be_bytes()[7]];
    let json: [&[u8]; 7] = [
        b"null",
        b"[]",
        b"{}",
        b"[[null, null]]",
        b"[[[\"127.0.0.1\", 9], \"A\"]]",
        b"[[\"h\", 1], \"A\"]",
        b"\xff",
    ];
    let id = dice.pick(ids).as_bytes().to_vec();
    let payload: Vec<Vec<u8>> = match dice.roll(9) {
        // No packets, or only an odd kind.
        0 if dice.roll(20) == 0 => vec![],
        0 => vec![kind],
        1 => vec![kind, number],
        2 => vec![kind, dice.bytes(60), number],
        3 => vec![kind, dice.pick(&json).to_vec(), number],
        4 => vec![kind, id, dice.pick(&json).to_vec(), number],
        5 => vec![
            kind,
            number,
            id,
            dice.pick(&json).to_vec(),
            dice.pick(&json).to_vec(),
        ],
        6 => vec![vec![0], vec![0xff, 0xfe, 0x80], number],
        7 => [vec![kind], vec![Vec::new(); 40], vec![number]].concat(),
        _ => vec![dice.bytes(9), b"*".to_vec(), number],
    };
    let payload: Vec<&[u8]> = payload.iter().map(Vec::as_slice).collect();
    let time = match dice.roll(5) {
        0 => now() - 50,
        1 => now() + 50,
        _ => now(),
    };
    frame(flag, &sender, &payload, time)
}

/// Reads one of a node's counters.
fn count(node: &Peer, what: &str) -> u64 {
    let status = node.order(serde_json::json!({"do": "status"}));
    status["stats"][what]
        .as_u64()
        .unwrap_or_else(|| panic!("no {what} in {status}"))
}

#[test]
fn t24_py2ps_stay_up_and_connected_through_ten_thousand_hostile_frames() {
    let Some(py2p) = Py2p::ready() else { return };
    let us = Peer::ours("us");
    let pys = [py2p.peer("one"), py2p.peer("other")];
    pys.iter().for_each(|py| py.join(&us));
    let mut hostile_peer = RawPeer::join(&us);
    let raw = hostile_peer.id.clone();
    let ids = [&*us.id, &*pys[0].id, &*pys[1].id, "A", "*"];
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    for volley in 0..FRAMES / VOLLEY {
        let numbers = volley * VOLLEY..(volley + 1) * VOLLEY;
        let frames: Vec<u8> = numbers
            .flat_map(|number| hostile(&mut dice, number, &raw, &ids))
            .collect();
        hostile_peer.write(&frames);
        let text = unique("caught up");
        hostile_peer.broadcast(&text);
        us.hears(&*text);
        pys.iter().for_each(|py| drop(py.hears(&*text)));
    }
    assert!(count(&us, "received") >= FRAMES as u64);
    assert!(
        count(&us, "relayed") >= FRAMES as u64 / 4,
        "or nothing was shown"
    );
    for py in &pys {
        assert!(us.has_peer(py) && py.has_peer(&us));
        py.is_untroubled();
        let left = us.lines(|line: &Value| line["event"] == "peer_left" && line["peer"] == *py.id);
        assert!(left.is_empty(), "{left:?}");
    }
}
