//! Bridges between meshes on loopback sockets: a message sent in one arrives in the others, once.

#![allow(missing_docs, clippy::unwrap_used, reason = "a test may panic")]

mod nats;
mod rig;

use actix::Addr;
use actix_mesh::bridge::{Bridge, BridgeError, BridgeReport, BridgeStatus, Side};
use actix_mesh::{Send, Whisper};
use rig::{Mesh, config, heard, quiet};

async fn report(bridge: &Addr<Bridge>) -> BridgeReport {
    bridge.send(BridgeStatus).await.unwrap()
}

async fn join(one: &Mesh, other: &Mesh) -> Addr<Bridge> {
    Bridge::new()
        .join(one.side().await)
        .join(other.side().await)
        .start()
        .await
        .unwrap()
}

#[actix::test]
async fn what_is_said_in_one_mesh_is_heard_in_the_other() {
    let (left, right) = (Mesh::start("left", 2).await, Mesh::start("right", 2).await);
    let bridge = join(&left, &right).await;

    let there = Send::new("from the left");
    left.nodes[0].router.send(there).await.unwrap().unwrap();
    for node in &right.nodes {
        let message = heard(node).await;
        assert_eq!(message.text(), "from the left");
        assert_eq!(*message.sender(), left.nodes[0].id);
    }
    heard(&left.nodes[1]).await;

    let back = Send::new("from the right");
    right.nodes[1].router.send(back).await.unwrap().unwrap();
    for node in &left.nodes {
        assert_eq!(heard(node).await.text(), "from the right");
    }
    let report = report(&bridge).await;
    let carried = report.sides.iter().map(|side| side.broadcasts.carried);
    assert_eq!(carried.collect::<Vec<_>>(), [1, 1]);
    let failed = report.sides.iter().map(|side| side.broadcasts.failed);
    assert_eq!(failed.collect::<Vec<_>>(), [0, 0]);
}

#[actix::test]
async fn two_bridges_between_the_same_meshes_carry_each_message_once() {
    let (left, right) = (Mesh::start("left", 2).await, Mesh::start("right", 2).await);
    let bridges = [join(&left, &right).await, join(&left, &right).await];

    for number in 0..20 {
        left.nodes[0]
            .router
            .send(Send::new(format!("{number}")))
            .await
            .unwrap()
            .unwrap();
    }
    for node in &right.nodes {
        let mut texts = Vec::new();
        for _ in 0..20 {
            texts.push(heard(node).await.text());
        }
        texts.sort_by_key(|text| text.parse::<usize>().unwrap());
        assert_eq!(
            texts,
            (0..20).map(|number| number.to_string()).collect::<Vec<_>>()
        );
    }
    for node in left.nodes[1..].iter() {
        for _ in 0..20 {
            heard(node).await;
        }
    }
    for node in left.nodes.iter().chain(&right.nodes) {
        quiet(node).await;
    }
    let mut carried = 0;
    for bridge in &bridges {
        let report = report(bridge).await;
        assert_eq!(
            [
                report.sides[0].broadcasts.carried,
                report.sides[0].broadcasts.failed
            ],
            [0, 0]
        );
        carried += report.sides[1].broadcasts.carried;
    }
    assert!(carried >= 20, "{carried}");
}

#[actix::test]
async fn a_ring_of_three_bridges_has_no_loop() {
    let meshes = [
        Mesh::start("a", 2).await,
        Mesh::start("b", 2).await,
        Mesh::start("c", 2).await,
    ];
    let _bridges = [
        join(&meshes[0], &meshes[1]).await,
        join(&meshes[1], &meshes[2]).await,
        join(&meshes[2], &meshes[0]).await,
    ];
    meshes[0].nodes[0]
        .router
        .send(Send::new("round and round"))
        .await
        .unwrap()
        .unwrap();
    for mesh in &meshes[1..] {
        for node in &mesh.nodes {
            assert_eq!(heard(node).await.text(), "round and round");
        }
    }
    heard(&meshes[0].nodes[1]).await;
    for node in meshes.iter().flat_map(|mesh| &mesh.nodes) {
        quiet(node).await;
    }
}

#[actix::test]
async fn a_reply_finds_the_author_on_the_other_side_and_its_answer_comes_back() {
    let (left, right) = (Mesh::start("left", 2).await, Mesh::start("right", 2).await);
    let bridge = join(&left, &right).await;
    let (asker, answerer) = (&left.nodes[0], &right.nodes[0]);

    asker
        .router
        .send(Send::new("who is there?"))
        .await
        .unwrap()
        .unwrap();
    let question = heard(answerer).await;
    answerer
        .router
        .send(question.reply("me"))
        .await
        .unwrap()
        .unwrap();

    let answer = heard(asker).await;
    assert_eq!(answer.text(), "me");
    assert_eq!(*answer.sender(), answerer.id);
    asker
        .router
        .send(answer.reply("good"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(heard(answerer).await.text(), "good");

    let report = report(&bridge).await;
    assert_eq!(report.guests, 2);
    assert_eq!(
        [
            report.sides[0].whispers.carried,
            report.sides[1].whispers.carried
        ],
        [1, 1]
    );
}

#[actix::test]
async fn a_peer_that_never_spoke_is_found_by_its_connection() {
    let (left, right) = (Mesh::start("left", 2).await, Mesh::start("right", 2).await);
    let _bridge = join(&left, &right).await;
    let silent = left.nodes[1].id.clone();
    right.nodes[0]
        .router
        .send(Whisper::new(silent, "psst"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(heard(&left.nodes[1]).await.text(), "psst");
}

#[actix::test]
async fn kinds_and_directions_are_kept_to() {
    let (left, right) = (Mesh::start("left", 1).await, Mesh::start("right", 1).await);
    let left_side = left.side().await.kinds(["room/"]).source_only();
    let bridge = Bridge::new()
        .join(left_side)
        .join(right.side().await)
        .start()
        .await
        .unwrap();

    let send = |text: &str, kind: &str| Send::new(text).kind(kind);
    let (here, there) = (&left.nodes[0].router, &right.nodes[0].router);
    here.send(send("carried", "room/1")).await.unwrap().unwrap();
    here.send(send("of another kind", "hall/1"))
        .await
        .unwrap()
        .unwrap();
    there
        .send(send("against the direction", "room/1"))
        .await
        .unwrap()
        .unwrap();

    let message = right.next_of_any_kind(0).await;
    assert_eq!(
        (message.text().as_str(), message.packets()[0].as_bytes()),
        ("carried", &b"room/1"[..])
    );
    right.quiet_of_any_kind(0).await;
    left.quiet_of_any_kind(0).await;
    let report = report(&bridge).await;
    assert_eq!(report.sides[1].broadcasts.carried, 1);
    assert_eq!([report.sides[0].kept, report.sides[1].kept], [1, 1]);
}

/// Text and values, back and forth between generations over two bridges: each arrives once and unchanged.
#[actix::test]
async fn generations_are_joined_without_loss_or_loop() {
    use actix_mesh::wire::{Form, Generation, Packet};
    use serde_json::json;
    let old = Mesh::start_wire("old", 2, Generation::V0_4).await;
    let new = Mesh::start_wire("new", 2, Generation::V0_7).await;
    let bridges = [join(&old, &new).await, join(&old, &new).await];

    let text = Send::new("from the old");
    old.nodes[0].router.send(text).await.unwrap().unwrap();
    for node in &new.nodes {
        let message = heard(node).await;
        assert_eq!(message.text(), "from the old");
        assert_eq!(message.packets()[1].form(), Form::Text);
    }
    heard(&old.nodes[1]).await;

    let values = [
        Packet::from("text"),
        Packet::binary(vec![0xff, 0]),
        Packet::value(&json!({"n": [1, 2]})),
    ];
    let said = Send::new(values.to_vec());
    new.nodes[0].router.send(said).await.unwrap().unwrap();
    let there = heard(&new.nodes[1]).await;
    assert_eq!(there.packets()[1..], values);
    for node in &old.nodes {
        let told = heard(node).await;
        assert_eq!(told.packets()[1], values[0]);
        assert!(told.packets()[2].as_str().unwrap().starts_with("mesh+"));
    }
    for node in old.nodes.iter().chain(&new.nodes) {
        quiet(node).await;
    }
    let mut carried = 0;
    for bridge in &bridges {
        let sides = report(bridge).await.sides;
        carried += sides
            .iter()
            .map(|side| side.broadcasts.carried)
            .sum::<u64>();
        assert!(sides.iter().all(|side| side.broadcasts.failed == 0));
    }
    assert!(carried >= 2);
}

#[actix::test]
async fn a_bridge_says_why_it_does_not_start() {
    let node = config("left").start().await.unwrap();
    let alone = Bridge::new().join(Side::new("left", &node)).start().await;
    assert!(matches!(alone, Err(BridgeError::OneSided)));
    let twice = Bridge::new()
        .join(Side::new("left", &node))
        .join(Side::new("again", &node))
        .start()
        .await;
    assert!(matches!(twice, Err(BridgeError::SameNode(..))));
    let other = config("right").start().await.unwrap();
    let alike = Bridge::new()
        .join(Side::new("left", &node))
        .join(Side::new("left", &other))
        .start()
        .await;
    assert!(matches!(alike, Err(BridgeError::SameName(name)) if name == "left"));
}
