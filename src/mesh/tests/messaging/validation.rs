//! Validation: no message is delivered or relayed before its verdict.

use crate::mesh::tests::rig::*;

const SUB: u64 = 7;

fn rule(validator: u64, kind: &str, open: bool) -> ValidationRule {
    ValidationRule {
        validator,
        kinds: vec![kind.into()],
        prefixes: Vec::new(),
        open,
    }
}

fn validating(open: bool) -> (Rig, Played, Played) {
    let mut rig = Rig::new();
    let (a, b) = (rig.join("a"), rig.join("bb"));
    rig.mesh.validate(rule(SUB, "price", open));
    (rig, a, b)
}

fn proposed(effects: &[Effect]) -> Vec<(ProposalId, u64)> {
    let proposed = effects.iter().filter_map(|effect| match effect {
        Effect::Propose {
            proposal,
            validator,
            ..
        } => Some((*proposal, *validator)),
        _ => None,
    });
    proposed.collect()
}

fn judge(rig: &mut Rig, effects: &[Effect], verdict: Option<Acceptance>) -> Effects {
    let mut out = Effects::new();
    for (proposal, _) in proposed(effects) {
        rig.mesh.judge(rig.now, proposal, verdict, &mut out);
    }
    out
}

fn is_quiet(effects: &[Effect]) -> bool {
    targets(effects).is_empty() && delivered(effects).is_empty()
}

fn events(effects: &[Effect]) -> Vec<&'static str> {
    let events = effects.iter().filter_map(|effect| match effect {
        Effect::Notify(event) => Some(event.code()),
        _ => None,
    });
    events.collect()
}

#[test]
fn what_is_accepted_goes_on_as_if_it_had_come_now() {
    let (mut rig, a, b) = validating(false);
    let other = a.frame(&Flag::Broadcast, &packets(&["news", "1"]), NOON);
    let price = a.frame(&Flag::Broadcast, &packets(&["price", "1"]), NOON);
    let out = rig.hear(a.conn, &[&price[..], &other[..]].concat());
    assert_eq!(delivered(&out), ["1"], "of the other kind");
    assert_eq!(targets(&out), [b.conn]);
    assert_eq!(proposed(&out).len(), 1);
    // It is a duplicate already.
    assert!(is_quiet(&rig.hear(b.conn, &price)));
    assert_eq!(rig.mesh.stats().duplicates, 1);
    let out = judge(&mut rig, &out, Some(Acceptance::Accept));
    assert_eq!(delivered(&out), ["1"]);
    assert_eq!(
        written(&out),
        [(
            b.conn,
            Flag::Waterfall,
            vec![String::from("price"), String::from("1")]
        )]
    );
    assert_eq!(rig.mesh.proposals(), 0);
}

#[test]
fn what_is_ignored_or_rejected_is_gone_and_a_word_counts_once() {
    for (verdict, code) in [
        (Acceptance::Ignore, None),
        (Acceptance::Reject, Some("rejected")),
    ] {
        let (mut rig, a, _b) = validating(true);
        let price = a.frame(&Flag::Broadcast, &packets(&["price", "1"]), NOON);
        let held = rig.hear(a.conn, &price);
        let out = judge(&mut rig, &held, Some(verdict));
        assert!(is_quiet(&out), "{out:?}");
        assert_eq!(events(&out), code.into_iter().collect::<Vec<_>>());
        let again = judge(&mut rig, &held, Some(Acceptance::Accept));
        assert!(again.is_empty());
        assert!(is_quiet(&rig.hear(a.conn, &price)));
        let stats = rig.mesh.stats();
        let (ignored, rejected) = match verdict {
            Acceptance::Ignore => (1, 0),
            _ => (0, 1),
        };
        assert_eq!((stats.ignored, stats.rejected), (ignored, rejected));
    }
}

#[test]
fn t35_neither_the_plain_form_nor_a_whisper_is_a_way_around_a_validator() {
    let (mut rig, a, _b) = validating(false);
    let plain = a.frame(&Flag::Broadcast, &user(&["price", "2", "id:x"]), NOON);
    let out = rig.hear(a.conn, &plain);
    assert!(is_quiet(&out) && proposed(&out).len() == 1);
    assert_eq!(
        targets(&judge(&mut rig, &out, Some(Acceptance::Accept))).len(),
        1
    );
    let whisper = a.frame(&Flag::Whisper, &packets(&["price", "3"]), NOON);
    let out = rig.hear(a.conn, &whisper);
    assert!(is_quiet(&out) && proposed(&out).len() == 1);
    let out = judge(&mut rig, &out, Some(Acceptance::Accept));
    assert_eq!(delivered(&out), ["3"]);
    assert!(targets(&out).is_empty(), "a whisper is not relayed");
}

#[test]
fn t35_who_wrote_what_is_rejected_is_blamed_and_who_relayed_it_is_not() {
    let mut rig = Rig::with(|params| params.ban_loopback = true);
    let (a, b) = (rig.join("a"), rig.join("bb"));
    rig.mesh.validate(rule(SUB, "price", false));
    let mut closed_by_us = Vec::new();
    for round in 0..200 {
        let text = format!("{round}");
        let price = a.frame(&Flag::Broadcast, &packets(&["price", &text]), NOON);
        // Through b, which is not its author.
        let held = rig.hear(b.conn, &price);
        closed_by_us.extend(closed(&judge(&mut rig, &held, Some(Acceptance::Reject))));
    }
    assert_eq!((closed_by_us.len(), rig.mesh.stats().bans), (0, 0));
    for round in 200..215 {
        let text = format!("{round}");
        let price = a.frame(&Flag::Broadcast, &packets(&["price", &text]), NOON);
        let held = rig.hear(a.conn, &price);
        closed_by_us.extend(closed(&judge(&mut rig, &held, Some(Acceptance::Reject))));
    }
    assert_eq!(closed_by_us, ["rejected"]);
    assert_eq!(rig.mesh.stats().bans, 1);
    assert_eq!(rig.mesh.peers().len(), 1, "b stays");
}

#[test]
fn without_a_word_it_fails_as_it_was_told_and_says_so() {
    for (open, heard) in [(true, 1), (false, 0)] {
        let (mut rig, a, _b) = validating(open);
        let price = a.frame(&Flag::Broadcast, &packets(&["price", "1"]), NOON);
        let held = rig.hear(a.conn, &price);
        let out = judge(&mut rig, &held, None);
        assert_eq!((delivered(&out).len(), targets(&out).len()), (heard, heard));
        let told = rig.pass(1).into_iter().find_map(|effect| match effect {
            Effect::Notify(Event::Undecided {
                validator,
                messages,
                accepted,
            }) => Some((validator, messages, accepted)),
            _ => None,
        });
        assert_eq!(told, Some((SUB, 1, open)));
        assert_eq!(rig.mesh.stats().undecided, 1);
    }
}

#[test]
fn t35_one_neighbour_cannot_use_up_what_may_wait() {
    let (mut rig, a, b) = validating(false);
    let mut held = 0;
    for number in 0..2000 {
        let text = format!("{number}");
        let price = a.frame(&Flag::Broadcast, &packets(&["price", &text]), NOON);
        held += proposed(&rig.hear(a.conn, &price)).len();
    }
    assert_eq!((held, rig.mesh.proposals()), (256, 256));
    assert_eq!(rig.mesh.stats().undecided, 2000 - 256);
    let price = b.frame(&Flag::Broadcast, &packets(&["price", "mine"]), NOON);
    let out = rig.hear(b.conn, &price);
    assert_eq!(proposed(&out).len(), 1);
    let out = judge(&mut rig, &out, Some(Acceptance::Accept));
    assert_eq!(targets(&out), [a.conn]);
    assert_eq!(rig.mesh.proposals(), 256);
}

#[test]
fn t35_a_neighbour_without_room_cannot_keep_others_messages_from_us_by_relaying_them_first() {
    let (mut rig, a, b) = validating(false);
    let many: Vec<u8> = (0..300)
        .flat_map(|number| {
            let text = format!("{number}");
            a.frame(&Flag::Broadcast, &packets(&["price", &text]), NOON)
        })
        .collect();
    assert_eq!(proposed(&rig.hear(a.conn, &many)).len(), 256, "in one read");
    let author = composer("far");
    let honest = author.compose(&Flag::Broadcast, &packets(&["price", "honest"]), NOON);
    let honest = honest.unwrap().frames.plain;
    assert!(proposed(&rig.hear(a.conn, &honest)).is_empty());
    assert_eq!(rig.mesh.stats().undecided, 45);
    // Another peer brings it, and it is new.
    let held = rig.hear(b.conn, &honest);
    assert_eq!(proposed(&held).len(), 1);
    let out = judge(&mut rig, &held, Some(Acceptance::Accept));
    assert_eq!((delivered(&out).len(), targets(&out)), (1, vec![a.conn]));
}

#[test]
fn several_validators_of_a_kind_must_all_accept() {
    let (mut rig, a, b) = validating(false);
    rig.mesh.validate(rule(3, "price", false));
    let mut prefix = rule(9, "news", false);
    prefix.prefixes = vec!["pri".into()];
    rig.mesh.validate(prefix);
    let price = a.frame(&Flag::Broadcast, &packets(&["price", "1"]), NOON);
    let mut out = rig.hear(a.conn, &price);
    for validator in [3, SUB, 9] {
        assert!(is_quiet(&out));
        assert_eq!(proposed(&out)[0].1, validator);
        out = judge(&mut rig, &out, Some(Acceptance::Accept));
    }
    assert_eq!(
        (delivered(&out), targets(&out)),
        (vec![String::from("1")], vec![b.conn])
    );
    let price = a.frame(&Flag::Broadcast, &packets(&["price", "2"]), NOON);
    let held = rig.hear(a.conn, &price);
    let held = judge(&mut rig, &held, Some(Acceptance::Accept));
    let out = judge(&mut rig, &held, Some(Acceptance::Reject));
    assert!(is_quiet(&out) && proposed(&out).is_empty());
}

#[test]
fn a_validator_that_ends_has_no_say_in_what_waits_for_it() {
    let (mut rig, a, b) = validating(false);
    let price = a.frame(&Flag::Broadcast, &packets(&["price", "1"]), NOON);
    rig.hear(a.conn, &price);
    let mut out = Effects::new();
    assert!(rig.mesh.end_validation(rig.now, SUB, &mut out));
    assert_eq!((delivered(&out).len(), targets(&out)), (1, vec![b.conn]));
    assert!(!rig.mesh.end_validation(rig.now, SUB, &mut out));
}

#[test]
fn it_is_relayed_though_the_neighbour_it_came_from_has_left() {
    let (mut rig, a, b) = validating(false);
    let price = a.frame(&Flag::Broadcast, &packets(&["price", "1"]), NOON);
    let held = rig.hear(a.conn, &price);
    rig.input(Input::Closed {
        conn: a.conn,
        why: Ended::ByPeer,
    });
    let out = judge(&mut rig, &held, Some(Acceptance::Accept));
    assert_eq!((delivered(&out).len(), targets(&out)), (1, vec![b.conn]));
    // The last peer leaves.
    let price = b.frame(&Flag::Broadcast, &packets(&["price", "2"]), NOON);
    let held = rig.hear(b.conn, &price);
    rig.input(Input::Closed {
        conn: b.conn,
        why: Ended::ByPeer,
    });
    let out = judge(&mut rig, &held, Some(Acceptance::Accept));
    assert_eq!((delivered(&out).len(), targets(&out).len()), (1, 0));
}

#[test]
fn what_has_grown_too_old_meanwhile_is_delivered_and_not_relayed() {
    let (mut rig, a, _b) = validating(false);
    let price = a.frame(&Flag::Broadcast, &packets(&["price", "1"]), NOON - 59);
    let held = rig.hear(a.conn, &price);
    rig.pass(5);
    let out = judge(&mut rig, &held, Some(Acceptance::Accept));
    assert_eq!((delivered(&out).len(), targets(&out).len()), (1, 0));
    assert_eq!(rig.mesh.stats().expired, 1);
}

#[test]
fn what_came_compressed_is_relayed_as_it_came() {
    let (mut rig, a, b) = validating(false);
    let text = "1".repeat(400);
    let composed = a
        .composer
        .compose(&Flag::Waterfall, &packets(&["price", &text]), NOON)
        .unwrap();
    let mut deflater = crate::wire::Deflater::default();
    let compressed = composed.frames.deflate(&mut deflater, Method::Zlib);
    let compressed = compressed.expect("it is smaller so");
    let held = rig.hear(a.conn, &compressed);
    let out = judge(&mut rig, &held, Some(Acceptance::Accept));
    let relayed = out.iter().find_map(|effect| match effect {
        Effect::Transmit { to, frames } => Some((to[0], frames.compressed.clone())),
        _ => None,
    });
    assert_eq!(relayed, Some((b.conn, Some((Method::Zlib, compressed)))));
    assert_eq!(delivered(&out), [text]);
}
