//! Extensions between our own nodes, and the peers that never get them.

use crate::mesh::tests::rig::*;
use crate::wire::MessageId;

fn sharing(params: &mut Params) {
    params.share_topology = true;
}

#[test]
fn a_handshake_announces_unless_it_is_turned_off() {
    for on in [true, false] {
        let mut rig = Rig::with(|params| params.extensions = on);
        let conn = rig.mesh.next_conn();
        let addr = address("127.0.0.1:50000");
        let out = rig.input(Input::Accepted { conn, addr });
        assert_eq!(written(&out)[0].2[4].contains("\"mesh+1\""), on);
    }
}

#[test]
fn only_who_has_announced_is_asked_and_a_renegotiation_does_not_take_it_back() {
    let mut rig = Rig::with(sharing);
    let (ours, theirs) = (rig.join_with("ours", announced), rig.join("theirs"));
    let methods = Control::Compression(vec![Method::Gzip]).packets(GENERATION);
    rig.hear(ours.conn, &ours.frame(&Flag::Renegotiate, &methods, NOON));
    rig.hear(ours.conn, &Rig::handshake("ours", |_| {}));
    rig.hear(theirs.conn, &Rig::handshake("theirs", announced));
    let mut out = Effects::new();
    assert_eq!(rig.mesh.ask_topology(rig.now, &mut out), 1);
    let said = written(&out);
    assert_eq!(said.len(), 1);
    assert_eq!(said[0].0, ours.conn);
    assert_eq!(said[0].2, ["mesh+", "topology?"]);
    out.clear();
    assert_eq!(rig.mesh.ask_topology(rig.now, &mut out), 0, "just asked");
}

#[test]
fn a_neighbour_answers_with_its_neighbours_and_is_believed_once() {
    let mut asked = Rig::with(sharing);
    let asker = asked.join_with("asker", announced);
    asked.join("other");
    let out = asked.hear(
        asker.conn,
        &asker.frame(&Flag::Whisper, &extension("topology?", &[]), NOON),
    );
    let said = written(&out);
    assert_eq!((said[0].0, &said[0].2[1][..]), (asker.conn, "topology"));
    let answer = said[0].2[2].clone();

    let mut rig = Rig::with(sharing);
    let peer = rig.join_with("peer", announced);
    let frame = peer.frame(&Flag::Whisper, &extension("topology", &[&answer]), NOON);
    rig.hear(peer.conn, &frame);
    assert!(rig.mesh.neighborhoods().is_empty(), "nobody asked");
    assert_eq!(rig.mesh.stats().misplaced, 1);
    let now = rig.now;
    rig.mesh.ask_topology(now, &mut Effects::new());
    rig.now.monotonic += Duration::from_millis(30);
    rig.hear(peer.conn, &frame);
    let said = rig.mesh.neighborhoods();
    assert_eq!((said.len(), said[0].round_trip), (1, 30));
    let mut ids: Vec<_> = said[0].neighbors.iter().map(|it| it.id.clone()).collect();
    ids.sort();
    let mut expected = vec![id("asker"), id("other")];
    expected.sort();
    assert_eq!((&said[0].of, ids), (&id("peer"), expected));
}

#[test]
fn who_does_not_share_neither_asks_nor_answers() {
    let mut rig = Rig::new();
    let peer = rig.join_with("peer", announced);
    assert_eq!(rig.mesh.ask_topology(rig.now, &mut Effects::new()), 0);
    let frame = peer.frame(&Flag::Whisper, &extension("topology?", &[]), NOON);
    assert!(written(&rig.hear(peer.conn, &frame)).is_empty());
}

#[test]
fn an_extension_of_who_has_not_announced_is_neither_obeyed_nor_delivered() {
    let mut rig = Rig::with(sharing);
    let peer = rig.join("peer");
    for flag in [Flag::Whisper, Flag::Broadcast, Flag::Waterfall, Flag::Ping] {
        let frame = peer.frame(&flag, &extension("topology?", &[]), NOON);
        let out = rig.hear(peer.conn, &frame);
        assert_eq!(
            (delivered(&out).len(), written(&out).len()),
            (0, 0),
            "{flag:?}"
        );
    }
    // The second broadcast is the first one, relayed.
    assert_eq!(rig.mesh.stats().misplaced, 3);
}

#[test]
fn what_is_too_long_too_often_or_unknown_is_dropped_and_counted() {
    let mut rig = Rig::with(sharing);
    let peer = rig.join_with("peer", announced);
    let mut say = |verb: &str, arguments: &[&str]| {
        let frame = peer.frame(&Flag::Whisper, &extension(verb, arguments), NOON);
        rig.hear(peer.conn, &frame);
        let stats = rig.mesh.stats();
        (stats.malformed, stats.over_budget, stats.unknown_verbs)
    };
    assert_eq!(say("topology?", &["x"]), (1, 0, 0));
    assert_eq!(say("topology?", &[]), (1, 0, 0));
    assert_eq!(say("topology?", &[]), (1, 0, 0));
    assert_eq!(say("topology?", &[]), (1, 1, 0));
    assert_eq!(
        say("from the future", &[]),
        (2, 1, 0),
        "no verb has a space"
    );
    assert_eq!(say("later", &[]), (2, 1, 1));
}

#[test]
fn users_cannot_send_an_extension() {
    let mut rig = Rig::new();
    rig.join_with("peer", announced);
    let sent = rig.send_what(Outgoing {
        packets: ["topology?"].into_iter().map(Packet::from).collect(),
        flag: Flag::Whisper,
        kind: Some(Packet::from("mesh+")),
        allow_empty: false,
    });
    assert_eq!(sent, Err(SendError::ReservedKind));
}

#[test]
fn a_message_is_followed_to_the_peer_that_a_peer_heard_it_from() {
    let mut rig = Rig::with(sharing);
    let (near, plain) = (rig.join_with("near", announced), rig.join("plain"));
    let payload = [Packet::from("news"), Packet::from("of the day")];
    let frame = near.frame(&Flag::Broadcast, &payload, NOON);
    let batch = Batch::from_frames(GENERATION, Limits::default(), &frame).unwrap();
    let news = batch.get(0).unwrap().message_id();
    assert_eq!(delivered(&rig.hear(near.conn, &frame)).len(), 1);
    // The mesh's own messages are not listed.
    let wish = Control::RequestPeers.packets(GENERATION);
    rig.hear(plain.conn, &plain.frame(&Flag::Broadcast, &wish, NOON));
    rig.now.monotonic += Duration::from_secs(2);
    let passed = rig.mesh.passed_messages(rig.now, 9);
    assert_eq!(
        (passed.len(), &*passed[0].kind, passed[0].ago),
        (1, "news", 2000)
    );
    assert_eq!(
        (&passed[0].from, &passed[0].sender),
        (&Some(id("near")), &id("near"))
    );

    let mut out = Effects::new();
    assert_eq!(
        rig.mesh.ask_route(rig.now, &news, &mut out),
        1,
        "plain has not announced itself"
    );
    assert_eq!(written(&out)[0].2, ["mesh+", "route?", news.as_str()]);
    assert_eq!(
        rig.mesh.ask_route(rig.now, &news, &mut out),
        0,
        "asked already"
    );
    rig.now.monotonic += Duration::from_millis(100);
    let answer = extension("route", &[news.as_str(), id("far").as_str(), "3000"]);
    rig.hear(near.conn, &near.frame(&Flag::Whisper, &answer, NOON));
    // A second answer changes nothing.
    let lie = extension("route", &[news.as_str(), "liar", "9000"]);
    rig.hear(near.conn, &near.frame(&Flag::Whisper, &lie, NOON));
    let route = rig.mesh.route(rig.now, &news);
    let hops = route
        .hops
        .iter()
        .map(|hop| (hop.node.clone(), hop.from.clone(), hop.ago, hop.own));
    let expected = [
        (id("near"), Some(id("far")), 3050, false),
        (rig.mesh.me().clone(), Some(id("near")), 2100, true),
    ];
    assert_eq!(hops.collect::<Vec<_>>(), expected);
    assert_eq!(rig.mesh.stats().misplaced, 1, "the wish in a broadcast");

    let other = MessageId::parse("nobodyKnows").unwrap();
    assert_eq!(rig.mesh.ask_route(rig.now, &other, &mut out), 0, "too soon");
    rig.now.monotonic += Duration::from_secs(1);
    assert_eq!(rig.mesh.ask_route(rig.now, &other, &mut out), 1);
    let answer = extension("route", &["nobodyKnows"]);
    rig.hear(near.conn, &near.frame(&Flag::Whisper, &answer, NOON));
    let route = rig.mesh.route(rig.now, &other);
    assert_eq!((route.hops.len(), route.unknown), (0, vec![id("near")]));
    // It may have got the message since.
    rig.now.monotonic += Duration::from_secs(1);
    assert_eq!(rig.mesh.ask_route(rig.now, &other, &mut out), 1);
}

#[test]
fn a_route_is_told_to_who_asks_and_never_by_who_does_not_share() {
    let mut rig = Rig::with(sharing);
    let (near, far) = (rig.join_with("near", announced), rig.join("far"));
    let payload = [Packet::from("news"), Packet::from("of the day")];
    let frame = far.frame(&Flag::Broadcast, &payload, NOON);
    let batch = Batch::from_frames(GENERATION, Limits::default(), &frame).unwrap();
    let news = batch.get(0).unwrap().message_id();
    assert_eq!(delivered(&rig.hear(far.conn, &frame)).len(), 1);
    rig.now.monotonic += Duration::from_millis(40);
    let ask = |rig: &mut Rig, near: &Played, id: &str| {
        let out = rig.hear(
            near.conn,
            &near.frame(&Flag::Whisper, &extension("route?", &[id]), NOON),
        );
        written(&out)
            .into_iter()
            .map(|(_, _, packets)| packets)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        ask(&mut rig, &near, news.as_str()),
        [["mesh+", "route", news.as_str(), id("far").as_str(), "40"]]
    );
    assert_eq!(
        ask(&mut rig, &near, "unheard"),
        [["mesh+", "route", "unheard"]]
    );
    let sent = rig.send(&["ours"]).unwrap();
    assert_eq!(
        ask(&mut rig, &near, sent.id.as_str()),
        [["mesh+", "route", sent.id.as_str(), "", "0"]]
    );
    let malformed = rig.mesh.stats().malformed;
    assert!(ask(&mut rig, &near, "not an id!").is_empty());
    assert_eq!(rig.mesh.stats().malformed, malformed + 1);
    // An answer to no question.
    let misplaced = rig.mesh.stats().misplaced;
    rig.hear(
        near.conn,
        &near.frame(&Flag::Whisper, &extension("route", &["unheard"]), NOON),
    );
    assert_eq!(rig.mesh.stats().misplaced, misplaced + 1);

    let mut rig = Rig::new();
    let near = rig.join_with("near", announced);
    assert!(ask(&mut rig, &near, "unheard").is_empty());
    assert!(rig.mesh.passed_messages(rig.now, 9).is_empty());
    assert_eq!(
        rig.mesh.ask_route(rig.now, &sent.id, &mut Effects::new()),
        0
    );
}

#[test]
fn what_is_kept_of_the_messages_that_passed_is_bounded() {
    let mut rig = Rig::with(sharing);
    let near = rig.join_with("near", announced);
    for n in 0..1100 {
        let payload = [Packet::from("k".repeat(999)), Packet::from(n.to_string())];
        rig.hear(near.conn, &near.frame(&Flag::Broadcast, &payload, NOON));
    }
    let passed = rig.mesh.passed_messages(rig.now, usize::MAX);
    assert_eq!(passed.len(), 1024);
    assert!(passed.iter().all(|it| it.kind == "k".repeat(32)));
}
