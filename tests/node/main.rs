//! Real nodes on the loopback: the actors' promises, each with a test that waits for an event, never for a time.
//!
//! This file holds the shared helpers; the cases are in its submodules, one file for each concern.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod connections;
mod interceptors;
mod messages;
mod send_budget;
mod shutdown;
mod start;
mod subscriptions;
mod validators;
mod whisper;

use std::time::Duration;

use actix::{Actor, Addr, Context, Handler};
use actix_mesh::{
    CloseReason, Config, Connect, Event, Message, Node, NodeId, Peers, Send, Subscribe,
    SubscribeEvents,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// The deadline of everything that must happen here.
const PATIENCE: Duration = Duration::from_secs(20);

/// Forwards the messages it receives.
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

/// Waits for an event that `pick` accepts.
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
        Event::PeerLeft { peer, reason, .. } => Some((peer, reason)),
        _ => None,
    })
    .await
}

/// Connects, and waits until both sides have accepted the handshake.
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

/// The configuration of a node that dials only on request.
fn loner() -> Config {
    Config::new().max_outgoing(0)
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

/// Opens a connection that completes bob's handshake with `to` and then reads nothing.
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
