//! Two or three nodes, and actors that keep the messages they receive.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use actix::{Actor, Context, Handler, Message, Recipient};
use actix_mesh::{Asked, Config, Node, Payload, Query};
use serde::{Deserialize, Serialize};

pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Clone, Serialize, Deserialize, Debug, PartialEq)]
pub(crate) struct Invalidate {
    pub(crate) key: String,
    pub(crate) version: u64,
}

impl Payload for Invalidate {
    const KIND: &'static str = "invalidate/1";
}

pub(crate) fn invalidate(key: &str, version: u64) -> Invalidate {
    Invalidate {
        key: key.to_owned(),
        version,
    }
}

#[derive(Clone, Serialize, Deserialize, Debug, PartialEq)]
pub(crate) struct Square {
    pub(crate) n: u64,
}

#[derive(Clone, Serialize, Deserialize, Debug, PartialEq)]
pub(crate) struct Squared {
    pub(crate) n: u64,
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

/// Answers questions; `None` for 0.
pub(crate) struct Worker;

impl Actor for Worker {
    type Context = Context<Self>;
}

impl Handler<Asked<Square>> for Worker {
    type Result = Option<Squared>;

    fn handle(&mut self, asked: Asked<Square>, _: &mut Context<Self>) -> Option<Squared> {
        let n = asked.value.n;
        (n > 0).then(|| Squared { n: n * n })
    }
}

pub(crate) fn worker() -> Recipient<Asked<Square>> {
    Worker.start().recipient()
}

/// Keeps the messages it receives.
pub(crate) struct Keeper<M>(Rc<RefCell<Vec<M>>>);

pub(crate) struct Kept<M>(Rc<RefCell<Vec<M>>>);

impl<M: Message<Result = ()> + Send + Unpin + 'static> Keeper<M> {
    pub(crate) fn start() -> (Recipient<M>, Kept<M>) {
        let kept = Rc::new(RefCell::new(Vec::new()));
        (Actor::start(Self(Rc::clone(&kept))).recipient(), Kept(kept))
    }
}

impl<M: Unpin + 'static> Actor for Keeper<M> {
    type Context = Context<Self>;
}

impl<M: Message<Result = ()> + Send + Unpin + 'static> Handler<M> for Keeper<M> {
    type Result = ();

    fn handle(&mut self, message: M, _: &mut Context<Self>) {
        self.0.borrow_mut().push(message);
    }
}

impl<M> Kept<M> {
    /// Waits for the next message that `pick` accepts.
    pub(crate) async fn next<T>(&self, pick: impl Fn(&M) -> Option<T>) -> T {
        let waiting = async {
            loop {
                if let Some(found) = self.0.borrow().iter().find_map(&pick) {
                    return found;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting)
            .await
            .expect("it came in time")
    }

    pub(crate) fn len(&self) -> usize {
        self.0.borrow().len()
    }
}

/// Starts nodes in a line: each is connected only to the one before it.
pub(crate) async fn line<const N: usize>() -> [Node; N] {
    let mut nodes: Vec<Node> = Vec::new();
    for _ in 0..N {
        let mut config = Config::new().max_outgoing(0);
        if let Some(last) = nodes.last() {
            config = config.connect(last.addr);
        }
        let node = config.start().await.unwrap();
        if !nodes.is_empty() {
            node.ready(1, PATIENCE).await.unwrap();
        }
        nodes.push(node);
    }
    for pair in nodes.windows(2) {
        pair[0].ready(1, PATIENCE).await.unwrap();
    }
    nodes.try_into().unwrap()
}
