//! Two connections under one id: which one is kept, and what is delivered meanwhile.

use crate::mesh::tests::rig::*;

fn extended(control: &mut Control) {
    if let Control::Handshake { extended, .. } = control {
        *extended = true;
    }
}

/// The extension messages written: on which connection, and their words.
fn verbs(out: &[Effect]) -> Vec<(ConnId, Vec<String>)> {
    let said = written(out).into_iter();
    let said = said.filter(|(_, _, texts)| texts[0] == "mesh+");
    said.map(|(conn, _, texts)| (conn, texts[1..].to_vec()))
        .collect()
}

fn say(played: &Played, words: &[&str]) -> Bytes {
    verb(played, words[0], &words[1..])
}

/// The answer to our probe.
fn pong(played: &Played, asked: &[Effect], time: u64) -> Bytes {
    let asked = written(asked)
        .into_iter()
        .find(|(conn, _, texts)| *conn == played.conn && texts[0] == "\u{8}" && texts[1] != "*");
    let response = Control::Response {
        request: RequestId::parse(asked.unwrap().2[1].as_bytes()).unwrap(),
        id: id("us"),
        address: address("127.0.0.1:1000"),
    };
    played.frame(&Flag::Broadcast, &response.packets(GENERATION), time)
}

fn told(out: &[Effect]) -> Vec<&Event> {
    let events = out.iter().filter_map(|effect| match effect {
        Effect::Notify(event) => Some(event),
        _ => None,
    });
    events.collect()
}

fn whisper(played: &Played, text: &str) -> Bytes {
    let kind = SubFlag::Whisper.packet(GENERATION);
    played.frame(&Flag::Whisper, &[kind, Packet::from(text)], NOON)
}

/// A second connection under this name, and its effects.
fn claim(rig: &mut Rig, name: &str, change: impl FnOnce(&mut Control)) -> (Played, Effects) {
    let conn = rig.accept("127.0.0.1:50001");
    let out = rig.hear(conn, &Rig::handshake(name, change));
    let composer = composer(name);
    (Played { conn, composer }, out)
}

#[test]
fn t13_a_claim_is_refused_as_soon_as_the_peer_gives_a_sign_of_life() {
    for seconds in [0, 6] {
        let mut rig = Rig::new();
        let a = rig.join("a");
        rig.pass(seconds);
        let (impostor, asked) = claim(&mut rig, "a", |_| {});
        assert!(closed(&asked).is_empty() && told(&asked).is_empty());
        let out = rig.hear(impostor.conn, &whisper(&impostor, "in its name"));
        assert!(delivered(&out).is_empty());
        rig.send(&["hello"]).unwrap();
        assert_eq!(targets(&rig.out), [a.conn]);
        let out = rig.hear(a.conn, &pong(&a, &asked, rig.now.unix));
        assert_eq!(closed(&out), ["duplicate"]);
        assert!(
            matches!(told(&out)[..], [Event::IdConflict { .. }]),
            "{out:?}"
        );
        assert_eq!(rig.mesh.peers()[0].conn, a.conn);
    }
}

#[test]
fn t13_who_waits_behind_a_peer_that_leaves_is_news() {
    let mut rig = Rig::new();
    let a = rig.join("a");
    let (second, _) = claim(&mut rig, "a", |_| {});
    rig.hear(second.conn, &whisper(&second, "held back"));
    let conn = a.conn;
    let out = rig.input(Input::Closed {
        conn,
        why: Ended::ByPeer,
    });
    assert!(
        matches!(
            told(&out)[..],
            [Event::PeerLeft { .. }, Event::PeerJoined { .. }]
        ),
        "{out:?}"
    );
    assert_eq!(delivered(&out), ["held back"]);
    assert_eq!(rig.mesh.peers()[0].conn, second.conn);
}

#[test]
fn f13_a_peer_behind_a_dead_link_is_back_after_five_seconds() {
    for change in [extended as fn(&mut Control), |_| {}] {
        let mut rig = Rig::new();
        let a = rig.join_with("a", change);
        rig.pass(60);
        rig.hear(a.conn, &whisper(&a, "alive until now"));
        let (again, _) = claim(&mut rig, "a", change);
        assert!(closed(&rig.pass(4)).is_empty());
        let out = rig.pass(2);
        assert_eq!(closed(&out), ["unresponsive"]);
        assert_eq!(rig.mesh.peers()[0].conn, again.conn);
        // Its handshake was stamped a minute before it came. The six seconds it was held do not add to that.
        let skew = told(&out).into_iter().find_map(|event| match event {
            Event::ClockSkew { seconds, .. } => Some(seconds),
            _ => None,
        });
        assert_eq!(skew, Some(&-60));
    }
}

#[test]
fn t13_a_claim_from_the_end_of_time_does_no_harm() {
    let mut rig = Rig::new();
    rig.join("a");
    rig.pass(60);
    let conn = rig.accept("127.0.0.1:50001");
    rig.hear(conn, &Rig::handshake_at("a", u64::MAX, |_| {}));
    let out = rig.pass(6);
    assert_eq!(closed(&out), ["unresponsive"]);
    assert_eq!(rig.mesh.peers()[0].conn, conn);
}

#[test]
fn t13_nobody_else_can_repeat_what_only_the_peer_was_asked() {
    let mut rig = Rig::new();
    let a = rig.join_with("a", extended);
    let (impostor, asked) = claim(&mut rig, "a", extended);
    let [(conn, words)] = &verbs(&asked)[..] else {
        panic!("{asked:?}")
    };
    assert_eq!((*conn, &*words[0]), (a.conn, "bind"));
    let out = rig.hear(impostor.conn, &say(&impostor, &["echo", &"0".repeat(32)]));
    assert!(closed(&out).is_empty() && delivered(&out).is_empty());
    // The peer knows no other connection.
    let out = rig.hear(a.conn, &say(&a, &["bound", &words[1]]));
    assert_eq!(closed(&out), ["duplicate"]);
    assert!(
        matches!(told(&out)[..], [Event::IdConflict { .. }]),
        "{out:?}"
    );

    // Nor is a man in the middle believed, who relays the token over its own connections: the peer accepted one, and
    // we the other.
    let (middle, asked) = claim(&mut rig, "a", extended);
    let token = verbs(&asked)[0].1[1].clone();
    rig.hear(middle.conn, &say(&middle, &["echo", &token]));
    let out = rig.hear(a.conn, &say(&a, &["bound", &token, "accepted"]));
    assert_eq!(closed(&out), ["duplicate"]);
    assert_eq!(rig.mesh.peers()[0].conn, a.conn);
}

#[test]
fn f14_two_connections_of_one_node_come_down_to_one_without_a_loss() {
    for name in ["a", "b", "c", "d", "e", "f"] {
        let mut rig = Rig::new();
        let there = address("127.0.0.1:2001");
        let mut out = Effects::new();
        rig.mesh
            .connect(rig.now, Ticket(1), there.clone(), None, &mut out);
        let Effect::Dial { conn, .. } = out[0] else {
            panic!("{out:?}")
        };
        let old = rig.join_with(name, extended);
        rig.input(Input::Dialed { conn, addr: there });
        let out = rig.hear(conn, &Rig::handshake(name, extended));
        let answered = out.iter().any(|effect| {
            matches!(
                effect,
                Effect::Answer {
                    answer: Answer::Connect(Ok(_)),
                    ..
                }
            )
        });
        assert!(answered && told(&out).is_empty(), "{out:?}");
        let token = verbs(&out)[0].1[1].clone();
        let new = Played {
            conn,
            composer: composer(name),
        };
        assert!(delivered(&rig.hear(conn, &whisper(&new, "early"))).is_empty());
        rig.hear(conn, &say(&new, &["echo", &token]));
        let out = rig.hear(old.conn, &say(&old, &["bound", &token, "accepted"]));
        assert_eq!(delivered(&out), ["early"]);
        let (kept, left) = if rig.mesh.me().cmp_numeric(&id(name)).is_gt() {
            assert_eq!(verbs(&out), [(conn, vec!["moved".to_owned()])]);
            let out = rig.hear(conn, &whisper(&new, "late"));
            assert_eq!(delivered(&out), ["late"]);
            let out = rig.hear(conn, &say(&new, &["moved"]));
            assert_eq!(closed(&out), ["duplicate"]);
            assert!(told(&out).is_empty());
            (old, new)
        } else {
            let out = rig.hear(old.conn, &say(&old, &["moved"]));
            assert_eq!(verbs(&out)[0], (old.conn, vec!["moved".to_owned()]));
            assert_eq!(closed(&out), ["duplicate"]);
            assert!(told(&out).is_empty());
            (new, old)
        };
        let conn = left.conn;
        assert!(
            rig.input(Input::Closed {
                conn,
                why: Ended::ByPeer
            })
            .is_empty()
        );
        assert_eq!(rig.mesh.peers().len(), 1);
        rig.send(&["on"]).unwrap();
        assert_eq!(targets(&rig.out), [kept.conn]);
    }
}

#[test]
fn we_repeat_what_a_peer_asks_on_the_other_connection() {
    let mut rig = Rig::new();
    let old = rig.join_with("a", extended);
    let (new, _) = claim(&mut rig, "a", extended);
    let out = rig.hear(old.conn, &say(&old, &["bind", "token"]));
    let expected = [
        (new.conn, vec!["echo".to_owned(), "token".to_owned()]),
        (
            old.conn,
            ["bound", "token", "accepted"].map(str::to_owned).to_vec(),
        ),
    ];
    assert_eq!(verbs(&out), expected);
    // Without a second connection there is none to report, unless its handshake may be in transit.
    let b = rig.join_with("bb", extended);
    let bound = (b.conn, vec!["bound".to_owned(), "token".to_owned()]);
    assert_eq!(
        verbs(&rig.hear(b.conn, &say(&b, &["bind", "token"]))),
        std::slice::from_ref(&bound)
    );
    rig.accept("127.0.0.1:50009");
    assert!(verbs(&rig.hear(b.conn, &say(&b, &["bind", "token"]))).is_empty());
    assert!(verbs(&rig.pass(2)).is_empty());
    assert_eq!(verbs(&rig.pass(1)), [bound]);
}

#[test]
fn a_js2p_whose_second_connection_ends_is_greeted_again() {
    let mut rig = Rig::new();
    let tight = |control: &mut Control| {
        if let Control::Handshake { dialect, .. } = control {
            *dialect = Dialect::Tight;
        }
    };
    let a = rig.join_with("a", tight);
    rig.pass(60);
    rig.hear(a.conn, &whisper(&a, "alive"));
    let (_, asked) = claim(&mut rig, "a", tight);
    let out = rig.hear(a.conn, &pong(&a, &asked, rig.now.unix));
    assert_eq!(closed(&out), ["duplicate"]);
    let said = written(&rig.pass(1));
    assert!(
        said.iter()
            .any(|(conn, _, texts)| *conn == a.conn && texts[0] == "\u{3}"),
        "{said:?}"
    );
    assert!(written(&rig.pass(1)).is_empty());
}

#[test]
fn a_py2p_that_gave_up_both_is_dialled_within_two_seconds() {
    let mut rig = Rig::new();
    let a = rig.join("a");
    rig.pass(60);
    rig.hear(a.conn, &whisper(&a, "alive"));
    let (second, _) = claim(&mut rig, "a", |_| {});
    let conn = second.conn;
    rig.input(Input::Closed {
        conn,
        why: Ended::ByPeer,
    });
    let out = rig.pass(1);
    assert_eq!(closed(&out), ["unresponsive"]);
    assert!(
        out.iter()
            .any(|effect| matches!(effect, Effect::Dial { .. })),
        "{out:?}"
    );
}

#[test]
fn a_py2p_that_gives_up_one_connection_after_the_other_is_dialled_once_more() {
    let mut rig = Rig::new();
    let a = rig.join("a");
    rig.pass(60);
    rig.hear(a.conn, &whisper(&a, "alive"));
    let (second, _) = claim(&mut rig, "a", |_| {});
    let mut dialled = Vec::new();
    for conn in [a.conn, second.conn] {
        let why = Ended::ByPeer;
        dialled.push(dials(&rig.input(Input::Closed { conn, why })).len());
    }
    assert_eq!(dialled, [0, 1]);
}

#[test]
fn an_address_that_a_user_asked_for_is_kept_if_its_peer_was_there_already() {
    let mut rig = Rig::new();
    rig.join("a");
    let to = address("127.0.0.1:9");
    let mut out = Effects::new();
    rig.mesh
        .connect(rig.now, Ticket(1), to.clone(), None, &mut out);
    let (conn, _) = dials(&out)[0].clone();
    rig.input(Input::Dialed { conn, addr: to });
    rig.hear(conn, &Rig::handshake("a", |_| {}));
    for peer in [conn, rig.mesh.peers()[0].conn] {
        let why = Ended::ByPeer;
        rig.input(Input::Closed { conn: peer, why });
    }
    let dialled = (0..60).flat_map(|_| dials(&rig.pass(1)));
    let dialled: Vec<String> = dialled.map(|(_, to)| to).collect();
    assert!(dialled.contains(&"127.0.0.1:9".to_owned()), "{dialled:?}");
}

#[test]
fn t13_so_many_claims_to_one_id_are_held_and_no_more() {
    let mut rig = Rig::new();
    rig.join("a");
    for held in 1..=6 {
        let (_, out) = claim(&mut rig, "a", |_| {});
        assert_eq!(closed(&out).is_empty(), held <= 4);
    }
}
