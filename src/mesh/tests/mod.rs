//! Step tables of the core: given a state and an input, these effects and no others.

use std::time::Duration;

use bytes::Bytes;

use super::messaging::renegotiate::Kept;
use super::*;
use crate::wire::{
    Address, Batch, Composer, Control, Dialect, Flag, Generation, Hold, Limits, Method, NodeId,
    Packet, Packets, PeerEntry, RequestId, SubFlag, Subnet,
};

const GENERATION: Generation = Generation::V0_4;
const NOON: u64 = 1_500_000_000;

/// A node under test, and the peers that a test plays.
struct Rig {
    mesh: Mesh,
    now: Now,
    out: Effects,
}

/// A peer played by the test.
struct Played {
    conn: ConnId,
    composer: Composer,
}

fn address(text: &str) -> Address {
    text.parse().unwrap()
}

fn id(name: &str) -> NodeId {
    NodeId::derive(name, &Subnet::default().id(GENERATION), b"salt")
}

fn composer(name: &str) -> Composer {
    Composer::new(GENERATION, Limits::default(), id(name))
}

fn packets(texts: &[&str]) -> Vec<Packet> {
    texts.iter().map(|text| Packet::from(*text)).collect()
}

fn user(texts: &[&str]) -> Vec<Packet> {
    let kind = SubFlag::Broadcast.packet(GENERATION);
    std::iter::once(kind).chain(packets(texts)).collect()
}

impl Played {
    fn frame(&self, flag: &Flag, payload: &[Packet], time: u64) -> Bytes {
        self.composer
            .compose(flag, payload, time)
            .unwrap()
            .frames
            .plain
    }
}

impl Rig {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut Params)) -> Self {
        let mut params = Params::new(Subnet::default(), address("127.0.0.1:1000"));
        change(&mut params);
        Self {
            mesh: Mesh::new(params, id("us"), 1),
            now: Now {
                monotonic: Duration::from_secs(100),
                unix: NOON,
            },
            out: Effects::new(),
        }
    }

    fn input(&mut self, input: Input) -> Effects {
        let mut out = Effects::new();
        self.mesh.handle(self.now, input, &mut out);
        out
    }

    fn hear(&mut self, conn: ConnId, bytes: &[u8]) -> Effects {
        let batch = Batch::from_frames(GENERATION, Limits::default(), bytes).unwrap();
        self.input(Input::Received { conn, batch })
    }

    fn handshake(name: &str, change: impl FnOnce(&mut Control)) -> Bytes {
        let mut control = Control::Handshake {
            id: id(name),
            subnet: Subnet::default().id(GENERATION),
            address: Some(address(&format!("127.0.0.1:{}", 2000 + name.len()))),
            methods: vec![Method::Zlib, Method::Gzip],
            dialect: Dialect::Spaced,
        };
        change(&mut control);
        let payload = control.packets(GENERATION);
        composer(name)
            .compose(&Flag::Whisper, &payload, NOON)
            .unwrap()
            .frames
            .plain
    }

    fn accept(&mut self, from: &str) -> ConnId {
        let conn = self.mesh.next_conn();
        self.input(Input::Accepted {
            conn,
            addr: address(from),
        });
        conn
    }

    fn join(&mut self, name: &str) -> Played {
        self.join_with(name, |_| {})
    }

    fn join_with(&mut self, name: &str, change: impl FnOnce(&mut Control)) -> Played {
        let conn = self.accept("127.0.0.1:50000");
        let out = self.hear(conn, &Self::handshake(name, change));
        assert!(
            out.iter()
                .any(|effect| matches!(effect, Effect::Establish { .. })),
            "{name} was not let in: {out:?}",
        );
        Played {
            conn,
            composer: composer(name),
        }
    }

    fn send(&mut self, texts: &[&str]) -> Result<Sent, SendError> {
        self.send_what(Outgoing {
            packets: packets(texts).into_iter().collect(),
            flag: Flag::Broadcast,
            kind: None,
            allow_empty: false,
        })
    }

    fn send_what(&mut self, what: Outgoing) -> Result<Sent, SendError> {
        self.out.clear();
        self.mesh.send(self.now, what, Hold::none(), &mut self.out)
    }

    fn pass(&mut self, seconds: u64) -> Effects {
        self.now.monotonic += Duration::from_secs(seconds);
        self.now.unix += seconds;
        self.input(Input::Tick)
    }
}

/// What is written, to whom: the flag and the payload's texts of each frame.
fn written(effects: &[Effect]) -> Vec<(ConnId, Flag, Vec<String>)> {
    let mut written = Vec::new();
    for effect in effects {
        let Effect::Transmit { to, frames } = effect else {
            continue;
        };
        let batch = Batch::from_frames(GENERATION, Limits::default(), &frames.plain).unwrap();
        for index in 0..batch.len() {
            let frame = batch.get(index).unwrap();
            let texts = frame
                .payload()
                .map(|p| String::from_utf8_lossy(p).into_owned());
            let texts: Vec<String> = texts.collect();
            written.extend(to.iter().map(|conn| (*conn, frame.flag(), texts.clone())));
        }
    }
    written
}

fn targets(effects: &[Effect]) -> Vec<ConnId> {
    written(effects)
        .into_iter()
        .map(|(conn, ..)| conn)
        .collect()
}

fn delivered(effects: &[Effect]) -> Vec<String> {
    let messages = effects.iter().filter_map(|effect| match effect {
        Effect::Deliver(messages) => Some(messages.clone().into_vec()),
        _ => None,
    });
    messages.flatten().map(|message| message.text()).collect()
}

fn closed(effects: &[Effect]) -> Vec<&'static str> {
    let reasons = effects.iter().filter_map(|effect| match effect {
        Effect::Close { reason, .. } => Some(reason.code()),
        _ => None,
    });
    reasons.collect()
}

#[test]
fn both_sides_say_their_handshake_at_once_and_peers_after_the_others() {
    let mut rig = Rig::new();
    let conn = rig.mesh.next_conn();
    let out = rig.input(Input::Accepted {
        conn,
        addr: address("127.0.0.1:50000"),
    });
    let said = written(&out);
    assert_eq!((said.len(), &said[0].1), (1, &Flag::Whisper));
    assert_eq!(said[0].2[1], rig.mesh.me().to_string());
    assert_eq!(said[0].2[3], r#"["127.0.0.1", 1000]"#);
    let out = rig.hear(conn, &Rig::handshake("b", |_| {}));
    assert_eq!(
        written(&out)[0].2[1],
        format!(r#"[[["127.0.0.1", 2001], "{}"]]"#, id("b"))
    );
    assert!(matches!(out[0], Effect::Establish { .. }));
    assert!(matches!(
        out[1],
        Effect::SetCompression {
            method: Some(Method::Zlib),
            ..
        }
    ));
}

#[test]
fn a_newcomer_is_in_no_table_until_its_handshake() {
    let mut rig = Rig::new();
    rig.accept("127.0.0.1:50000");
    assert!(rig.mesh.peers().is_empty());
    assert_eq!(rig.mesh.awaiting().len(), 1);
    assert_eq!(rig.send(&["hello"]), Err(SendError::NoPeers));
    assert_eq!(closed(&rig.pass(6)), ["handshake_timeout"]);
    assert!(rig.mesh.awaiting().is_empty());
}

#[test]
fn whoever_speaks_before_its_handshake_is_closed() {
    let mut rig = Rig::new();
    let conn = rig.accept("127.0.0.1:50000");
    let frame = composer("b")
        .compose(&Flag::Whisper, &user(&["hi"]), NOON)
        .unwrap()
        .frames
        .plain;
    let out = rig.hear(conn, &frame);
    assert_eq!(closed(&out), ["spoke_too_soon"]);
    assert!(delivered(&out).is_empty());
}

#[test]
fn a_broadcast_is_relayed_once_to_all_but_its_author_and_where_it_came_from() {
    let mut rig = Rig::new();
    let (a, b, c) = (rig.join("a"), rig.join("bb"), rig.join("ccc"));
    let frame = a.frame(&Flag::Broadcast, &user(&["hello"]), NOON);
    // It comes through b; a is its author.
    let out = rig.hear(b.conn, &frame);
    assert_eq!(targets(&out), [c.conn]);
    assert_eq!(delivered(&out), ["hello"]);
    let out = rig.hear(a.conn, &frame);
    assert!(targets(&out).is_empty() && delivered(&out).is_empty());
    assert_eq!(rig.mesh.stats().duplicates, 1);
}

#[test]
fn a_relay_keeps_every_byte_but_the_main_flag() {
    let mut rig = Rig::new();
    let (a, _b) = (rig.join("a"), rig.join("bb"));
    let frame = a.frame(&Flag::Broadcast, &user(&["hello", "", "world"]), NOON - 7);
    let out = rig.hear(a.conn, &frame);
    let Some(Effect::Transmit { frames, .. }) = out
        .iter()
        .find(|effect| matches!(effect, Effect::Transmit { .. }))
    else {
        panic!("not relayed: {out:?}");
    };
    let differing: Vec<usize> = (0..frame.len())
        .filter(|at| frame[*at] != frames.plain[*at])
        .collect();
    assert_eq!((frames.plain.len(), differing.len()), (frame.len(), 1));
    assert_eq!((frame[differing[0]], frames.plain[differing[0]]), (0, 1));
}

#[test]
fn the_same_broadcast_twice_in_one_read_counts_once() {
    let mut rig = Rig::new();
    let (a, b) = (rig.join("a"), rig.join("bb"));
    let one = a.frame(&Flag::Broadcast, &user(&["one"]), NOON);
    let two = a.frame(&Flag::Broadcast, &user(&["two"]), NOON);
    let out = rig.hear(a.conn, &[&one[..], &two[..], &one[..]].concat());
    assert_eq!(delivered(&out), ["one", "two"]);
    assert_eq!(targets(&out), [b.conn, b.conn]);
}

#[test]
fn t19_two_authors_and_two_framings_of_one_text_are_all_delivered() {
    let mut rig = Rig::new();
    let (a, b) = (rig.join("a"), rig.join("bb"));
    let by_a = a.frame(&Flag::Broadcast, &user(&["ab", "c"]), NOON);
    let by_b = b.frame(&Flag::Broadcast, &user(&["ab", "c"]), NOON);
    let shifted = a.frame(&Flag::Broadcast, &user(&["a", "bc"]), NOON);
    assert_eq!(delivered(&rig.hear(a.conn, &shifted)), ["a bc"]);
    assert_eq!(delivered(&rig.hear(a.conn, &by_a)), ["ab c"]);
    assert_eq!(delivered(&rig.hear(b.conn, &by_b)), ["ab c"]);
    assert_eq!(rig.mesh.stats().id_twins, 2);
    for frame in [by_a, by_b, shifted] {
        assert!(delivered(&rig.hear(a.conn, &frame)).is_empty());
    }
}

#[test]
fn t18_old_and_future_broadcasts_are_dropped_and_counted() {
    let mut rig = Rig::new();
    let a = rig.join("a");
    for (time, expected) in [
        (NOON - 61, 0),
        (NOON - 60, 1),
        (NOON + 60, 1),
        (NOON + 61, 0),
        (0, 0),
        (u64::MAX, 0),
    ] {
        let frame = a.frame(&Flag::Broadcast, &user(&[&format!("at {time}")]), time);
        assert_eq!(
            delivered(&rig.hear(a.conn, &frame)).len(),
            expected,
            "{time}"
        );
    }
    let stats = rig.mesh.stats();
    assert_eq!((stats.expired, stats.premature), (2, 2));
}

#[test]
fn t12_control_messages_under_broadcast_change_nothing() {
    let mut rig = Rig::new();
    let (a, _b) = (rig.join("a"), rig.join("bb"));
    let names = |rig: &Rig| {
        let peers = rig.mesh.peers().into_iter();
        peers
            .map(|peer| (peer.id, peer.address, peer.compression))
            .collect::<Vec<_>>()
    };
    let before = names(&rig);
    let entry = PeerEntry {
        id: id("victim"),
        address: address("127.0.0.1:9"),
    };
    let handshake = Control::Handshake {
        id: id("fake"),
        subnet: Subnet::default().id(GENERATION),
        address: Some(address("127.0.0.1:9")),
        methods: vec![],
        dialect: Dialect::Spaced,
    };
    let forged = [
        handshake,
        Control::Peers {
            entries: vec![entry],
            skipped: 0,
        },
        Control::RequestPeers,
        Control::Compression(vec![]),
        Control::Resend,
    ];
    for (flag, control) in forged
        .iter()
        .flat_map(|c| [(Flag::Broadcast, c), (Flag::Ping, c)])
    {
        let frame = a.frame(&flag, &control.packets(GENERATION), NOON);
        let out = rig.hear(a.conn, &frame);
        assert!(out.is_empty(), "{control:?} under {flag:?} led to {out:?}");
    }
    let response = Control::Response {
        request: RequestId::derive(&id("x"), NOON, b""),
        id: id("x"),
        address: address("127.0.0.1:9"),
    };
    let frame = a.frame(&Flag::Whisper, &response.packets(GENERATION), NOON);
    assert!(rig.hear(a.conn, &frame).is_empty());
    assert_eq!(rig.mesh.stats().misplaced, 11);
    assert_eq!(before, names(&rig));
}

#[test]
fn a_frame_whose_id_is_false_closes_its_sender_and_is_never_remembered() {
    let mut rig = Rig::new();
    let (a, b) = (rig.join("a"), rig.join("bb"));
    let good = a.frame(&Flag::Broadcast, &user(&["good"]), NOON);
    let mut bad = a
        .frame(&Flag::Broadcast, &user(&["true text"]), NOON)
        .to_vec();
    let last = bad.len() - 1;
    bad[last] ^= 1;
    let out = rig.hear(a.conn, &[&good[..], &bad[..], &good[..]].concat());
    assert_eq!(delivered(&out), ["good"]);
    assert_eq!(closed(&out), ["bad_frame"]);
    let relayed = written(&out)
        .into_iter()
        .filter(|(_, flag, _)| flag.is_broadcast());
    assert_eq!(relayed.map(|(conn, ..)| conn).collect::<Vec<_>>(), [b.conn]);
    // The true one comes later from another peer, and counts.
    bad[last] ^= 1;
    assert_eq!(delivered(&rig.hear(b.conn, &bad)), ["true text"]);
}

#[test]
fn t24_payload_that_hangs_js2p_is_neither_sent_nor_relayed_to_it() {
    let tight = |control: &mut Control| {
        if let Control::Handshake { dialect, .. } = control {
            *dialect = Dialect::Tight;
        }
    };
    let mut rig = Rig::with(|params| params.allow_binary = true);
    let (a, b, js) = (rig.join("a"), rig.join("bb"), rig.join_with("js2p", tight));
    let mut payload = user(&["x"]);
    payload.push(Packet::from(vec![0xff, 0xfe, 0x80]));
    let out = rig.hear(a.conn, &a.frame(&Flag::Broadcast, &payload, NOON));
    assert_eq!(targets(&out), [b.conn]);
    assert!(out.iter().any(|effect| matches!(
        effect,
        Effect::Notify(Event::RelaySkipped {
            reason: SkipReason::BinaryHangsIt,
            ..
        })
    )));
    let out = rig.hear(a.conn, &a.frame(&Flag::Broadcast, &user(&["text"]), NOON));
    assert_eq!(targets(&out), [b.conn, js.conn]);
    let sent = rig
        .send_what(Outgoing {
            packets: Packets::from(vec![0xff, 0xfe]),
            flag: Flag::Broadcast,
            kind: None,
            allow_empty: false,
        })
        .unwrap();
    assert_eq!((sent.handed_to.len(), sent.skipped.len()), (2, 1));
    assert_eq!(sent.skipped[0].peer, id("js2p"));
    assert_eq!(rig.mesh.stats().relay_skipped, 2);
}

#[test]
fn what_may_not_be_sent_is_refused_with_a_reason() {
    let mut rig = Rig::new();
    let _a = rig.join("a");
    let plain = |packets: Packets| Outgoing {
        packets,
        flag: Flag::Broadcast,
        kind: None,
        allow_empty: false,
    };
    let binary = plain(Packets::from(vec![0xff]));
    assert_eq!(rig.send_what(binary), Err(SendError::NotText { packet: 1 }));
    let mut renegotiate = plain(Packets::from("x"));
    renegotiate.flag = Flag::Renegotiate;
    assert!(matches!(
        rig.send_what(renegotiate),
        Err(SendError::ReservedFlag(_))
    ));
    let mut handshake = plain(Packets::from("x"));
    handshake.kind = Some(SubFlag::Handshake.packet(GENERATION));
    assert_eq!(rig.send_what(handshake), Err(SendError::ReservedKind));
    let huge = plain(Packets::from("x".repeat(5 << 20)));
    assert!(matches!(rig.send_what(huge), Err(SendError::TooLarge(_))));
    assert!(rig.out.is_empty());
}

#[test]
fn the_same_payload_takes_the_next_free_second_up_to_a_bound() {
    let mut rig = Rig::with(|params| params.seconds_ahead = 3);
    let (a, _b) = (rig.join("a"), rig.join("bb"));
    // Somebody else's message has the id of this second already.
    rig.hear(a.conn, &a.frame(&Flag::Broadcast, &user(&["same"]), NOON));
    let times: Vec<u64> = (0..3).map(|_| rig.send(&["same"]).unwrap().time).collect();
    assert_eq!(times, [NOON + 1, NOON + 2, NOON + 3]);
    assert_eq!(rig.send(&["same"]), Err(SendError::TooOften(3)));
    assert_eq!(rig.send(&["other"]).unwrap().time, NOON);
    rig.pass(1);
    assert_eq!(rig.send(&["same"]).unwrap().time, NOON + 4);
}

#[test]
fn a_burst_does_what_its_messages_would_do_one_by_one() {
    let outgoing = |text: &str, flag: Flag| Outgoing {
        packets: Packets::from(text),
        flag,
        kind: None,
        allow_empty: false,
    };
    let burst = [
        outgoing("a", Flag::Broadcast),
        outgoing("same", Flag::Broadcast),
        outgoing("to peers only", Flag::Whisper),
        outgoing("reserved", Flag::Renegotiate),
        outgoing("same", Flag::Broadcast),
        outgoing("b", Flag::Broadcast),
    ];
    let plain = || Rig::with(|params| params.methods.clear());
    let (mut alone, mut together) = (plain(), plain());
    for rig in [&mut alone, &mut together] {
        rig.join("them");
    }
    let one_by_one: Vec<_> = burst
        .iter()
        .map(|what| {
            let (now, hold) = (alone.now, Hold::none());
            alone.mesh.send(now, what.clone(), hold, &mut alone.out)
        })
        .collect();
    let (now, hold) = (together.now, Hold::none());
    let sent = together
        .mesh
        .send_many(now, burst.into_iter(), &hold, &mut together.out);
    assert_eq!(sent, one_by_one);
    assert_eq!(sent[4].as_ref().unwrap().time, NOON + 1);
    assert_eq!(written(&together.out), written(&alone.out));
    assert_eq!(together.mesh.stats(), alone.mesh.stats());
    let transmissions = together.out.iter();
    let transmissions = transmissions.filter(|e| matches!(e, Effect::Transmit { .. }));
    assert_eq!(transmissions.count(), 4, "neighbours are one piece");
    let last = |rig: &Rig| match rig.mesh.last_broadcast.as_ref().unwrap() {
        (_, Kept::Frames(frames)) => frames.plain.clone(),
        (_, kept) => unreachable!("{kept:?} is never a broadcast"),
    };
    assert_eq!(last(&together), last(&alone), "the one to send again");
}

#[test]
fn t21_one_time_and_one_id_for_all_links() {
    let mut rig = Rig::new();
    let (_a, _b) = (rig.join("a"), rig.join("bb"));
    let sent = rig.send(&["hello"]).unwrap();
    assert_eq!(sent.handed_to[..], [id("a"), id("bb")]);
    let transmissions = rig
        .out
        .iter()
        .filter(|e| matches!(e, Effect::Transmit { .. }));
    assert_eq!(transmissions.count(), 1, "encoded once, shared by all");
}

#[test]
fn our_own_broadcast_that_comes_back_is_dropped() {
    let mut rig = Rig::new();
    let (a, _b) = (rig.join("a"), rig.join("bb"));
    rig.send(&["hello"]).unwrap();
    let Effect::Transmit { frames, .. } = rig.out.remove(0) else {
        panic!("not sent")
    };
    assert!(rig.hear(a.conn, &frames.plain).is_empty());
    assert_eq!(rig.mesh.stats().echoes, 1);
}

#[test]
fn t13_no_claim_unseats_a_live_peer() {
    let mut rig = Rig::new();
    let a = rig.join("a");
    rig.pass(6);
    for _ in 0..3 {
        let conn = rig.accept("127.0.0.1:50001");
        let out = rig.hear(conn, &Rig::handshake("a", |_| {}));
        assert_eq!(closed(&out), ["duplicate"]);
        assert!(
            out.iter()
                .any(|e| matches!(e, Effect::Notify(Event::IdConflict { .. })))
        );
    }
    assert_eq!(rig.mesh.peers()[0].conn, a.conn);
    // Within the time of a crossing a second connection is read, but takes nothing over.
    let fresh = rig.join("bb");
    let shadow = rig.join("bb");
    rig.send(&["hello"]).unwrap();
    assert_eq!(targets(&rig.out), [a.conn, fresh.conn]);
    let out = rig.pass(6);
    assert_eq!(closed(&out), ["duplicate"]);
    // The second of two connections takes over when the first is closed, and nobody notices.
    let first = rig.join("ccc");
    let second = rig.join("ccc");
    let out = rig.input(Input::Closed {
        conn: first.conn,
        why: Ended::ByPeer,
    });
    assert!(
        !out.iter().any(|e| matches!(e, Effect::Notify(_))),
        "{out:?}"
    );
    rig.send(&["again"]).unwrap();
    assert!(targets(&rig.out).contains(&second.conn) && !targets(&rig.out).contains(&shadow.conn));
}

#[test]
fn ourselves_and_others_than_expected_are_refused() {
    let mut rig = Rig::new();
    let conn = rig.accept("127.0.0.1:50000");
    assert_eq!(
        closed(&rig.hear(conn, &Rig::handshake("us", |_| {}))),
        ["oneself"]
    );
    let mut out = Effects::new();
    let target = address("127.0.0.1:2001");
    rig.mesh.connect(
        rig.now,
        Ticket(7),
        target.clone(),
        Some(id("wanted")),
        &mut out,
    );
    let Effect::Dial { conn, .. } = out[0] else {
        panic!("{out:?}")
    };
    rig.input(Input::Dialed { conn, addr: target });
    let out = rig.hear(conn, &Rig::handshake("a", |_| {}));
    assert_eq!(closed(&out), ["wrong_id"]);
    assert!(out.iter().any(|effect| matches!(
        effect,
        Effect::Answer { ticket: Ticket(7), answer: Answer::Connect(Err(error)) }
            if error.code() == "wrong_id"
    )));
}

#[test]
fn t16_a_peers_list_is_advice_within_bounds() {
    let entries = |hosts: &[&str]| {
        let entry = |(n, host): (usize, &&str)| PeerEntry {
            id: id(&format!("listed {n}")),
            address: address(&format!("{host}:{}", 3000 + n)),
        };
        hosts.iter().enumerate().map(entry).collect::<Vec<_>>()
    };
    let dials = |out: &Effects| {
        out.iter()
            .filter(|e| matches!(e, Effect::Dial { .. }))
            .count()
    };
    let list = |rig: &mut Rig, peer: &Played, entries| {
        let control = Control::Peers {
            entries,
            skipped: 0,
        };
        let frame = peer.frame(&Flag::Whisper, &control.packets(GENERATION), NOON);
        rig.hear(peer.conn, &frame)
    };
    let mut rig = Rig::new();
    let a = rig.join("a");
    let mut offered = entries(&["127.0.0.1"; 40]);
    offered[0] = PeerEntry {
        id: id("a"),
        address: address("127.0.0.1:9"),
    };
    offered[1] = PeerEntry {
        id: id("us"),
        address: address("127.0.0.1:9"),
    };
    offered[2] = PeerEntry {
        id: id("x"),
        address: address("127.0.0.1:1000"),
    };
    let out = list(&mut rig, &a, offered.clone());
    assert_eq!(dials(&out), 4, "max_outgoing, dials under way included");
    assert_eq!(dials(&list(&mut rig, &a, offered)), 0);
    // A peer of the open internet cannot send us into our own network.
    let mut rig = Rig::new();
    let conn = rig.accept("8.8.8.8:50000");
    // Where it says it is counts for nothing: it says 127.0.0.1.
    rig.hear(conn, &Rig::handshake("a", |_| {}));
    let a = Played {
        conn,
        composer: composer("a"),
    };
    let traps = entries(&[
        "127.0.0.1",
        "10.0.0.1",
        "192.168.1.1",
        "[::1]",
        "localhost",
        "intranet",
    ]);
    assert_eq!(dials(&list(&mut rig, &a, traps)), 0);
    assert_eq!(dials(&list(&mut rig, &a, entries(&["9.9.9.9"]))), 1);
}

/// What a rig does with a peers list.
fn offer(rig: &mut Rig, peer: &Played, entries: Vec<PeerEntry>) -> Vec<ConnId> {
    let control = Control::Peers {
        entries,
        skipped: 0,
    };
    let frame = peer.frame(&Flag::Whisper, &control.packets(GENERATION), NOON);
    let dialled = |effect: &Effect| match effect {
        Effect::Dial { conn, .. } => Some(*conn),
        _ => None,
    };
    rig.hear(peer.conn, &frame)
        .iter()
        .filter_map(dialled)
        .collect()
}

#[test]
fn t16_an_address_of_a_list_is_dialled_once_in_ten_minutes() {
    let mut rig = Rig::with(|params| params.silence = Duration::ZERO);
    let a = rig.join("a");
    let there = address("127.0.0.1:3000");
    let listed = || {
        vec![PeerEntry {
            id: id("listed"),
            address: there.clone(),
        }]
    };
    let why = DialError::Refused;
    for _ in 0..2 {
        let dials = offer(&mut rig, &a, listed());
        let [conn] = dials[..] else {
            panic!("{dials:?}");
        };
        let why = why.clone();
        rig.input(Input::DialFailed { conn, why });
        for _ in 0..599 {
            rig.pass(1);
            assert_eq!(offer(&mut rig, &a, listed()), []);
        }
        rig.pass(1);
    }
    // A user may dial it whenever they like.
    rig.pass(1);
    let [conn] = offer(&mut rig, &a, listed())[..] else {
        panic!("ten minutes are over");
    };
    rig.input(Input::DialFailed { conn, why });
    let mut out = Effects::new();
    rig.mesh
        .connect(rig.now, Ticket(1), there.clone(), None, &mut out);
    let Some(Effect::Dial { conn, .. }) = out.first() else {
        panic!("{out:?}");
    };
    let conn = *conn;
    // Who was there and is lost may be found again by a list.
    rig.input(Input::Dialed {
        conn,
        addr: there.clone(),
    });
    rig.hear(conn, &Rig::handshake("listed", |_| {}));
    let why = Ended::Failed("cut".into());
    rig.input(Input::Closed { conn, why });
    assert_eq!(offer(&mut rig, &a, listed()).len(), 1);
}

#[test]
fn t17_peers_lists_lead_to_one_link_in_each_network() {
    let mut rig = Rig::with(|params| {
        params.max_outgoing = 8;
        params.address = address("9.9.1.1:1000");
    });
    let a = rig.join("a");
    let listed = |hosts: &[&str]| {
        let entry = |host: &&str| PeerEntry {
            id: id(host),
            address: address(&format!("{host}:3000")),
        };
        hosts.iter().map(entry).collect::<Vec<_>>()
    };
    let crowd = ["8.8.1.1", "8.8.2.2", "8.8.3.3", "[2001:db8::1]"];
    assert_eq!(offer(&mut rig, &a, listed(&crowd)).len(), 2);
    let crowd = ["8.8.4.4", "[2001:db8:1::1]", "7.7.1.1"];
    assert_eq!(offer(&mut rig, &a, listed(&crowd)).len(), 1);
    // A mesh may lie in one network, and that is ours: there may be half of all links.
    let near = ["9.9.1.2", "9.9.1.3", "9.9.1.4", "9.9.1.5", "9.9.1.6"];
    let near = near.map(|host| offer(&mut rig, &a, listed(&[host])).len());
    assert_eq!(near, [1, 1, 1, 1, 0]);
    // Nor do private networks count: there is only one.
    let near = listed(&["10.0.0.1", "10.0.0.2"]);
    assert_eq!(offer(&mut rig, &a, near).len(), 1, "one is left of eight");
}

#[test]
fn t17_after_a_start_the_last_own_choices_are_dialled_whoever_is_there() {
    let mut rig = Rig::with(|params| params.silence = Duration::ZERO);
    let place = |port: u16, dialled| Place {
        address: address(&format!("127.0.0.1:{port}")),
        last_good: u64::from(port),
        dialled,
    };
    // Strangers that came later than those it chose itself, and one of them is here first again.
    let strangers = (5000..5100).map(|port| place(port, false));
    let chosen = (3000..3010).map(|port| place(port, true));
    rig.mesh.learn(chosen.chain(strangers));
    rig.join("stranger");
    let mut dialled = Vec::new();
    for _ in 0..60 {
        let out = rig.pass(1);
        dialled.extend(out.iter().filter_map(|effect| match effect {
            Effect::Dial { addr, .. } => Some(addr.port),
            _ => None,
        }));
    }
    dialled.sort_unstable();
    assert_eq!(dialled, [3008, 3009]);
}

#[test]
fn requests_for_all_peers_are_answered_at_a_bounded_rate() {
    let mut rig = Rig::new();
    let a = rig.join("a");
    let frame = a.frame(
        &Flag::Whisper,
        &Control::RequestPeers.packets(GENERATION),
        NOON,
    );
    let answers: usize = (0..1000)
        .map(|_| targets(&rig.hear(a.conn, &frame)).len())
        .sum();
    assert_eq!(answers, 3);
    rig.pass(1);
    assert_eq!(targets(&rig.hear(a.conn, &frame)).len(), 1);
    assert_eq!(rig.mesh.stats().over_budget, 997);
}

#[test]
fn a_peers_list_is_bounded_and_in_time_tells_of_all() {
    let mut rig = Rig::with(|params| params.silence = Duration::ZERO);
    let listed = |said: &[(ConnId, Flag, Vec<String>)]| -> Vec<String> {
        let list: Vec<(serde_json::Value, String)> = serde_json::from_str(&said[0].2[1]).unwrap();
        list.into_iter().map(|(_, id)| id).collect()
    };
    for n in 0..200 {
        rig.join(&format!("peer {n}"));
    }
    let a = rig.join("a");
    let ask = a.frame(
        &Flag::Whisper,
        &Control::RequestPeers.packets(GENERATION),
        NOON,
    );
    let mut told = std::collections::BTreeSet::new();
    for _ in 0..50 {
        rig.pass(1);
        let list = listed(&written(&rig.hear(a.conn, &ask)));
        assert_eq!(list.len(), super::messaging::searches::MAX_TOLD);
        told.extend(list);
    }
    assert_eq!(told.len(), 201);
}

#[test]
fn a_request_for_a_known_id_is_answered_and_relayed_for_an_unknown_one_relayed() {
    let mut rig = Rig::new();
    let (a, b) = (rig.join("a"), rig.join("bb"));
    let request = |wanted: &str| Control::Request {
        request: RequestId::derive(&id(wanted), NOON, b"r"),
        wanted: id(wanted),
    };
    let known = a.frame(&Flag::Broadcast, &request("bb").packets(GENERATION), NOON);
    let out = rig.hear(a.conn, &known);
    let said = written(&out);
    assert_eq!(said.len(), 2, "{said:?}");
    assert_eq!(said[0].0, a.conn);
    assert_eq!(
        said[0].2[2],
        format!(r#"[["127.0.0.1", 2002], "{}"]"#, id("bb"))
    );
    assert_eq!((said[1].0, &said[1].2[2]), (b.conn, &id("bb").to_string()));
    let unknown = a.frame(
        &Flag::Broadcast,
        &request("nobody").packets(GENERATION),
        NOON,
    );
    assert_eq!(targets(&rig.hear(a.conn, &unknown)), [b.conn]);
}

#[test]
fn renegotiation_is_answered_only_if_it_changes_something() {
    use Method::{Gzip, Zlib};
    let mut rig = Rig::new();
    let a = rig.join("a");
    let ask = |rig: &mut Rig, methods: Vec<Method>| {
        let payload = Control::Compression(methods).packets(GENERATION);
        let frame = a.frame(&Flag::Renegotiate, &payload, NOON);
        let out = rig.hear(a.conn, &frame);
        written(&out)
            .into_iter()
            .map(|(_, flag, texts)| (flag, texts[1].clone()))
            .collect::<Vec<_>>()
    };
    let answer = |text: &str| vec![(Flag::Renegotiate, text.to_owned())];
    assert_eq!(ask(&mut rig, vec![Gzip]), answer(r#"["\u0011"]"#));
    assert_eq!(rig.mesh.peers()[0].compression, Some(Gzip));
    assert_eq!(
        ask(&mut rig, vec![Zlib, Gzip]),
        answer(r#"["\u0013", "\u0011"]"#)
    );
    assert_eq!(ask(&mut rig, vec![Zlib, Gzip]), []);
    assert_eq!(ask(&mut rig, vec![]), answer("[]"));
    assert_eq!(rig.mesh.peers()[0].compression, None);
    for round in 0..100 {
        ask(&mut rig, if round % 2 == 0 { vec![Zlib] } else { vec![] });
    }
    assert!(rig.mesh.stats().over_budget >= 95, "T22: no ping-pong");
}

#[test]
fn a_resend_repeats_our_last_message_and_seldom() {
    let mut rig = Rig::new();
    let a = rig.join("a");
    let payload = Control::Resend.packets(GENERATION);
    let resend = a.frame(&Flag::Renegotiate, &payload, NOON);
    let said = written(&rig.hear(a.conn, &resend));
    assert_eq!(said[0].2[0], "\u{7}", "the peers list was our last message");
    // It has read the broadcast: a copy for itself alone.
    rig.pass(5);
    rig.send(&["hello"]).unwrap();
    let first = written(&rig.out);
    let again = written(&rig.hear(a.conn, &resend));
    assert_eq!(again, [(a.conn, Flag::Whisper, first[0].2.clone())]);
    assert!(
        rig.hear(a.conn, &resend).is_empty(),
        "T22: one in 5 seconds"
    );
    // It could not read the broadcast: the very same.
    rig.pass(5);
    let plain = Control::Compression(vec![]).packets(GENERATION);
    rig.hear(a.conn, &a.frame(&Flag::Renegotiate, &plain, NOON));
    assert_eq!(written(&rig.hear(a.conn, &resend)), first);
}

#[test]
fn t20_a_clock_that_differs_is_told() {
    let mut rig = Rig::new();
    rig.now.unix = NOON + 90;
    let conn = rig.accept("127.0.0.1:50000");
    let out = rig.hear(conn, &Rig::handshake("a", |_| {}));
    let skew = out.iter().find_map(|effect| match effect {
        Effect::Notify(Event::ClockSkew { seconds, .. }) => Some(*seconds),
        _ => None,
    });
    assert_eq!(skew, Some(-90));
}

#[test]
fn t15_a_whisper_is_not_sent_to_whoever_answers_for_its_peer() {
    let mut rig = Rig::new();
    let a = rig.join("a");
    let mut out = Effects::new();
    let secret = Packets::from("secret");
    let within = Duration::from_secs(10);
    rig.mesh.whisper(
        rig.now,
        Ticket(1),
        id("friend"),
        secret,
        within,
        Hold::none(),
        &mut out,
    );
    let asked = written(&out);
    let request: RequestId = asked[0].2[1].parse().unwrap();
    let lie = Control::Response {
        request,
        id: id("friend"),
        address: address("127.0.0.1:6666"),
    };
    let out = rig.hear(
        a.conn,
        &a.frame(&Flag::Broadcast, &lie.packets(GENERATION), NOON),
    );
    let Some(Effect::Dial { conn, .. }) = out.first() else {
        panic!("{out:?}")
    };
    let conn = *conn;
    rig.input(Input::Dialed {
        conn,
        addr: address("127.0.0.1:6666"),
    });
    let out = rig.hear(conn, &Rig::handshake("impostor", |_| {}));
    assert!(
        written(&out)
            .iter()
            .all(|(_, _, texts)| !texts.contains(&"secret".to_owned()))
    );
    let out = rig.pass(11);
    assert!(out.iter().any(|effect| matches!(
        effect,
        Effect::Answer { ticket: Ticket(1), answer: Answer::Whisper(Err(error)) }
            if error.code() == "unreachable"
    )));
}

#[test]
fn shutting_down_answers_everyone_and_refuses_the_rest() {
    let mut rig = Rig::new();
    let _a = rig.join("a");
    let mut out = Effects::new();
    rig.mesh
        .connect(rig.now, Ticket(1), address("127.0.0.1:9"), None, &mut out);
    let within = Duration::from_secs(10);
    let to = id("friend");
    rig.mesh.whisper(
        rig.now,
        Ticket(2),
        to,
        Packets::from("x"),
        within,
        Hold::none(),
        &mut out,
    );
    out.clear();
    rig.mesh.shut_down(rig.now, &mut out);
    let answered = out
        .iter()
        .filter(|e| matches!(e, Effect::Answer { .. }))
        .count();
    assert_eq!((answered, closed(&out).len()), (2, 2));
    assert_eq!(rig.send(&["x"]), Err(SendError::ShuttingDown));
    assert!(rig.mesh.peers().is_empty() && rig.mesh.awaiting().is_empty());
}

#[test]
fn f1_a_silent_peer_is_asked_for_a_sign_of_life_and_then_given_up() {
    let mut rig = Rig::new();
    let (a, b) = (rig.join("a"), rig.join("bb"));
    let out = rig.pass(20);
    assert_eq!(targets(&out), [a.conn, b.conn]);
    let asked = written(&out);
    assert_eq!(
        asked[0].2[2],
        rig.mesh.me().to_string(),
        "each has us, and can answer"
    );
    // a answers; its answer is not passed on.
    let answer = Control::Response {
        request: asked[0].2[1].parse().unwrap(),
        id: id("us"),
        address: address("127.0.0.1:1000"),
    };
    let frame = a.frame(&Flag::Broadcast, &answer.packets(GENERATION), rig.now.unix);
    assert!(rig.hear(a.conn, &frame).is_empty());
    let out = rig.pass(10);
    assert_eq!(closed(&out), ["unresponsive"]);
    assert_eq!(rig.mesh.peers()[0].id, id("a"));
}

#[test]
fn a_lost_peer_that_was_asked_for_is_dialled_again_until_it_is_let_go() {
    let mut rig = Rig::new();
    let there = address("127.0.0.1:2001");
    let mut out = Effects::new();
    rig.mesh
        .connect(rig.now, Ticket(1), there.clone(), None, &mut out);
    let connect = |rig: &mut Rig, out: &Effects| {
        let Some(Effect::Dial { conn, addr }) = out
            .iter()
            .find(|effect| matches!(effect, Effect::Dial { .. }))
        else {
            panic!("no dial in {out:?}");
        };
        let (conn, addr) = (*conn, addr.clone());
        rig.input(Input::Dialed { conn, addr });
        rig.hear(conn, &Rig::handshake("a", |_| {}));
        conn
    };
    let conn = connect(&mut rig, &out);
    rig.input(Input::Closed {
        conn,
        why: Ended::ByPeer,
    });
    let mut out = rig.pass(2);
    for _ in 0..3 {
        let Some(Effect::Dial { conn, .. }) = out.first() else {
            panic!("not dialled again: {out:?}")
        };
        let (conn, why) = (*conn, DialError::Refused);
        rig.input(Input::DialFailed { conn, why });
        out = rig.pass(30);
    }
    connect(&mut rig, &out);
    let mut out = Effects::new();
    rig.mesh.disconnect(rig.now, &id("a"), &mut out);
    assert!(
        (0..100).all(|_| rig.pass(30).is_empty()),
        "let go, yet dialled"
    );
}

#[test]
fn t8_strangers_that_only_wait_never_keep_a_good_peer_out() {
    let mut rig = Rig::new();
    for n in 0..10_000 {
        rig.accept(&format!("10.0.{}.{}:5000", n % 8, n % 200));
    }
    assert_eq!(rig.mesh.awaiting().len(), 64);
    rig.join("good");
    assert_eq!(rig.mesh.peers().len(), 1);
}

#[test]
fn t9_the_largest_network_gives_way_and_an_old_link_stays() {
    let mut rig = Rig::with(|params| params.max_incoming = 30);
    let join = |rig: &mut Rig, name: &str, from: &str| {
        let conn = rig.accept(from);
        let out = rig.hear(conn, &Rig::handshake(name, |_| {}));
        (conn, out)
    };
    let (honest, _) = join(&mut rig, "honest", "198.51.100.7:5000");
    for n in 0..5000 {
        let network = ["203.0", "192.0", "100.1"][n % 3];
        let (conn, out) = join(
            &mut rig,
            &format!("sybil {n}"),
            &format!("{network}.1.{}:5000", n % 250),
        );
        let redirected = closed(&out).contains(&"full");
        assert!(n < 29 || redirected, "{n}: somebody had to go");
        if redirected {
            let to: Vec<ConnId> = targets(&out);
            assert!(
                to.contains(&conn),
                "who cannot stay is told whom else to ask"
            );
        }
    }
    assert!(rig.mesh.peers().iter().any(|peer| peer.conn == honest));
    assert_eq!(rig.mesh.peers().len(), 30);
    let (newcomer, _) = join(&mut rig, "another", "198.18.0.1:5000");
    assert!(rig.mesh.peers().iter().any(|peer| peer.conn == newcomer));
}

#[test]
fn bad_conduct_leads_to_a_timed_ban() {
    let mut rig = Rig::new();
    let offend = |rig: &mut Rig| {
        let conn = rig.accept("203.0.113.5:5000");
        rig.hear(conn, &Rig::handshake("bad", |_| {}));
        rig.hear(conn, b"\0\0\0\x04junk")
    };
    for _ in 0..3 {
        assert_eq!(closed(&offend(&mut rig)), ["bad_frame"]);
    }
    let out = offend(&mut rig);
    let banned =
        |effect: &Effect| matches!(effect, Effect::Notify(Event::Banned { seconds: 60, .. }));
    assert!(out.iter().any(banned));
    let conn = rig.mesh.next_conn();
    let addr = address("203.0.113.5:5001");
    let out = rig.input(Input::Accepted { conn, addr });
    assert_eq!(closed(&out), ["banned"]);
    assert!(written(&out).is_empty());
    rig.pass(61);
    assert_eq!(closed(&offend(&mut rig)), ["bad_frame"], "let in again");
}

#[test]
fn f6_a_pause_of_accepting_is_told_and_counted() {
    let mut rig = Rig::new();
    let why = "too many open files".to_owned();
    let out = rig.input(Input::AcceptFailed { why: why.clone() });
    assert!(
        matches!(&out[..], [Effect::Notify(Event::ListenerFailed { reason })] if *reason == why)
    );
    assert_eq!(rig.mesh.stats().accepts_failed, 1);
    assert_eq!(rig.mesh.troubles().count(), 1);
}

#[test]
fn f3_a_crossing_is_no_news_to_the_user_whichever_link_is_kept() {
    for name in ["a", "b", "c", "d", "e", "f"] {
        let mut rig = Rig::new();
        let there = address("127.0.0.1:2001");
        let mut out = Effects::new();
        rig.mesh
            .connect(rig.now, Ticket(1), there.clone(), None, &mut out);
        let Effect::Dial { conn, .. } = out[0] else {
            panic!("{out:?}")
        };
        rig.join(name);
        rig.input(Input::Dialed { conn, addr: there });
        let out = rig.hear(conn, &Rig::handshake(name, |_| {}));
        assert_eq!(closed(&out), ["duplicate"]);
        assert!(
            !out.iter().any(|effect| matches!(effect, Effect::Notify(_))),
            "{out:?}"
        );
        assert!(out.iter().any(|effect| matches!(
            effect,
            Effect::Answer {
                answer: Answer::Connect(Ok(_)),
                ..
            }
        )));
        let ours_is_larger = rig.mesh.me().cmp_numeric(&id(name)).is_gt();
        let kept = &rig.mesh.peers()[0];
        assert_eq!(kept.direction == Direction::Outgoing, ours_is_larger);
        assert_eq!(rig.mesh.peers().len(), 1);
    }
}

#[test]
fn t24_a_message_without_payload_is_neither_delivered_nor_relayed() {
    let mut rig = Rig::new();
    let (a, _b) = (rig.join("a"), rig.join("bb"));
    for flag in [
        Flag::Broadcast,
        Flag::Waterfall,
        Flag::Whisper,
        Flag::Renegotiate,
    ] {
        let out = rig.hear(a.conn, &a.frame(&flag, &[], NOON));
        assert!(out.is_empty(), "{flag:?} led to {out:?}");
    }
    let stats = rig.mesh.stats();
    assert_eq!((stats.malformed, stats.duplicates), (3, 1));
}
