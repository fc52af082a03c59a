//! Broadcasts: sent, relayed, delivered once.

use crate::mesh::tests::rig::*;

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
        extended: false,
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
    // Another author's message already has the id of this second.
    rig.hear(a.conn, &a.frame(&Flag::Broadcast, &user(&["same"]), NOON));
    let times: Vec<u64> = (0..3).map(|_| rig.send(&["same"]).unwrap().time).collect();
    assert_eq!(times, [NOON + 1, NOON + 2, NOON + 3]);
    // Then the second that only the other author has used.
    assert_eq!(rig.send(&["same"]).unwrap().time, NOON);
    assert_eq!(rig.send(&["same"]), Err(SendError::TooOften(3)));
    assert_eq!(rig.send(&["other"]).unwrap().time, NOON);
    rig.pass(1);
    assert_eq!(rig.send(&["same"]).unwrap().time, NOON + 4);
}

#[test]
fn t27_nobody_stops_a_payload_by_sending_it_first() {
    let mut rig = Rig::new();
    let (a, _b) = (rig.join("a"), rig.join("bb"));
    for ahead in 0..=60 {
        let frame = a.frame(&Flag::Broadcast, &user(&["heartbeat"]), NOON + ahead);
        rig.hear(a.conn, &frame);
    }
    let sent = rig.send(&["heartbeat"]).unwrap();
    assert_eq!(sent.time, NOON);
    assert_eq!(sent.handed_to.len(), 2);
}

#[test]
fn t26_what_a_full_cache_has_forgotten_is_neither_delivered_nor_relayed_again() {
    let mut rig = Rig::with(|params| params.waterfall_capacity = 100);
    let (a, b) = (rig.join("a"), rig.join("bb"));
    let honest = b.frame(&Flag::Broadcast, &user(&["honest"]), NOON - 10);
    assert_eq!(delivered(&rig.hear(b.conn, &honest)), ["honest"]);
    // The attacker fills the cache. Stamps ahead of now have only a share, so it must use its own second.
    for n in 0..150 {
        let frame = a.frame(&Flag::Broadcast, &user(&[&format!("{n}")]), NOON);
        rig.hear(a.conn, &frame);
    }
    let out = rig.hear(b.conn, &honest);
    assert!(delivered(&out).is_empty() && targets(&out).is_empty());
    assert_eq!(rig.mesh.stats().waterfall_closed, 1);
    let told = rig.pass(1);
    let told = told
        .iter()
        .filter(|effect| matches!(effect, Effect::Notify(Event::WaterfallFull { dropped: 1 })));
    assert_eq!(told.count(), 1);
}

#[test]
fn t28_a_neighbour_is_not_blamed_for_what_it_passes_on() {
    let mut rig = Rig::with(|params| params.ban_loopback = true);
    let a = rig.join("a");
    let control = packets(&["\u{8}", "no", "sense", "at all"]);
    let placed = packets(&["\u{7}", "[]"]);
    for n in 0..2000 {
        for payload in [&control, &placed] {
            let frame = composer("somebody").compose(&Flag::Broadcast, payload, NOON - n % 50);
            rig.hear(a.conn, &frame.unwrap().frames.plain);
        }
    }
    assert_eq!(rig.mesh.peers().len(), 1);
    assert_eq!(rig.mesh.stats().bans, 0);
    assert!(rig.mesh.stats().misplaced > 0);
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
