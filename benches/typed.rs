//! The cost of types over packets: a request and its answer beside a whisper and its reply, and a typed publish beside
//! packets encoded and decoded by hand.
//!
//!     cargo bench --bench typed
//!
//! Two nodes in this process, on one thread, connected over loopback. The figures are CPU time of the process per round
//! trip, or per message published and handled; the two alternatives take turns.

#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark may panic")]

mod harness;

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use actix::{Actor, ActorFutureExt as _, AsyncContext as _, Context, Handler, WrapFuture as _};
use actix_mesh::{
    Asked, Config, Filter, Message, Node, Packet, Payload, Query, Received, Router, Send, SendMany,
    Subscribe, Whisper,
};
use harness::{Way, process_clock, side_by_side};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

const ROUND_TRIPS: usize = 50;
const PUBLISHED: usize = 500;

#[derive(Serialize, Deserialize)]
struct Square {
    n: u64,
}

#[derive(Serialize, Deserialize)]
struct Squared {
    n: u64,
}

impl Payload for Square {
    const KIND: &'static str = "square/1";
}

impl Payload for Squared {
    const KIND: &'static str = "squared/1";
}

impl Query for Square {
    type Reply = Squared;
}

#[derive(Serialize, Deserialize)]
struct Price {
    item: String,
    shop: String,
    cents: u64,
    stock: Vec<u32>,
}

impl Payload for Price {
    const KIND: &'static str = "price/1";
}

/// The kind of the same payload, encoded by hand.
const BY_HAND: &str = "price/0";

fn price(number: u64) -> Price {
    Price {
        item: format!("item {number}"),
        shop: String::from("a shop in the next street"),
        cents: number * 7,
        stock: vec![3, 1, 4],
    }
}

struct Worker;

impl Actor for Worker {
    type Context = Context<Self>;
}

impl Handler<Asked<Square>> for Worker {
    type Result = Option<Squared>;

    fn handle(&mut self, asked: Asked<Square>, _: &mut Context<Self>) -> Self::Result {
        let n = asked.value.n * asked.value.n;
        Some(Squared { n })
    }
}

/// Replies to whispers by hand.
struct Replier(actix::Addr<Router>);

impl Actor for Replier {
    type Context = Context<Self>;
}

impl Handler<Message> for Replier {
    type Result = ();

    fn handle(&mut self, message: Message, ctx: &mut Context<Self>) {
        let n: u64 = message.body()[0].as_str().unwrap().parse().unwrap();
        let replying = self.0.send(message.reply((n * n).to_string()));
        ctx.spawn(replying.into_actor(self).map(|sent, _, _| {
            sent.unwrap().unwrap();
        }));
    }
}

struct Ear(UnboundedSender<u64>);

impl Actor for Ear {
    type Context = Context<Self>;
}

impl Handler<Message> for Ear {
    type Result = ();

    fn handle(&mut self, message: Message, _: &mut Context<Self>) {
        self.0
            .send(message.body()[0].as_str().unwrap().parse().unwrap())
            .unwrap();
    }
}

/// Counts the messages it handles.
struct Counter {
    cents: Rc<Cell<u64>>,
    count: UnboundedSender<u64>,
}

impl Actor for Counter {
    type Context = Context<Self>;
}

impl Counter {
    fn take(&self, price: &Price) {
        self.cents.set(self.cents.get() + price.cents);
        self.count.send(price.cents).unwrap();
    }
}

impl Handler<Received<Price>> for Counter {
    type Result = ();

    fn handle(&mut self, got: Received<Price>, _: &mut Context<Self>) {
        self.take(&got.value);
    }
}

impl Handler<Message> for Counter {
    type Result = ();

    fn handle(&mut self, message: Message, _: &mut Context<Self>) {
        let price = serde_json::from_slice(message.body()[0].as_bytes()).unwrap();
        self.take(&price);
    }
}

struct Pair {
    asker: Node,
    other: Node,
    replies: Mutex<UnboundedReceiver<u64>>,
    handled: Mutex<UnboundedReceiver<u64>>,
    number: Cell<u64>,
}

impl Pair {
    async fn new() -> Self {
        let config = || Config::new().max_outgoing(0);
        let other = config().start().await.unwrap();
        let asker = config().connect(other.addr).start().await.unwrap();
        asker.ready(1, Duration::from_secs(5)).await.unwrap();
        other
            .answer::<Square>(Worker.start().recipient())
            .await
            .unwrap();
        let replier = Replier(other.router.clone()).start();
        let whispers = Filter::new().flag(actix_mesh::Flag::Whisper);
        let subscribe = Subscribe::messages(replier).filter(whispers.clone());
        other.router.send(subscribe).await.unwrap();
        let (tell, replies) = unbounded_channel();
        let subscribe = Subscribe::messages(Ear(tell).start()).filter(whispers);
        asker.router.send(subscribe).await.unwrap();
        let (count, handled) = unbounded_channel();
        let cents = Rc::default();
        let counter = Counter { cents, count }.start();
        other
            .router
            .send(Subscribe::typed(counter.clone().recipient::<Received<Price>>()).items(4096))
            .await
            .unwrap();
        let by_hand = Subscribe::messages(counter)
            .filter(Filter::new().kind(BY_HAND))
            .items(4096);
        other.router.send(by_hand).await.unwrap();
        Self {
            asker,
            other,
            replies: Mutex::new(replies),
            handled: Mutex::new(handled),
            number: Cell::new(0),
        }
    }

    fn next(&self) -> u64 {
        self.number.set(self.number.get() + 1);
        self.number.get()
    }

    async fn whisper_and_reply(&self) {
        let n = self.next();
        let whisper = Whisper::new(self.other.id.clone(), n.to_string());
        self.asker.router.send(whisper).await.unwrap().unwrap();
        let reply = self.replies.lock().await.recv().await;
        assert_eq!(reply, Some(n * n));
    }

    async fn request(&self) {
        let n = self.next();
        let request = self.asker.request(&Square { n }).to(self.other.id.clone());
        let reply = request.within(Duration::from_secs(5)).await.unwrap();
        assert_eq!(reply.n, n * n);
    }

    async fn handled(&self) {
        for _ in 0..PUBLISHED {
            self.handled.lock().await.recv().await.unwrap();
        }
    }

    async fn publish_one_by_one(&self, typed: bool) {
        for _ in 0..PUBLISHED {
            let price = price(self.next());
            let send = match typed {
                true => Send::typed(&price).unwrap(),
                false => {
                    let text = serde_json::to_string(&price).unwrap();
                    Send::new([Packet::from(text)]).kind(BY_HAND)
                }
            };
            self.asker.router.send(send).await.unwrap().unwrap();
        }
        self.handled().await;
    }

    async fn publish_many(&self, typed: bool) {
        let sends = (0..PUBLISHED).map(|_| {
            let price = price(self.next());
            match typed {
                true => Send::typed(&price).unwrap(),
                false => {
                    let text = serde_json::to_string(&price).unwrap();
                    Send::new([Packet::from(text)]).kind(BY_HAND)
                }
            }
        });
        let many: SendMany = sends.collect();
        for sent in self.asker.router.send(many).await.unwrap() {
            sent.unwrap();
        }
        self.handled().await;
    }
}

/// Returns the CPU time of the process while the future runs to completion.
fn timed(system: &actix::SystemRunner, what: impl Future<Output = ()>) -> Duration {
    let start = process_clock();
    system.block_on(what);
    process_clock().saturating_sub(start)
}

fn main() {
    let system = actix::System::new();
    let pair = system.block_on(Pair::new());
    let round_trips = |asks: bool| {
        let (pair, system) = (&pair, &system);
        move || {
            let took = timed(system, async {
                for _ in 0..ROUND_TRIPS {
                    match asks {
                        true => pair.request().await,
                        false => pair.whisper_and_reply().await,
                    }
                }
            });
            (took, ROUND_TRIPS)
        }
    };
    side_by_side(
        "A round trip",
        vec![
            Way::timing_itself("a whisper and its reply", round_trips(false)),
            Way::timing_itself("a request and its answer", round_trips(true)),
        ],
    );
    for (title, many) in [
        ("Published one by one, and handled", false),
        ("Published many at once, and handled", true),
    ] {
        let publish = |typed: bool| {
            let (pair, system) = (&pair, &system);
            move || {
                let took = timed(system, async {
                    match many {
                        true => pair.publish_many(typed).await,
                        false => pair.publish_one_by_one(typed).await,
                    }
                });
                (took, PUBLISHED)
            }
        };
        side_by_side(
            title,
            vec![
                Way::timing_itself("packets, serde by hand", publish(false)),
                Way::timing_itself("a typed value", publish(true)),
            ],
        );
    }
}
