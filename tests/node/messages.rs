//! Sending, relaying and pulling messages.

use std::time::Duration;

use actix_mesh::{
    Address, Awaiting, Config, Connect, Flag, Message, Peers, Recv, RequestPeers, Send, SendError,
    Status,
};

use crate::{
    PATIENCE, ask, body, events, joined, knows, link, loner, messages, next, node, soon, start,
};

#[actix::test]
async fn what_is_pulled_by_kind_is_kept_apart_and_from_the_start_if_told_so() {
    let config = loner().inbox_kind("news");
    let (alice, bob) = (start(loner()).await, start(config).await);
    link(&alice, &bob).await;
    for (kind, text) in [("news", "1"), ("chat", "2"), ("news", "3")] {
        ask(&alice, Send::new(text).kind(kind)).await.unwrap();
    }
    ask(&alice, Send::new("of no kind")).await.unwrap();
    let wait = Duration::from_secs(20);
    let texts =
        |messages: Vec<Message>| -> Vec<String> { messages.iter().map(Message::text).collect() };
    let heard = ask(&bob, Recv::up_to(9).wait(wait)).await;
    assert_eq!(texts(heard), ["of no kind"]);
    let news = Recv::up_to(9).kind("news");
    assert_eq!(texts(ask(&bob, news.wait(wait)).await), ["1", "3"]);
    // No earlier `Recv` asked for this kind, so nothing was kept; it is kept from now on.
    let chat = Recv::one().kind("chat");
    assert!(ask(&bob, chat).await.is_empty());
    let waiting = bob.router.send(chat.wait(wait));
    for text in ["4", "5"] {
        ask(&alice, Send::new(text).kind("chat")).await.unwrap();
    }
    assert_eq!(texts(soon(waiting).await.unwrap()), ["4"]);
    assert_eq!(texts(ask(&bob, chat.wait(wait)).await), ["5"]);
    assert!(
        ask(&bob, news.wait(Duration::from_millis(10)))
            .await
            .is_empty()
    );
}

#[actix::test]
async fn two_nodes_send_to_each_other() {
    let (alice, bob) = (node().await, node().await);
    let mut at_alice = messages(&alice, |s| s).await;
    let mut at_bob = messages(&bob, |s| s).await;
    link(&alice, &bob).await;

    let sent = ask(&alice, Send::new(["a", "b"])).await.unwrap();
    assert_eq!(&sent.handed_to[..], std::slice::from_ref(&bob.id));
    assert!(sent.skipped.is_empty());
    let heard = next(&mut at_bob).await;
    assert_eq!(body(&heard), ["a", "b"]);
    assert_eq!((heard.id(), heard.time()), (&sent.id, sent.time));
    assert_eq!((heard.sender(), heard.from()), (&alice.id, &alice.id));
    assert_eq!(heard.flag(), &Flag::Broadcast);

    ask(&bob, Send::new("back").flag(Flag::Whisper))
        .await
        .unwrap();
    let heard = next(&mut at_alice).await;
    assert_eq!((body(&heard), heard.flag()), (vec!["back"], &Flag::Whisper));
}

#[actix::test]
async fn peers_tell_who_is_there_and_what_passed() {
    let (alice, bob) = (node().await, node().await);
    let mut at_bob = messages(&bob, |s| s).await;
    link(&alice, &bob).await;
    ask(&alice, Send::new("x".repeat(1000))).await.unwrap();
    next(&mut at_bob).await;

    let [at_alice] = &ask(&alice, Peers).await[..] else {
        panic!("one peer")
    };
    let [at_bob] = &ask(&bob, Peers).await[..] else {
        panic!("one peer")
    };
    assert_eq!(
        (&at_alice.id, &at_alice.addr),
        (&bob.id, &Address::from(bob.addr))
    );
    assert_eq!(
        (&at_bob.id, &at_bob.addr),
        (&alice.id, &Address::from(alice.addr))
    );
    assert_ne!(at_alice.direction, at_bob.direction);
    assert_eq!(at_alice.compression, Some(actix_mesh::Method::Zlib));
    // Handshake, peers list, broadcast.
    assert_eq!(at_alice.sent.messages, 3);
    assert_eq!(at_bob.received, at_alice.sent);
    assert!(ask(&alice, Awaiting).await.is_empty());

    let status = ask(&bob, Status).await;
    assert_eq!(
        (status.id, status.peers, status.stats.delivered),
        (bob.id.clone(), 1, 1)
    );
}

#[actix::test]
async fn a_message_is_relayed_along_a_line() {
    let (alice, bob, carol) = (
        start(loner()).await,
        start(loner()).await,
        start(loner()).await,
    );
    let mut at_carol = messages(&carol, |s| s).await;
    link(&alice, &bob).await;
    link(&carol, &bob).await;
    for n in 0..100 {
        ask(&alice, Send::new(format!("{n}"))).await.unwrap();
    }
    for n in 0..100 {
        let heard = next(&mut at_carol).await;
        assert_eq!(heard.text(), n.to_string());
        assert_eq!((heard.sender(), heard.from()), (&alice.id, &bob.id));
    }
}

#[actix::test]
async fn peers_lists_make_a_triangle() {
    let (alice, bob, carol) = (node().await, node().await, node().await);
    let mut at_alice = events(&alice).await;
    link(&alice, &bob).await;
    assert_eq!(joined(&mut at_alice).await, bob.id);
    link(&carol, &bob).await;
    assert_eq!(joined(&mut at_alice).await, carol.id);
    assert!(knows(&carol, &alice).await || joined(&mut events(&carol).await).await == alice.id);
}

#[actix::test]
async fn request_peers_asks_everybody() {
    let (alice, bob) = (node().await, node().await);
    assert_eq!(ask(&alice, RequestPeers).await, 0);
    link(&alice, &bob).await;
    assert_eq!(ask(&alice, RequestPeers).await, 1);
}

#[actix::test]
async fn recv_pulls_in_order_and_waits_if_asked() {
    let (alice, bob) = (node().await, node().await);
    link(&alice, &bob).await;
    assert!(ask(&bob, Recv::one()).await.is_empty());
    assert!(
        ask(&bob, Recv::one().wait(Duration::from_millis(1)))
            .await
            .is_empty()
    );
    let router = bob.router.clone();
    let waiting = actix::spawn(async move { router.send(Recv::up_to(10).wait(PATIENCE)).await });
    for n in 0..10 {
        ask(&alice, Send::new(format!("{n}"))).await.unwrap();
    }
    let mut heard = soon(waiting).await.unwrap().unwrap();
    assert!(!heard.is_empty());
    while heard.len() < 10 {
        heard.extend(ask(&bob, Recv::up_to(4).wait(PATIENCE)).await);
    }
    let texts: Vec<String> = heard.iter().map(Message::text).collect();
    assert_eq!(texts, ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]);
}

#[actix::test]
async fn who_stops_waiting_takes_nothing_with_it() {
    let (alice, bob) = (node().await, node().await);
    link(&alice, &bob).await;
    let gave_up = bob.router.send(Recv::one().wait(PATIENCE));
    assert!(
        tokio::time::timeout(Duration::from_millis(5), gave_up)
            .await
            .is_err()
    );
    ask(&alice, Send::new("kept")).await.unwrap();
    assert_eq!(
        ask(&bob, Recv::one().wait(PATIENCE)).await[0].text(),
        "kept"
    );
}

#[actix::test]
async fn the_inbox_drops_the_oldest_and_says_so() {
    let (alice, bob) = (node().await, start(Config::new().inbox_capacity(3)).await);
    let mut seen = messages(&bob, |s| s).await;
    link(&alice, &bob).await;
    for n in 0..8 {
        ask(&alice, Send::new(format!("{n}"))).await.unwrap();
        next(&mut seen).await;
    }
    let heard = ask(&bob, Recv::up_to(100)).await;
    let told: Vec<_> = heard
        .iter()
        .map(|message| (message.text(), message.missed()))
        .collect();
    assert_eq!(told, [("5".into(), 5), ("6".into(), 0), ("7".into(), 0)]);
}

#[actix::test]
async fn nobody_connected_is_an_error_unless_allowed() {
    let alice = node().await;
    assert_eq!(
        ask(&alice, Send::new("echo?")).await,
        Err(SendError::NoPeers)
    );
    assert!(
        ask(&alice, Send::new("echo?").allow_empty())
            .await
            .unwrap()
            .handed_to
            .is_empty()
    );
}

#[actix::test]
async fn large_messages_may_follow_the_handshake_at_once() {
    for size in [64 * 1024, 3 * 1024 * 1024] {
        let alice = start(Config::new().compression([])).await;
        let bob = node().await;
        // Hard to compress, but text.
        let large: String = (0..size)
            .map(|i: usize| {
                char::from(b'a' + u8::try_from((i.wrapping_mul(2654435761) >> 7) % 26).unwrap())
            })
            .collect();
        ask(&alice, Connect::to(bob.addr)).await.unwrap();
        ask(&alice, Send::new(large.clone())).await.unwrap();
        let heard = ask(&bob, Recv::one().wait(PATIENCE)).await;
        assert!(heard[0].body()[0].as_bytes() == large.as_bytes());
    }
}

#[actix::test]
async fn f12_what_is_refused_and_nobody_waits_for_is_an_event() {
    let alone = node().await;
    let mut seen = crate::events(&alone).await;
    alone.router.do_send(Send::new("to nobody"));
    let reason = crate::event(&mut seen, |event| match event {
        actix_mesh::Event::NotSent { reason } => Some(reason),
        _ => None,
    });
    assert!(reason.await.contains("no peer is connected"));
    let stranger = "2oNpBWZ".parse().unwrap();
    alone
        .router
        .do_send(actix_mesh::Whisper::new(stranger, "to nobody"));
    crate::event(&mut seen, |event| {
        matches!(event, actix_mesh::Event::NotSent { .. }).then_some(())
    })
    .await;
    assert_eq!(ask(&alone, actix_mesh::Status).await.unheard, 2);
    // The caller gets the error, and no event is sent.
    assert!(ask(&alone, Send::new("to nobody")).await.is_err());
    assert_eq!(ask(&alone, actix_mesh::Status).await.unheard, 2);
}
