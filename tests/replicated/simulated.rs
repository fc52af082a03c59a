//! Presence and the shared dictionary, on real Routers in a simulated network.

use std::time::Duration;

use actix::{Actor, Addr};
use actix_mesh::replicated::{
    Announce, Entries, Get, Here, Presence, Set, Sync, SyncError, SyncStatus,
};
use actix_mesh::{Packet, SimNet, Status, Whisper};
use serde_json::json;

async fn pass(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

async fn entries(sync: &Addr<Sync>) -> Vec<(String, String)> {
    let entries = sync.send(Entries).await.unwrap();
    let text = |packet: &Packet| packet.as_str().unwrap().to_owned();
    entries
        .iter()
        .map(|(key, entry)| (text(key), text(&entry.value)))
        .collect()
}

#[actix::test]
async fn all_nodes_keep_the_same_whoever_wrote_when() {
    let net = SimNet::new(21).latency(Duration::from_millis(5)..=Duration::from_millis(200));
    let nodes = net.start(10).unwrap();
    let syncs: Vec<_> = nodes.iter().map(|node| Sync::of(node).start()).collect();
    pass(10).await;
    // On all nodes at the same time.
    let setting = syncs.iter().enumerate().map(|(number, sync)| async move {
        sync.send(Set::new("contested", format!("by {number}")))
            .await
            .unwrap()
            .unwrap();
        sync.send(Set::new(format!("of {number}"), "first"))
            .await
            .unwrap()
            .unwrap();
        sync.send(Set::new(format!("of {number}"), "second"))
            .await
            .unwrap()
            .unwrap();
    });
    futures_util::future::join_all(setting).await;
    pass(2).await;
    syncs[3].send(Set::removed("of 7")).await.unwrap().unwrap();
    pass(5).await;
    let kept = entries(&syncs[0]).await;
    assert_eq!(kept.len(), 10);
    assert!(
        kept.iter()
            .all(|(key, value)| key == "contested" || value == "second")
    );
    for sync in &syncs {
        assert_eq!(entries(sync).await, kept);
    }

    // Two halves are separated and reconnected.
    net.partition(&nodes[..4]);
    pass(60).await;
    syncs[0]
        .send(Set::new("small", "side"))
        .await
        .unwrap()
        .unwrap();
    syncs[9]
        .send(Set::new("large", "side"))
        .await
        .unwrap()
        .unwrap();
    syncs[0]
        .send(Set::new("contested", "older"))
        .await
        .unwrap()
        .unwrap();
    pass(2).await;
    syncs[9]
        .send(Set::new("contested", "newer"))
        .await
        .unwrap()
        .unwrap();
    pass(5).await;
    assert!(syncs[9].send(Get::new("small")).await.unwrap().is_none());
    net.heal();
    pass(120).await;
    let kept = entries(&syncs[0]).await;
    assert_eq!(kept.len(), 12);
    assert!(kept.contains(&("contested".into(), "newer".into())));
    for sync in &syncs {
        assert_eq!(entries(sync).await, kept);
    }

    // A node that joins late gets the entries.
    let late = net.start(1).unwrap();
    let sync = Sync::of(&late[0]).start();
    pass(10).await;
    assert_eq!(entries(&sync).await, kept);
}

#[actix::test]
async fn a_lease_keeps_a_key_for_who_set_it() {
    let net = SimNet::new(22);
    let nodes = net.start(2).unwrap();
    let hour = Duration::from_secs(3600);
    let syncs: Vec<_> = nodes
        .iter()
        .map(|node| Sync::of(node).lease(hour).start())
        .collect();
    pass(5).await;
    syncs[0]
        .send(Set::new("key", "mine"))
        .await
        .unwrap()
        .unwrap();
    pass(2).await;
    let refused = syncs[1].send(Set::new("key", "stolen")).await.unwrap();
    assert!(
        matches!(refused, Err(SyncError::Held { owner, left }) if owner == nodes[0].id && left > 3500)
    );
    pass(3600).await;
    syncs[1]
        .send(Set::new("key", "free"))
        .await
        .unwrap()
        .unwrap();
    pass(2).await;
    assert_eq!(entries(&syncs[0]).await, [("key".into(), "free".into())]);
    let nothing = syncs[0].send(Set::new("", "x")).await.unwrap();
    assert_eq!(nothing, Err(SyncError::NoKey));
}

#[actix::test]
async fn a_dictionary_has_bounds() {
    let net = SimNet::new(23);
    let nodes = net.start(1).unwrap();
    let sync = Sync::of(&nodes[0]).start();
    for number in 0..16 {
        let value = "x".repeat(500_000);
        sync.send(Set::new(format!("{number}"), value))
            .await
            .unwrap()
            .unwrap();
    }
    let full = sync
        .send(Set::new("17", "x".repeat(500_000)))
        .await
        .unwrap();
    assert_eq!(full, Err(SyncError::Full));
    sync.send(Set::removed("3")).await.unwrap().unwrap();
    sync.send(Set::new("17", "x".repeat(500_000)))
        .await
        .unwrap()
        .unwrap();
}

#[actix::test]
async fn presence_knows_who_is_here() {
    let net = SimNet::new(24);
    let nodes = net.start(8).unwrap();
    let every = Duration::from_secs(5);
    let all: Vec<_> = nodes
        .iter()
        .enumerate()
        .map(|(number, node)| {
            Presence::of(node)
                .about(json!({ "n": number }))
                .every(every)
                .start()
        })
        .collect();
    pass(10).await;
    for (number, presence) in all.iter().enumerate() {
        let here = presence.send(Here).await.unwrap();
        let mut numbers: Vec<_> = here
            .iter()
            .map(|node| node.about["n"].as_u64().unwrap())
            .collect();
        numbers.sort_unstable();
        let others: Vec<_> = (0..8).filter(|other| *other != number as u64).collect();
        assert_eq!(numbers, others);
    }
    all[1].send(Announce(json!({ "n": 100 }))).await.unwrap();
    pass(5).await;
    let here = all[0].send(Here).await.unwrap();
    assert!(
        here.iter()
            .any(|node| node.node == nodes[1].id && node.about["n"] == 100)
    );

    // One node shuts down, another is cut off.
    nodes[2].shutdown().await.unwrap();
    net.partition([&nodes[3]]);
    pass(30).await;
    let here = all[0].send(Here).await.unwrap();
    let gone = |number: usize| here.iter().all(|node| node.node != nodes[number].id);
    assert!(gone(2) && gone(3));
    assert_eq!(here.len(), 5);
}

#[actix::test]
async fn what_is_set_last_is_kept_however_quickly() {
    let net = SimNet::new(25);
    let nodes = net.start(2).unwrap();
    let syncs: Vec<_> = nodes.iter().map(|node| Sync::of(node).start()).collect();
    pass(5).await;
    let setting = (0..14).map(|n| syncs[0].send(Set::new("key", format!("{}", 9 - n))));
    let set = futures_util::future::join_all(setting).await;
    let kept = set.iter().filter(|set| matches!(set, Ok(Ok(())))).count();
    let ahead =
        |set: &Result<_, _>| matches!(set, Ok(Err(SyncError::Ahead { seconds })) if *seconds > 10);
    assert!((10..=11).contains(&kept), "{set:?}");
    assert!(set[kept..].iter().all(ahead), "{set:?}");
    pass(2).await;
    let last = format!("{}", 10 - i64::try_from(kept).unwrap());
    assert_eq!(entries(&syncs[1]).await, [("key".into(), last)]);
}

/// A member whispers many entries to one node, which passes each key on once, a few at a time.
#[actix::test]
async fn t34_a_member_that_whispers_much_does_not_make_us_shout() {
    let net = SimNet::new(26);
    let nodes = net.start(4).unwrap();
    let sync = Sync::of(&nodes[0]).start();
    pass(10).await;
    let now = 1_700_000_000 + net.passed().as_secs();
    let time =
        String::from_utf8(actix_mesh::wire::base58::encode_u64(now).as_ref().to_vec()).unwrap();
    let before = nodes[0].router.send(Status).await.unwrap().stats.sent;
    for n in 0..1000 {
        let packets = [
            "same".into(),
            format!("{n:04}"),
            nodes[1].id.to_string(),
            time.clone(),
        ];
        let whisper = Whisper::new(nodes[0].id.clone(), packets.map(Packet::from).to_vec());
        let whisper = whisper.kind("\u{b}");
        nodes[1].router.send(whisper).await.unwrap().unwrap();
    }
    let bad = Whisper::new(nodes[0].id.clone(), "alone").kind("\u{b}");
    nodes[1].router.send(bad).await.unwrap().unwrap();
    pass(10).await;
    let sent = nodes[0].router.send(Status).await.unwrap().stats.sent - before;
    assert!(
        (1..100).contains(&sent),
        "{sent} broadcasts for 1,000 whispers"
    );
    assert_eq!(entries(&sync).await, [("same".into(), "0999".into())]);
    assert_eq!(sync.send(SyncStatus).await.unwrap().refused, 1);
}
