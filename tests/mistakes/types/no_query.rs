//! Only queries can be asked.

use std::time::Duration;

use actix_mesh::{Config, Payload};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Square {
    n: u64,
}

impl Payload for Square {
    const KIND: &'static str = "square/1";
}

#[actix::main]
async fn main() {
    let node = Config::new().start().await.unwrap();
    let second = Duration::from_secs(1);
    node.request(&Square { n: 12 }).within(second).await.unwrap();
}
