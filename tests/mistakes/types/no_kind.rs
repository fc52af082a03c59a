//! A payload must have a kind.

use actix_mesh::Payload;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Invalidate {
    key: String,
}

impl Payload for Invalidate {}

fn main() {}
