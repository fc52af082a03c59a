//! A mesh at full load: every node sends as fast as it can, and every message is counted at every other node.
//!
//!     cargo run --release --example full_rate                        8 nodes, 3 seconds, messages of 100 bytes
//!     cargo run --release --example full_rate -- 16 60 1000          16 nodes, a minute, 1,000 bytes
//!     cargo run --release --example full_rate -- 24 60 64000 ring    each with two neighbours only
//!     cargo run --release --example full_rate -- 8 10 100 flood      every message on every connection
//!
//! Prints what was sent and delivered, and fails if a message was lost or delivered twice, or a connection was closed.

use std::cell::Cell;
use std::error::Error;
use std::rc::Rc;
use std::time::{Duration, Instant};

use actix::{Actor, Context, Handler};
use actix_mesh::{
    Config, Connect, Event, Message, Node, Overflow, Peers, Send, Subscribe, SubscribeEvents,
};

/// If nothing is delivered for this long, the rest is lost.
const PATIENCE: Duration = Duration::from_secs(30);
/// Messages that each node sends before awaiting answers.
const AT_ONCE: usize = 16;

/// Counts the messages a node receives. A duplicate would make the count too high.
struct Counter {
    heard: Rc<Cell<u64>>,
}

impl Actor for Counter {
    type Context = Context<Self>;
}

impl Handler<Message> for Counter {
    type Result = ();

    fn handle(&mut self, _: Message, _: &mut Context<Self>) {
        self.heard.set(self.heard.get() + 1);
    }
}

impl Handler<Event> for Counter {
    type Result = ();

    fn handle(&mut self, event: Event, _: &mut Context<Self>) {
        if let Event::PeerLeft { peer, reason, .. } = event {
            println!("lost {peer:?}: {reason}");
        }
    }
}

/// Starts nodes, each connected to all before it, or in a ring; they share one count of received messages.
async fn mesh(
    count: usize,
    ring: bool,
    flood: bool,
    heard: &Rc<Cell<u64>>,
) -> Result<Vec<Node>, Box<dyn Error>> {
    let mut nodes: Vec<Node> = Vec::new();
    for at in 0..count {
        let node = Config::new()
            .max_outgoing(0)
            .prune(!flood)
            .inbox_capacity(None)
            .start()
            .await?;
        let counter = Counter {
            heard: heard.clone(),
        }
        .start();
        let all = Subscribe::messages(counter.clone()).overflow(Overflow::Pause);
        node.router.send(all).await?;
        node.router.send(SubscribeEvents::new(counter)).await?;
        for (other, neighbour) in nodes.iter().enumerate() {
            let closes = other == 0 && at + 1 == count;
            if !ring || other + 1 == at || closes {
                node.router.send(Connect::to(neighbour.addr)).await??;
            }
        }
        nodes.push(node);
    }
    for node in &nodes {
        let neighbours = if ring { count.min(3) - 1 } else { count - 1 };
        while node.router.send(Peers).await?.len() < neighbours {
            tokio::task::yield_now().await;
        }
    }
    Ok(nodes)
}

/// Returns text that hardly compresses: input that inflates to many times its size is read at a limited rate.
fn filling(bytes: usize, seed: usize) -> String {
    let mut state = seed as u64 + 0x9e37_79b9_7f4a_7c15;
    let mut letter = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(b'0' + (state >> 58) as u8)
    };
    (0..bytes).map(|_| letter()).collect()
}

/// Sends until the deadline; returns how many messages.
async fn send_all(node: Node, at: usize, until: Instant, bytes: usize) -> u64 {
    let filling = filling(bytes, at);
    let mut sent = 0;
    while Instant::now() < until {
        let some = (0..AT_ONCE as u64).map(|n| format!("{at} {}", sent + n));
        let some = some.map(|name| node.router.send(Send::new((name, filling.as_str()))));
        for answer in futures_util::future::join_all(some).await {
            match answer {
                Ok(Ok(_)) => sent += 1,
                failed => println!("not sent: {failed:?}"),
            }
        }
    }
    sent
}

#[actix::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, default| arguments.get(at).map_or(Ok(default), |text| text.parse());
    let (count, seconds, bytes) = (number(0, 8)?.max(2), number(1, 3)?, number(2, 100)?);
    let has = |word: &str| arguments.iter().any(|argument| argument == word);
    let (ring, flood) = (has("ring"), has("flood"));

    let heard = Rc::new(Cell::new(0));
    let nodes = mesh(count, ring, flood, &heard).await?;
    let begun = Instant::now();
    let until = begun + Duration::from_secs(seconds as u64);
    let sending = nodes.iter().cloned().enumerate();
    let sending = sending.map(|(at, node)| send_all(node, at, until, bytes));
    let sent: u64 = futures_util::future::join_all(sending)
        .await
        .into_iter()
        .sum();

    let expected = sent * (count as u64 - 1);
    let (mut last, mut since) = (0, Instant::now());
    while heard.get() < expected && since.elapsed() < PATIENCE {
        tokio::time::sleep(Duration::from_millis(10)).await;
        if heard.get() != last {
            (last, since) = (heard.get(), Instant::now());
        }
    }
    // Give duplicates time to arrive.
    tokio::time::sleep(Duration::from_millis(200)).await;
    let took = begun.elapsed().as_secs_f64();
    let delivered = heard.get();
    println!("{count} nodes sent {sent} messages of {bytes} bytes in {took:.1} s");
    println!(
        "delivered {delivered} of {expected}, {:.0} a second",
        delivered as f64 / took
    );
    if delivered == expected {
        Ok(())
    } else {
        Err("not delivered exactly once".into())
    }
}
