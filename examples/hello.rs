//! Two nodes in one process say hello: the smallest program that uses the mesh.
//!
//!     cargo run --example hello

use std::time::Duration;

use actix_mesh::{Config, Connect, Recv, Send, Shutdown};

#[actix::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let alice = Config::new().start().await?;
    let bob = Config::new().start().await?;
    println!("alice is {} at {}", alice.id, alice.addr);
    println!("bob   is {} at {}", bob.id, bob.addr);

    // Answers once alice's handshake has been accepted.
    bob.router.send(Connect::to(alice.addr)).await??;
    let sent = bob.router.send(Send::new("hello, mesh")).await??;
    println!("bob sent {} to {} peer(s)", sent.id, sent.handed_to.len());

    let heard = Recv::one().wait(Duration::from_secs(5));
    for message in alice.router.send(heard).await? {
        println!("alice heard: {}", message.text());
        alice.router.send(message.reply("hello, bob")).await??;
    }
    for message in bob.router.send(heard).await? {
        println!("bob heard: {}", message.text());
    }

    bob.router.send(Shutdown::new()).await?;
    alice.router.send(Shutdown::new()).await?;
    Ok(())
}
