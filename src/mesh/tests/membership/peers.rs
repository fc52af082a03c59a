//! Peers lists: what we send, and what we do with those of others.

use crate::mesh::tests::rig::*;

#[test]
fn who_announces_ever_more_addresses_has_us_dial_at_a_bounded_rate() {
    let mut rig = Rig::new();
    let mut dialled = 0;
    for number in 0..1000 {
        let mut out = Effects::new();
        let announced = address(&format!("10.0.{}.{}:1", number / 250, number % 250));
        rig.mesh.meet(rig.now, [announced], &mut out);
        for effect in out {
            if let Effect::Dial { conn, .. } = effect {
                dialled += 1;
                let why = DialError::Refused;
                rig.input(Input::DialFailed { conn, why });
            }
        }
    }
    assert_eq!(dialled, 8, "as many as peers lists may cause at once");
}

#[test]
fn of_the_addresses_behind_a_name_those_not_connected_are_dialled_as_long_as_links_are_wanted() {
    let mut rig = Rig::with(|params| params.max_outgoing = 3);
    let found = [
        "127.0.0.1:1000",
        "127.0.0.2:1",
        "127.0.0.3:1",
        "127.0.0.4:1",
        "127.0.0.5:1",
    ];
    let meet = |rig: &mut Rig| {
        let mut out = Effects::new();
        rig.mesh.meet(rig.now, found.map(address), &mut out);
        let dials = out.into_iter().filter_map(|effect| match effect {
            Effect::Dial { conn, addr } => Some((conn, addr)),
            _ => None,
        });
        dials.collect::<Vec<_>>()
    };
    let dialled = meet(&mut rig);
    assert_eq!(dialled.len(), 3);
    assert!(
        dialled.iter().all(|(_, addr)| *addr != address(found[0])),
        "that is us"
    );
    assert!(
        meet(&mut rig).is_empty(),
        "as many as are wanted are under way"
    );
    for (conn, _) in &dialled {
        rig.input(Input::DialFailed {
            conn: *conn,
            why: DialError::Refused,
        });
    }
    // The remaining one; the others were tried a moment ago.
    let rest = meet(&mut rig);
    assert_eq!(rest.len(), 1);
    assert!(dialled.iter().all(|(_, addr)| *addr != rest[0].1));
    rig.pass(61);
    assert_eq!(meet(&mut rig).len(), 2);
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
    // A peer on the public Internet cannot make us dial into our own network.
    let mut rig = Rig::new();
    let conn = rig.accept("8.8.8.8:50000");
    // The address it announces, 127.0.0.1, counts for nothing.
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

/// Offers a peers list and returns the dials it causes.
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
    let mut rig = Rig::with(|params| params.keepalive_interval = Duration::ZERO);
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
    // A user may dial it at any time.
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
    // A peer that was connected and got lost may be dialled again because of a list.
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
    // A mesh may be in one network, which is ours: half of all connections may be there.
    let near = ["9.9.1.2", "9.9.1.3", "9.9.1.4", "9.9.1.5", "9.9.1.6"];
    let near = near.map(|host| offer(&mut rig, &a, listed(&[host])).len());
    assert_eq!(near, [1, 1, 1, 1, 0]);
    // Private networks do not count either: there is only one.
    let near = listed(&["10.0.0.1", "10.0.0.2"]);
    assert_eq!(offer(&mut rig, &a, near).len(), 1, "one is left of eight");
}

#[test]
fn t17_after_a_start_the_last_own_choices_are_dialled_whoever_is_there() {
    let mut rig = Rig::with(|params| params.keepalive_interval = Duration::ZERO);
    let place = |port: u16, dialled| Place {
        address: address(&format!("127.0.0.1:{port}")),
        last_good: u64::from(port),
        dialled,
    };
    // Strangers came later than the peers it chose itself, and one of them joins first again.
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
    let mut rig = Rig::with(|params| params.keepalive_interval = Duration::ZERO);
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
        assert_eq!(list.len(), crate::mesh::membership::peer_exchange::MAX_TOLD);
        told.extend(list);
    }
    assert_eq!(told.len(), 201);
}
