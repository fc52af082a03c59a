//! A node on its own thread, queried from other threads.

use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use actix::{Actor, Arbiter, ArbiterHandle, Context, Handler};
use actix_mesh::{
    CloseReason, Config, Event, Filter, Message, Node, NodeId, Peers, Router, Status, StatusReport,
    SubnetId, Subscribe, SubscribeEvents,
};

use super::{PATIENCE, closed, until};

/// Receives the node's messages or events, on the node's thread.
struct Ear<T>(Sender<T>);

impl<T: 'static> Actor for Ear<T> {
    type Context = Context<Self>;
}

impl<T> Handler<T> for Ear<T>
where
    T: actix::Message<Result = ()> + 'static,
{
    type Result = ();

    fn handle(&mut self, heard: T, _: &mut Context<Self>) {
        // The test may have ended.
        let _ = self.0.send(heard);
    }
}

/// The node under attack.
pub(crate) struct Victim {
    pub(crate) node: Node,
    pub(crate) addr: SocketAddr,
    pub(crate) id: NodeId,
    pub(crate) subnet: SubnetId,
    /// The node's arbiter.
    pub(crate) arbiter: ArbiterHandle,
    messages: Mutex<Receiver<Message>>,
    events: Mutex<Receiver<Event>>,
    runtime: tokio::runtime::Runtime,
    end: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Victim {
    /// Starts a node with the defaults that dials no peer unasked.
    pub(crate) fn start() -> Self {
        Self::with(|config| config)
    }

    pub(crate) fn with(change: impl FnOnce(Config) -> Config) -> Self {
        Self::begin(change, true)
    }

    /// Starts a node without subscribers, so that only the node uses memory.
    pub(crate) fn deaf(change: impl FnOnce(Config) -> Config) -> Self {
        Self::begin(change, false)
    }

    fn begin(change: impl FnOnce(Config) -> Config, heard_by_us: bool) -> Self {
        let open = Config::new().max_outgoing(0);
        let config = change(match closed::is_on() {
            true => open.tls(closed::member()),
            false => open,
        });
        let (ready, started) = channel();
        let (messages, heard) = channel();
        let (events, told) = channel();
        let (end, ended) = tokio::sync::oneshot::channel::<()>();
        let thread = std::thread::spawn(move || {
            actix::System::new().block_on(async move {
                let node = config.start().await.unwrap();
                if heard_by_us {
                    listen(&node, messages, events).await;
                }
                ready.send((node, Arbiter::current())).unwrap();
                let _ = ended.await;
            });
        });
        let (node, arbiter) = started.recv().unwrap();
        Self {
            addr: node.addr,
            id: node.id.clone(),
            subnet: node.subnet_id.clone(),
            node,
            arbiter,
            messages: Mutex::new(heard),
            events: Mutex::new(told),
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap(),
            end: Some(end),
            thread: Some(thread),
        }
    }

    /// Sends a message to the Router and waits for the answer.
    pub(crate) fn ask<M>(&self, message: M) -> M::Result
    where
        M: actix::Message + Send + 'static,
        M::Result: Send,
        Router: Handler<M>,
    {
        let asking = self.node.router.send(message);
        self.runtime
            .block_on(async { tokio::time::timeout(PATIENCE, asking).await })
            .expect("the node answers")
            .expect("the node lives")
    }

    pub(crate) fn status(&self) -> Box<StatusReport> {
        self.ask(Status)
    }

    pub(crate) fn has_peer(&self, id: &NodeId) -> bool {
        self.ask(Peers).iter().any(|peer| peer.id == *id)
    }

    pub(crate) fn until_peers(&self, count: usize) {
        until("as many peers", || self.status().peers == count);
    }

    fn messages(&self) -> MutexGuard<'_, Receiver<Message>> {
        self.messages.lock().unwrap()
    }

    /// Waits for a message with this text.
    pub(crate) fn hears(&self, text: &str) -> Message {
        let deadline = Instant::now() + PATIENCE;
        let messages = self.messages();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match messages.recv_timeout(left) {
                Ok(message) if message.text() == text => return message,
                Ok(_) => {}
                Err(_) => panic!("{text:?} was not heard"),
            }
        }
    }

    /// Returns the texts received within that time.
    pub(crate) fn heard_within(&self, time: Duration) -> Vec<String> {
        let deadline = Instant::now() + time;
        let messages = self.messages();
        let mut heard = Vec::new();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match messages.recv_timeout(left) {
                Ok(message) => heard.push(message.text()),
                Err(RecvTimeoutError::Timeout) => return heard,
                Err(RecvTimeoutError::Disconnected) => panic!("the node is gone"),
            }
        }
    }

    /// Waits for an event that `pick` accepts.
    pub(crate) fn told<R>(&self, pick: impl Fn(&Event) -> Option<R>) -> R {
        let deadline = Instant::now() + PATIENCE;
        let events = self.events.lock().unwrap();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match events.recv_timeout(left) {
                Ok(event) => {
                    if let Some(picked) = pick(&event) {
                        return picked;
                    }
                }
                Err(_) => panic!("it was not told"),
            }
        }
    }

    /// Waits until this peer has left; returns the reason.
    pub(crate) fn told_left(&self, id: &NodeId) -> CloseReason {
        self.told(|event| match event {
            Event::PeerLeft { peer, reason, .. } if peer == id => Some(reason.clone()),
            _ => None,
        })
    }

    /// Waits until a connection is refused; returns the reason.
    pub(crate) fn told_refused(&self) -> CloseReason {
        self.told(|event| match event {
            Event::Refused { reason, .. } => Some(reason.clone()),
            _ => None,
        })
    }
}

async fn listen(node: &Node, messages: Sender<Message>, events: Sender<Event>) {
    let (hearer, teller) = (Ear(messages).start(), Ear(events).start());
    let all = Filter::new().any_kind();
    let subscribe = Subscribe::messages(hearer).filter(all).items(1 << 20);
    node.router.send(subscribe).await.unwrap();
    let subscribe = SubscribeEvents::new(teller).items(1 << 20);
    node.router.send(subscribe).await.unwrap();
}

impl Drop for Victim {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
            && !std::thread::panicking()
        {
            panic!("the node panicked");
        }
    }
}
