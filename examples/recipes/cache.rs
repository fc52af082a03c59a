//! A cache in each process, kept fresh: a process that writes a key tells the others to drop it.
//! `cargo run --example cache`

use std::collections::HashMap;
use std::time::Duration;

use actix::{Actor, Addr, Context, Handler, MessageResult};
use actix_mesh::{Config, Node, Payload, Received, Send};
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
struct Invalidate {
    key: String,
    version: u64,
}

impl Payload for Invalidate {
    const KIND: &'static str = "invalidate/1";
}

/// Values read from the database: the version and the value, by key.
#[derive(Default)]
struct Cache(HashMap<String, (u64, String)>);

impl Actor for Cache {
    type Context = Context<Self>;
}

impl Handler<Received<Invalidate>> for Cache {
    type Result = ();

    fn handle(&mut self, got: Received<Invalidate>, _: &mut Context<Self>) {
        let Invalidate { key, version } = got.value;
        // Messages may be reordered, so keep newer versions.
        self.0
            .retain(|cached, (at, _)| *cached != key || *at >= version);
        if got.message.missed() > 0 {
            // The keys of the missed messages are unknown, so drop all.
            self.0.clear();
        }
    }
}

#[derive(actix::Message)]
#[rtype(result = "()")]
struct Put(&'static str, u64, &'static str);

impl Handler<Put> for Cache {
    type Result = ();

    fn handle(&mut self, Put(key, version, value): Put, _: &mut Context<Self>) {
        self.0.insert(key.to_owned(), (version, value.to_owned()));
    }
}

#[derive(actix::Message)]
#[rtype(result = "Option<String>")]
struct Get(&'static str);

impl Handler<Get> for Cache {
    type Result = MessageResult<Get>;

    fn handle(&mut self, Get(key): Get, _: &mut Context<Self>) -> Self::Result {
        MessageResult(self.0.get(key).map(|(_, value)| value.clone()))
    }
}

async fn with_cache(config: Config) -> Result<(Node, Addr<Cache>), Box<dyn std::error::Error>> {
    let (node, cache) = (config.start().await?, Cache::default().start());
    node.subscribe::<Invalidate>(cache.clone().recipient())
        .await?;
    Ok((node, cache))
}

#[actix::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (here, my_cache) = with_cache(Config::new()).await?;
    let (there, its_cache) = with_cache(Config::new().connect(here.addr)).await?;
    there.ready(1, Duration::from_secs(5)).await?;
    for cache in [&my_cache, &its_cache] {
        cache.send(Put("user/7", 2, "Ann")).await?;
        cache.send(Put("user/8", 1, "Ben")).await?;
    }

    // This process renames the user. The others drop their cached copy and read the key again when they need it.
    my_cache.send(Put("user/7", 3, "Anna")).await?;
    let (key, version) = (String::from("user/7"), 3);
    here.router
        .do_send(Send::typed(&Invalidate { key, version })?);

    while its_cache.send(Get("user/7")).await?.is_some() {
        actix::clock::sleep(Duration::from_millis(10)).await;
    }
    println!("here: {:?}", my_cache.send(Get("user/7")).await?);
    println!("there: {:?}", its_cache.send(Get("user/7")).await?);
    println!("there: {:?}", its_cache.send(Get("user/8")).await?);
    there.shutdown().await?;
    Ok(())
}
