//! Plain frames whose random ids begin like a compressed stream: one in a thousand of generation 0.6 and 0.7.
//!
//! js2p inflates them without checking the stream's checksum, and closes the connection because of the result.

use std::io::Write as _;
use std::net::TcpStream;

use actix_mesh::wire::{
    Composer, Control, Dialect, Flag, Generation, Inflater, Limits, NodeId, Packet,
};

use crate::ours;
use crate::reference::ALL;
use crate::support::unix;

const GENERATION: Generation = Generation::V0_7;

#[test]
fn frames_that_look_compressed_reach_a_js2p() {
    let Some(them) = ALL[3].peer("them") else {
        return;
    };
    let us = ours(ALL[3]);
    us.join(&them);
    let subnet = us.subnet.parse().unwrap();
    let id = NodeId::derive("raw", &subnet, b"ambiguous");
    let composer = Composer::new(GENERATION, Limits::default(), id.clone());
    let frame = |flag: &Flag, payload: &[Packet], time| {
        let composed = composer.compose(flag, payload, time);
        composed.unwrap().frames.plain
    };
    let mut raw = TcpStream::connect(&us.listen).unwrap();
    let handshake = Control::Handshake {
        id: id.clone(),
        subnet,
        address: None,
        methods: vec![],
        dialect: Dialect::Spaced,
        extended: false,
    };
    raw.write_all(&frame(
        &Flag::Whisper,
        &handshake.packets(GENERATION),
        unix(),
    ))
    .unwrap();
    us.until("the raw peer", |peers| peers.len() == 2);

    let now = unix();
    let looks_compressed = |text: &String| {
        let payload = [Packet::from(vec![0]), Packet::from(text.as_str())];
        let frame = frame(&Flag::Broadcast, &payload, now);
        Inflater::sniff(&frame[4..]).is_some().then_some(frame)
    };
    let texts = (0_u32..).map(|n| format!("by chance {n}"));
    let chosen: Vec<_> = texts
        .filter_map(|text| looks_compressed(&text).map(|frame| (text, frame)))
        .take(100)
        .collect();
    let frames: Vec<_> = chosen.iter().map(|(_, frame)| &frame[..]).collect();
    raw.write_all(&frames.concat()).unwrap();
    for (text, _) in &chosen {
        us.hears(&**text);
        them.hears(&**text);
    }
    them.is_untroubled();
    assert_eq!(us.peers().len(), 2);
}
