//! Connections that a node keeps trying for, or keeps away from.

use crate::mesh::tests::rig::*;

fn list(played: &Played, ports: std::ops::Range<u16>) -> Bytes {
    let entries = ports.map(|port| PeerEntry {
        id: id(&format!("peer {port}")),
        address: address(&format!("127.0.0.1:{port}")),
    });
    let peers = Control::Peers {
        entries: entries.collect(),
        skipped: 0,
    };
    played.frame(&Flag::Whisper, &peers.packets(GENERATION), NOON)
}

#[test]
fn f16_dead_entries_of_a_list_are_made_up_for() {
    let mut rig = Rig::new();
    let a = rig.join("a");
    let mut under_way = dials(&rig.hear(a.conn, &list(&a, 3000..3020)));
    let mut dialled: Vec<String> = under_way.iter().map(|(_, to)| to.clone()).collect();
    let mut asked = 0;
    for _ in 0..60 {
        for (conn, _) in std::mem::take(&mut under_way) {
            rig.input(Input::DialFailed {
                conn,
                why: DialError::Timeout,
            });
        }
        rig.hear(
            a.conn,
            &a.frame(&Flag::Whisper, &user(&["alive"]), rig.now.unix),
        );
        let out = rig.pass(1);
        under_way = dials(&out);
        dialled.extend(under_way.iter().map(|(_, to)| to.clone()));
        asked += written(&out)
            .iter()
            .filter(|(_, _, texts)| texts[1] == "*")
            .count();
    }
    dialled.sort();
    dialled.dedup();
    assert_eq!(dialled.len(), 20);
    assert!((2..=6).contains(&asked), "{asked} questions in a minute");
}

#[test]
fn f17_one_peer_under_two_names_is_dialled_once_by_each() {
    let mut rig = Rig::new();
    let names = [address("127.0.0.1:2001"), address("localhost:2001")];
    names.iter().for_each(|name| rig.mesh.keep(name));
    let mut count = 0;
    for _ in 0..120 {
        for (conn, to) in dials(&rig.pass(1)) {
            count += 1;
            let port = to.ends_with(":2001");
            assert!(port);
            rig.input(Input::Dialed {
                conn,
                addr: address("127.0.0.1:2001"),
            });
            rig.hear(conn, &Rig::handshake("a", |_| {}));
        }
        for peer in rig.mesh.peers() {
            let played = Played {
                conn: peer.conn,
                composer: composer("a"),
            };
            rig.hear(
                peer.conn,
                &played.frame(&Flag::Whisper, &user(&["alive"]), rig.now.unix),
            );
        }
    }
    assert_eq!(count, 2);
}

#[test]
fn without_back_off_a_kept_address_is_dialled_once() {
    for answers in [false, true] {
        let mut rig = Rig::with(|params| params.max_reconnect_delay = Duration::ZERO);
        rig.mesh.keep(&address("127.0.0.1:2001"));
        let mut count = 0;
        for _ in 0..300 {
            for (conn, _) in dials(&rig.pass(1)) {
                count += 1;
                if answers {
                    let addr = address("127.0.0.1:2001");
                    rig.input(Input::Dialed { conn, addr });
                    rig.hear(conn, &Rig::handshake("a", |_| {}));
                    rig.input(Input::Closed {
                        conn,
                        why: Ended::ByPeer,
                    });
                } else {
                    let why = DialError::Timeout;
                    rig.input(Input::DialFailed { conn, why });
                }
            }
        }
        assert_eq!(count, 1, "answers: {answers}");
    }
}

#[test]
fn f17_a_member_that_claims_a_kept_address_does_not_keep_us_from_it() {
    let mut rig = Rig::new();
    let kept = address("127.0.0.1:2001");
    rig.mesh.keep(&kept);
    // It comes from the same host and announces that address.
    let conn = rig.accept("127.0.0.1:50001");
    let posing = Rig::handshake("liar", |control| {
        announced(control);
        if let Control::Handshake { address, .. } = control {
            *address = Some(kept.clone());
        }
    });
    rig.hear(conn, &posing);
    assert_eq!(rig.mesh.peers().len(), 1);
    let dialled: Vec<String> = (0..3)
        .flat_map(|_| dials(&rig.pass(1)))
        .map(|(_, to)| to)
        .collect();
    assert_eq!(dialled, ["127.0.0.1:2001"]);
    let mut out = Effects::new();
    rig.mesh.connect(rig.now, Ticket(1), kept, None, &mut out);
    let answered = out
        .iter()
        .any(|effect| matches!(effect, Effect::Answer { .. }));
    assert!(!answered, "the liar is not who was asked for");
}

#[test]
fn f17_a_node_of_ours_is_dialled_once_at_an_address_behind_a_name() {
    let mut rig = Rig::new();
    let named = address("127.0.0.1:2001");
    let conn = rig.accept("127.0.0.1:50001");
    rig.hear(conn, &Rig::handshake("a", announced));
    let mut count = 0;
    for _ in 0..300 {
        let mut out = Effects::new();
        rig.mesh.meet(rig.now, [named.clone()], &mut out);
        for (conn, _) in dials(&out) {
            count += 1;
            let addr = named.clone();
            rig.input(Input::Dialed { conn, addr });
            rig.hear(conn, &Rig::handshake("a", announced));
        }
        for peer in rig.mesh.peers() {
            let composer = composer("a");
            let played = Played {
                conn: peer.conn,
                composer,
            };
            let alive = played.frame(&Flag::Whisper, &user(&["alive"]), rig.now.unix);
            rig.hear(peer.conn, &alive);
        }
        rig.pass(1);
    }
    assert_eq!(count, 1);
}

#[test]
fn f2_a_member_that_claims_the_address_of_a_lost_peer_does_not_keep_us_from_it() {
    let mut rig = Rig::new();
    let to = address("127.0.0.1:2001");
    let mut out = Effects::new();
    rig.mesh.meet(rig.now, [to.clone()], &mut out);
    let (conn, _) = dials(&out)[0].clone();
    let addr = to.clone();
    rig.input(Input::Dialed { conn, addr });
    rig.hear(conn, &Rig::handshake("a", announced));
    let why = Ended::Failed("it crashed".into());
    rig.input(Input::Closed { conn, why });
    let conn = rig.accept("127.0.0.1:50001");
    let posing = Rig::handshake("liar", |control| {
        announced(control);
        if let Control::Handshake { address, .. } = control {
            *address = Some(to.clone());
        }
    });
    rig.hear(conn, &posing);
    let dialled = (0..15).flat_map(|_| dials(&rig.pass(1)));
    let dialled: Vec<String> = dialled.map(|(_, to)| to).collect();
    assert!(dialled.contains(&to.to_string()), "{dialled:?}");
}

#[test]
fn t8_strangers_that_only_wait_do_not_keep_a_node_from_dialling() {
    let mut rig = Rig::new();
    for n in 0..300 {
        rig.accept(&format!("10.0.{}.{}:50000", n / 100, n % 100));
    }
    let mut out = Effects::new();
    let to = address("127.0.0.1:2001");
    rig.mesh.connect(rig.now, Ticket(1), to, None, &mut out);
    assert_eq!(dials(&out).len(), 1);
}

#[test]
fn f18_who_was_disconnected_stays_away_for_a_while_unless_asked_for() {
    let mut rig = Rig::new();
    rig.join("a");
    let mut out = Effects::new();
    assert!(rig.mesh.disconnect(rig.now, &id("a"), &mut out));
    let conn = rig.accept("127.0.0.1:50000");
    assert_eq!(
        closed(&rig.hear(conn, &Rig::handshake("a", |_| {}))),
        ["unwanted"]
    );
    // Nor is it dialled because a peers list names it.
    let b = rig.join("bb");
    let entries = vec![PeerEntry {
        id: id("a"),
        address: address("127.0.0.1:2001"),
    }];
    let peers = Control::Peers {
        entries,
        skipped: 0,
    };
    let frame = b.frame(&Flag::Whisper, &peers.packets(GENERATION), NOON);
    assert!(dials(&rig.hear(b.conn, &frame)).is_empty());
    // A user may dial it.
    let mut out = Effects::new();
    let there = address("127.0.0.1:2001");
    rig.mesh
        .connect(rig.now, Ticket(1), there.clone(), None, &mut out);
    let conn = dials(&out)[0].0;
    rig.input(Input::Dialed { conn, addr: there });
    rig.hear(conn, &Rig::handshake("a", |_| {}));
    assert_eq!(rig.mesh.peers().len(), 2);
    assert!(rig.mesh.disconnect(rig.now, &id("a"), &mut out));
    rig.pass(30);
    rig.join("a");
}

#[test]
fn t29_answers_to_searches_dial_no_faster_than_lists_and_no_nearer() {
    let mut rig = Rig::with(|params| params.max_outgoing = 0);
    let conn = rig.accept("9.9.9.9:50000");
    rig.hear(conn, &Rig::handshake("a", |_| {}));
    let a = Played {
        conn,
        composer: composer("a"),
    };
    let mut dialled = 0;
    for n in 0..300 {
        let wanted = format!("author {n}");
        let mut out = Effects::new();
        let within = Duration::from_secs(5);
        let text = Packets::from("reply");
        rig.mesh.whisper(
            rig.now,
            OutgoingWhisper::new(Ticket(n), id(&wanted), text, within),
            &mut out,
        );
        let request: RequestId = written(&out)[0].2[1].parse().unwrap();
        for host in ["8.8.8.8", "10.0.0.1", "127.0.0.1"] {
            let answer = Control::Response {
                request: request.clone(),
                id: id(&wanted),
                address: address(&format!("{host}:{}", 1 + n)),
            };
            let frame = a.frame(&Flag::Broadcast, &answer.packets(GENERATION), NOON);
            let dials = dials(&rig.hear(a.conn, &frame));
            assert!(
                dials.iter().all(|(_, to)| to.starts_with("8.8.8.8")),
                "{dials:?}"
            );
            dialled += dials.len();
        }
    }
    assert!(dialled <= 8, "{dialled} dials at once");
    let later: usize = (0..10).map(|_| dials(&rig.pass(1)).len()).sum();
    assert!((1..=40).contains(&later), "{later} dials in ten seconds");
}

#[test]
fn t30_under_the_rule_of_text_the_bytes_tell_messages_apart() {
    use crate::wire::IdRule;
    let mut rig = Rig::new();
    let a = rig.join("a");
    let kind = SubFlag::Broadcast.packet(GENERATION);
    // By that rule the id is that of the lossily decoded text.
    let lossy = |bytes: &'static [u8], rule: IdRule| {
        let composer = composer("a");
        let payload = [kind.clone(), Packet::from(bytes)];
        let left = Packet::from(&*String::from_utf8_lossy(bytes));
        let text = composer
            .compose(&Flag::Broadcast, &[kind.clone(), left], NOON)
            .unwrap();
        let frames = match rule {
            IdRule::Bytes => {
                composer
                    .compose(&Flag::Broadcast, &payload, NOON)
                    .unwrap()
                    .frames
            }
            IdRule::LossyText => {
                let flag = Flag::Broadcast;
                composer
                    .compose_under(text.id.clone(), &id("a"), &flag, &payload, NOON)
                    .unwrap()
                    .frames
            }
        };
        frames.plain
    };
    let mut heard = 0;
    for frame in [
        lossy(b"\xff", IdRule::LossyText),
        lossy(b"\xfe", IdRule::LossyText),
        lossy(b"ok \xf0\x90\x80 done", IdRule::LossyText),
        lossy("ok \u{fffd} done".as_bytes(), IdRule::Bytes),
        // The same payload under its other id is not another message.
        lossy(b"\xff", IdRule::Bytes),
    ] {
        heard += rig
            .hear(a.conn, &frame)
            .iter()
            .filter(|effect| matches!(effect, Effect::Deliver(_)))
            .count();
    }
    assert_eq!(heard, 4);
}
