//! Two nodes in one process say hello: the smallest program with a mesh.
//!
//!     cargo run --example hello

use actix_mesh::{Config, Connect, Recv, Send};

#[actix::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let alice = Config::new().start().await?;
    let bob = Config::new().start().await?;
    bob.router.send(Connect::to(alice.addr)).await??;
    bob.router.send(Send::new("hello, mesh")).await??;

    let next = Recv::one().wait(std::time::Duration::from_secs(5));
    let heard = alice.router.send(next).await?;
    println!("alice hears: {}", heard[0].text());
    alice.router.send(heard[0].reply("hello, bob")).await??;
    let heard = bob.router.send(next).await?;
    println!("bob hears: {}", heard[0].text());
    Ok(())
}
