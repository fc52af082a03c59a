//! Large broadcasts: which peers get an offer, which get the message, and what malicious peers can do.

use crate::mesh::tests::rig::*;

/// The connections on which this extension verb is written, and its message.
fn told(out: &Effects, verb: &str) -> Vec<(ConnId, String)> {
    let said = extended_to(out, verb).into_iter();
    said.map(|(conn, mut arguments)| (conn, arguments.remove(0)))
        .collect()
}

/// The connections a large message is sent on.
fn sent(out: &Effects) -> Vec<ConnId> {
    let large = written(out).into_iter();
    let large = large.filter(|(_, _, texts)| texts.iter().any(|text| text.len() > 10_000));
    large.map(|(conn, ..)| conn).collect()
}

fn large(peer: &Played, beginning: &str) -> Bytes {
    large_at(peer, beginning, NOON)
}

fn large_at(peer: &Played, beginning: &str, time: u64) -> Bytes {
    let text = format!("{beginning} {}", "x".repeat(20_000));
    peer.frame(&Flag::Broadcast, &user(&[&text]), time)
}

struct Four {
    rig: Rig,
    author: Played,
    ours: Vec<Played>,
    theirs: Played,
}

/// A node with an author, two peers of our own kind, and a reference peer.
fn four(change: impl FnOnce(&mut Params)) -> Four {
    let mut rig = Rig::with(change);
    let author = rig.join_with("author", announced);
    let ours = ["b", "cc"].map(|name| rig.join_with(name, announced));
    let theirs = rig.join("reference");
    Four {
        rig,
        author,
        ours: ours.into(),
        theirs,
    }
}

#[test]
fn t38_ours_are_offered_it_and_sent_it_once_if_they_ask() {
    let Four {
        mut rig,
        author,
        ours,
        theirs,
    } = four(|_| {});
    let out = rig.hear(author.conn, &large(&author, "one"));
    assert_eq!(sent(&out), [theirs.conn], "a reference peer has it at once");
    let offers = told(&out, "have");
    assert_eq!(
        offers.iter().map(|(conn, _)| *conn).collect::<Vec<_>>(),
        [ours[0].conn, ours[1].conn]
    );
    let (name, size) = offers[0].1.rsplit_once('.').unwrap();
    let frame = large(&author, "one");
    assert_eq!(size, (frame.len() - 4).to_string());

    // Nobody gets it who was not offered it; nothing is sent that was not offered, or sent twice.
    let out = rig.hear(author.conn, &verb(&author, "want", &[name]));
    assert!(sent(&out).is_empty());
    let other = name.replace(&id("author").to_string(), &id("other").to_string());
    let out = rig.hear(ours[0].conn, &verb(&ours[0], "want", &[&other]));
    assert!(sent(&out).is_empty());
    let unwritten = rig.hear(ours[0].conn, &verb(&ours[0], "want", &[name, name]));
    assert_eq!(sent(&unwritten), [ours[0].conn]);
    let out = rig.hear(ours[0].conn, &verb(&ours[0], "want", &[name]));
    assert!(sent(&out).is_empty());
    // The peer says that it now has it: no other peer waits for it, and nothing is kept.
    rig.hear(ours[1].conn, &verb(&ours[1], "have", &[&offers[0].1]));
    // A requested message counts until it is written.
    assert_eq!(rig.mesh.announcements.kept_for(), (0, frame.len()));
    drop(unwritten);
    assert_eq!(rig.mesh.announcements.kept_for(), (0, 0));
    assert_eq!(rig.mesh.stats().announced, 2);
}

#[test]
fn small_ones_old_ones_and_those_of_a_node_that_does_not_take_part_go_at_once() {
    for how in 0..4 {
        let Four {
            mut rig,
            author,
            ours,
            theirs,
        } = four(|params| match how {
            0 => params.extensions = false,
            1 => params.announce_from = 0,
            2 => params.announce_from = 30_000,
            _ => {}
        });
        let time = if how == 3 { NOON - 56 } else { NOON };
        let out = rig.hear(author.conn, &large_at(&author, "one", time));
        assert_eq!(
            sent(&out),
            [ours[0].conn, ours[1].conn, theirs.conn],
            "{how}"
        );
        assert!(told(&out, "have").is_empty());
    }
    let Four { mut rig, ours, .. } = four(|_| {});
    rig.send(&[&"x".repeat(20_000)]).unwrap();
    assert_eq!(sent(&rig.out).len(), 4, "the author's own");
    let out = rig.hear(ours[0].conn, &large(&ours[0], "of a node of two links"));
    assert_eq!(told(&out, "have").len(), 2);
    let mut rig = Rig::new();
    let (a, b) = (
        rig.join_with("a", announced),
        rig.join_with("bb", announced),
    );
    let out = rig.hear(a.conn, &large(&a, "one"));
    assert_eq!(sent(&out), [b.conn]);
}

#[test]
fn t38_what_cannot_be_kept_goes_at_once() {
    let Four {
        mut rig,
        author,
        ours,
        theirs,
    } = four(|_| {});
    let mut offered = 0;
    for number in 0..1000 {
        let out = rig.hear(author.conn, &large(&author, &format!("number {number}")));
        let offers = told(&out, "have").len();
        match offers {
            0 => assert_eq!(sent(&out), [theirs.conn, ours[0].conn, ours[1].conn]),
            _ => offered += 1,
        }
        assert!(rig.mesh.announcements.kept_for().1 <= 8 << 20);
    }
    assert!((400..420).contains(&offered), "{offered}");
    rig.pass(9);
    assert!(rig.mesh.announcements.kept_for().0 > 0);
    rig.pass(1);
    assert_eq!(rig.mesh.announcements.kept_for(), (0, 0));
}

/// An offer of a message whose author is no peer: its name and size.
fn offer(number: usize) -> String {
    format!("{number:032}.{}.{:016}.20000", id("far away"), 0)
}

#[test]
fn t38_whoever_does_not_send_what_it_offered_is_passed_over() {
    let Four { mut rig, ours, .. } = four(|_| {});
    let [liar, honest] = &ours[..] else { panic!() };
    for number in 0..4 {
        let out = rig.hear(liar.conn, &verb(liar, "have", &[&offer(number)]));
        let asked = told(&out, "want").len();
        // After three failures in ten minutes it is asked only if there is no other peer.
        assert_eq!(asked, usize::from(number < 3), "{number}");
        let out = rig.hear(honest.conn, &verb(honest, "have", &[&offer(number)]));
        assert_eq!(
            told(&out, "want").len(),
            usize::from(number == 3),
            "{number}"
        );
        if number < 3 {
            assert!(told(&rig.pass(1), "want").is_empty());
            let asked = told(&rig.pass(1), "want");
            assert_eq!(asked.len(), 1, "{number}");
            assert_eq!(asked[0].0, honest.conn);
        }
    }
    // As the only peer it is asked in the end.
    let out = rig.hear(liar.conn, &verb(liar, "have", &[&offer(9)]));
    assert!(told(&out, "want").is_empty());
    rig.pass(1);
    let mut asked = told(&rig.pass(1), "want").into_iter();
    assert!(asked.any(|(conn, name)| conn == liar.conn && offer(9).starts_with(&name)));
}

#[test]
fn t38_what_nobody_sends_is_given_up_and_told() {
    let Four { mut rig, ours, .. } = four(|params| params.keepalive_interval = Duration::ZERO);
    rig.hear(ours[0].conn, &verb(&ours[0], "have", &[&offer(1)]));
    let mut told = 0;
    for _ in 0..60 {
        told += rig
            .pass(1)
            .iter()
            .filter(|effect| {
                matches!(
                    effect,
                    Effect::Notify(Event::Dropped {
                        counter: "unfetched",
                        count: 1
                    })
                )
            })
            .count();
    }
    assert_eq!((told, rig.mesh.stats().unfetched), (1, 1));
    assert_eq!(rig.mesh.announcements.offers_open(), 0);
}

#[test]
fn t38_offers_without_end_are_bounded_by_peer_and_do_not_keep_out_those_of_others() {
    let Four { mut rig, ours, .. } = four(|_| {});
    let [liar, honest] = &ours[..] else { panic!() };
    for number in 0..1500 {
        rig.hear(liar.conn, &verb(liar, "have", &[&offer(number)]));
    }
    assert_eq!(rig.mesh.announcements.offers_open(), 1024);
    assert_eq!(rig.mesh.stats().over_budget, 1500 - 1024);
    let out = rig.hear(honest.conn, &verb(honest, "have", &[&offer(5000)]));
    assert_eq!(told(&out, "want").len(), 1);
    rig.input(Input::Closed {
        conn: liar.conn,
        why: Ended::ByPeer,
    });
    assert_eq!(rig.mesh.announcements.offers_open(), 1);
}

#[test]
fn a_peers_own_message_is_awaited_and_not_fetched_from_others() {
    let Four {
        mut rig,
        author,
        ours,
        ..
    } = four(|_| {});
    let of_author = format!("{:032}.{}.{:016}.20000", 0, id("author"), 0);
    let out = rig.hear(ours[0].conn, &verb(&ours[0], "have", &[&of_author]));
    assert!(told(&out, "want").is_empty(), "the author sends it");
    let out = rig.input(Input::Closed {
        conn: author.conn,
        why: Ended::ByPeer,
    });
    assert_eq!(told(&out, "want")[0].0, ours[0].conn, "now it does not");
    let own = format!("{:032}.{}.{:016}.20000", 0, rig.mesh.me(), 0);
    let out = rig.hear(ours[0].conn, &verb(&ours[0], "have", &[&own]));
    assert!(out.is_empty(), "our own");
}

#[test]
fn t38_a_peer_that_claims_to_be_the_author_and_sends_nothing_is_awaited_three_times() {
    let Four { mut rig, ours, .. } = four(|_| {});
    for number in 0..5 {
        let of_author = format!("{number:032}.{}.{:016}.20000", id("author"), 0);
        let out = rig.hear(ours[0].conn, &verb(&ours[0], "have", &[&of_author]));
        let asked = told(&out, "want").into_iter().map(|(conn, _)| conn);
        let at_once = asked.eq([ours[0].conn]);
        assert_eq!(at_once, number >= 3, "{number}");
        if !at_once {
            rig.pass(1);
            let asked = told(&rig.pass(1), "want");
            assert_eq!(asked[0].0, ours[0].conn);
        }
    }
    let author = rig
        .mesh
        .peers()
        .into_iter()
        .find(|it| it.id == id("author"));
    assert!(author.is_some(), "it stays a peer");
}

#[test]
fn who_was_asked_and_leaves_is_made_up_for_at_once() {
    let Four { mut rig, ours, .. } = four(|_| {});
    rig.hear(ours[0].conn, &verb(&ours[0], "have", &[&offer(1)]));
    rig.hear(ours[1].conn, &verb(&ours[1], "have", &[&offer(1)]));
    let out = rig.input(Input::Closed {
        conn: ours[0].conn,
        why: Ended::ByPeer,
    });
    assert_eq!(told(&out, "want")[0].0, ours[1].conn);
}

#[test]
fn what_makes_no_sense_is_malformed() {
    for nonsense in ["", "a.b.c", "a.b.c.x", "a.b.1", "\u{1F600}.."] {
        let Four { mut rig, ours, .. } = four(|_| {});
        let out = rig.hear(ours[0].conn, &verb(&ours[0], "have", &[nonsense]));
        assert!(told(&out, "want").is_empty());
        let counted = rig.mesh.stats().malformed;
        assert_eq!(counted, 1, "{nonsense}");
        rig.hear(ours[0].conn, &verb(&ours[0], "want", &[nonsense]));
    }
}

/// A node with a higher threshold, or with none, is understood all the same.
#[test]
fn an_offer_is_done_with_when_the_message_has_come_whatever_we_are_set_to() {
    for from in [0, 1 << 20] {
        let Four {
            mut rig,
            author,
            ours,
            ..
        } = four(|params| params.announce_from = from);
        let text = "x".repeat(5000);
        let frame = composer("far away").compose(&Flag::Broadcast, &user(&[&text]), NOON);
        let frame = frame.unwrap().frames.plain;
        let mut other = four(|params| params.announce_from = 1);
        let out = other.rig.hear(other.author.conn, &frame);
        let offers = told(&out, "have");
        assert_eq!(offers.len(), 2);
        rig.hear(ours[0].conn, &verb(&ours[0], "have", &[&offers[0].1]));
        assert_eq!(rig.mesh.announcements.offers_open(), 1);
        rig.hear(author.conn, &frame);
        assert_eq!(rig.mesh.announcements.offers_open(), 0);
        rig.hear(ours[1].conn, &verb(&ours[1], "have", &[&offers[0].1]));
        assert_eq!(rig.mesh.announcements.offers_open(), 0, "it has come");
    }
}

/// A payload that is not text can have the id of one that is.
#[test]
fn t38_a_twin_that_is_not_text_does_not_stand_for_the_text_that_is_offered() {
    use crate::wire::IdRule;
    let Four { mut rig, ours, .. } = four(|_| {});
    let [liar, honest] = &ours[..] else { panic!() };
    let padding = "x".repeat(20_000);
    let far = composer("far away");
    let text = format!("ok \u{fffd} {padding}");
    let text = far
        .compose(&Flag::Broadcast, &user(&[&text]), NOON)
        .unwrap();
    // Three bytes that the lossy rule reads as one replacement character, by the same author.
    let mut bytes = b"ok \xf0\x90\x80 ".to_vec();
    bytes.extend_from_slice(padding.as_bytes());
    let frame = text.frames.plain.clone();
    let at = frame
        .windows(6)
        .position(|it| it == "ok \u{fffd}".as_bytes())
        .unwrap();
    let mut twin = frame.to_vec();
    twin[at..at + bytes.len()].copy_from_slice(&bytes);
    let batch = Batch::from_frames(GENERATION, Limits::default(), &twin).unwrap();
    assert_eq!(
        batch.get(0).unwrap().verify(),
        Ok(IdRule::LossyText),
        "it is one"
    );
    rig.hear(liar.conn, &twin);
    let mut other = four(|_| {});
    let out = other.rig.hear(other.author.conn, &frame);
    let offers = told(&out, "have");
    let out = rig.hear(honest.conn, &verb(honest, "have", &[&offers[0].1]));
    assert_eq!(told(&out, "want").len(), 1);
}

#[test]
fn t38_of_many_that_offer_and_do_not_send_all_are_asked_the_third_time() {
    let mut rig = Rig::new();
    let names: Vec<String> = (0..40).map(|n| "n".repeat(n + 1)).collect();
    let many: Vec<Played> = names
        .iter()
        .map(|name| rig.join_with(name, announced))
        .collect();
    let mut asked = 0;
    for peer in &many {
        asked += told(
            &rig.hear(peer.conn, &verb(peer, "have", &[&offer(1)])),
            "want",
        )
        .len();
    }
    assert_eq!(asked, 1);
    for expected in [0, 2, 0, 37, 0, 0] {
        assert_eq!(told(&rig.pass(1), "want").len(), expected);
    }
}

#[test]
fn t38_who_asks_for_all_and_reads_nothing_fills_the_store_alone() {
    let Four {
        mut rig,
        author,
        ours,
        ..
    } = four(|_| {});
    let mut unwritten = Vec::new();
    for number in 0..1000 {
        let out = rig.hear(author.conn, &large(&author, &format!("number {number}")));
        for (conn, offer) in told(&out, "have") {
            let (name, _) = offer.rsplit_once('.').unwrap();
            let peer = ours.iter().find(|peer| peer.conn == conn).unwrap();
            unwritten.push(rig.hear(conn, &verb(peer, "want", &[name])));
        }
    }
    let (kept, bytes) = rig.mesh.announcements.kept_for();
    assert!(kept == 0 && bytes > 7 << 20 && bytes <= 8 << 20, "{bytes}");
    let asked: usize = unwritten.iter().map(|out| sent(out).len()).sum();
    assert!((2 * 400..2 * 420).contains(&asked), "{asked}");
    drop(unwritten);
    assert_eq!(rig.mesh.announcements.kept_for(), (0, 0));
}

/// A node with a wrong clock drops what it fetches, and asks no other peer for it.
#[test]
fn t38_a_message_that_is_not_timely_here_blames_nobody_and_comes_once() {
    let Four { mut rig, ours, .. } = four(|_| {});
    let far = composer("far away");
    let text = "x".repeat(20_000);
    let frame = far
        .compose(&Flag::Broadcast, &user(&[&text]), NOON)
        .unwrap();
    let frame = frame.frames.plain;
    let mut other = four(|_| {});
    let offers = told(&other.rig.hear(other.author.conn, &frame), "have");
    rig.now.unix += 600;
    for peer in &ours {
        rig.hear(peer.conn, &verb(peer, "have", &[&offers[0].1]));
    }
    // A frame that only claims to be the message does not count.
    let mut forged = frame.to_vec();
    *forged.last_mut().unwrap() = b'y';
    rig.hear(ours[0].conn, &forged);
    assert_eq!(rig.mesh.announcements.offers_open(), 1);
    rig.hear(ours[0].conn, &frame);
    assert_eq!(rig.mesh.announcements.offers_open(), 0);
    for _ in 0..10 {
        assert!(told(&rig.pass(1), "want").is_empty());
    }
}
