//! Validators: late, dead, busy, and typed.

use std::time::Duration;

use actix::{Actor, ActorContext as _, Addr, AsyncContext as _, Context, Handler, ResponseFuture};
use actix_mesh::{
    Acceptance, CloseReason, Event, Payload, Proposal, Proposed, Send, Status, Unsubscribe,
    Validate,
};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::{ask, event, events, left, link, loner, messages, next, node, start};

const KIND: &str = "price/1";

/// Judges by the text, once the gate is open.
struct Gate {
    open: watch::Receiver<bool>,
}

impl Actor for Gate {
    type Context = Context<Self>;
}

impl Handler<Proposal> for Gate {
    type Result = ResponseFuture<Acceptance>;

    fn handle(&mut self, proposal: Proposal, _: &mut Context<Self>) -> Self::Result {
        let mut open = self.open.clone();
        Box::pin(async move {
            let _ = open.wait_for(|open| *open).await;
            match proposal.message.text().as_str() {
                text if text.contains("bad") => Acceptance::Reject,
                text if text.contains("old") => Acceptance::Ignore,
                _ => Acceptance::Accept,
            }
        })
    }
}

struct Stop;

impl actix::Message for Stop {
    type Result = ();
}

impl Handler<Stop> for Gate {
    type Result = ();

    fn handle(&mut self, _: Stop, ctx: &mut Context<Self>) {
        ctx.stop();
    }
}

fn gate(open: bool) -> (Addr<Gate>, watch::Sender<bool>) {
    let (opens, open) = watch::channel(open);
    (Gate { open }.start(), opens)
}

fn price(text: impl Into<String>) -> Send {
    Send::new(text.into()).kind(KIND)
}

/// Three nodes in a line; the middle one validates.
struct Line {
    first: actix_mesh::Node,
    middle: actix_mesh::Node,
    last: actix_mesh::Node,
}

async fn line() -> Line {
    let (first, middle, last) = (
        start(loner()).await,
        start(loner()).await,
        start(loner()).await,
    );
    link(&first, &middle).await;
    link(&last, &middle).await;
    Line {
        first,
        middle,
        last,
    }
}

#[actix::test]
async fn nothing_is_delivered_or_relayed_before_the_validator_has_spoken() {
    let line = line().await;
    let (gate, opens) = gate(false);
    let validate = Validate::by(gate)
        .kind(KIND)
        .deadline(Duration::from_secs(20));
    ask(&line.middle, validate).await;
    let any = |subscribe: actix_mesh::Subscribe<_>| {
        subscribe.filter(actix_mesh::Filter::new().any_kind())
    };
    let mut at_middle = messages(&line.middle, any).await;
    let mut at_last = messages(&line.last, any).await;
    for text in ["1", "bad 2", "old 3", "4"] {
        ask(&line.first, price(text)).await.unwrap();
    }
    ask(&line.first, Send::new("of another kind"))
        .await
        .unwrap();
    assert_eq!(next(&mut at_middle).await.text(), "of another kind");
    assert_eq!(next(&mut at_last).await.text(), "of another kind");
    opens.send_replace(true);
    for heard in [&mut at_middle, &mut at_last] {
        assert_eq!(next(heard).await.text(), "1");
        assert_eq!(next(heard).await.text(), "4");
    }
    let stats = ask(&line.middle, Status).await.stats;
    assert_eq!((stats.ignored, stats.rejected, stats.undecided), (1, 1, 0));
    assert_eq!(stats.relayed, 3);
}

#[actix::test]
async fn a_validator_that_is_late_is_not_waited_for() {
    for open in [true, false] {
        let line = line().await;
        let mut told = events(&line.middle).await;
        let (gate, opens) = gate(false);
        let mut validate = Validate::by(gate)
            .kind(KIND)
            .deadline(Duration::from_millis(50));
        if open {
            validate = validate.fail_open();
        }
        ask(&line.middle, validate).await;
        let kind = |subscribe: actix_mesh::Subscribe<_>| {
            subscribe.filter(actix_mesh::Filter::new().kind(KIND))
        };
        let mut at_last = messages(&line.last, kind).await;
        // More than it is asked about at once.
        for number in 0..100 {
            ask(&line.first, price(format!("{number}"))).await.unwrap();
        }
        let mut missed = 0;
        while missed < 100 {
            missed += event(&mut told, |event| match event {
                Event::Undecided {
                    messages, accepted, ..
                } => Some((messages, accepted)),
                _ => None,
            })
            .await
            .0;
        }
        assert_eq!(ask(&line.middle, Status).await.stats.undecided, 100);
        if open {
            for number in 0..100 {
                assert_eq!(next(&mut at_last).await.text(), number.to_string());
            }
        }
        // Its verdicts on those no longer count, and it is asked about new messages.
        opens.send_replace(true);
        let mut number = 100;
        let text = loop {
            ask(&line.first, price(format!("{number}"))).await.unwrap();
            number += 1;
            if let Ok(heard) =
                tokio::time::timeout(Duration::from_millis(200), at_last.recv()).await
            {
                break heard.unwrap().text();
            }
        };
        assert!(text.parse::<u32>().unwrap() >= 100, "{text}");
    }
}

#[actix::test]
async fn a_validator_that_stopped_is_told_and_fails_as_it_was_told_to() {
    for open in [true, false] {
        let line = line().await;
        let mut told = events(&line.middle).await;
        let (gate, _opens) = gate(true);
        let mut validate = Validate::by(gate.clone()).kind(KIND);
        if open {
            validate = validate.fail_open();
        }
        let id = ask(&line.middle, validate).await;
        gate.send(Stop).await.unwrap();
        let kind = |subscribe: actix_mesh::Subscribe<_>| {
            subscribe.filter(actix_mesh::Filter::new().kind(KIND))
        };
        let mut at_last = messages(&line.last, kind).await;
        ask(&line.first, price("1")).await.unwrap();
        let gone = event(&mut told, |event| match event {
            Event::SubscriberGone { subscription, .. } => Some(subscription),
            _ => None,
        });
        assert_eq!(gone.await, id.0);
        if !open {
            // It stays closed until it is unsubscribed.
            assert!(ask(&line.middle, Unsubscribe::from(id)).await);
            ask(&line.first, price("2")).await.unwrap();
            assert_eq!(next(&mut at_last).await.text(), "2");
        } else {
            assert_eq!(next(&mut at_last).await.text(), "1");
        }
    }
}

#[actix::test]
async fn thousands_pass_a_validator_and_none_is_lost() {
    let (alice, bob) = (node().await, node().await);
    let (gate, _opens) = gate(true);
    let validate = Validate::by(gate)
        .kind_prefix("price/")
        .deadline(Duration::from_secs(20));
    ask(&bob, validate).await;
    let all = |subscribe: actix_mesh::Subscribe<_>| {
        subscribe
            .filter(actix_mesh::Filter::new().any_kind())
            .items(10_000)
            .bytes(64 << 20)
    };
    let mut heard = messages(&bob, all).await;
    link(&alice, &bob).await;
    // A neighbour may have 256 waiting.
    for round in 0..20 {
        for number in 0..200 {
            ask(&alice, price(format!("{round} {number}")))
                .await
                .unwrap();
        }
        for number in 0..200 {
            assert_eq!(next(&mut heard).await.text(), format!("{round} {number}"));
        }
    }
    assert_eq!(ask(&bob, Status).await.stats.undecided, 0);
}

#[derive(Serialize, Deserialize)]
struct Price {
    cents: i64,
}

impl Payload for Price {
    const KIND: &'static str = KIND;
}

/// Rejects negative prices.
struct Sense;

impl Actor for Sense {
    type Context = Context<Self>;
}

impl Handler<Proposed<Price>> for Sense {
    type Result = Acceptance;

    fn handle(&mut self, proposed: Proposed<Price>, ctx: &mut Context<Self>) -> Acceptance {
        let _ = ctx.address();
        match proposed.value.cents {
            ..0 => Acceptance::Reject,
            _ => Acceptance::Accept,
        }
    }
}

#[actix::test]
async fn t35_a_neighbour_that_goes_on_writing_nonsense_is_closed() {
    let (alice, bob) = (start(loner()).await, start(loner()).await);
    bob.validate(Sense.start().recipient()).await.unwrap();
    let mut told = events(&bob).await;
    link(&alice, &bob).await;
    alice.publish(&Price { cents: 1 }).await.unwrap();
    for cents in 1..6 {
        alice.publish(&Price { cents: -cents }).await.unwrap();
        // Not a value of the type, so no validator is asked.
        ask(&alice, price(format!("{{{cents}"))).await.unwrap();
    }
    let first = event(&mut told, |event| match event {
        Event::Rejected {
            kind, sender, from, ..
        } => Some((kind, sender, from)),
        _ => None,
    });
    assert_eq!(
        first.await,
        (KIND.into(), alice.id.clone(), alice.id.clone())
    );
    alice.publish(&Price { cents: -9 }).await.unwrap();
    assert_eq!(
        left(&mut told).await,
        (alice.id.clone(), CloseReason::Rejected)
    );
    assert_eq!(ask(&bob, Status).await.stats.rejected, 11);
}
