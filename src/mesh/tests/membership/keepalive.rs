//! Keepalive and reconnecting.

use crate::mesh::tests::rig::*;

#[test]
fn f1_a_silent_peer_is_asked_for_a_sign_of_life_and_then_given_up() {
    let mut rig = Rig::with(|params| params.max_outgoing = 0);
    let (a, b) = (rig.join("a"), rig.join("bb"));
    let out = rig.pass(20);
    assert_eq!(targets(&out), [a.conn, b.conn]);
    let asked = written(&out);
    assert_eq!(
        asked[0].2[2],
        rig.mesh.me().to_string(),
        "each has us, and can answer"
    );
    // a answers; its answer is not relayed.
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
fn f1_a_silent_peer_that_takes_what_waits_for_it_is_not_given_up() {
    let mut rig = Rig::with(|params| params.max_outgoing = 0);
    let slow = rig.join("a");
    let out = rig.pass(20);
    let watched = |effect: &Effect| matches!(effect, Effect::Watch { conn } if *conn == slow.conn);
    assert!(out.iter().any(watched));
    rig.input(Input::Taking { conn: slow.conn });
    assert!(closed(&rig.pass(10)).is_empty());
    // It is probed again, and closed once it reads nothing.
    assert!(rig.pass(10).iter().any(watched));
    assert_eq!(closed(&rig.pass(10)), ["unresponsive"]);
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
