//! An actor found by name, and found again after it has moved to another node.
//! `cargo run --example named_actor`

use std::time::Duration;

use actix::{Actor, Context, Handler};
use actix_mesh::{Ask, Asked, Config, Payload, Query};
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
struct Invoice {
    order: u64,
}

#[derive(Debug, Serialize, Deserialize)]
struct Invoiced {
    by: String,
}

impl Payload for Invoice {
    const KIND: &'static str = "invoice/1";
}

impl Payload for Invoiced {
    const KIND: &'static str = "invoiced/1";
}

impl Query for Invoice {
    type Reply = Invoiced;
}

struct Billing(&'static str);

impl Actor for Billing {
    type Context = Context<Self>;
}

impl Handler<Asked<Invoice>> for Billing {
    type Result = Option<Invoiced>;

    fn handle(&mut self, asked: Asked<Invoice>, _: &mut Context<Self>) -> Option<Invoiced> {
        println!("{}: invoice for order {}", self.0, asked.value.order);
        Some(Invoiced {
            by: self.0.to_owned(),
        })
    }
}

#[actix::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let within = Duration::from_secs(5);
    let shop = Config::new().start().await?;
    let first = Config::new().connect(shop.addr).start().await?;
    let second = Config::new().connect(shop.addr).start().await?;
    shop.ready(2, within).await?;

    let here = Billing("the first node").start().recipient();
    let registration = first.register::<Invoice>("billing", here).await?;
    let billing = shop.find::<Invoice>("billing", within).await?;
    println!(
        "invoiced by {}",
        billing.send(Ask::new(Invoice { order: 1 })).await??.by
    );

    // The actor moves; the recipient keeps working.
    first.unsubscribe(registration).await?;
    let there = Billing("the second node").start().recipient();
    second.register::<Invoice>("billing", there).await?;
    println!(
        "invoiced by {}",
        billing.send(Ask::new(Invoice { order: 2 })).await??.by
    );
    Ok(())
}
