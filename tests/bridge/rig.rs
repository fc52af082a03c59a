//! Meshes of a few nodes, each with a node for a bridge.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use actix::{Actor, Context, Handler};
use actix_mesh::bridge::Side;
use actix_mesh::wire::Generation;
use actix_mesh::{Config, Filter, Message, Node, Peers, Recv, Subscribe};

const PATIENCE: Duration = Duration::from_secs(10);
/// Long enough for an echo to return.
const QUIET: Duration = Duration::from_millis(300);

pub(crate) fn config(subnet: &str) -> Config {
    Config::new().subnet(subnet, "Plaintext")
}

type Heard = Rc<RefCell<Vec<Message>>>;

struct Listener(Heard);

impl Actor for Listener {
    type Context = Context<Self>;
}

impl Handler<Message> for Listener {
    type Result = ();

    fn handle(&mut self, message: Message, _: &mut Context<Self>) {
        self.0.borrow_mut().push(message);
    }
}

/// A line of nodes in one subnet.
pub(crate) struct Mesh {
    wire: Generation,
    subnet: String,
    pub(crate) nodes: Vec<Node>,
    heard: Vec<Heard>,
}

impl Mesh {
    pub(crate) async fn start(subnet: &str, count: usize) -> Self {
        Self::start_wire(subnet, count, Generation::default()).await
    }

    pub(crate) async fn start_wire(subnet: &str, count: usize, wire: Generation) -> Self {
        let mut nodes: Vec<Node> = Vec::new();
        let mut heard = Vec::new();
        for _ in 0..count {
            let mut config = config(subnet).generation(wire).max_outgoing(0);
            if let Some(last) = nodes.last() {
                config = config.connect(last.addr);
            }
            let node = config.start().await.unwrap();
            let all = Heard::default();
            let listener = Listener(Rc::clone(&all)).start();
            let subscribe = Subscribe::messages(listener).filter(Filter::new().any_kind());
            node.router.send(subscribe).await.unwrap();
            nodes.push(node);
            heard.push(all);
        }
        for (index, node) in nodes.iter().enumerate() {
            let neighbours = usize::from(index > 0) + usize::from(index + 1 < count);
            peers(node, neighbours).await;
        }
        Self {
            wire,
            subnet: subnet.to_owned(),
            nodes,
            heard,
        }
    }

    /// Adds a node, connected to the last of the line.
    pub(crate) async fn member(&self) -> Node {
        let last = self.nodes.last().unwrap();
        let node = config(&self.subnet)
            .generation(self.wire)
            .max_outgoing(0)
            .connect(last.addr);
        let node = node.start().await.unwrap();
        peers(&node, 1).await;
        let connected = async {
            loop {
                let peers = last.router.send(Peers).await.unwrap();
                if peers.iter().any(|peer| peer.id == node.id) {
                    return;
                }
            }
        };
        tokio::time::timeout(PATIENCE, connected).await.unwrap();
        node
    }

    /// Adds a node for a bridge.
    pub(crate) async fn side(&self) -> Side {
        Side::new(&self.subnet, &self.member().await)
            .guests(config(&self.subnet).generation(self.wire))
    }

    pub(crate) async fn next_of_any_kind(&self, index: usize) -> Message {
        let waiting = async {
            while self.heard[index].borrow().is_empty() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.unwrap();
        self.heard[index].borrow_mut().remove(0)
    }

    pub(crate) async fn quiet_of_any_kind(&self, index: usize) {
        tokio::time::sleep(QUIET).await;
        assert_eq!(self.heard[index].borrow().len(), 0);
    }
}

async fn peers(node: &Node, count: usize) {
    let connected = async {
        while node.router.send(Peers).await.unwrap().len() < count {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, connected).await.unwrap();
}

/// Waits for the next message a node receives.
pub(crate) async fn heard(node: &Node) -> Message {
    let mut heard = node.router.send(Recv::one().wait(PATIENCE)).await.unwrap();
    assert_eq!(heard.len(), 1, "nothing was heard in time");
    heard.remove(0)
}

/// Asserts that nothing more arrives.
pub(crate) async fn quiet(node: &Node) {
    let heard = node.router.send(Recv::one().wait(QUIET)).await.unwrap();
    assert!(heard.is_empty(), "{heard:?}");
}
