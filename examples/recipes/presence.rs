//! Presence and a shared dictionary: `cargo run --example presence`.

use std::error::Error;
use std::time::Duration;

use actix::Actor;
use actix_mesh::Config;
use actix_mesh::replicated::{Get, Here, Presence, Set, Sync};
use serde_json::json;

async fn moment() {
    tokio::time::sleep(Duration::from_millis(20)).await;
}

#[actix::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let anna = Config::new().start().await?;
    let ben = Config::new().connect(anna.addr).start().await?;
    ben.ready(1, Duration::from_secs(5)).await?;

    let here = Presence::of(&anna).about(json!({ "name": "Anna" })).start();
    let _there = Presence::of(&ben).about(json!({ "name": "Ben" })).start();
    let present = loop {
        match here.send(Here).await? {
            nobody if nobody.is_empty() => moment().await,
            present => break present,
        }
    };
    for node in present {
        println!("{} is {}", node.node.short(), node.about["name"]);
    }

    let (ours, theirs) = (Sync::of(&anna).start(), Sync::of(&ben).start());
    ours.send(Set::new("colour", "green")).await??;
    let entry = loop {
        match theirs.send(Get::new("colour")).await? {
            None => moment().await,
            Some(entry) => break entry,
        }
    };
    println!("{} set it to {:?}", entry.owner.short(), entry.value);
    Ok(())
}
