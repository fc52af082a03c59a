//! Admission and bans: which connections are accepted, and which are refused.

use crate::mesh::tests::rig::*;

#[test]
fn t32_what_is_only_counted_is_told_at_a_bounded_rate() {
    let mut rig = Rig::new();
    let a = rig.join("a");
    let misplaced = a.frame(&Flag::Broadcast, &Control::Resend.packets(GENERATION), NOON);
    let told = |out: &[Effect]| -> Vec<(&'static str, u64)> {
        let told = out.iter().filter_map(|effect| match effect {
            Effect::Notify(Event::Dropped { counter, count }) => Some((*counter, *count)),
            _ => None,
        });
        told.collect()
    };
    rig.hear(a.conn, &misplaced);
    assert_eq!(told(&rig.pass(1)), [("misplaced", 1)]);
    for n in 0..9 {
        let misplaced = a.frame(
            &Flag::Broadcast,
            &Control::Resend.packets(GENERATION),
            NOON + n + 1,
        );
        rig.hear(a.conn, &misplaced);
        assert!(told(&rig.pass(1)).is_empty());
    }
    assert_eq!(told(&rig.pass(1)), [("misplaced", 9)]);
}

#[test]
fn t8_strangers_that_only_wait_never_keep_a_good_peer_out() {
    let mut rig = Rig::new();
    for n in 0..10_000 {
        rig.accept(&format!("10.0.{}.{}:5000", n % 8, n % 200));
    }
    assert_eq!(rig.mesh.awaiting().len(), rig.mesh.params().max_pending);
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
    let (pending, _) = join(&mut rig, "another", "198.18.0.1:5000");
    assert!(rig.mesh.peers().iter().any(|peer| peer.conn == pending));
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
fn t8_whoever_has_proven_its_id_gives_way_last() {
    let mut rig = Rig::with(|params| params.max_pending = 3);
    let member = rig.accept("192.0.2.1:1");
    rig.input(Input::Proven {
        conn: member,
        id: id("member"),
    });
    for port in 2..20 {
        rig.accept(&format!("192.0.2.1:{port}"));
    }
    assert!(rig.mesh.awaiting().iter().any(|it| it.conn == member));
    rig.hear(member, &Rig::handshake("member", |_| {}));
    assert_eq!(rig.mesh.peers().len(), 1);

    // Connections that have proven their id and send no handshake are bounded, too.
    for port in 100..110 {
        let conn = rig.accept(&format!("192.0.2.2:{port}"));
        rig.input(Input::Proven {
            conn,
            id: id(&format!("{port}")),
        });
    }
    assert!(rig.mesh.awaiting().len() <= 3);
}
