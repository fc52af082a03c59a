//! Jobs for idle workers: three workers answer, and the asking node takes the first answer, or all of them.
//! `cargo run --example jobs`

use std::time::Duration;

use actix::{Actor, ActorFutureExt as _, Context, Handler, ResponseActFuture, WrapFuture as _};
use actix_mesh::{Asked, Config, Node, Payload, Query};
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
struct Count {
    text: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct Counted {
    words: usize,
    by: String,
}

impl Payload for Count {
    const KIND: &'static str = "job/count/1";
}

impl Payload for Counted {
    const KIND: &'static str = "job/counted/1";
}

impl Query for Count {
    type Reply = Counted;
}

/// Works for a while without blocking its node: the answer is a future.
struct Worker {
    name: &'static str,
    pace: Duration,
}

impl Actor for Worker {
    type Context = Context<Self>;
}

impl Handler<Asked<Count>> for Worker {
    type Result = ResponseActFuture<Self, Option<Counted>>;

    fn handle(&mut self, asked: Asked<Count>, _: &mut Context<Self>) -> Self::Result {
        let words = asked.value.text.split_whitespace().count();
        let done = tokio::time::sleep(self.pace).into_actor(self);
        Box::pin(done.map(move |(), worker, _| {
            let by = worker.name.to_owned();
            Some(Counted { words, by })
        }))
    }
}

async fn worker(
    name: &'static str,
    pace: u64,
    asker: &Node,
) -> Result<Node, Box<dyn std::error::Error>> {
    let node = Config::new().connect(asker.addr).start().await?;
    let pace = Duration::from_millis(pace);
    node.answer::<Count>(Worker { name, pace }.start().recipient())
        .await?;
    Ok(node)
}

#[actix::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let asker = Config::new().start().await?;
    let mut workers = Vec::new();
    for (name, pace) in [("quick", 10), ("steady", 100), ("slow", 300)] {
        workers.push(worker(name, pace, &asker).await?);
    }
    asker.ready(3, Duration::from_secs(5)).await?;

    let job = Count {
        text: "a job for whoever is free".into(),
    };
    let first = asker.request(&job).within(Duration::from_secs(5)).await?;
    println!("{} counted {} words first", first.by, first.words);
    for answer in asker
        .request(&job)
        .within(Duration::from_secs(1))
        .all()
        .await?
    {
        println!("{} says {}", answer.value.by, answer.value.words);
    }
    for worker in workers {
        worker.shutdown().await?;
    }
    Ok(())
}
