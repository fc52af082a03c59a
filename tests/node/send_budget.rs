//! A node's own messages and their limits: the send budget, slow peers, meshes at full load.

use std::collections::HashSet;
use std::time::Duration;

use actix_mesh::{
    CloseReason, Config, Message, Node, Overflow, Send, SendError, SendMany, Shutdown, Status,
    Whisper, WhisperError,
};
use tokio::sync::mpsc::UnboundedReceiver;

use crate::{
    PATIENCE, ask, body, events, joined, left, link, loner, messages, mute_peer, next, node, soon,
    start,
};

#[actix::test]
async fn sending_waits_for_room_and_nothing_is_lost() {
    const COUNT: usize = 2000;
    let alice = start(Config::new().send_budget(16 * 1024)).await;
    let bob = node().await;
    let mut seen = messages(&bob, |s| s.items(COUNT)).await;
    link(&alice, &bob).await;
    let sends: Vec<_> = (0..COUNT)
        .map(|n| {
            alice
                .router
                .send(Send::new((format!("{n}"), "x".repeat(2000))))
        })
        .collect();
    let sent = actix::spawn(futures_util::future::join_all(sends));
    for n in 0..COUNT {
        assert_eq!(
            next(&mut seen).await.body()[0].as_str().unwrap(),
            n.to_string()
        );
    }
    assert!(
        soon(sent)
            .await
            .unwrap()
            .into_iter()
            .all(|sent| sent.unwrap().is_ok())
    );
    assert_eq!(ask(&alice, Status).await.waiting, 0);
}

#[actix::test]
async fn many_are_answered_together_each_as_it_would_be_alone() {
    let (alice, bob) = (node().await, node().await);
    let many = || {
        SendMany(vec![
            Send::new("a"),
            Send::new([0xff_u8]),
            Send::new("b").allow_empty(),
        ])
    };
    let answers = ask(&alice, many()).await;
    assert_eq!(answers[0], Err(SendError::NoPeers));
    assert_eq!(answers[1], Err(SendError::NotText { packet: 1 }));
    assert!(answers[2].as_ref().unwrap().handed_to.is_empty());
    assert!(ask(&alice, SendMany::default()).await.is_empty());

    let mut seen = messages(&bob, |s| s).await;
    link(&alice, &bob).await;
    let answers = ask(&alice, many()).await;
    let [Ok(first), Err(SendError::NotText { .. }), Ok(last)] = &answers[..] else {
        panic!("{answers:?}");
    };
    for sent in [first, last] {
        assert_eq!(next(&mut seen).await.id(), &sent.id);
        assert_eq!(*sent.handed_to, *std::slice::from_ref(&bob.id));
    }
    ask(&alice, Shutdown::new()).await;
}

#[actix::test]
async fn many_that_do_not_fit_the_send_budget_wait_and_keep_their_order() {
    const COUNT: usize = 1000;
    let alice = start(Config::new().send_budget(16 * 1024)).await;
    let bob = node().await;
    let mut seen = messages(&bob, |s| s.items(2 * COUNT)).await;
    link(&alice, &bob).await;
    let many = |from: usize| -> SendMany {
        let large = "x".repeat(1000);
        let send = |n: usize| Send::new((format!("{n}"), large.as_str()));
        (from..from + COUNT).map(send).collect()
    };
    let orders = [0, COUNT].map(|from| alice.router.send(many(from)));
    let sent = actix::spawn(futures_util::future::join_all(orders));
    for n in 0..2 * COUNT {
        let heard = next(&mut seen).await;
        assert_eq!(heard.body()[0].as_str().unwrap(), n.to_string());
    }
    for answers in soon(sent).await.unwrap() {
        let answers = answers.unwrap();
        assert_eq!(answers.len(), COUNT);
        assert!(answers.iter().all(Result::is_ok));
    }
    assert_eq!(ask(&alice, Status).await.waiting, 0);
}

#[actix::test]
async fn of_many_those_that_find_no_room_are_refused_one_by_one() {
    let alice = start(Config::new().send_budget(16 * 1024)).await;
    let bob = node().await;
    link(&alice, &bob).await;
    let large = "x".repeat(12 * 1024);
    let send = |n: usize| Send::new((format!("{n}"), large.as_str())).or_busy();
    let answers = ask(&alice, (0..3).map(send).collect::<SendMany>()).await;
    assert!(answers[0].is_ok());
    assert!(
        answers[1..]
            .iter()
            .all(|answer| matches!(answer, Err(SendError::Busy(_))))
    );
    assert_eq!(ask(&alice, Status).await.turned_away, 2);
}

#[actix::test]
async fn own_messages_wait_within_a_bound_and_only_if_they_may() {
    let alice = start(Config::new().compression([])).await;
    let bob = node().await;
    let mut told = events(&alice).await;
    let mute = mute_peer(&bob, &alice).await;
    joined(&mut told).await;
    let large = "x".repeat(1024 * 1024);
    let send = |n: usize| Send::new((format!("{n}"), large.as_str()));
    let sends: Vec<_> = (0..80).map(|n| alice.router.send(send(n))).collect();
    let sent = actix::spawn(futures_util::future::join_all(sends));
    let deadline = std::time::Instant::now() + PATIENCE;
    let status = loop {
        let status = ask(&alice, Status).await;
        if status.turned_away > 0 {
            break status;
        }
        assert!(std::time::Instant::now() < deadline, "all were taken");
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    assert!((1..=32).contains(&status.waiting), "{}", status.waiting);
    let small = Send::new("small").or_busy();
    let refused = ask(&alice, small).await.unwrap_err();
    assert!(matches!(refused, SendError::Busy(1..=32)), "{refused}");
    let whisper = Whisper::new(bob.id.clone(), "small").or_busy();
    let refused = ask(&alice, whisper).await.unwrap_err();
    assert!(
        matches!(refused, WhisperError::Refused(SendError::Busy(_))),
        "{refused}"
    );
    drop(mute);
    let sent = soon(sent).await.unwrap();
    let busy = |sent: &&Result<_, _>| matches!(sent, Err(SendError::Busy(_)));
    let sent: Vec<_> = sent.into_iter().map(Result::unwrap).collect();
    let busy = sent.iter().filter(busy).count();
    let status = ask(&alice, Status).await;
    assert_eq!(status.turned_away, busy as u64 + 2, "each is counted");
    assert_eq!(status.waiting, 0);
    assert!(sent.iter().any(Result::is_ok) && busy < sent.len());
}

#[actix::test]
async fn a_peer_that_reads_nothing_is_closed_as_slow() {
    let alice = start(
        Config::new()
            .stall_timeout(Duration::from_millis(100))
            .compression([]),
    )
    .await;
    let bob = node().await;
    let mut told = events(&alice).await;
    let mute = mute_peer(&bob, &alice).await;
    let mute_id = joined(&mut told).await;
    let large = "x".repeat(1024 * 1024);
    let reason = loop {
        // Send until the socket's buffers are full and sending fails for lack of peers.
        if let Err(error) = ask(
            &alice,
            Send::new((format!("{:?}", std::time::Instant::now()), large.as_str())),
        )
        .await
        {
            assert_eq!(error, SendError::NoPeers);
            let (peer, reason) = left(&mut told).await;
            assert_eq!(peer, mute_id);
            break reason;
        }
    };
    assert_eq!(reason, CloseReason::SlowPeer);
    drop(mute);
}

#[actix::test]
async fn a_mesh_at_its_limit_waits_in_no_circle_and_loses_nothing() {
    const NODES: usize = 6;
    const EACH: usize = 300;
    let tight = || {
        let config = loner().compression([]).inbox_capacity(None);
        let config = config.inbound_budget(8 * 1024).shared_budget(1024 * 1024);
        config.send_budget(32 * 1024).socket_buffer(16 * 1024)
    };
    let mut nodes: Vec<(Node, UnboundedReceiver<Message>)> = Vec::new();
    for _ in 0..NODES {
        let node = start(tight()).await;
        for (other, _) in &nodes {
            link(&node, other).await;
        }
        let heard = messages(&node, |s| s.overflow(Overflow::Pause)).await;
        nodes.push((node, heard));
    }
    let sends = nodes.iter().enumerate().flat_map(|(at, (node, _))| {
        let send = move |n| Send::new((format!("{at}-{n}"), "m".repeat(2000)));
        (0..EACH).map(move |n| node.router.send(send(n)))
    });
    let sent = actix::spawn(futures_util::future::join_all(sends));
    for (_, heard) in &mut nodes {
        let mut texts = std::collections::BTreeSet::new();
        for _ in 0..EACH * (NODES - 1) {
            let message = next(heard).await;
            assert!(texts.insert(message.body()[0].as_str().unwrap().to_owned()));
        }
    }
    for sent in soon(sent).await.unwrap() {
        assert_eq!(sent.unwrap().unwrap().handed_to.len(), NODES - 1);
    }
}

/// A ring of three whose caches have room for a fraction of the messages of a second: what comes round again is not
/// new, and what finds no room is counted.
#[actix::test]
async fn t26_in_a_ring_with_full_caches_nothing_is_heard_twice() {
    const COUNT: usize = 3000;
    let mut ring = Vec::new();
    let mut heard = Vec::new();
    for _ in 0..3 {
        let node = start(loner().waterfall_capacity(50).prune(false)).await;
        heard.push(messages(&node, |s| s.items(3 * COUNT)).await);
        ring.push(node);
    }
    for (from, to) in [(0, 1), (1, 2), (2, 0)] {
        link(&ring[from], &ring[to]).await;
    }
    let sending = ring.iter().enumerate().map(|(at, node)| async move {
        for burst in 0..COUNT / 100 {
            let message = |n| Send::new(format!("{at} {burst} {n}"));
            let sent = ask(node, SendMany((0..100).map(message).collect())).await;
            assert!(sent.iter().all(Result::is_ok));
        }
    });
    futures_util::future::join_all(sending).await;
    // Every copy that is sent arrives.
    let mut before = 0;
    loop {
        let mut received = 0;
        for node in &ring {
            received += ask(node, Status).await.stats.received;
        }
        if received == std::mem::replace(&mut before, received) && received >= 6 * COUNT as u64 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let mut refused = 0;
    for (node, heard) in ring.iter().zip(&mut heard) {
        let stats = ask(node, Status).await.stats;
        refused += stats.waterfall_closed;
        let texts: Vec<String> = std::iter::from_fn(|| heard.try_recv().ok())
            .map(|message| body(&message)[0].to_owned())
            .collect();
        let distinct: HashSet<&String> = texts.iter().collect();
        assert_eq!(distinct.len(), texts.len(), "some were heard twice");
        assert_eq!(texts.len() as u64, stats.delivered);
    }
    assert!(refused > 0, "the caches were never full");
}
