//! Subscribers: filters, queues, overflow, and how they end.

use actix::{Actor, Addr, Context, Handler};
use actix_mesh::{
    Config, Filter, Flag, Message, Overflow, Packet, Peers, Send, Subscribe, Unsubscribe,
};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::{ask, events, flood, lagged, link, messages, next, node, probe, start};

#[actix::test]
async fn filters_choose_by_kind_flag_and_sender() {
    let (alice, bob) = (node().await, node().await);
    let mut plain = messages(&bob, |s| s).await;
    let mut chat = messages(&bob, |s| s.filter(Filter::new().kind("chat"))).await;
    let mut whispered = messages(&bob, |s| s.filter(Filter::new().flag(Flag::Whisper))).await;
    let mut own = messages(&bob, |s| {
        s.filter(Filter::new().any_kind().sender(bob.id.clone()))
    })
    .await;
    let mut all = messages(&bob, |s| s.filter(Filter::new().any_kind())).await;
    link(&alice, &bob).await;
    ask(&alice, Send::new("one").kind("chat")).await.unwrap();
    ask(&alice, Send::new("two")).await.unwrap();
    ask(&alice, Send::new("three").flag(Flag::Whisper))
        .await
        .unwrap();
    for expected in ["one", "two", "three"] {
        assert_eq!(next(&mut all).await.text(), expected);
    }
    assert_eq!(next(&mut plain).await.text(), "two");
    assert_eq!(next(&mut plain).await.text(), "three");
    let heard = next(&mut chat).await;
    assert_eq!(
        (heard.text().as_str(), heard.kind()),
        ("one", &Packet::from("chat"))
    );
    assert_eq!(next(&mut whispered).await.text(), "three");
    assert!(plain.is_empty() && chat.is_empty() && whispered.is_empty() && own.try_recv().is_err());
}

/// A subscriber that handles one message for each permit it is given.
struct Gated {
    gate: std::sync::Arc<tokio::sync::Semaphore>,
    heard: UnboundedSender<Message>,
}

impl Actor for Gated {
    type Context = Context<Self>;
}

impl Handler<Message> for Gated {
    type Result = actix::AtomicResponse<Self, ()>;

    fn handle(&mut self, message: Message, _: &mut Context<Self>) -> Self::Result {
        let (gate, heard) = (self.gate.clone(), self.heard.clone());
        actix::AtomicResponse::new(Box::pin(actix::fut::wrap_future(async move {
            gate.acquire().await.unwrap().forget();
            let _ = heard.send(message);
        })))
    }
}

fn gated() -> (
    Addr<Gated>,
    std::sync::Arc<tokio::sync::Semaphore>,
    UnboundedReceiver<Message>,
) {
    let gate = std::sync::Arc::new(tokio::sync::Semaphore::new(0));
    let (heard, rx) = unbounded_channel();
    (
        Gated {
            gate: gate.clone(),
            heard,
        }
        .start(),
        gate,
        rx,
    )
}

#[actix::test]
async fn a_slow_subscriber_is_bounded_and_told_what_it_missed() {
    let (alice, bob) = (node().await, node().await);
    let mut told = events(&bob).await;
    let mut seen = messages(&bob, |s| s.items(10_000)).await;
    let (slow, gate, mut heard) = gated();
    let id = ask(&bob, Subscribe::messages(slow).items(10)).await;
    link(&alice, &bob).await;
    flood(&alice, 1000, &mut seen).await;
    let (subscription, mut missed, _) = lagged(&mut told).await;
    assert_eq!(subscription, id.0);
    while missed < 926 {
        missed += lagged(&mut told).await.1;
    }
    // 64 were sent ahead, 10 were queued.
    assert_eq!(missed, 1000 - 64 - 10);
    gate.add_permits(1000);
    let mut counted = 0;
    for n in (0..64).chain(990..1000) {
        let message = next(&mut heard).await;
        assert_eq!(message.text(), n.to_string());
        counted += message.missed();
    }
    assert_eq!(counted, missed);
}

#[actix::test]
async fn a_detached_subscriber_gets_what_was_queued_and_no_more() {
    let (alice, bob) = (node().await, node().await);
    let mut told = events(&bob).await;
    let mut seen = messages(&bob, |s| s.items(10_000)).await;
    let (slow, gate, mut heard) = gated();
    let id = ask(
        &bob,
        Subscribe::messages(slow)
            .items(10)
            .overflow(Overflow::Detach),
    )
    .await;
    link(&alice, &bob).await;
    flood(&alice, 200, &mut seen).await;
    assert_eq!(lagged(&mut told).await, (id.0, 1, true));
    gate.add_permits(1000);
    for n in 0..74 {
        assert_eq!(next(&mut heard).await.text(), n.to_string());
    }
    flood(&alice, 1, &mut seen).await;
    assert!(heard.try_recv().is_err());
}

#[actix::test]
async fn the_newest_can_be_dropped_instead() {
    let (alice, bob) = (node().await, node().await);
    let mut seen = messages(&bob, |s| s.items(10_000)).await;
    let (slow, gate, mut heard) = gated();
    ask(
        &bob,
        Subscribe::messages(slow)
            .items(10)
            .overflow(Overflow::DropNewest),
    )
    .await;
    link(&alice, &bob).await;
    flood(&alice, 200, &mut seen).await;
    gate.add_permits(1000);
    for n in 0..74 {
        assert_eq!(next(&mut heard).await.text(), n.to_string());
    }
    flood(&alice, 1, &mut seen).await;
    assert_eq!(next(&mut heard).await.missed(), 200 - 74);
}

#[actix::test]
async fn a_paused_subscriber_loses_nothing_and_makes_the_sender_wait() {
    const COUNT: usize = 60;
    let alice = start(Config::new().send_budget(256 * 1024).compression([])).await;
    let bob = start(Config::new().inbound_budget(64 * 1024).inbox_capacity(None)).await;
    let (slow, gate, mut heard) = gated();
    ask(
        &bob,
        Subscribe::messages(slow).items(4).overflow(Overflow::Pause),
    )
    .await;
    link(&alice, &bob).await;
    let (done, mut progress) = unbounded_channel();
    let router = alice.router.clone();
    let large = "z".repeat(64 * 1024);
    actix::spawn(async move {
        for n in 0..COUNT {
            let message = Send::new((format!("{n}"), large.as_str()));
            router.send(message).await.unwrap().unwrap();
            done.send(n).unwrap();
        }
    });
    while next(&mut progress).await < 10 {}
    // Handshake, peers list, four sent ahead, and one that fills the budget.
    assert!(ask(&bob, Peers).await[0].received.messages <= 7);
    assert!(heard.try_recv().is_err());
    gate.add_permits(COUNT);
    for n in 0..COUNT {
        let message = next(&mut heard).await;
        assert_eq!(message.body()[0].as_str().unwrap(), n.to_string());
        assert_eq!(message.missed(), 0);
    }
}

#[actix::test]
async fn a_stopped_subscriber_is_forgotten_and_one_can_unsubscribe() {
    let (alice, bob) = (node().await, node().await);
    let mut first = messages(&bob, |s| s).await;
    let (actor, mut second) = probe();
    let id = ask(&bob, Subscribe::messages(actor)).await;
    link(&alice, &bob).await;
    flood(&alice, 1, &mut second).await;
    assert!(ask(&bob, Unsubscribe::from(id)).await);
    assert!(!ask(&bob, Unsubscribe::from(id)).await);
    next(&mut first).await;
    flood(&alice, 100, &mut first).await;
    assert!(second.try_recv().is_err());
}

/// Panics on an empty message.
struct Fragile;

impl Actor for Fragile {
    type Context = Context<Self>;
}

impl Handler<Message> for Fragile {
    type Result = ();

    fn handle(&mut self, message: Message, _: &mut Context<Self>) {
        assert!(
            message.first().is_some(),
            "an empty message, as this test wants it"
        );
    }
}

#[actix::test]
async fn f11_a_subscriber_that_panicked_is_told_and_counted() {
    let (alice, bob) = (node().await, node().await);
    let mut seen = events(&bob).await;
    link(&alice, &bob).await;
    let id = ask(&bob, Subscribe::messages(Fragile.start())).await;
    ask(&alice, Send::new("fine")).await.unwrap();
    ask(&alice, Send::new(Vec::<&str>::new())).await.unwrap();
    let gone = crate::event(&mut seen, |event| match event {
        actix_mesh::Event::SubscriberGone { subscription, .. } => Some(subscription),
        _ => None,
    });
    assert_eq!(gone.await, id.0);
    assert_eq!(ask(&bob, actix_mesh::Status).await.subscribers_gone, 1);
    // An actor that unsubscribed is not reported as gone.
    let (actor, _heard) = probe::<Message>();
    let id = ask(&bob, Subscribe::messages(actor)).await;
    assert!(ask(&bob, Unsubscribe::from(id)).await);
    assert_eq!(ask(&bob, actix_mesh::Status).await.subscribers_gone, 1);
}
