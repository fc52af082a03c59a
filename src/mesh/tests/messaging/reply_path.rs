//! Whispers to authors that cannot be dialled, along the path their messages came.

use crate::mesh::sim::{Network, Node};
use crate::mesh::tests::rig::*;

const SECOND: Duration = Duration::from_secs(1);

/// A line of nodes, the first of which cannot be dialled; those named have no extensions.
fn line(seed: u64, count: usize, plain: &[usize]) -> (Network, Vec<Node>) {
    let mut net = Network::new(seed);
    let nodes: Vec<Node> = (0..count)
        .map(|index| {
            net.add_with(|params| {
                params.max_outgoing = 0;
                params.extensions = !plain.contains(&index);
            })
        })
        .collect();
    net.hide(nodes[0]);
    for pair in nodes.windows(2) {
        net.connect(pair[0], pair[1]);
    }
    net.run_for(SECOND);
    net.broadcast(nodes[0], "who can reply?").unwrap();
    net.run_for(SECOND);
    (net, nodes)
}

fn texts(net: &Network, node: Node) -> Vec<String> {
    let delivered = net.delivered(node).iter();
    delivered.map(|message| message.text()).collect()
}

#[test]
fn e19_a_reply_reaches_an_author_that_cannot_be_dialled() {
    for seed in 0..50 {
        let (mut net, nodes) = line(seed, 3 + usize::try_from(seed % 6).unwrap(), &[]);
        let last = *nodes.last().unwrap();
        let author = net.id(nodes[0]);
        let ticket = net.whisper(last, author.clone(), "I can", SECOND * 10);
        net.run_for(SECOND * 3);
        let answer = net.answer(ticket);
        assert!(
            matches!(answer, Some(Answer::Whisper(Ok(whispered))) if whispered.to == author),
            "seed {seed}: {answer:?}"
        );
        let got = net.delivered(nodes[0]);
        assert_eq!(got.len(), 1, "seed {seed}: exactly once");
        assert_eq!(
            (got[0].text(), got[0].sender()),
            ("I can".into(), &net.id(last))
        );
        for other in &nodes[1..] {
            assert!(!texts(&net, *other).contains(&"I can".into()), "a whisper");
        }
    }
}

fn foreign(kind: &str, text: &str) -> Foreign {
    Foreign {
        author: id("from another mesh"),
        time: NOON,
        payload: Packets::from(vec![
            Packet::from(kind.to_owned()),
            Packet::from(text.to_owned()),
        ]),
    }
}

#[test]
fn e19_a_bridged_reply_keeps_its_author() {
    let (mut net, nodes) = line(5, 3, &[]);
    let author = net.id(nodes[0]);
    let kind = SubFlag::Whisper.packet(GENERATION);
    let reply = foreign(kind.as_str().unwrap(), "from afar");
    net.command(nodes[2], |mesh, now, out| {
        mesh.pass_on_whisper(
            now,
            Ticket(77),
            author,
            reply,
            SECOND * 10,
            Hold::none(),
            out,
        );
    });
    net.run_for(SECOND * 3);
    let got = net.delivered(nodes[0]);
    assert_eq!(got.len(), 1);
    assert_eq!(
        (got[0].text(), got[0].sender()),
        ("from afar".into(), &id("from another mesh"))
    );
}

#[test]
fn what_comes_over_a_bridge_cannot_pose_as_an_extension() {
    let mut rig = Rig::new();
    let mut out = Effects::new();
    rig.join("a");
    let (posing, hold) = (foreign("mesh+", "want"), Hold::none());
    let within = SECOND;
    let (now, ticket) = (rig.now, Ticket(1));
    rig.mesh
        .pass_on_whisper(now, ticket, id("a"), posing, within, hold, &mut out);
    let refused = Answer::Whisper(Err(SendError::ReservedKind.into()));
    let answers = out
        .iter()
        .any(|effect| matches!(effect, Effect::Answer { answer, .. } if *answer == refused));
    assert!(answers && written(&out).is_empty());
}

#[test]
fn e19_over_a_reference_peer_it_is_said_soon_that_there_is_no_way() {
    for plain in [1, 2] {
        let (mut net, nodes) = line(7, 4, &[plain]);
        let author = net.id(nodes[0]);
        let ticket = net.whisper(nodes[3], author, "can I?", SECOND * 30);
        net.run_for(SECOND * 3);
        let answer = net.answer(ticket);
        let no_way = matches!(
            answer,
            Some(Answer::Whisper(Err(
                WhisperError::NoWay(_) | WhisperError::Unreachable { .. }
            )))
        );
        assert!(no_way, "{plain}: {answer:?}");
        assert!(net.delivered(nodes[0]).is_empty());
    }
}

#[test]
fn e19_a_peer_that_falls_silent_on_the_way_fails_it_at_its_deadline() {
    let (mut net, nodes) = line(3, 4, &[]);
    net.power_off(nodes[1]);
    let author = net.id(nodes[0]);
    let ticket = net.whisper(nodes[3], author, "anybody?", SECOND * 5);
    net.run_for(SECOND * 4);
    assert_eq!(net.answer(ticket), None);
    net.run_for(SECOND * 3);
    let answer = net.answer(ticket);
    assert!(
        matches!(
            answer,
            Some(Answer::Whisper(Err(WhisperError::NoReceipt(_))))
        ),
        "{answer:?}"
    );
}

fn say(rig: &mut Rig, peer: &Played, name: &str, arguments: &[&str]) -> Effects {
    rig.hear(peer.conn, &verb(peer, name, arguments))
}

#[test]
fn a_node_hands_on_to_the_link_of_the_author_and_never_back() {
    let mut rig = Rig::new();
    let (asker, way) = (
        rig.join_with("asker", announced),
        rig.join_with("way", announced),
    );
    let author = id("author").to_string();
    let out = say(&mut rig, &asker, "along", &[&author, "3", "77", "AAAA"]);
    assert_eq!(written(&out)[0].2, ["mesh+", "receipt", "77", "no way"]);
    let broadcast = composer("author").compose(&Flag::Waterfall, &user(&["hello"]), NOON);
    rig.hear(way.conn, &broadcast.unwrap().frames.plain);
    let out = say(&mut rig, &asker, "along", &[&author, "3", "78", "AAAA"]);
    let said = written(&out);
    assert_eq!((said.len(), said[0].0), (1, way.conn));
    assert_eq!(said[0].2[..4], ["mesh+", "along", &author[..], "2"]);
    // It does not go back to where it came from, nor beyond its last hop.
    for (from, hops) in [(&way, "3"), (&asker, "0")] {
        let out = say(&mut rig, from, "along", &[&author, hops, "79", "AAAA"]);
        assert_eq!(written(&out)[0].2, ["mesh+", "receipt", "79", "no way"]);
    }
    // Only the peer it was handed to can report its outcome.
    let number = said[0].2[4].clone();
    assert!(written(&say(&mut rig, &asker, "receipt", &[&number, "arrived"])).is_empty());
    let out = say(&mut rig, &way, "receipt", &[&number, "arrived"]);
    let said = written(&out);
    assert_eq!(said[0].0, asker.conn);
    assert_eq!(said[0].2, ["mesh+", "receipt", "78", "arrived"]);
    assert!(written(&say(&mut rig, &way, "receipt", &[&number, "arrived"])).is_empty());
}

#[test]
fn control_messages_inside_are_not_obeyed_and_nonsense_is_refused() {
    use base64::Engine as _;
    let mut rig = Rig::new();
    let peer = rig.join_with("peer", announced);
    let us = rig.mesh.me().to_string();
    let wrap = |frame: &[u8]| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(frame);
    let whisper = |payload: &[Packet]| {
        let composed = composer("far").compose(&Flag::Whisper, payload, NOON);
        wrap(&composed.unwrap().frames.plain)
    };
    let request = Control::RequestPeers.packets(GENERATION);
    let broadcast = composer("far").compose(&Flag::Broadcast, &user(&["x"]), NOON);
    let bad = [
        whisper(&request),
        wrap(&broadcast.unwrap().frames.plain),
        wrap(b"nonsense"),
        String::from("%%%"),
    ];
    for bad in bad {
        let out = say(&mut rig, &peer, "along", &[&us, "3", "1", &bad]);
        assert_eq!(written(&out)[0].2, ["mesh+", "receipt", "1", "no way"]);
        assert!(delivered(&out).is_empty());
    }
    let good = whisper(&[SubFlag::Whisper.packet(GENERATION), Packet::from("hi")]);
    let out = say(&mut rig, &peer, "along", &[&us, "0", "2", &good]);
    assert_eq!(delivered(&out), ["hi"]);
    assert_eq!(written(&out)[0].2, ["mesh+", "receipt", "2", "arrived"]);
    let long = "A".repeat(100_000);
    assert!(written(&say(&mut rig, &peer, "along", &[&us, "3", "3", &long])).is_empty());
    assert_eq!(rig.mesh.stats().malformed, 1);
}

#[test]
fn what_waits_for_receipts_is_bounded_in_number_and_time() {
    let mut rig = Rig::new();
    let (asker, way) = (
        rig.join_with("asker", announced),
        rig.join_with("way", announced),
    );
    let author = id("author").to_string();
    let broadcast = composer("author").compose(&Flag::Waterfall, &user(&["hello"]), NOON);
    rig.hear(way.conn, &broadcast.unwrap().frames.plain);
    let mut handed = 0;
    for number in 0..100 {
        let number = number.to_string();
        let out = say(&mut rig, &asker, "along", &[&author, "3", &number, "AAAA"]);
        handed += targets(&out)
            .iter()
            .filter(|conn| **conn == way.conn)
            .count();
    }
    assert_eq!(handed, 16, "the peer on the way would refuse more of us");
    assert!(rig.mesh.stats().over_budget > 0);
}
