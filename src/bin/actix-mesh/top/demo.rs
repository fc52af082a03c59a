//! A demo mesh of eight nodes in this process, with traffic, a partition that heals, and a slow peer.
//!
//! Owns what happens in it. It is displayed like any node, through its API.

use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

use actix::{Actor, ActorFutureExt as _, AsyncContext as _, Context, Handler, WrapFuture as _};
use actix_mesh::dashboard::Dashboard;
use actix_mesh::{
    Config, Connect, Disconnect, Message, Node, Overflow, Payload, Peers, Send, Subscribe,
};
use actix_web::{App, HttpServer, web};
use serde::{Deserialize, Serialize};

use crate::Failure;

const NODES: usize = 8;
/// The pause between two messages of a node.
const PACE: Duration = Duration::from_millis(150);
/// How long the mesh is connected, and then partitioned.
const WHOLE: Duration = Duration::from_secs(20);
const TORN: Duration = Duration::from_secs(8);

/// The messages the nodes send.
#[derive(Serialize, Deserialize)]
struct Reading {
    sensor: usize,
    number: u64,
    padding: String,
}

impl Payload for Reading {
    const KIND: &'static str = "reading/1";
}

/// Handles each message slowly and pauses instead of dropping, so its node reads more and more slowly.
struct Sleepy;

impl Actor for Sleepy {
    type Context = Context<Self>;
}

impl Handler<Message> for Sleepy {
    type Result = ();

    fn handle(&mut self, _: Message, ctx: &mut Context<Self>) {
        let nap = tokio::time::sleep(Duration::from_millis(400));
        ctx.wait(nap.into_actor(self));
    }
}

struct Sensor {
    number: usize,
    node: Node,
    sent: u64,
}

impl Actor for Sensor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.run_interval(PACE, |sensor, ctx| {
            sensor.sent += 1;
            let reading = Reading {
                sensor: sensor.number,
                number: sensor.sent,
                padding: "~".repeat(200),
            };
            let Ok(send) = Send::typed(&reading) else {
                return;
            };
            // During the partition a node may have no peers.
            let sending = sensor.node.router.send(send.allow_empty().or_busy());
            ctx.spawn(sending.into_actor(sensor).map(|_, _, _| ()));
        });
    }
}

/// Starts the mesh on its own threads; returns the URL of the first node's API.
pub(super) fn start() -> Result<String, Failure> {
    let (tell, told) = sync_channel(1);
    std::thread::Builder::new()
        .name("demo".into())
        .spawn(move || {
            let system = actix::System::new();
            if let Err(why) = system.block_on(live(&tell)) {
                // The caller may have gone.
                let _ = tell.send(Err(why.to_string()));
            }
        })?;
    Ok(told.recv()??)
}

async fn live(tell: &SyncSender<Result<String, String>>) -> Result<(), Failure> {
    let mut nodes: Vec<Node> = Vec::new();
    for number in 0..NODES {
        let mut config = Config::new()
            .subnet("demo", "Plaintext")
            .max_outgoing(3)
            .share_topology(true)
            // A disconnected peer is kept out until this side dials it.
            .rejoin_delay(2 * TORN)
            .stall_timeout(Duration::from_secs(5))
            .socket_buffer(16 << 10);
        if number == NODES - 1 {
            // Small budgets make the slow peer visible soon.
            config = config.inbound_budget(32 << 10).shared_budget(64 << 10);
        }
        for earlier in nodes.iter().rev().take(2) {
            config = config.connect(earlier.addr);
        }
        nodes.push(config.start().await?);
    }
    if let Some(slow) = nodes.last() {
        let sleepy = Subscribe::messages(Sleepy.start())
            .filter(actix_mesh::Filter::new().any_kind())
            .items(4)
            .overflow(Overflow::Pause);
        slow.router.send(sleepy).await?;
    }
    for (number, node) in nodes.iter().cloned().enumerate() {
        let sent = 0;
        Sensor { number, node, sent }.start();
    }
    let dashboard = Dashboard::new(nodes[0].router.clone());
    let app = move || App::new().service(web::scope("").service(dashboard.service()));
    let server = HttpServer::new(app).workers(1).disable_signals();
    let server = server.bind(("127.0.0.1", 0))?;
    let addr = server.addrs().first().copied().ok_or("no address")?;
    actix::spawn(server.run());
    tell.send(Ok(format!("http://{addr}")))?;
    loop {
        tokio::time::sleep(WHOLE).await;
        let cut = tear(&nodes).await?;
        tokio::time::sleep(TORN).await;
        for (node, addr) in cut {
            // The other end may have reconnected already.
            let _ = nodes[node].router.send(Connect::to(addr)).await?;
        }
    }
}

/// Cuts the links between the two halves; returns which node has to dial which address to restore them.
async fn tear(nodes: &[Node]) -> Result<Vec<(usize, std::net::SocketAddr)>, Failure> {
    let mut cut = Vec::new();
    for (at, node) in nodes[..NODES / 2].iter().enumerate() {
        for peer in node.router.send(Peers).await? {
            let other = nodes[NODES / 2..].iter().find(|it| it.id == peer.id);
            if let Some(other) = other {
                node.router.send(Disconnect::from(other.id.clone())).await?;
                cut.push((at, other.addr));
            }
        }
    }
    Ok(cut)
}
