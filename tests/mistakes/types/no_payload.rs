//! Only payloads can be published.

use actix_mesh::Config;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Invalidate {
    key: String,
}

#[actix::main]
async fn main() {
    let node = Config::new().start().await.unwrap();
    let key = String::from("user/7");
    node.publish(&Invalidate { key }).await.unwrap();
}
