//! An actor that answers returns an `Option` of the reply.

use actix::{Actor, Context, Handler};
use actix_mesh::{Asked, Payload, Query};
use serde::{Deserialize, Serialize};

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

struct Worker;

impl Actor for Worker {
    type Context = Context<Self>;
}

impl Handler<Asked<Square>> for Worker {
    type Result = Squared;

    fn handle(&mut self, asked: Asked<Square>, _: &mut Context<Self>) -> Squared {
        Squared {
            n: asked.value.n * asked.value.n,
        }
    }
}

fn main() {}
