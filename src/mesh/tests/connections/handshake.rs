//! Handshakes: which are accepted, under which id, on which of two connections.

use crate::mesh::tests::rig::*;

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
fn t13_an_id_that_the_key_does_not_stand_for_is_refused() {
    let mut rig = Rig::new();
    let victim = rig.join("a");
    let conn = rig.accept("127.0.0.1:50000");
    rig.input(Input::Proven {
        conn,
        id: id("thief"),
    });
    let out = rig.hear(conn, &Rig::handshake("a", |_| {}));
    assert_eq!(closed(&out), ["unproven_id"]);
    assert_eq!(rig.mesh.peers().len(), 1, "the victim stays");
    assert_eq!(rig.mesh.peers()[0].conn, victim.conn);

    let conn = rig.accept("127.0.0.1:50001");
    rig.input(Input::Proven { conn, id: id("b") });
    rig.hear(conn, &Rig::handshake("b", |_| {}));
    let proven = rig.mesh.peers().into_iter().find(|peer| peer.conn == conn);
    assert!(proven.is_some_and(|peer| peer.proven));
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
        OutgoingWhisper::new(Ticket(2), to, Packets::from("x"), within),
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
