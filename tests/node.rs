//! Real nodes on the loopback: what the actors promise, each with a test that waits for what happens and never for time.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actix::{Actor, Addr, Context, Handler};
use actix_mesh::{
    Address, Awaiting, CloseReason, Config, Connect, ConnectError, DialError, Disconnect, Event,
    Filter, Flag, Intercept, Message, Node, NodeId, Offer, Overflow, Packet, Peers, Recv,
    RequestPeers, Send, SendError, SendMany, Shutdown, StartError, Status, Subscribe,
    SubscribeEvents, Unsubscribe, Verdict, Whisper, WhisperError,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;

/// Everything here happens within this time or never.
const PATIENCE: Duration = Duration::from_secs(20);

/// An actor that passes on what it is sent.
struct Probe<T>(UnboundedSender<T>);

impl<T: 'static> Actor for Probe<T> {
    type Context = Context<Self>;
}

impl<T> Handler<T> for Probe<T>
where
    T: actix::Message<Result = ()> + 'static,
{
    type Result = ();

    fn handle(&mut self, heard: T, _: &mut Context<Self>) {
        let _ = self.0.send(heard);
    }
}

fn probe<T: actix::Message<Result = ()> + 'static>() -> (Addr<Probe<T>>, UnboundedReceiver<T>) {
    let (tx, rx) = unbounded_channel();
    (Probe(tx).start(), rx)
}

async fn soon<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future)
        .await
        .expect("it did not happen")
}

async fn next<T>(heard: &mut UnboundedReceiver<T>) -> T {
    soon(heard.recv()).await.expect("the probe is gone")
}

async fn node() -> Node {
    start(Config::new()).await
}

async fn start(config: Config) -> Node {
    config.start().await.unwrap()
}

async fn ask<M>(node: &Node, message: M) -> M::Result
where
    M: actix::Message + std::marker::Send + 'static,
    M::Result: std::marker::Send,
    actix_mesh::Router: Handler<M>,
{
    soon(node.router.send(message)).await.unwrap()
}

async fn messages(
    node: &Node,
    subscribe: impl FnOnce(Subscribe<Message>) -> Subscribe<Message>,
) -> UnboundedReceiver<Message> {
    let (actor, heard) = probe();
    ask(node, subscribe(Subscribe::messages(actor))).await;
    heard
}

async fn events(node: &Node) -> UnboundedReceiver<Event> {
    let (actor, heard) = probe();
    ask(node, SubscribeEvents::new(actor)).await;
    heard
}

/// Waits for an event of which this makes something.
async fn event<R>(heard: &mut UnboundedReceiver<Event>, pick: impl Fn(Event) -> Option<R>) -> R {
    loop {
        if let Some(found) = pick(next(heard).await) {
            return found;
        }
    }
}

async fn joined(heard: &mut UnboundedReceiver<Event>) -> NodeId {
    event(heard, |event| match event {
        Event::PeerJoined { peer, .. } => Some(peer),
        _ => None,
    })
    .await
}

async fn left(heard: &mut UnboundedReceiver<Event>) -> (NodeId, CloseReason) {
    event(heard, |event| match event {
        Event::PeerLeft { peer, reason } => Some((peer, reason)),
        _ => None,
    })
    .await
}

/// Connects, and waits until both sides have accepted the other.
async fn link(from: &Node, to: &Node) {
    let mut at_to = events(to).await;
    assert_eq!(ask(from, Connect::to(to.addr)).await, Ok(to.id.clone()));
    if !knows(to, from).await {
        assert_eq!(joined(&mut at_to).await, from.id);
    }
}

async fn knows(node: &Node, other: &Node) -> bool {
    ask(node, Peers)
        .await
        .iter()
        .any(|peer| peer.id == other.id)
}

fn body(message: &Message) -> Vec<&str> {
    message
        .body()
        .iter()
        .map(|packet| packet.as_str().unwrap())
        .collect()
}

/// A node that dials nobody on its own account.
fn loner() -> Config {
    Config::new().max_outgoing(0)
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
    assert_eq!(
        at_alice.compression,
        actix_mesh::Method::available().first().copied()
    );
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

/// Sends numbered messages until `seen` has them all.
async fn flood(from: &Node, count: usize, seen: &mut UnboundedReceiver<Message>) {
    for n in 0..count {
        ask(from, Send::new(format!("{n}"))).await.unwrap();
    }
    for _ in 0..count {
        next(seen).await;
    }
}

async fn lagged(heard: &mut UnboundedReceiver<Event>) -> (u64, u64, bool) {
    event(heard, |event| match event {
        Event::Lagged {
            subscription,
            missed,
            detached,
        } => Some((subscription, missed, detached)),
        _ => None,
    })
    .await
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
    // 64 were sent ahead, 10 were kept.
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

struct Judge {
    consumes: &'static str,
    offered: UnboundedSender<String>,
}

impl Actor for Judge {
    type Context = Context<Self>;
}

impl Handler<Offer> for Judge {
    type Result = Verdict;

    fn handle(&mut self, offer: Offer, _: &mut Context<Self>) -> Verdict {
        let text = offer.message.text();
        let consumed = text.contains(self.consumes);
        let _ = self.offered.send(text);
        if consumed {
            Verdict::Consume
        } else {
            Verdict::Pass
        }
    }
}

#[actix::test]
async fn interceptors_are_asked_in_order_and_may_consume() {
    let (alice, bob) = (node().await, node().await);
    let mut seen = messages(&bob, |s| s).await;
    let (offered, mut at_first) = unbounded_channel();
    ask(
        &bob,
        Intercept::by(
            Judge {
                consumes: "3",
                offered,
            }
            .start(),
        ),
    )
    .await;
    let (offered, mut at_second) = unbounded_channel();
    ask(
        &bob,
        Intercept::by(
            Judge {
                consumes: "5",
                offered,
            }
            .start(),
        ),
    )
    .await;
    link(&alice, &bob).await;
    for n in 0..40 {
        ask(&alice, Send::new(format!("{n}"))).await.unwrap();
    }
    let numbers = || (0..40).map(|n| n.to_string());
    for text in numbers() {
        assert_eq!(next(&mut at_first).await, text);
    }
    for text in numbers().filter(|text| !text.contains('3')) {
        assert_eq!(next(&mut at_second).await, text);
    }
    for text in numbers().filter(|text| !text.contains('3') && !text.contains('5')) {
        assert_eq!(next(&mut seen).await.text(), text);
    }
}

/// An interceptor that consumes everything, but decides about the first only when it is told to.
struct Undecided {
    told: Option<oneshot::Receiver<()>>,
    offered: UnboundedSender<String>,
}

impl Actor for Undecided {
    type Context = Context<Self>;
}

impl Handler<Offer> for Undecided {
    type Result = actix::ResponseFuture<Verdict>;

    fn handle(&mut self, offer: Offer, _: &mut Context<Self>) -> Self::Result {
        let _ = self.offered.send(offer.message.text());
        let told = self.told.take();
        Box::pin(async move {
            if let Some(told) = told {
                let _ = told.await;
            }
            Verdict::Consume
        })
    }
}

#[actix::test]
async fn a_late_interceptor_loses_its_say_until_it_answers() {
    let (alice, bob) = (node().await, node().await);
    let mut lags = events(&bob).await;
    let mut seen = messages(&bob, |s| s).await;
    let (decide, told) = oneshot::channel();
    let (offered, mut asked) = unbounded_channel();
    let actor = Undecided {
        told: Some(told),
        offered,
    }
    .start();
    let id = ask(
        &bob,
        Intercept::by(actor).deadline(Duration::from_millis(20)),
    )
    .await;
    link(&alice, &bob).await;
    flood(&alice, 5, &mut seen).await;
    assert_eq!(next(&mut asked).await, "0");
    assert_eq!(lagged(&mut lags).await.0, id.0);
    decide.send(()).unwrap();
    // Each of these passes by, until its answer has come: then it is asked again.
    for n in 5.. {
        ask(&alice, Send::new(format!("{n}"))).await.unwrap();
        let text = tokio::select! {
            message = next(&mut seen) => Err(message.text()),
            text = next(&mut asked) => Ok(text),
        };
        if text.is_ok() {
            break;
        }
    }
    assert!(seen.try_recv().is_err());
}

#[actix::test]
async fn a_whisper_reaches_a_neighbour_and_the_reply_its_author() {
    let (alice, bob) = (node().await, node().await);
    link(&alice, &bob).await;
    let whispered = ask(&alice, Whisper::new(bob.id.clone(), ("name", "alice")))
        .await
        .unwrap();
    assert!(!whispered.discovered);
    let heard = ask(&bob, Recv::one().wait(PATIENCE)).await.remove(0);
    assert_eq!(
        (body(&heard), heard.id()),
        (vec!["name", "alice"], &whispered.id)
    );
    ask(&bob, heard.reply("hi alice")).await.unwrap();
    assert_eq!(
        ask(&alice, Recv::one().wait(PATIENCE)).await[0].text(),
        "hi alice"
    );
}

#[actix::test]
async fn a_reply_finds_an_author_who_is_not_a_neighbour() {
    let (alice, bob, carol) = (
        start(loner()).await,
        start(loner()).await,
        start(loner()).await,
    );
    link(&alice, &bob).await;
    link(&carol, &bob).await;
    ask(&alice, Send::new("who is there?")).await.unwrap();
    let heard = ask(&carol, Recv::one().wait(PATIENCE)).await.remove(0);
    assert!(!knows(&carol, &alice).await);
    let whispered = ask(&carol, heard.reply("carol")).await.unwrap();
    assert!(whispered.discovered);
    assert!(knows(&carol, &alice).await);
    assert_eq!(
        ask(&alice, Recv::one().wait(PATIENCE)).await[0].text(),
        "carol"
    );
}

#[actix::test]
async fn a_whisper_to_nobody_fails_with_a_reason() {
    let (alice, bob) = (node().await, node().await);
    let nobody = NodeId::parse("NobodyatA11").unwrap();
    let whisper = Whisper::new(nobody.clone(), "hello?").within(Duration::from_millis(100));
    assert_eq!(
        ask(&alice, whisper.clone()).await,
        Err(WhisperError::NoPeers(nobody))
    );
    link(&alice, &bob).await;
    assert!(matches!(
        ask(&alice, whisper).await,
        Err(WhisperError::NotFound { .. })
    ));
    let me = Whisper::new(alice.id.clone(), "me");
    assert_eq!(
        ask(&alice, me).await,
        Err(WhisperError::Refused(SendError::Oneself))
    );
}

#[actix::test]
async fn disconnect_is_told_on_both_sides() {
    let (alice, bob) = (node().await, node().await);
    link(&alice, &bob).await;
    let (mut at_alice, mut at_bob) = (events(&alice).await, events(&bob).await);
    ask(&alice, Send::new("last words")).await.unwrap();
    assert!(ask(&alice, Disconnect::from(bob.id.clone())).await);
    assert!(!ask(&alice, Disconnect::from(bob.id.clone())).await);
    assert_eq!(
        left(&mut at_alice).await,
        (bob.id.clone(), CloseReason::Requested)
    );
    assert_eq!(
        left(&mut at_bob).await,
        (alice.id.clone(), CloseReason::ByPeer)
    );
    assert_eq!(ask(&bob, Recv::one()).await[0].text(), "last words");
    assert!(ask(&bob, Peers).await.is_empty());
    link(&alice, &bob).await;
}

#[actix::test]
async fn connect_says_why_not() {
    let alice = node().await;
    let other = start(Config::new().subnet("other", "Plaintext")).await;
    let refused = ask(&alice, Connect::to(other.addr)).await.unwrap_err();
    let ConnectError::Closed {
        reason: CloseReason::OtherSubnet { theirs, ours },
        ..
    } = &refused
    else {
        panic!("{refused}");
    };
    assert_eq!(
        (theirs.as_str(), &**ours),
        (other.subnet_id.as_str(), &alice.subnet_id)
    );

    assert_eq!(
        ask(&alice, Connect::to(alice.addr)).await,
        Err(ConnectError::Oneself)
    );
    let free = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let refused = ask(&alice, Connect::to(free)).await;
    assert_eq!(
        refused,
        Err(ConnectError::Dial {
            addr: free.into(),
            why: DialError::Refused
        })
    );

    let bob = node().await;
    let wrong = Connect::to(bob.addr).expect(other.id.clone());
    let ConnectError::Closed {
        reason: CloseReason::WrongId { expected, found },
        ..
    } = ask(&alice, wrong).await.unwrap_err()
    else {
        panic!("connected to the wrong one");
    };
    assert_eq!((*expected, *found), (other.id, bob.id.clone()));
    assert_eq!(
        ask(&alice, Connect::to(bob.addr).expect(bob.id.clone())).await,
        Ok(bob.id.clone())
    );
    assert_eq!(
        ask(&alice, Connect::to(bob.addr)).await,
        Err(ConnectError::AlreadyConnected(bob.id.clone()))
    );
}

#[actix::test]
async fn a_node_finds_itself_under_another_name() {
    let alice = node().await;
    let other_name: Address = format!("localhost:{}", alice.addr.port()).parse().unwrap();
    assert_eq!(
        ask(&alice, Connect::to(other_name)).await,
        Err(ConnectError::Oneself)
    );
    assert!(ask(&alice, Peers).await.is_empty());
}

#[actix::test]
async fn a_silent_stranger_is_closed() {
    let alice = start(Config::new().handshake_timeout(Duration::from_millis(10))).await;
    let mut told = events(&alice).await;
    let mut stranger = TcpStream::connect(alice.addr).await.unwrap();
    let reason = event(&mut told, |event| match event {
        Event::Refused { reason, .. } => Some(reason),
        _ => None,
    })
    .await;
    assert_eq!(reason, CloseReason::HandshakeTimeout);
    // All it ever gets is our handshake.
    let mut got = Vec::new();
    soon(stranger.read_to_end(&mut got)).await.unwrap();
    let length = u32::from_be_bytes(got[..4].try_into().unwrap()) as usize;
    assert_eq!(got.len(), 4 + length);
}

#[actix::test]
async fn bad_addresses_are_named() {
    let taken = node().await.addr;
    let error = Config::new().listen(taken).start().await.unwrap_err();
    assert!(
        matches!(error, StartError::AddressInUse { addr } if addr == taken),
        "{error}"
    );
    assert!(error.to_string().contains(&taken.to_string()));
    let error = Config::new().listen("nonsense").start().await.unwrap_err();
    assert!(error.to_string().contains("nonsense"), "{error}");
    let error = Config::new()
        .listen("192.0.2.1:1")
        .start()
        .await
        .unwrap_err();
    assert!(error.to_string().contains("192.0.2.1:1"), "{error}");
    assert!(matches!(
        Config::new().send_budget(0).start().await,
        Err(StartError::BadSetting { .. })
    ));
}

#[test]
fn without_a_system_starting_is_an_error() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let error = runtime.block_on(Config::new().start()).unwrap_err();
    assert!(matches!(error, StartError::NoSystem));
}

/// A panic in what is dropped is caught by the runtime, so that only the hook hears of it.
#[test]
fn a_system_that_ends_right_after_a_start_ends_quietly() {
    let (here, panicked) = (
        std::thread::current().id(),
        Arc::new(AtomicBool::new(false)),
    );
    let (heard, before) = (Arc::clone(&panicked), std::panic::take_hook());
    std::panic::set_hook(Box::new(move |info| {
        if std::thread::current().id() == here {
            heard.store(true, Ordering::Relaxed);
        }
        before(info);
    }));
    actix::System::new().block_on(async { Config::new().start().await.map(drop).unwrap() });
    assert!(!panicked.load(Ordering::Relaxed));
}

#[actix::test]
async fn the_outward_address_is_never_that_of_no_host() {
    let node = start(Config::new().listen("0.0.0.0:0")).await;
    assert_eq!(node.advertised.port, node.addr.port());
    assert_ne!(node.advertised.host, "0.0.0.0");
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
        // Incompressible enough, and text.
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
        // Until the socket's buffers are full, and what we send is refused for want of peers.
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

/// A connection that did bob's handshake with `to`, and then reads no more.
async fn mute_peer(bob: &Node, to: &Node) -> TcpStream {
    let between = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let through = between.local_addr().unwrap();
    let dialing = bob.router.send(Connect::to(through));
    let dialing = actix::spawn(dialing);
    let (mut to_bob, _) = soon(between.accept()).await.unwrap();
    let mut handshake = vec![0; 4];
    soon(to_bob.read_exact(&mut handshake)).await.unwrap();
    let length = u32::from_be_bytes(handshake[..4].try_into().unwrap()) as usize;
    handshake.resize(4 + length, 0);
    soon(to_bob.read_exact(&mut handshake[4..])).await.unwrap();
    dialing.abort();
    let mut to_alice = TcpStream::connect(to.addr).await.unwrap();
    to_alice.write_all(&handshake).await.unwrap();
    to_alice
}

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
async fn shutting_down_an_idle_node_answers_all_who_ask() {
    let alice = node().await;
    let (one, other) = (
        alice.router.send(Shutdown::new()),
        alice.router.send(Shutdown::new()),
    );
    let (one, other) = soon(async { (one.await, other.await) }).await;
    assert!(one.unwrap().is_clean());
    // The second came when the first had been answered, or was answered with it.
    assert!(other.is_err() || other.unwrap().is_clean());
}

#[actix::test]
async fn connections_can_live_on_other_arbiters() {
    let alice = start(Config::new().arbiters(2)).await;
    let (bob, carol) = (node().await, node().await);
    let mut at_carol = messages(&carol, |s| s).await;
    link(&alice, &bob).await;
    link(&alice, &carol).await;
    flood(&bob, 500, &mut at_carol).await;
    assert!(ask(&alice, Shutdown::new()).await.is_clean());
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
