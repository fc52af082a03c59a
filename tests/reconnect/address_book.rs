//! Reconnecting to lost peers over real sockets, from memory and from the peer book's file.

use std::net::SocketAddr;
use std::time::Duration;

use actix::{Actor, Context, Handler};
use actix_mesh::{Config, Event, Node, Peers, Shutdown, SubscribeEvents};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// The deadline of everything that must happen here.
const PATIENCE: Duration = Duration::from_secs(30);

struct Told(UnboundedSender<Event>);

impl Actor for Told {
    type Context = Context<Self>;
}

impl Handler<Event> for Told {
    type Result = ();

    fn handle(&mut self, event: Event, _: &mut Context<Self>) {
        let _ = self.0.send(event);
    }
}

async fn start(config: Config) -> (Node, UnboundedReceiver<Event>) {
    let node = config
        .max_reconnect_delay(Duration::from_secs(2))
        .start()
        .await
        .unwrap();
    let (tx, events) = unbounded_channel();
    let told = Told(tx).start();
    node.router.send(SubscribeEvents::new(told)).await.unwrap();
    (node, events)
}

async fn until(events: &mut UnboundedReceiver<Event>, fits: impl Fn(&Event) -> bool) -> Event {
    let waiting = async {
        loop {
            let event = events.recv().await.expect("the node is gone");
            if fits(&event) {
                return event;
            }
        }
    };
    tokio::time::timeout(PATIENCE, waiting)
        .await
        .expect("it did not happen")
}

fn joined(event: &Event) -> bool {
    matches!(event, Event::PeerJoined { .. })
}

async fn stop(node: &Node) {
    let drain = Duration::from_secs(2);
    node.router
        .send(Shutdown::new().drain(drain))
        .await
        .unwrap();
}

fn at(addr: SocketAddr) -> Config {
    Config::new().listen(addr)
}

#[actix::test]
async fn a_kept_address_is_dialled_until_somebody_is_there_and_again_when_they_are_lost() {
    let (first, _) = start(Config::new()).await;
    let addr = first.addr;
    stop(&first).await;
    let (keeper, mut events) = start(Config::new().connect(addr)).await;
    until(&mut events, |event| {
        matches!(event, Event::DialFailed { .. })
    })
    .await;
    for _ in 0..2 {
        let (there, _) = start(at(addr)).await;
        until(&mut events, joined).await;
        stop(&there).await;
        until(&mut events, |event| matches!(event, Event::PeerLeft { .. })).await;
    }
    stop(&keeper).await;
}

#[actix::test]
async fn f5_a_missing_peer_book_is_made_and_leads_back() {
    let folder = tempfile::tempdir().unwrap();
    let book = folder.path().join("peers.json");
    let (there, _) = start(Config::new()).await;
    let (node, mut events) = start(Config::new().peer_book(&book).connect(there.addr)).await;
    until(&mut events, joined).await;
    stop(&node).await;
    let text = std::fs::read_to_string(&book).unwrap();
    assert!(text.contains(&there.addr.to_string()), "{text}");
    // It is given no address: only the book has one.
    let (node, mut events) = start(Config::new().peer_book(&book)).await;
    until(&mut events, joined).await;
    assert_eq!(node.router.send(Peers).await.unwrap()[0].id, there.id);
    stop(&node).await;
}

#[actix::test]
async fn f5_a_torn_peer_book_is_a_fresh_start_that_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let book = folder.path().join("peers.json");
    std::fs::write(&book, r#"[{"address":"127.0.0.1:4"#).unwrap();
    let (there, _) = start(Config::new()).await;
    let (node, mut events) = start(Config::new().peer_book(&book).connect(there.addr)).await;
    let failed = until(&mut events, |event| {
        matches!(event, Event::PeerBookFailed { .. })
    })
    .await;
    assert!(format!("{failed:?}").contains("EOF"), "{failed:?}");
    until(&mut events, joined).await;
    stop(&node).await;
    let text = std::fs::read_to_string(&book).unwrap();
    assert!(text.contains(&there.addr.to_string()), "replaced: {text}");
}

#[actix::test]
async fn f5_a_peer_book_that_cannot_be_written_is_told_and_stops_nothing() {
    let folder = tempfile::tempdir().unwrap();
    // A folder is in the place of the file.
    let (there, _) = start(Config::new()).await;
    let config = Config::new().peer_book(folder.path()).connect(there.addr);
    let (node, mut events) = start(config).await;
    until(&mut events, |event| {
        matches!(event, Event::PeerBookFailed { .. })
    })
    .await;
    until(&mut events, joined).await;
    stop(&node).await;
}

#[actix::test]
async fn f5_a_peer_book_whose_folder_is_gone_is_told_and_stops_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let book = folder.path().join("peers.json");
    let (there, _) = start(Config::new()).await;
    let config = Config::new().peer_book(&book).connect(there.addr);
    let (node, mut events) = start(config).await;
    folder.close().unwrap();
    until(&mut events, joined).await;
    until(&mut events, |event| {
        matches!(event, Event::PeerBookFailed { .. })
    })
    .await;
    assert_eq!(node.router.send(Peers).await.unwrap()[0].id, there.id);
    stop(&node).await;
}
