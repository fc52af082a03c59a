//! Renegotiation and resends.

use crate::mesh::tests::rig::*;

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
    let mut rig = Rig::with(|params| params.max_outgoing = 0);
    let a = rig.join("a");
    let payload = Control::Resend.packets(GENERATION);
    let resend = a.frame(&Flag::Renegotiate, &payload, NOON);
    let said = written(&rig.hear(a.conn, &resend));
    assert_eq!(said[0].2[0], "\u{7}", "the peers list was our last message");
    // The peer has read the broadcast: it gets its own copy.
    rig.pass(5);
    rig.send(&["hello"]).unwrap();
    let first = written(&rig.out);
    let again = written(&rig.hear(a.conn, &resend));
    assert_eq!(again, [(a.conn, Flag::Whisper, first[0].2.clone())]);
    assert!(
        rig.hear(a.conn, &resend).is_empty(),
        "T22: one in 5 seconds"
    );
    // The peer could not read the broadcast: it gets the same one.
    rig.pass(5);
    let plain = Control::Compression(vec![]).packets(GENERATION);
    rig.hear(a.conn, &a.frame(&Flag::Renegotiate, &plain, NOON));
    assert_eq!(written(&rig.hear(a.conn, &resend)), first);
}
