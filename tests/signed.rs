//! Signed messages: across a relay, and against a member that has only its own key.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use actix::{Actor, Addr, Context, Handler};
use actix_mesh::signed::{Refusal, Refused, SignError, Signed, Signer, Verifier, VerifierStatus};
use actix_mesh::tls::{Authority, Identity};
use actix_mesh::wire::Flag;
use actix_mesh::{Connect, Message, NodeId, Packet, Payload, Recv};
use serde::{Deserialize, Serialize};

use support::raw::Raw;
use support::victim::Victim;
use support::{PATIENCE, unix};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Order {
    pizza: u32,
}

impl Payload for Order {
    const KIND: &'static str = "order/1";
}

struct Ear {
    orders: Sender<Signed<Order>>,
    refused: Sender<Refused>,
}

impl Actor for Ear {
    type Context = Context<Self>;
}

impl Handler<Signed<Order>> for Ear {
    type Result = ();

    fn handle(&mut self, order: Signed<Order>, _: &mut Context<Self>) {
        let _ = self.orders.send(order);
    }
}

impl Handler<Refused> for Ear {
    type Result = ();

    fn handle(&mut self, refused: Refused, _: &mut Context<Self>) {
        let _ = self.refused.send(refused);
    }
}

fn identity(name: &str) -> Identity {
    let dir = tempfile::tempdir().unwrap();
    let ca = dir.path().join("ca");
    let authority = Authority::init(&ca).unwrap();
    authority.issue(name, Duration::from_secs(3600)).unwrap();
    let read = |end: &str| std::fs::read(ca.join(format!("{name}.{end}"))).unwrap();
    Identity::from_pem(read("crt"), read("key")).unwrap()
}

/// An author, a relay, and a node that verifies.
struct Line {
    author: Victim,
    signer: Signer,
    relay: Victim,
    checker: Victim,
    verifier: Addr<Verifier<Order>>,
    orders: Receiver<Signed<Order>>,
    refused: Receiver<Refused>,
}

impl Line {
    fn new() -> Self {
        Self::with(|verifier| verifier)
    }

    fn with(change: impl FnOnce(Verifier<Order>) -> Verifier<Order>) -> Self {
        let identity = identity("anna");
        let author = Victim::with(|config| config.id(identity.id().clone()));
        let (relay, checker) = (Victim::start(), Victim::start());
        author.ask(Connect::to(relay.addr)).unwrap();
        checker.ask(Connect::to(relay.addr)).unwrap();
        let signer = Signer::new(&author.node, &identity).unwrap();
        let ((tell, orders), (refuse, refused)) = (channel(), channel());
        let ear = Ear {
            orders: tell,
            refused: refuse,
        };
        let ear = Ear::start_in_arbiter(&checker.arbiter, |_| ear);
        let verifier = change(Verifier::new(&checker.node, ear.clone()).refusals(ear));
        let verifier = Verifier::start_in_arbiter(&checker.arbiter, |_| verifier);
        // The verifier answers `report` only after it has subscribed.
        let line = Self {
            author,
            signer,
            relay,
            checker,
            verifier,
            orders,
            refused,
        };
        assert_eq!(line.report(), (0, 0));
        line
    }

    fn report(&self) -> (u64, u64) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let report = runtime
            .block_on(self.verifier.send(VerifierStatus))
            .unwrap();
        (report.proven, report.refused)
    }

    /// Publishes a signed value and returns the message the relay received.
    fn publish(&self, pizza: u32) -> Message {
        let send = self.signer.send(&Order { pizza }).unwrap();
        self.relay.ask(Recv::up_to(1000));
        self.author.ask(send).unwrap();
        let order = self.orders.recv_timeout(PATIENCE).unwrap();
        assert_eq!(order.value, Order { pizza });
        assert_eq!(order.author, self.author.id);
        assert_ne!(*order.message.from(), self.author.id, "it was relayed");
        order.message
    }

    fn refusal(&self) -> Refusal {
        self.refused.recv_timeout(PATIENCE).unwrap().why
    }

    /// Joins a member that sends under any id it likes.
    fn member(&self, id: NodeId) -> Raw {
        let stream = std::net::TcpStream::connect(self.checker.addr).unwrap();
        let mut raw = Raw::over(stream, &self.checker.subnet, id);
        raw.greet(|_| {});
        raw.expect(|heard| heard.kind() == Some(actix_mesh::wire::SubFlag::Peers));
        raw
    }
}

fn packets(message: &Message) -> Vec<Packet> {
    message.packets().to_vec()
}

#[test]
fn t33_the_author_is_proven_across_a_relay() {
    let line = Line::new();
    line.publish(7);
    line.publish(7);
    // A whisper is signed for its recipient alone.
    let whisper = line
        .signer
        .whisper(line.checker.id.clone(), &Order { pizza: 8 });
    line.checker.ask(Connect::to(line.author.addr)).unwrap();
    line.author.ask(whisper.unwrap()).unwrap();
    let order = line.orders.recv_timeout(PATIENCE).unwrap();
    assert_eq!(order.value, Order { pizza: 8 });
    assert_eq!(line.report(), (3, 0));
}

#[test]
fn t33_a_member_can_forge_change_and_replay_nothing() {
    let line = Line::new();
    let message = line.publish(7);
    let signed = packets(&message);
    // Under its own id: the key belongs to the author.
    let mut mallory = line.member(support::raw::some_id());
    mallory.say(&Flag::Broadcast, &signed);
    assert_eq!(line.refusal(), Refusal::OtherAuthor);

    // Under the author's id, but from another connection.
    let mut mallory = line.member(line.author.id.clone());
    mallory.say(&Flag::Broadcast, &signed[..3]);
    assert_eq!(line.refusal(), Refusal::Unsigned);
    let mut changed = signed.clone();
    changed[1] = Packet::from(r#"{"pizza":1000}"#);
    mallory.say(&Flag::Broadcast, &changed);
    assert_eq!(line.refusal(), Refusal::Forged);
    // A whisper is a different statement.
    mallory.say(&Flag::Whisper, &signed);
    assert_eq!(line.refusal(), Refusal::Forged);
    // The same statement, stamped a second later; and stamped with a second in which it was not signed.
    let again = mallory.frame(&Flag::Broadcast, &signed, message.time() + 1);
    mallory.write(&again);
    assert_eq!(line.refusal(), Refusal::Replayed);
    let later = mallory.frame(&Flag::Broadcast, &signed, message.time() + 10);
    mallory.write(&later);
    assert_eq!(line.refusal(), Refusal::Stale);
    // Nothing got through, and the author is still accepted.
    line.publish(9);
    assert_eq!(line.report(), (2, 6));
}

#[test]
fn t33_what_was_signed_before_a_verifier_started_does_not_hold() {
    let line = Line::new();
    let old = line.signer.send(&Order { pizza: 1 }).unwrap();
    std::thread::sleep(Duration::from_millis(2100));
    let late = Line::new();
    // The same subnet, so the same statement: only the time differs.
    let mut mallory = late.member(line.author.id.clone());
    let mut packets = vec![Packet::from(Order::KIND)];
    packets.extend(old.packets.iter().cloned());
    let frame = mallory.frame(&Flag::Broadcast, &packets, unix() - 2);
    mallory.write(&frame);
    assert!(matches!(late.refusal(), Refusal::Replayed | Refusal::Stale));
    assert_eq!(late.report().0, 0);
}

#[test]
fn t33_a_node_that_checks_before_it_relays_passes_on_nothing_forged() {
    let line = Line::with(Verifier::before_relay);
    let behind = Victim::start();
    behind.ask(Connect::to(line.checker.addr)).unwrap();
    let message = line.publish(7);
    let signed = packets(&message);
    let mut mallory = line.member(line.author.id.clone());
    let mut changed = signed.clone();
    changed[1] = Packet::from(r#"{"pizza":1000}"#);
    mallory.say(&Flag::Broadcast, &changed);
    assert_eq!(line.refusal(), Refusal::Forged);
    let again = mallory.frame(&Flag::Broadcast, &signed, message.time() + 1);
    mallory.write(&again);
    assert_eq!(line.refusal(), Refusal::Replayed);
    // In the plain form, which other nodes would read too.
    let mut plain = vec![Packet::from("\0")];
    plain.extend(changed);
    mallory.say(&Flag::Broadcast, &plain);
    assert_eq!(line.refusal(), Refusal::Forged);
    line.publish(9);
    let heard = behind.heard_within(Duration::from_secs(1));
    assert_eq!(heard.len(), 2, "{heard:?}");
    assert!(heard[0].starts_with(r#"{"pizza":7}"#) && heard[1].starts_with(r#"{"pizza":9}"#));
    let stats = line.checker.status().stats;
    assert_eq!((stats.rejected, stats.ignored), (2, 1));
    assert_eq!(stats.relayed, 2);
}

#[test]
fn a_node_signs_with_its_own_key_alone() {
    let node = Victim::start();
    let refused = Signer::new(&node.node, &identity("ben"));
    assert!(matches!(refused, Err(SignError::OtherId { .. })));
}
