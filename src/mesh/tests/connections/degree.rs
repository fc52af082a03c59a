//! More peers than needed: which are asked to leave, which leave, and how a connection ends.

use crate::mesh::tests::rig::*;

/// The connections on which this extension verb is written.
fn told(out: &Effects, verb: &str) -> Vec<ConnId> {
    let said = extended_to(out, verb).into_iter();
    said.map(|(conn, _)| conn).collect()
}

fn left(out: &Effects) -> Vec<(NodeId, &'static str)> {
    let left = out.iter().filter_map(|effect| match effect {
        Effect::Notify(Event::PeerLeft { peer, reason, .. }) => Some((peer.clone(), reason.code())),
        _ => None,
    });
    left.collect()
}

/// Does not close silent peers.
fn patient() -> Rig {
    Rig::with(|params| params.keepalive_interval = Duration::ZERO)
}

/// Joins peers of this host, by number.
fn crowd(rig: &mut Rig, host: &str, numbers: std::ops::Range<usize>) -> Vec<Played> {
    let come = |number: usize| {
        let name = format!("peer {number}");
        let conn = rig.accept(&format!("{host}:{}", 50_000 + number));
        rig.hear(conn, &Rig::handshake(&name, announced));
        let composer = composer(&name);
        Played { conn, composer }
    };
    numbers.map(come).collect()
}

/// A peer that we dialled because a peers list named it.
fn listed(rig: &mut Rig, teller: &Played, name: &str, at: &str) -> Played {
    let entry = PeerEntry {
        id: id(name),
        address: address(at),
    };
    let control = Control::Peers {
        entries: vec![entry],
        skipped: 0,
    };
    let list = teller.frame(&Flag::Whisper, &control.packets(GENERATION), NOON);
    let out = rig.hear(teller.conn, &list);
    let dialled = out.iter().find_map(|effect| match effect {
        Effect::Dial { conn, .. } => Some(*conn),
        _ => None,
    });
    let conn = dialled.expect("a list leads to a dial");
    let addr = address(at);
    rig.input(Input::Dialed { conn, addr });
    rig.hear(conn, &Rig::handshake(name, announced));
    let composer = composer(name);
    Played { conn, composer }
}

#[test]
fn t37_beyond_the_bound_the_youngest_are_asked_and_never_the_first() {
    let mut rig = patient();
    let peers = crowd(&mut rig, "10.0.0.1", 0..12);
    assert!(told(&rig.pass(4), "spare").is_empty(), "as many as may be");
    let more = crowd(&mut rig, "10.0.0.1", 12..14);
    let mut asked = told(&rig.pass(4), "spare");
    asked.sort();
    assert_eq!(asked, [more[0].conn, more[1].conn]);
    // Peers that do not leave are asked less and less often, and others in turn; the first three never.
    let mut all = Vec::new();
    for _ in 0..3600 {
        all.extend(told(&rig.pass(1), "spare"));
    }
    for (number, peer) in peers.iter().chain(&more).enumerate() {
        let times = asked.iter().chain(&all).filter(|conn| **conn == peer.conn);
        assert_eq!(times.count(), if number < 3 { 0 } else { 6 }, "{number}");
    }
}

#[test]
fn t37_nobody_is_asked_who_came_for_a_user_or_has_not_announced_or_when_it_is_turned_off() {
    for how in 0..3 {
        let mut rig = Rig::with(|params| match how {
            0 => params.soft_max_peers = 0,
            1 => params.extensions = false,
            _ => {}
        });
        if how == 2 {
            for number in 0..30 {
                rig.join(&format!("reference {number}"));
            }
        } else {
            crowd(&mut rig, "10.0.0.1", 0..30);
        }
        for _ in 0..100 {
            assert!(told(&rig.pass(1), "spare").is_empty(), "{how}");
        }
    }
    let mut rig = Rig::new();
    let peers = crowd(&mut rig, "10.0.0.1", 0..13);
    let mut out = Effects::new();
    let (now, wanted) = (rig.now, Some(id("peer 12")));
    let anywhere = address("10.0.0.1:1");
    rig.mesh.connect(now, Ticket(1), anywhere, wanted, &mut out);
    assert!(matches!(
        &out[..],
        [Effect::Answer {
            answer: Answer::Connect(Ok(_)),
            ..
        }]
    ));
    assert_eq!(told(&rig.pass(4), "spare"), [peers[11].conn]);
}

#[test]
fn t37_the_last_of_a_network_stays_unless_there_are_more_networks_than_peers_wanted() {
    let mut rig = patient();
    let kin = crowd(&mut rig, "10.0.0.1", 0..12);
    let lone = crowd(&mut rig, "10.9.0.1", 12..13);
    assert_eq!(told(&rig.pass(4), "spare"), [kin[11].conn]);
    for _ in 0..3600 {
        let asked = told(&rig.pass(1), "spare");
        assert!(!asked.contains(&lone[0].conn));
    }
    let mut rig = Rig::new();
    for number in 0..13 {
        let host = format!("10.{number}.0.1");
        crowd(&mut rig, &host, number..number + 1);
    }
    assert_eq!(told(&rig.pass(4), "spare").len(), 1);
}

#[test]
fn t37_who_is_asked_goes_if_only_a_list_led_it_there_and_enough_others_are_left() {
    let mut rig = Rig::new();
    let others = crowd(&mut rig, "10.0.0.1", 0..1);
    // The first that it dialled stays.
    let first = listed(&mut rig, &others[0], "first", "10.0.0.3:1");
    listed(&mut rig, &others[0], "second", "10.0.0.4:1");
    let out = rig.hear(first.conn, &verb(&first, "spare", &[]));
    assert!(out.is_empty(), "{out:?}");
    let hub = listed(&mut rig, &others[0], "hub", "10.0.0.5:1");
    rig.input(Input::Closed {
        conn: others[0].conn,
        why: Ended::ByPeer,
    });
    let out = rig.hear(hub.conn, &verb(&hub, "spare", &[]));
    assert!(out.is_empty(), "two would be left: {out:?}");
    let others = crowd(&mut rig, "10.0.0.1", 1..3);
    let out = rig.hear(hub.conn, &verb(&hub, "spare", &[]));
    assert_eq!(told(&out, "leaving"), [hub.conn]);
    assert!(left(&out).is_empty(), "it is read to its end");

    // What is in transit is read; nothing more is written.
    rig.send(&["to the others"]).unwrap();
    let out = std::mem::take(&mut rig.out);
    assert!(!targets(&out).contains(&hub.conn));
    let whisper = hub.frame(&Flag::Whisper, &packets(&["whisper", "on its way"]), NOON);
    let out = rig.hear(hub.conn, &whisper);
    assert_eq!(delivered(&out).len(), 1);
    let out = rig.hear(hub.conn, &verb(&hub, "leaving", &[]));
    assert_eq!(closed(&out), ["spare"]);
    assert_eq!(left(&out), [(id("hub"), "spare")]);
    assert_eq!(rig.mesh.stats().links_spared, 1);

    // Not dialled again when another list names it.
    let control = Control::Peers {
        entries: vec![PeerEntry {
            id: id("hub"),
            address: address("10.0.0.5:1"),
        }],
        skipped: 0,
    };
    let list = others[1].frame(&Flag::Whisper, &control.packets(GENERATION), NOON);
    let out = rig.hear(others[1].conn, &list);
    assert!(!out.iter().any(|it| matches!(it, Effect::Dial { .. })));
}

#[test]
fn t37_a_link_that_a_user_asked_for_stays() {
    for before in [true, false] {
        let mut rig = Rig::new();
        let others = crowd(&mut rig, "10.0.0.1", 0..5);
        let (now, at) = (rig.now, address("10.0.0.5:1"));
        let mut out = Effects::new();
        let hub = if before {
            rig.mesh.connect(now, Ticket(1), at.clone(), None, &mut out);
            let Effect::Dial { conn, .. } = out[0] else {
                panic!("{out:?}")
            };
            rig.input(Input::Dialed { conn, addr: at });
            rig.hear(conn, &Rig::handshake("hub", announced));
            let composer = composer("hub");
            Played { conn, composer }
        } else {
            let hub = listed(&mut rig, &others[0], "hub", "10.0.0.5:1");
            rig.mesh.connect(now, Ticket(1), at, None, &mut out);
            hub
        };
        let out = rig.hear(hub.conn, &verb(&hub, "spare", &[]));
        assert!(out.is_empty(), "{before}: {out:?}");
    }
}

#[test]
fn t37_who_goes_is_told_where_else_to_go_and_cannot_stay_on() {
    let mut rig = Rig::new();
    let peers = crowd(&mut rig, "10.0.0.1", 0..13);
    let [.., goes] = &peers[..] else { panic!() };
    let unasked = rig.hear(peers[3].conn, &verb(&peers[3], "leaving", &[]));
    assert!(told(&unasked, "leaving").is_empty() && closed(&unasked).is_empty());
    assert_eq!(rig.mesh.stats().misplaced, 1);

    assert_eq!(told(&rig.pass(4), "spare"), [goes.conn]);
    let out = rig.hear(goes.conn, &verb(goes, "leaving", &[]));
    let said = written(&out);
    let list = SubFlag::Peers.packet(GENERATION);
    assert_eq!(Packet::from(said[0].2[0].as_str()), list, "where else");
    assert_eq!(told(&out, "leaving"), [goes.conn]);
    assert!(left(&out).is_empty());
    assert_eq!(rig.mesh.peers().len(), 12);
    // The peer has answered, and stays.
    rig.hear(peers[0].conn, &verb(&peers[0], "unknown", &[]));
    for _ in 0..29 {
        assert!(closed(&rig.pass(1)).iter().all(|why| *why != "spare"));
        for peer in &peers {
            rig.hear(peer.conn, &verb(peer, "unknown", &[]));
        }
    }
    let out = rig.pass(1);
    assert_eq!(closed(&out), ["spare"]);
    assert_eq!(left(&out), [(id("peer 12"), "spare")]);
}

#[test]
fn t37_who_comes_anew_while_its_old_link_is_going_is_let_in() {
    let mut rig = Rig::new();
    let peers = crowd(&mut rig, "10.0.0.1", 0..13);
    let [.., goes] = &peers[..] else { panic!() };
    rig.pass(4);
    rig.hear(goes.conn, &verb(goes, "leaving", &[]));
    let conn = rig.accept("10.0.0.1:60000");
    let out = rig.hear(conn, &Rig::handshake("peer 12", announced));
    assert_eq!(closed(&out), ["spare"]);
    let told = out.iter().filter_map(|effect| match effect {
        Effect::Notify(event @ (Event::PeerLeft { .. } | Event::PeerJoined { .. })) => {
            Some(event.code())
        }
        _ => None,
    });
    assert_eq!(told.collect::<Vec<_>>(), ["peer_left", "peer_joined"]);
}

#[test]
fn t37_a_member_that_asks_without_end_costs_its_own_links_and_few_at_once() {
    let mut rig = Rig::with(|params| params.max_outgoing = 12);
    let others = crowd(&mut rig, "10.0.0.1", 0..5);
    let hubs: Vec<Played> = (0..8)
        .map(|number| {
            let (name, at) = (format!("hub {number}"), format!("10.0.0.{}:1", 10 + number));
            listed(&mut rig, &others[0], &name, &at)
        })
        .collect();
    let mut gone = 0;
    for hub in hubs.iter().rev() {
        gone += told(&rig.hear(hub.conn, &verb(hub, "spare", &[])), "leaving").len();
    }
    assert_eq!(gone, 4, "then one in five seconds");
    for other in &others {
        let out = rig.hear(other.conn, &verb(other, "spare", &[]));
        assert!(told(&out, "leaving").is_empty(), "it came to us");
    }
    assert_eq!(rig.mesh.stats().misplaced, 5);
}

#[test]
fn as_many_links_as_a_number_can_say_may_be_sought() {
    let mut rig = Rig::with(|params| {
        params.max_outgoing = usize::MAX;
        params.keepalive_interval = Duration::ZERO;
    });
    crowd(&mut rig, "10.0.0.1", 0..20);
    for _ in 0..10 {
        assert!(told(&rig.pass(1), "spare").is_empty());
    }
}
