//! Interceptors: their order, and a late one.

use std::time::Duration;

use actix::{Actor, Context, Handler};
use actix_mesh::{Intercept, Offer, Send, Verdict};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;

use crate::{ask, events, flood, lagged, link, messages, next, node};

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

/// An interceptor that consumes everything, but answers for the first message only when told to.
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
    // Each of these passes unseen until the answer has come; then the interceptor is asked again.
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
