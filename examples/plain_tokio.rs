//! A node in a program without an actix system: `cargo run --example plain_tokio`.
//!
//! The node has its own thread, so blocking code here does not delay it. Messages are sent as usual; a listening actor
//! runs on the node's thread and hands what it receives to a channel.

use std::error::Error;
use std::time::Duration;

use actix::{Actor, Context, Handler};
use actix_mesh::{Config, Payload, Received};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

#[derive(Serialize, Deserialize, Debug)]
struct Invalidate {
    key: String,
}

impl Payload for Invalidate {
    const KIND: &'static str = "invalidate/1";
}

/// Runs on the node's thread: slow code here delays the node.
struct Ear(mpsc::Sender<Invalidate>);

impl Actor for Ear {
    type Context = Context<Self>;
}

impl Handler<Received<Invalidate>> for Ear {
    type Result = ();

    fn handle(&mut self, got: Received<Invalidate>, _: &mut Context<Self>) {
        // If the cache falls behind, report the lost invalidations.
        if self.0.try_send(got.value).is_err() {
            eprintln!("an invalidation was lost: drop the whole cache");
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let here = Config::new().start_on_thread().await?;
    let there = Config::new().connect(here.addr).start_on_thread().await?;
    there.ready(1, Duration::from_secs(5)).await?;

    let (tell, mut told) = mpsc::channel(64);
    let ear = Ear::start_in_arbiter(&here.arbiter(), |_| Ear(tell));
    here.subscribe::<Invalidate>(ear.recipient()).await?;

    let key = String::from("user/7");
    there.publish(&Invalidate { key }).await?;
    println!("{:?}", told.recv().await);

    there.shutdown().await?;
    here.shutdown().await?;
    Ok(())
}
