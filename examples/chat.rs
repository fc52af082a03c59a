//! A chat over the mesh: typed lines are broadcast, received messages are printed.
//!
//!     cargo run --example chat                       the first one: prints its address
//!     cargo run --example chat -- 127.0.0.1:4444     joins at that address
//!
//! Ends on EOF.

use actix::{Actor, Context, Handler};
use actix_mesh::{
    Address, Config, Connect, Event, Filter, Message, Send, Shutdown, Subscribe, SubscribeEvents,
};
use tokio::io::{AsyncBufReadExt as _, BufReader};

/// Packet 0 of our messages: other programs of the mesh ignore it.
const KIND: &str = "chat";

/// Prints messages and events.
struct Screen;

impl Actor for Screen {
    type Context = Context<Self>;
}

impl Handler<Message> for Screen {
    type Result = ();

    fn handle(&mut self, message: Message, _: &mut Context<Self>) {
        if message.missed() > 0 {
            println!("... {} missed", message.missed());
        }
        let author = message.sender().as_str();
        println!("{}: {}", &author[..author.len().min(8)], message.text());
    }
}

impl Handler<Event> for Screen {
    type Result = ();

    fn handle(&mut self, event: Event, _: &mut Context<Self>) {
        match event {
            Event::PeerJoined { peer, addr, .. } => println!("* {peer:?} joined from {addr}"),
            Event::PeerLeft { peer, reason, .. } => println!("* {peer:?} left: {reason}"),
            other => println!("* {other:?}"),
        }
    }
}

#[actix::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let node = Config::new().subnet("chat", "Plaintext").start().await?;
    println!(
        "* you are {:?}; others join with: chat {}",
        node.id, node.addr
    );
    let screen = Screen.start();
    let chat = Subscribe::messages(screen.clone()).filter(Filter::new().kind(KIND));
    node.router.send(chat).await?;
    node.router.send(SubscribeEvents::new(screen)).await?;

    for addr in std::env::args().skip(1) {
        let addr: Address = addr.parse()?;
        node.router.send(Connect::to(addr)).await??;
    }
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        match node.router.send(Send::new(line).kind(KIND)).await? {
            Ok(_) => {}
            Err(error) => println!("* not sent: {error}"),
        }
    }
    let report = node.router.send(Shutdown::new()).await?;
    if !report.is_clean() {
        println!("* not everything got through: {report:?}");
    }
    Ok(())
}
