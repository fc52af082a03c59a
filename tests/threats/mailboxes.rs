//! Messages inside the node: mailboxes and the queues before them (threat T6).

use std::sync::mpsc::{Receiver, Sender, channel};

use actix::{Actor, Context, Handler};
use actix_mesh::{Event, Message, Subscribe};

use crate::assert_serves;
use crate::support::raw::Raw;
use crate::support::victim::Victim;
use crate::support::{PATIENCE, until};

/// Handles one message, and blocks its own thread until the gate opens.
struct Stalled {
    gate: Receiver<()>,
    heard: Sender<(String, u64)>,
}

impl Actor for Stalled {
    type Context = Context<Self>;
}

impl Handler<Message> for Stalled {
    type Result = ();

    fn handle(&mut self, message: Message, _: &mut Context<Self>) {
        // Once opened, the gate is gone.
        let _ = self.gate.recv();
        let _ = self.heard.send((message.text(), message.missed()));
    }
}

/// Subscribes an actor on its own thread; it is blocked until the sender is dropped.
fn stall(victim: &Victim) -> (u64, Sender<()>, Receiver<(String, u64)>) {
    let (open, gate) = channel();
    let (heard, hearing) = channel();
    let (started, actor) = channel();
    std::thread::spawn(move || {
        actix::System::new().block_on(async move {
            started.send(Stalled { gate, heard }.start()).unwrap();
            // Keeps the thread for the whole test.
            std::future::pending::<()>().await;
        });
    });
    let actor = actor.recv().unwrap();
    let id = victim.ask(Subscribe::messages(actor));
    (id.0, open, hearing)
}

/// `MESSAGES=1000000 cargo test --release --test threats t6` sends that many.
#[test]
fn t6_a_stalled_subscriber_is_told_exactly_what_it_missed() {
    let count: u64 = std::env::var("MESSAGES")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(20_000);
    let victim = Victim::start();
    let mut flooder = Raw::join(&victim);
    let (id, gate, hearing) = stall(&victim);
    for n in 0..count {
        flooder.broadcast(&n.to_string());
    }
    until("all have come", || victim.status().stats.delivered == count);
    drop(gate);
    let (mut taken, mut missed) = (0, 0);
    let mut last = None;
    while taken + missed < count {
        let (text, before) = hearing.recv_timeout(PATIENCE).expect("the rest");
        let number: u64 = text.parse().unwrap();
        missed += before;
        assert_eq!(number, taken + missed, "each gap is as large as it says");
        assert!(last < Some(number));
        (taken, last) = (taken + 1, Some(number));
    }
    assert_eq!(taken + missed, count);
    // Its queue, and the messages sent ahead.
    assert!(taken <= 1024 + 64, "{taken} were kept");
    let mut told = 0;
    while told < missed {
        told += victim.told(|event| match event {
            Event::Lagged {
                subscription,
                missed,
                ..
            } => (*subscription == id).then_some(*missed),
            _ => None,
        });
    }
    assert_eq!(told, missed);
    eprintln!("{count} messages: {taken} kept, {missed} missed and told");
    assert_serves(&victim);
}
