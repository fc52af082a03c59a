//! Validates values before they are relayed: a negative price stops at the first node that checks it.
//! `cargo run --example validation`

use std::time::Duration;

use actix::{Actor, Context, Handler};
use actix_mesh::{Acceptance, Config, Event, Payload, Proposed, Received, SubscribeEvents};
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
struct Price {
    item: String,
    cents: i64,
}

impl Payload for Price {
    const KIND: &'static str = "price/1";
}

/// Knows which prices are valid.
struct Sense;

impl Actor for Sense {
    type Context = Context<Self>;
}

impl Handler<Proposed<Price>> for Sense {
    type Result = Acceptance;

    fn handle(&mut self, proposed: Proposed<Price>, _: &mut Context<Self>) -> Acceptance {
        match proposed.value.cents {
            ..0 => Acceptance::Reject,
            _ => Acceptance::Accept,
        }
    }
}

/// Prints the prices and events it receives.
struct Board(&'static str);

impl Actor for Board {
    type Context = Context<Self>;
}

impl Handler<Received<Price>> for Board {
    type Result = ();

    fn handle(&mut self, got: Received<Price>, _: &mut Context<Self>) {
        let Price { item, cents } = got.value;
        println!("{}: {item} costs {cents} cents", self.0);
    }
}

impl Handler<Event> for Board {
    type Result = ();

    fn handle(&mut self, event: Event, _: &mut Context<Self>) {
        if event.code() == "rejected" {
            println!("{}: {event}", self.0);
        }
    }
}

#[actix::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let second = Duration::from_secs(1);
    // Three nodes in a line: what the middle one rejects does not reach the last.
    let middle = Config::new().max_outgoing(0).start().await?;
    let alone = || Config::new().max_outgoing(0).connect(middle.addr);
    let (shop, last) = (alone().start().await?, alone().start().await?);
    middle.ready(2, 5 * second).await?;

    middle.validate::<Price>(Sense.start().recipient()).await?;
    let board = Board("middle").start();
    middle.router.send(SubscribeEvents::new(board)).await?;
    last.subscribe::<Price>(Board("last").start().recipient())
        .await?;
    for (item, cents) in [("bread", 320), ("gold", -1), ("milk", 129)] {
        let item = item.to_owned();
        shop.publish(&Price { item, cents }).await?;
    }
    actix::clock::sleep(second).await;
    for node in [shop, last, middle] {
        node.shutdown().await?;
    }
    Ok(())
}
