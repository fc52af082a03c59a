//! Small broadcasts: which peers are asked not to send them, what is stored for them, and what malicious peers can do.

use crate::mesh::tests::rig::*;

/// A broadcast of this author.
fn small(author: &Played, text: &str) -> Bytes {
    author.frame(&Flag::Broadcast, &user(&[text]), NOON)
}

/// Advances only the monotonic clock, so that a stamp of noon stays timely.
fn wait(rig: &mut Rig, seconds: u64) -> Effects {
    rig.now.monotonic += Duration::from_secs(seconds);
    rig.input(Input::Tick)
}

/// The connections this text is sent on.
fn sent(out: &Effects, text: &str) -> Vec<ConnId> {
    let said = written(out).into_iter();
    let said = said.filter(|(_, _, texts)| texts.last().map(String::as_str) == Some(text));
    said.map(|(conn, ..)| conn).collect()
}

/// The connections on which this extension verb is written, and its arguments in parts.
fn told(out: &Effects, verb: &str) -> Vec<(ConnId, Vec<String>)> {
    let said = extended_to(out, verb).into_iter();
    said.flat_map(|(conn, arguments)| {
        let parts = |said: String| said.split('.').map(str::to_owned).collect();
        arguments.into_iter().map(move |said| (conn, parts(said)))
    })
    .collect()
}

/// Sends one message twice: without duplicates nothing is counted. It is too large to be spared.
fn hear_twice(rig: &mut Rig, one: &Played, other: &Played) {
    let author = Played {
        conn: ConnId(998),
        composer: composer("somebody else"),
    };
    for peer in [one, other] {
        let out = rig.hear(peer.conn, &small(&author, &"x".repeat(5000)));
        assert!(told(&out, "prune").is_empty());
    }
}

struct Four {
    rig: Rig,
    /// Two paths to the author, who is no peer.
    ways: Vec<Played>,
    /// A peer that gets messages through us.
    below: Played,
    theirs: Played,
    author: Played,
}

/// A node with three peers of our own kind, and a reference peer.
fn four() -> Four {
    four_with(|_| {})
}

fn four_with(change: impl FnOnce(&mut Params)) -> Four {
    let mut rig = Rig::with(|params| {
        params.prune = true;
        change(params);
    });
    let ways = ["a", "bb"].map(|name| rig.join_with(name, announced));
    let below = rig.join_with("ccc", announced);
    let theirs = rig.join("reference");
    hear_twice(&mut rig, &ways[0], &ways[1]);
    let author = Played {
        conn: ConnId(999),
        composer: composer("author"),
    };
    Four {
        rig,
        ways: ways.into(),
        below,
        theirs,
        author,
    }
}

/// Another node, whose stream gives the arguments of `summary` after a `prune`, as `told` returns them.
struct Peer {
    mesh: Rig,
    source: Played,
    other: Played,
}

/// A real node, so that what it sends is what our nodes send.
fn other_node(author: &Played, first: &str) -> (Peer, String) {
    let mut mesh = Rig::with(|params| params.prune = true);
    let source = mesh.join_with("a", announced);
    let other = mesh.join_with("them", announced);
    hear_twice(&mut mesh, &source, &other);
    mesh.hear(source.conn, &small(author, first));
    let out = mesh.hear(other.conn, &small(author, first));
    let [(conn, parts)] = &told(&out, "prune")[..] else {
        panic!("{out:?}");
    };
    assert_eq!(*conn, other.conn);
    let said = parts.join(".");
    let peer = Peer {
        mesh,
        source,
        other,
    };
    (peer, said)
}

impl Peer {
    /// Returns its summary after it received these from its own source.
    fn summary(&mut self, author: &Played, texts: &[&str]) -> String {
        for text in texts {
            self.mesh.hear(self.source.conn, &small(author, text));
        }
        let out = wait(&mut self.mesh, 1);
        let [(conn, parts)] = &told(&out, "summary")[..] else {
            panic!("{out:?}");
        };
        assert_eq!(*conn, self.other.conn);
        parts.join(".")
    }
}

/// A node whose peer below wants no more than the first message.
fn pruned() -> (Four, Peer) {
    let mut four = four();
    let out = four
        .rig
        .hear(four.ways[0].conn, &small(&four.author, "first"));
    assert_eq!(
        sent(&out, "first"),
        [four.ways[1].conn, four.below.conn, four.theirs.conn]
    );
    let (peer, said) = other_node(&four.author, "first");
    four.rig
        .hear(four.below.conn, &verb(&four.below, "prune", &[&said]));
    (four, peer)
}

#[test]
fn who_sends_what_came_sooner_from_another_is_asked_not_to() {
    let Four {
        mut rig,
        ways,
        author,
        theirs,
        ..
    } = four();
    let first = small(&author, "first");
    assert!(told(&rig.hear(ways[0].conn, &first), "prune").is_empty());
    let out = rig.hear(ways[1].conn, &first);
    let [(conn, said)] = &told(&out, "prune")[..] else {
        panic!("{out:?}");
    };
    assert_eq!((*conn, &said[3]), (ways[1].conn, &id("author").to_string()));
    // Not again for what was in transit; never to a reference peer, or to the source.
    for text in ["first", "second"] {
        rig.hear(ways[0].conn, &small(&author, text));
        for conn in [ways[1].conn, theirs.conn, ways[0].conn] {
            let out = rig.hear(conn, &small(&author, text));
            assert!(told(&out, "prune").is_empty());
        }
    }
    // It gets our summary, and is asked again if it still sends.
    let out = wait(&mut rig, 2);
    let summary = &told(&out, "summary")[..];
    assert_eq!(summary.len(), 1);
    assert_eq!((summary[0].0, &summary[0].1[1][..]), (ways[1].conn, "1"));
    let out = rig.hear(ways[1].conn, &small(&author, "second"));
    assert_eq!(told(&out, "prune").len(), 1);
}

#[test]
fn the_link_to_the_author_is_its_way_even_if_another_is_faster() {
    let mut rig = Rig::with(|params| params.prune = true);
    let author = rig.join_with("author", announced);
    let other = rig.join_with("bb", announced);
    hear_twice(&mut rig, &author, &other);
    rig.hear(other.conn, &small(&author, "first"));
    let out = rig.hear(author.conn, &small(&author, "first"));
    assert_eq!(told(&out, "prune")[0].0, other.conn);
    assert!(told(&wait(&mut rig, 3), "graft").is_empty());
    let third = rig.join_with("ccc", announced);
    let out = rig.hear(third.conn, &small(&author, "second"));
    assert_eq!(
        told(&out, "prune")[0].0,
        third.conn,
        "before it comes twice"
    );
    let out = rig.hear(author.conn, &small(&author, "second"));
    assert!(told(&out, "prune").is_empty());
}

#[test]
fn t39_what_is_spared_is_stored_until_it_is_confirmed() {
    let (
        Four {
            mut rig,
            ways,
            below,
            theirs,
            author,
        },
        mut peer,
    ) = pruned();
    for text in ["second", "third"] {
        let out = rig.hear(ways[0].conn, &small(&author, text));
        assert_eq!(sent(&out, text), [ways[1].conn, theirs.conn]);
    }
    assert!(rig.mesh.streams.kept().2 > 0);
    let said = peer.summary(&author, &["second", "third"]);
    rig.hear(below.conn, &verb(&below, "summary", &[&said]));
    assert_eq!(rig.mesh.streams.kept().2, 0);
    let out = wait(&mut rig, 5);
    assert!(sent(&out, "second").is_empty() && sent(&out, "third").is_empty());
    let stats = rig.mesh.stats();
    assert_eq!((stats.spared, stats.spared_in_vain), (2, 0));
}

#[test]
fn t39_who_does_not_confirm_is_sent_it_and_spared_nothing_for_a_while() {
    let (
        Four {
            mut rig,
            ways,
            below,
            author,
            ..
        },
        mut peer,
    ) = pruned();
    for text in ["second", "third", "fourth"] {
        rig.hear(ways[0].conn, &small(&author, text));
    }
    // Of three messages it has one, and another that it was not sent.
    let said = peer.summary(&author, &["second", "forged"]);
    rig.hear(below.conn, &verb(&below, "summary", &[&said]));
    let first = wait(&mut rig, 1);
    let out = wait(&mut rig, 1);
    assert!(written(&first).is_empty());
    for text in ["second", "third", "fourth"] {
        assert_eq!(sent(&out, text), [below.conn]);
    }
    drop(out);
    assert_eq!(rig.mesh.streams.kept().2, 0);
    let (_, said) = other_node(&author, "fourth");
    for (seconds, spared) in [(0, false), (9, false), (1, true)] {
        wait(&mut rig, seconds);
        rig.hear(below.conn, &verb(&below, "prune", &[&said]));
        let text = format!("after {seconds}");
        let out = rig.hear(ways[0].conn, &small(&author, &text));
        assert_eq!(sent(&out, &text).contains(&below.conn), !spared, "{text}");
    }
    assert_eq!(rig.mesh.stats().spared_in_vain, 3);
}

#[test]
fn when_its_way_is_gone_a_node_is_sent_everything_again() {
    let (
        Four {
            mut rig,
            ways,
            below,
            author,
            ..
        },
        mut peer,
    ) = pruned();
    for text in ["second", "third"] {
        rig.hear(ways[0].conn, &small(&author, text));
    }
    let said = peer.summary(&author, &["second"]);
    rig.hear(below.conn, &verb(&below, "summary", &[&said]));
    let source = peer.source.conn;
    let why = Ended::ByPeer;
    let out = peer.mesh.input(Input::Closed { conn: source, why });
    let [(conn, said)] = &told(&out, "graft")[..] else {
        panic!("{out:?}");
    };
    assert_eq!(*conn, peer.other.conn);
    let out = rig.hear(below.conn, &verb(&below, "graft", &[&said[0]]));
    assert_eq!(sent(&out, "second"), []);
    assert_eq!(sent(&out, "third"), [below.conn]);
    let out = rig.hear(ways[0].conn, &small(&author, "fourth"));
    assert!(sent(&out, "fourth").contains(&below.conn));
}

/// A twin has the same id, author and stamp, and other packets.
#[test]
fn t39_a_twin_does_not_confirm_the_message_that_it_stands_for() {
    let (
        Four {
            mut rig,
            ways,
            below,
            author,
            ..
        },
        mut peer,
    ) = pruned();
    rig.hear(ways[0].conn, &small(&author, "second"));
    for twin in [&["sec", "ond"][..], &["second", ""]] {
        let twin = author.frame(&Flag::Broadcast, &user(twin), NOON);
        peer.mesh.hear(peer.source.conn, &twin);
        let said = peer.summary(&author, &[]);
        rig.hear(below.conn, &verb(&below, "summary", &[&said]));
        assert!(rig.mesh.streams.kept().2 > 0);
    }
    wait(&mut rig, 1);
    let out = wait(&mut rig, 1);
    assert_eq!(sent(&out, "second"), [below.conn]);
}

#[test]
fn payloads_that_are_not_text_are_not_spared_where_ids_are_ambiguous() {
    let (
        Four {
            mut rig,
            ways,
            below,
            author,
            ..
        },
        _,
    ) = pruned();
    let payload = [Packet::from("\0"), Packet::from(vec![0xff, 0xfe])];
    let frame = author.frame(&Flag::Broadcast, &payload, NOON);
    let out = rig.hear(ways[0].conn, &frame);
    let sent_to: Vec<ConnId> = written(&out).into_iter().map(|(conn, ..)| conn).collect();
    assert!(sent_to.contains(&below.conn), "{out:?}");
}

#[test]
fn after_a_connection_was_lost_what_is_not_confirmed_is_sent_soon() {
    let (
        Four {
            mut rig,
            ways,
            below,
            theirs,
            author,
        },
        _,
    ) = pruned();
    rig.hear(ways[0].conn, &small(&author, "second"));
    let (conn, why) = (theirs.conn, Ended::ByPeer);
    rig.input(Input::Closed { conn, why });
    let out = wait(&mut rig, 1);
    assert_eq!(sent(&out, "second"), [below.conn]);
    // It had no time to confirm, and is spared again at once.
    let (_, said) = other_node(&author, "second");
    rig.hear(below.conn, &verb(&below, "prune", &[&said]));
    let out = rig.hear(ways[0].conn, &small(&author, "third"));
    assert!(!sent(&out, "third").contains(&below.conn));
}

#[test]
fn in_a_busy_mesh_a_lost_connection_changes_nothing_for_the_others() {
    let Four {
        mut rig,
        ways,
        below,
        theirs,
        author,
    } = pruned().0;
    for number in 0..400 {
        let text = format!("{number} {}", "x".repeat(3000));
        rig.hear(ways[0].conn, &small(&author, &text));
    }
    let (conn, why) = (theirs.conn, Ended::ByPeer);
    rig.input(Input::Closed { conn, why });
    let out = wait(&mut rig, 1);
    let to_below = |(conn, ..): &(ConnId, _, _)| *conn == below.conn;
    assert!(!written(&out).iter().any(to_below));
}

#[test]
fn t39_a_way_that_holds_back_is_left_and_after_three_times_not_relied_on() {
    let Four {
        mut rig,
        ways,
        author,
        ..
    } = four();
    let both = |rig: &mut Rig, text: &str, first: usize| {
        rig.hear(ways[first].conn, &small(&author, text));
        let out = rig.hear(ways[1 - first].conn, &small(&author, text));
        told(&out, "prune").len()
    };
    assert_eq!(both(&mut rig, "first", 0), 1);
    for time in 1..=3 {
        wait(&mut rig, 20);
        // The other peer has stored it, and sends it after two seconds: now it is the source.
        let spared = if time % 2 == 1 { 1 } else { 0 };
        let text = format!("late {time}");
        let out = rig.hear(ways[spared].conn, &small(&author, &text));
        assert!(told(&out, "prune").is_empty());
        wait(&mut rig, 6);
        let asked = both(&mut rig, &format!("next {time}"), spared);
        assert_eq!(asked, usize::from(time < 3), "{time}");
    }
    wait(&mut rig, 300);
    assert_eq!(both(&mut rig, "later", 0), 0);
    wait(&mut rig, 301);
    assert_eq!(both(&mut rig, "much later", 0), 1);
}

#[test]
fn t39_others_wait_for_what_came_late_and_are_sent_it_at_once() {
    let Four {
        mut rig,
        ways,
        below,
        author,
        ..
    } = pruned().0;
    rig.hear(ways[1].conn, &small(&author, "first"));
    wait(&mut rig, 3);
    let out = rig.hear(ways[1].conn, &small(&author, "late"));
    assert!(sent(&out, "late").contains(&below.conn));
    assert_eq!(rig.mesh.streams.kept().2, 0);
}

#[test]
fn t39_who_confirms_nothing_fills_the_store_and_then_nobody_is_spared() {
    let Four {
        mut rig,
        ways,
        below,
        author,
        ..
    } = pruned().0;
    let padding = "x".repeat(3000);
    let mut spared = 0;
    for number in 0..4000 {
        let text = format!("{number} {padding}");
        let out = rig.hear(ways[0].conn, &small(&author, &text));
        spared += usize::from(!sent(&out, &text).contains(&below.conn));
        assert!(rig.mesh.streams.kept().2 <= 8 << 20);
    }
    assert!((2000..3000).contains(&spared), "{spared}");
    let stats = rig.mesh.stats();
    assert_eq!(
        (stats.spared, stats.spared_in_vain),
        (spared as u64, spared as u64)
    );
    assert_eq!(rig.mesh.streams.kept().2, 0);
}

#[test]
fn t39_a_peer_whose_own_messages_are_not_confirmed_costs_a_bounded_memory() {
    let Four {
        mut rig,
        below,
        author,
        ..
    } = four();
    rig.hear(below.conn, &small(&author, "first"));
    let (_, said) = other_node(&author, "first");
    rig.hear(below.conn, &verb(&below, "prune", &[&said]));
    let mut most = 0;
    for number in 0..1400 {
        let frames: Vec<u8> = (0..100)
            .flat_map(|part| small(&author, &format!("{number} {part}")))
            .collect();
        rig.hear(below.conn, &frames);
        most = most.max(rig.mesh.streams.kept().1);
    }
    assert!((100_000..132_000).contains(&most), "{most}");
    assert!(rig.mesh.streams.kept().1 < 2000);
}

#[test]
fn t39_messages_that_a_validator_drops_are_counted_in_a_bounded_memory() {
    let (
        Four {
            mut rig,
            ways,
            below,
            author,
            ..
        },
        mut peer,
    ) = pruned();
    let drop_one = |rig: &mut Rig, text: &str| {
        let frame = small(&author, text);
        let batch = Batch::from_frames(GENERATION, Limits::default(), &frame).unwrap();
        let (now, mut out) = (rig.now, Effects::new());
        rig.mesh.count_dropped(now, &batch, &mut out);
    };
    drop_one(&mut rig, "dropped here");
    rig.hear(ways[0].conn, &small(&author, "second"));
    let said = peer.summary(&author, &["dropped here", "second"]);
    rig.hear(below.conn, &verb(&below, "summary", &[&said]));
    assert_eq!(rig.mesh.streams.kept().2, 0, "both have the same");
    for number in 0..140_000 {
        drop_one(&mut rig, &number.to_string());
    }
    assert!(rig.mesh.streams.kept().1 <= 132_000);
}

#[test]
fn t39_authors_without_end_are_bounded_and_forgotten() {
    let Four {
        mut rig,
        ways,
        below,
        ..
    } = four();
    let say = |rig: &mut Rig, name: String| {
        let author = Played {
            conn: ConnId(999),
            composer: composer(&name),
        };
        rig.hear(ways[0].conn, &small(&author, &name));
        told(&rig.hear(ways[1].conn, &small(&author, &name)), "prune").len()
    };
    for number in 0..1500 {
        say(&mut rig, format!("nobody {number}"));
        rig.now.monotonic += Duration::from_millis(5);
    }
    assert_eq!(rig.mesh.streams.kept().0, 1024);
    assert_eq!(say(&mut rig, "somebody".to_owned()), 0);
    wait(&mut rig, 331);
    wait(&mut rig, 1);
    assert_eq!(rig.mesh.streams.kept().0, 0);
    assert_eq!(say(&mut rig, "somebody else".to_owned()), 1);
    assert!(closed(&rig.hear(below.conn, &[])).is_empty());
}

#[test]
fn t39_what_makes_no_sense_is_malformed_and_what_is_not_known_does_nothing() {
    let Four {
        mut rig,
        ways,
        below,
        author,
        theirs,
    } = pruned().0;
    let before = rig.mesh.stats().malformed;
    let nonsense = [
        ("prune", "x"),
        ("prune", "1.AAAAAAAAAAA.AAAAAAAAAAA"),
        ("prune", "1.AAAAAAAAAA.AAAAAAAAAAA.a"),
        ("prune", "4294967296.AAAAAAAAAAA.AAAAAAAAAAA.a"),
        ("summary", "1.2"),
        ("summary", "1.-2.AAAAAAAAAAA"),
        ("summary", "1.2.AAAAAAAAAAAA"),
        ("graft", ""),
    ];
    for (name, said) in nonsense {
        rig.hear(ways[1].conn, &verb(&ways[1], name, &[said]));
    }
    assert_eq!(rig.mesh.stats().malformed - before, nonsense.len() as u64);
    let unknown = [
        ("prune", "7.AAAAAAAAAAA.AAAAAAAAAAA.nobody"),
        ("summary", "7.18446744073709551615.AAAAAAAAAAA"),
        ("graft", "7"),
    ];
    for (name, said) in unknown {
        let out = rig.hear(below.conn, &verb(&below, name, &[said]));
        assert!(written(&out).is_empty());
    }
    let misplaced = rig.mesh.stats().misplaced;
    rig.hear(theirs.conn, &verb(&theirs, "graft", &["1"]));
    assert_eq!(rig.mesh.stats().misplaced, misplaced + 1);
    let out = rig.hear(ways[0].conn, &small(&author, "second"));
    assert_eq!(sent(&out, "second"), [ways[1].conn, theirs.conn]);
}

#[test]
fn large_ones_and_control_messages_are_not_spared() {
    let Four {
        mut rig,
        ways,
        below,
        author,
        ..
    } = pruned().0;
    let long = "x".repeat(4 << 10);
    let out = rig.hear(ways[0].conn, &small(&author, &long));
    assert!(sent(&out, &long).contains(&below.conn));
    let payload = Control::Request {
        request: RequestId::derive(&id("somebody"), NOON, b"salt"),
        wanted: id("somebody"),
    };
    let request = author.frame(&Flag::Broadcast, &payload.packets(GENERATION), NOON);
    let out = rig.hear(ways[0].conn, &request);
    assert!(targets(&out).contains(&below.conn));
}

#[test]
fn who_does_not_prune_neither_asks_nor_obeys() {
    for how in 0..2 {
        let mut four = four_with(|params| match how {
            0 => params.prune = false,
            _ => params.extensions = false,
        });
        four.rig
            .hear(four.ways[0].conn, &small(&four.author, "first"));
        let out = four
            .rig
            .hear(four.ways[1].conn, &small(&four.author, "first"));
        assert!(told(&out, "prune").is_empty());
        let (_, said) = other_node(&four.author, "first");
        let (rig, below) = (&mut four.rig, &four.below);
        rig.hear(below.conn, &verb(below, "prune", &[&said]));
        let out = rig.hear(four.ways[0].conn, &small(&four.author, "second"));
        assert!(sent(&out, "second").contains(&below.conn));
        assert_eq!(rig.mesh.streams.kept(), (0, 0, 0));
    }
}

#[test]
fn a_link_that_moves_or_goes_takes_what_is_stored_along() {
    let Four {
        mut rig,
        ways,
        below,
        author,
        ..
    } = pruned().0;
    rig.hear(ways[0].conn, &small(&author, "second"));
    let why = Ended::ByPeer;
    let conn = below.conn;
    let out = rig.input(Input::Closed { conn, why });
    assert!(sent(&out, "second").is_empty());
    assert_eq!(rig.mesh.streams.kept().2, 0);
}

#[test]
fn where_nothing_comes_twice_nothing_is_counted_and_what_is_asked_is_remembered() {
    let mut rig = Rig::with(|params| params.prune = true);
    let (way, below) = (
        rig.join_with("a", announced),
        rig.join_with("bb", announced),
    );
    let author = Played {
        conn: ConnId(999),
        composer: composer("author"),
    };
    rig.hear(way.conn, &small(&author, "alone"));
    assert_eq!(rig.mesh.streams.kept(), (0, 0, 0));
    rig.hear(below.conn, &small(&author, "alone"));
    rig.hear(way.conn, &small(&author, "first"));
    assert_eq!(rig.mesh.streams.kept(), (1, 1, 0));
    rig.hear(below.conn, &small(&author, "first"));
    // No duplicates any more: that is what was asked for.
    for number in 0..70 {
        wait(&mut rig, 10);
        let text = number.to_string();
        rig.hear(
            below.conn,
            &below.frame(&Flag::Whisper, &user(&[&text]), NOON),
        );
        rig.hear(way.conn, &small(&author, &text));
        let told = told(&wait(&mut rig, 1), "summary");
        assert_eq!(told[0].1[1], (number + 1).to_string());
    }
    for _ in 0..100 {
        wait(&mut rig, 10);
        for peer in [&way, &below] {
            rig.hear(peer.conn, &peer.frame(&Flag::Whisper, &user(&[]), NOON));
        }
    }
    assert_eq!(rig.mesh.streams.kept(), (0, 0, 0));
    rig.hear(way.conn, &small(&author, "much later"));
    assert_eq!(rig.mesh.streams.kept(), (0, 0, 0));
}

#[test]
fn whose_way_has_lost_its_own_asks_others_too() {
    let Four {
        mut rig,
        ways,
        author,
        ..
    } = four();
    rig.hear(ways[0].conn, &small(&author, "first"));
    let out = rig.hear(ways[1].conn, &small(&author, "first"));
    let asked = told(&out, "prune").remove(0).1.remove(0);
    let (_, said) = other_node(&author, "first");
    rig.hear(ways[0].conn, &verb(&ways[0], "prune", &[&said]));
    let handle = said.split('.').next().unwrap();
    let out = rig.hear(ways[0].conn, &verb(&ways[0], "graft", &[handle]));
    assert_eq!(told(&out, "graft"), [(ways[1].conn, vec![asked])]);
}

#[test]
fn what_is_older_than_others_of_its_author_is_passed_on_to_all() {
    let Four {
        mut rig,
        ways,
        below,
        author,
        ..
    } = pruned().0;
    for (age, spared) in [(0, true), (1, true), (2, false), (0, true)] {
        let text = format!("{age} seconds old, spared {spared}");
        let time = NOON + 1 - age;
        let frame = author.frame(&Flag::Broadcast, &user(&[&text]), time);
        let out = rig.hear(ways[0].conn, &frame);
        assert_eq!(sent(&out, &text).contains(&below.conn), !spared, "{text}");
    }
}

#[test]
fn t39_an_author_that_asks_for_less_of_itself_is_not_sent_its_own() {
    let Four {
        mut rig,
        ways,
        below,
        ..
    } = four();
    let own = Played {
        conn: below.conn,
        composer: composer("ccc"),
    };
    rig.hear(ways[0].conn, &small(&own, "first"));
    let (_, said) = other_node(&own, "first");
    rig.hear(below.conn, &verb(&below, "prune", &[&said]));
    rig.hear(ways[0].conn, &small(&own, "second"));
    assert_eq!(rig.mesh.streams.kept().2, 0);
    assert!(!sent(&wait(&mut rig, 3), "second").contains(&below.conn));
}

/// Authors that together sent more than is remembered.
#[test]
fn many_authors_that_say_much_and_are_confirmed_stay_spared() {
    let (
        Four {
            mut rig,
            ways,
            below,
            author,
            ..
        },
        mut peer,
    ) = pruned();
    for name in 0..200 {
        let author = Played {
            conn: ConnId(999),
            composer: composer(&format!("author {name}")),
        };
        let frames: Vec<u8> = (0..1000)
            .flat_map(|number| small(&author, &format!("{name} {number}")))
            .collect();
        rig.hear(ways[0].conn, &frames);
    }
    let digests = rig.mesh.streams.kept().1;
    assert!((100_000..150_000).contains(&digests), "{digests}");
    rig.hear(ways[0].conn, &small(&author, "second"));
    let said = peer.summary(&author, &["second"]);
    rig.hear(below.conn, &verb(&below, "summary", &[&said]));
    let out = rig.hear(ways[0].conn, &small(&author, "third"));
    assert!(!sent(&out, "third").contains(&below.conn));
    assert_eq!(rig.mesh.stats().spared_in_vain, 0);
}
