//! An actor subscribed to a type handles `Received` of it, not the type itself.

use actix::{Actor, Context, Handler, Message};
use actix_mesh::{Config, Payload};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Message)]
#[rtype(result = "()")]
struct Invalidate {
    key: String,
}

impl Payload for Invalidate {
    const KIND: &'static str = "invalidate/1";
}

struct Cache;

impl Actor for Cache {
    type Context = Context<Self>;
}

impl Handler<Invalidate> for Cache {
    type Result = ();

    fn handle(&mut self, got: Invalidate, _: &mut Context<Self>) {
        println!("{}", got.key);
    }
}

#[actix::main]
async fn main() {
    let node = Config::new().start().await.unwrap();
    node.subscribe::<Invalidate>(Cache.start().recipient())
        .await
        .unwrap();
}
