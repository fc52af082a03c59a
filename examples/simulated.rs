//! Tests an actor of your own on fifty simulated nodes: `cargo run --example simulated`.
//!
//! The actor counts the nodes present. It holds an `Addr<Router>` and receives `Message`s, as in production. A minute
//! of mesh time, with slow and lossy links and a partition, takes only as long as its computation.

use std::collections::BTreeSet;
use std::error::Error;
use std::time::Duration;

use actix::prelude::*;
use actix_mesh::prelude::*;
use actix_mesh::{Router, SimNet};

/// Announces itself every twenty seconds, and records the others that do.
struct RollCall {
    mesh: Addr<Router>,
    present: BTreeSet<NodeId>,
}

impl Actor for RollCall {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        let call = |actor: &mut Self, _: &mut _| {
            // There may be no peer yet; the result is reported as an event.
            let _ = actor.mesh.try_send(MeshSend::new("here"));
        };
        ctx.run_interval(Duration::from_secs(20), call);
    }
}

impl Handler<MeshMessage> for RollCall {
    type Result = ();

    fn handle(&mut self, message: MeshMessage, _: &mut Context<Self>) {
        self.present.insert(message.sender().clone());
    }
}

/// How many other nodes it has heard since it was last asked.
#[derive(Message)]
#[rtype(result = "usize")]
struct Present;

impl Handler<Present> for RollCall {
    type Result = usize;

    fn handle(&mut self, _: Present, _: &mut Context<Self>) -> usize {
        std::mem::take(&mut self.present).len()
    }
}

#[actix::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let minute = Duration::from_secs(60);
    let net = SimNet::new(2024)
        .latency(Duration::from_millis(5)..=Duration::from_millis(150))
        .loss(0.01)
        .configure(|_, config| config.max_outgoing(2));
    let nodes = net.start(50)?;
    let mut calls = Vec::new();
    for node in &nodes {
        let mesh = node.router.clone();
        let present = BTreeSet::new();
        let call = RollCall { mesh, present }.start();
        node.router
            .send(MeshSubscribe::messages(call.clone()))
            .await?;
        calls.push(call);
    }

    tokio::time::sleep(minute).await;
    assert_eq!(calls[0].send(Present).await?, 49);

    net.partition(&nodes[..10]);
    tokio::time::sleep(minute).await;
    calls[0].send(Present).await?;
    tokio::time::sleep(minute).await;
    assert_eq!(calls[0].send(Present).await?, 9);

    net.heal();
    tokio::time::sleep(2 * minute).await;
    assert_eq!(calls[0].send(Present).await?, 49);
    println!("{} s in the mesh, as expected", net.passed().as_secs());
    Ok(())
}
