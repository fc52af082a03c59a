//! What our own nodes say to each other beyond the protocol, and to whom they never say it.

use super::rig::*;
use crate::wire::Extension;

fn announced(control: &mut Control) {
    if let Control::Handshake { extended, .. } = control {
        *extended = true;
    }
}

fn extension(verb: &str, arguments: &[&str]) -> Vec<Packet> {
    let arguments = arguments
        .iter()
        .map(|text| Bytes::copy_from_slice(text.as_bytes()));
    let extension = Extension {
        verb: verb.to_owned(),
        arguments: arguments.collect(),
    };
    Control::Extension(extension).packets(GENERATION)
}

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
    // The second broadcast is the first, relayed.
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
