//! Asks a Python program: `answer.py` beside this file talks to the mesh through the program `actix-mesh`.
//! `cargo build && cargo run --example python`

use std::process::{Child, Command};
use std::time::Duration;

use actix_mesh::{Config, Node, Payload, Query};
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
struct Square {
    n: u64,
}

#[derive(Debug, Serialize, Deserialize)]
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

fn answerer(addr: std::net::SocketAddr) -> std::io::Result<Child> {
    // The program is built next to this example.
    let example = std::env::current_exe()?;
    let built = example.parent().and_then(|folder| folder.parent());
    let program = built.map(|folder| folder.join("actix-mesh"));
    Command::new("python3")
        .arg(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/examples/python/answer.py"
        ))
        .arg(addr.to_string())
        .env("ACTIX_MESH", program.unwrap_or("actix-mesh".into()))
        .spawn()
}

#[actix::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let node = Config::new().start().await?;
    let mut python = answerer(node.addr)?;
    let asked = ask(&node).await;
    // The program's node ends with it.
    python.kill()?;
    python.wait()?;
    node.shutdown().await?;
    asked
}

async fn ask(node: &Node) -> Result<(), Box<dyn std::error::Error>> {
    let peers = node.ready(1, Duration::from_secs(20)).await?;
    for n in [12, 144] {
        let request = node.request(&Square { n }).to(peers[0].id.clone());
        let Squared { n: squared } = request.within(Duration::from_secs(5)).await?;
        println!("{n} squared is {squared}");
    }
    Ok(())
}
