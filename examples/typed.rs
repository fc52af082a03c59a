//! Typed values, questions and answers between two nodes: `cargo run --example typed`.

use actix::{Actor, Context, Handler};
use actix_mesh::{Asked, Config, Payload, Query, Received, Send};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Debug)]
struct Invalidate {
    key: String,
    version: u64,
}
impl Payload for Invalidate {
    const KIND: &'static str = "invalidate/1";
}

#[derive(Serialize, Deserialize, Debug)]
struct Square {
    n: u64,
}
#[derive(Serialize, Deserialize, Debug, PartialEq)]
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

struct Cache;
impl Actor for Cache {
    type Context = Context<Self>;
}
impl Handler<Received<Invalidate>> for Cache {
    type Result = ();
    fn handle(&mut self, got: Received<Invalidate>, _: &mut Self::Context) {
        println!(
            "{} v{} from {}",
            got.value.key,
            got.value.version,
            got.message.sender()
        );
    }
}
struct Worker;
impl Actor for Worker {
    type Context = Context<Self>;
}
impl Handler<Asked<Square>> for Worker {
    type Result = Option<Squared>; // None: not for this actor; a future works too
    fn handle(&mut self, asked: Asked<Square>, _: &mut Self::Context) -> Self::Result {
        Some(Squared {
            n: asked.value.n * asked.value.n,
        })
    }
}

#[actix::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let seconds = std::time::Duration::from_secs;
    let a = Config::new().start().await?;
    let b = Config::new().connect(a.addr).start().await?;
    b.ready(1, seconds(5)).await?; // or why each dial failed
    a.subscribe::<Invalidate>(Cache.start().recipient()).await?;
    a.answer::<Square>(Worker.start().recipient()).await?;
    b.publish(&Invalidate {
        key: "user/7".into(),
        version: 3,
    })
    .await?;
    b.router.do_send(Send::typed(&Invalidate {
        key: "user/8".into(),
        version: 1,
    })?);
    assert_eq!(
        b.request(&Square { n: 12 })
            .to(a.id.clone())
            .within(seconds(2))
            .await?,
        Squared { n: 144 }
    );
    let first = b.request(&Square { n: 3 }).within(seconds(2)).await?; // the first answer
    let all = b.request(&Square { n: 4 }).within(seconds(2)).all().await?; // every answer, with its node
    println!("{first:?} {}", all.len());
    Ok(())
}
