//! Shutting down: what is flushed, and what is reported.

use std::time::Duration;

use actix_mesh::{Config, Connect, ConnectError, DialError, Event, Peers, Send, Shutdown, Whisper};

use crate::{PATIENCE, ask, events, joined, link, messages, mute_peer, next, node, soon, start};

#[actix::test]
async fn shutdown_flushes_what_was_accepted() {
    const COUNT: usize = 300;
    let (alice, bob) = (
        start(Config::new().send_budget(64 * 1024)).await,
        node().await,
    );
    let mut seen = messages(&bob, |s| s.items(COUNT)).await;
    link(&alice, &bob).await;
    for n in 0..COUNT {
        alice
            .router
            .do_send(Send::new((format!("{n}"), "y".repeat(10_000))));
    }
    let report = ask(&alice, Shutdown::new().drain(PATIENCE)).await;
    assert!(report.is_clean(), "{report:?}");
    for n in 0..COUNT {
        assert_eq!(
            next(&mut seen).await.body()[0].as_str().unwrap(),
            n.to_string()
        );
    }
    assert!(soon(alice.router.send(Peers)).await.is_err());
    let refused = ask(&bob, Connect::to(alice.addr)).await;
    assert_eq!(
        refused,
        Err(ConnectError::Dial {
            addr: alice.addr.into(),
            why: DialError::Refused
        })
    );
}

#[actix::test]
async fn shutdown_reports_what_did_not_get_through() {
    let alice = start(Config::new().compression([])).await;
    let bob = node().await;
    let mut told = events(&alice).await;
    let mute = mute_peer(&bob, &alice).await;
    let mute_id = joined(&mut told).await;
    let large = "x".repeat(1024 * 1024);
    for n in 0..40 {
        alice
            .router
            .do_send(Send::new((format!("{n}"), large.as_str())));
    }
    let report = ask(&alice, Shutdown::new().drain(Duration::from_millis(200))).await;
    assert!(!report.is_clean());
    assert_eq!(report.unsent[0].peer, mute_id);
    let accepted = 40 - report.refused as u64;
    assert!(
        (1..=accepted).contains(&report.unsent[0].traffic.messages),
        "{report:?}"
    );
    drop(mute);
}

#[actix::test]
async fn f19_all_that_a_shutdown_reports_reaches_its_subscriber() {
    let alice = start(Config::new().send_budget(16 << 20).compression([])).await;
    let mut told = events(&alice).await;
    let mut mute = Vec::new();
    for _ in 0..3 {
        let peer = mute_peer(&node().await, &alice).await;
        mute.push((joined(&mut told).await, peer));
    }
    for (id, _) in &mute {
        for n in 0..300 {
            let text = format!("{n}{}", "x".repeat(10_000));
            alice.router.do_send(Whisper::new(id.clone(), text));
        }
    }
    ask(&alice, Shutdown::new().drain(Duration::from_millis(200))).await;
    let mut reports = Vec::new();
    while let Some(event) = soon(told.recv()).await {
        reports.push(event);
    }
    for (id, _) in &mute {
        let named = |event: &&Event| matches!(event, Event::Undeliverable { to, .. } if to == id);
        assert_eq!(reports.iter().filter(named).count(), 64);
        let unwritten =
            |event: &&Event| matches!(event, Event::Unwritten { peer, .. } if peer == id);
        assert_eq!(reports.iter().filter(unwritten).count(), 1);
    }
}

/// Half a megabyte would fit the buffers of both systems, and count as written.
#[cfg(any(target_os = "linux", target_os = "android"))]
#[actix::test]
async fn f19_what_a_peer_does_not_read_stays_in_its_queue() {
    let alice = start(Config::new().send_budget(4 << 20).compression([])).await;
    let mut told = events(&alice).await;
    let mute = mute_peer(&node().await, &alice).await;
    joined(&mut told).await;
    for n in 0..50 {
        let text = format!("{n}{}", "x".repeat(10_000));
        alice.router.do_send(Send::new(text));
    }
    let report = ask(&alice, Shutdown::new().drain(Duration::from_millis(200))).await;
    assert!(report.unsent[0].traffic.messages > 10, "{report:?}");
    drop(mute);
}

#[actix::test]
async fn a_peer_book_that_cannot_be_written_at_the_end_is_reported() {
    let nowhere = tempfile::tempdir().unwrap().path().join("gone/book");
    let alice = start(Config::new().peer_book(nowhere)).await;
    let bob = node().await;
    let mut told = events(&alice).await;
    link(&alice, &bob).await;
    ask(&alice, Shutdown::new().drain(PATIENCE)).await;
    let mut failed = 0;
    while let Some(event) = soon(told.recv()).await {
        failed += usize::from(matches!(event, Event::PeerBookFailed { .. }));
    }
    assert!(failed > 0);
}

#[actix::test]
async fn shutting_down_an_idle_node_answers_all_who_ask() {
    let alice = node().await;
    let (one, other) = (
        alice.router.send(Shutdown::new()),
        alice.router.send(Shutdown::new()),
    );
    let (one, other) = soon(async { (one.await, other.await) }).await;
    assert!(one.unwrap().is_clean());
    // The second request either came after the shutdown, or was answered together with the first.
    assert!(other.is_err() || other.unwrap().is_clean());
}
