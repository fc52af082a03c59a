//! Clocks that move while connected: which events are raised, and which peers are not blamed.

use crate::mesh::tests::rig::*;

fn skews(out: &[Effect]) -> Vec<i64> {
    let skews = out.iter().filter_map(|effect| match effect {
        Effect::Notify(Event::ClockSkew { seconds, .. }) => Some(*seconds),
        _ => None,
    });
    skews.collect()
}

/// The answer to the last probe written.
fn pong(played: &Played, asked: &[Effect], time: u64) -> Bytes {
    let asked = written(asked)
        .into_iter()
        .find(|(_, _, texts)| texts[0] == "\u{8}" && texts[1] != "*");
    let response = Control::Response {
        request: asked.expect("a question").2[1].parse().unwrap(),
        id: id("us"),
        address: address("127.0.0.1:1000"),
    };
    played.frame(&Flag::Broadcast, &response.packets(GENERATION), time)
}

#[test]
fn f15_a_neighbour_whose_clock_has_moved_is_told_after_the_first_message_dropped() {
    for step in [300_i64, -600] {
        let mut rig = Rig::new();
        let a = rig.join("a");
        let theirs = NOON.checked_add_signed(step).unwrap();
        let asked = rig.hear(a.conn, &a.frame(&Flag::Broadcast, &user(&["lost"]), theirs));
        assert!(delivered(&asked).is_empty() && skews(&asked).is_empty());
        let out = rig.hear(a.conn, &pong(&a, &asked, theirs));
        assert_eq!(skews(&out), [step]);
        // Reported once.
        let out = rig.hear(a.conn, &a.frame(&Flag::Broadcast, &user(&["too"]), theirs));
        assert!(written(&out).is_empty() && skews(&out).is_empty());
    }
}

#[test]
fn f15_a_node_that_stood_still_accuses_nobody() {
    let mut rig = Rig::new();
    let a = rig.join("a");
    // Input received during the pause is read now, all of it too old.
    rig.now.monotonic += Duration::from_secs(90);
    rig.now.unix += 90;
    let mut asked = rig.hear(
        a.conn,
        &a.frame(&Flag::Broadcast, &user(&["old"]), NOON + 2),
    );
    asked.extend(rig.hear(
        a.conn,
        &a.frame(&Flag::Broadcast, &user(&["older"]), NOON + 1),
    ));
    let out = rig.hear(a.conn, &pong(&a, &asked, NOON + 90));
    assert!(skews(&asked).is_empty() && skews(&out).is_empty());
    // A slow answer proves nothing either.
    rig.now.monotonic += Duration::from_secs(20);
    rig.now.unix += 20;
    let asked = rig.hear(
        a.conn,
        &a.frame(&Flag::Broadcast, &user(&["old"]), NOON + 3),
    );
    rig.now.monotonic += Duration::from_secs(70);
    rig.now.unix += 70;
    assert!(skews(&rig.hear(a.conn, &pong(&a, &asked, NOON + 110))).is_empty());
}

#[test]
fn f15_a_step_of_our_own_clock_is_told_and_the_neighbours_are_asked() {
    let mut rig = Rig::new();
    let a = rig.join("a");
    rig.pass(1);
    rig.now.unix += 300;
    let out = rig.pass(1);
    let stepped = out
        .iter()
        .any(|effect| matches!(effect, Effect::Notify(Event::ClockStepped { seconds: 300 })));
    assert!(stepped, "{out:?}");
    assert_eq!(rig.mesh.stats().clock_steps, 1);
    let out = rig.hear(a.conn, &pong(&a, &out, NOON + 2));
    assert_eq!(skews(&out), [-300]);
}
