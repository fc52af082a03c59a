//! Whispers and searches: to peers that are not connected.

use crate::mesh::tests::rig::*;

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
fn t15_a_whisper_is_not_sent_to_whoever_answers_for_its_peer() {
    let mut rig = Rig::new();
    let a = rig.join("a");
    let mut out = Effects::new();
    let secret = Packets::from("secret");
    let within = Duration::from_secs(10);
    rig.mesh.whisper(
        rig.now,
        OutgoingWhisper::new(Ticket(1), id("friend"), secret, within),
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
fn t31_whispers_that_wait_have_bounds_of_their_own_and_hold_nothing_else() {
    let mut rig = Rig::new();
    rig.join("a");
    let held = std::sync::Arc::new(());
    let (mut waiting, mut busy) = (0, 0);
    for n in 0..1200_u64 {
        let mut out = Effects::new();
        let to = id(&format!("author {}", n % 40));
        let hold = Hold::new(std::sync::Arc::clone(&held));
        let within = Duration::from_secs(10);
        rig.mesh.whisper(
            rig.now,
            OutgoingWhisper {
                hold,
                ..OutgoingWhisper::new(Ticket(n), to, Packets::from("reply"), within)
            },
            &mut out,
        );
        let refused = out.iter().any(|effect| {
            matches!(
                effect,
                Effect::Answer {
                    answer: Answer::Whisper(Err(WhisperError::Busy(_))),
                    ..
                }
            )
        });
        waiting += u64::from(!refused);
        busy += u64::from(refused);
    }
    assert_eq!((waiting, busy), (1024, 176));
    assert_eq!(
        std::sync::Arc::strong_count(&held),
        1,
        "the send budget is free"
    );
    // One silent author has no more than its share.
    let mut rig = Rig::new();
    rig.join("a");
    let mut waiting = 0;
    for n in 0..200 {
        let mut out = Effects::new();
        let within = Duration::from_secs(10);
        rig.mesh.whisper(
            rig.now,
            OutgoingWhisper::new(Ticket(n), id("silent"), Packets::from("x"), within),
            &mut out,
        );
        waiting += usize::from(
            !out.iter()
                .any(|effect| matches!(effect, Effect::Answer { .. })),
        );
    }
    assert_eq!(waiting, 64);
    // All of it is released at the end.
    rig.pass(11);
    let mut out = Effects::new();
    let within = Duration::from_secs(10);
    rig.mesh.whisper(
        rig.now,
        OutgoingWhisper::new(Ticket(9), id("silent"), Packets::from("x"), within),
        &mut out,
    );
    assert!(
        !out.iter()
            .any(|effect| matches!(effect, Effect::Answer { .. }))
    );
}
