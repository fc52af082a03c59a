//! What a [`Node`] can be asked: each method is one message to its Router, with one error.

use std::fmt;
use std::time::Duration;

use actix::{Actor as _, Recipient};
use tokio::time::timeout;

use super::answer::Answer;
use super::asked::Asked;
use super::names::Named;
use super::payload::{Payload, Query};
use super::proposed::Proposed;
use super::received::Received;
use super::remote::{Ask, Remote, Tell};
use super::request::{Request, RequestError};
use super::send::{PublishError, TellError};
use crate::mesh::{Event, SendError, Sent, Whispered};
use crate::node::router::readiness::{DialFailures, Ready};
use crate::node::{
    Peer, Peers, Send, Shutdown, ShutdownReport, Subscribe, SubscribeEvents, SubscriptionId,
    Unsubscribe, Validate, Whisper,
};
use crate::start::Node;
use crate::wire::{Address, NodeId};

/// The node has shut down: its Router takes no messages any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the node has shut down")]
pub struct NodeGone;

impl From<actix::MailboxError> for NodeGone {
    fn from(_: actix::MailboxError) -> Self {
        Self
    }
}

/// There were not as many peers as were wanted in time.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NotReady {
    /// How many were wanted.
    pub wanted: usize,
    /// How many are connected.
    pub connected: usize,
    /// How long it was waited for them.
    pub within: Duration,
    /// Where a dial failed, and why it did the last time.
    pub failures: Vec<(Address, String)>,
}

impl fmt::Display for NotReady {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            wanted,
            connected,
            within,
            failures,
        } = self;
        write!(f, "{connected} of {wanted} peers after {within:?}")?;
        for (address, why) in failures {
            write!(f, "; {address}: {why}")?;
        }
        if failures.is_empty() {
            write!(
                f,
                "; no dial failed: give an address with Config::connect, or wait for others to connect"
            )?;
        }
        Ok(())
    }
}

impl std::error::Error for NotReady {}

impl Node {
    /// Broadcasts a value to all nodes of the mesh.
    ///
    /// Answers when it was handed to the connections. Equal values may be sent as often as one likes: their tags differ.
    ///
    /// # Errors
    ///
    /// If no peer is connected, or another of [`SendError`]; if the value cannot be written.
    pub async fn publish<T: Payload>(&self, value: &T) -> Result<Sent, PublishError> {
        let sent = self.router.send(Send::typed(value)?).await;
        Ok(sent.unwrap_or(Err(SendError::ShuttingDown))?)
    }

    /// Sends a value to one node, which is looked for if it is no neighbour, for 10 s at most.
    ///
    /// # Errors
    ///
    /// See [`WhisperError`](crate::WhisperError); and if the value cannot be written.
    pub async fn whisper<T: Payload>(&self, to: NodeId, value: &T) -> Result<Whispered, TellError> {
        let whispered = self.router.send(Whisper::typed(to, value)?).await;
        Ok(whispered.unwrap_or_else(|_| Err(SendError::ShuttingDown.into()))?)
    }

    /// Has the values of a type, published or whispered, sent to an actor; see [`Subscribe::typed`] for rooms,
    /// bounds and policies.
    ///
    /// # Errors
    ///
    /// If the node has shut down.
    pub async fn subscribe<T: Payload>(
        &self,
        recipient: Recipient<Received<T>>,
    ) -> Result<SubscriptionId, NodeGone> {
        Ok(self.router.send(Subscribe::typed(recipient)).await?)
    }

    /// Has an actor judge the values of a type before they are delivered to anybody and before broadcasts are relayed;
    /// see [`Validate`] for its deadline and what happens after it.
    ///
    /// # Errors
    ///
    /// If the node has shut down.
    pub async fn validate<T: Payload>(
        &self,
        recipient: Recipient<Proposed<T>>,
    ) -> Result<SubscriptionId, NodeGone> {
        Ok(self.router.send(Validate::typed(recipient)).await?)
    }

    /// Ends a subscription, an interception or a registration; false if there is none of that name.
    ///
    /// # Errors
    ///
    /// If the node has shut down.
    pub async fn unsubscribe(&self, id: SubscriptionId) -> Result<bool, NodeGone> {
        Ok(self.router.send(Unsubscribe::from(id)).await?)
    }

    /// Has what happens in the mesh told to an actor.
    ///
    /// # Errors
    ///
    /// If the node has shut down.
    pub async fn events(&self, recipient: Recipient<Event>) -> Result<SubscriptionId, NodeGone> {
        Ok(self.router.send(SubscribeEvents::new(recipient)).await?)
    }

    /// Asks: the node [named](Request::to), or whoever answers first, or [all](Request::all).
    ///
    /// ```no_run
    /// # use actix_mesh::{Node, NodeId, Payload, Query, RequestError};
    /// # #[derive(serde::Serialize, serde::Deserialize)] struct Square { n: u64 }
    /// # #[derive(serde::Serialize, serde::Deserialize)] struct Squared { n: u64 }
    /// # impl Payload for Square { const KIND: &'static str = "square/1"; }
    /// # impl Payload for Squared { const KIND: &'static str = "squared/1"; }
    /// # impl Query for Square { type Reply = Squared; }
    /// # async fn f(node: Node, worker: NodeId) -> Result<(), RequestError> {
    /// use std::time::Duration;
    ///
    /// let squared = node.request(&Square { n: 12 }).to(worker).within(Duration::from_secs(2)).await?;
    /// assert_eq!(squared.n, 144);
    /// for answer in node.request(&Square { n: 3 }).all().within(Duration::from_secs(1)).await? {
    ///     println!("{}: {}", answer.from, answer.value.n);
    /// }
    /// # Ok(()) }
    /// ```
    pub fn request<Q: Query>(&self, query: &Q) -> Request<Q> {
        Request::new(&self.router, query)
    }

    /// Has an actor answer questions of a type; see [`Answer`] for its bounds and its deadline.
    ///
    /// # Errors
    ///
    /// If the node has shut down.
    pub async fn answer<Q: Query>(
        &self,
        recipient: Recipient<Asked<Q>>,
    ) -> Result<SubscriptionId, NodeGone> {
        Ok(self.router.send(Answer::by(recipient)).await?)
    }

    /// A recipient that stands for the actors of another node that are subscribed to this type: with `do_send`,
    /// `try_send` and `send().await` as at home.
    pub fn recipient<T: Payload>(&self, node: NodeId) -> Recipient<Tell<T>> {
        self.remote(node).recipient()
    }

    /// A recipient that stands for the actor of another node that answers this type.
    pub fn recipient_of<Q: Query>(&self, node: NodeId) -> Recipient<Ask<Q>> {
        self.remote(node).recipient()
    }

    fn remote(&self, node: NodeId) -> actix::Addr<Remote> {
        let router = self.router.clone();
        Remote::start_in_arbiter(&self.arbiter, |_| Remote { router, node })
    }

    /// Gives an actor a name, by which every node of the mesh can [find](Self::find) it. The name is gone with the
    /// actor, or with [`unsubscribe`](Self::unsubscribe).
    ///
    /// A name is unique by agreement only: if several nodes register it, whoever answers first is found.
    ///
    /// # Errors
    ///
    /// If the node has shut down.
    pub async fn register<Q: Query>(
        &self,
        name: impl Into<String>,
        recipient: Recipient<Asked<Q>>,
    ) -> Result<SubscriptionId, NodeGone> {
        Ok(self.router.send(Answer::by(recipient).named(name)).await?)
    }

    /// Finds an actor by its name, on this node or on another.
    ///
    /// The recipient stands for the name: when the actor is not where it was, it is looked for anew, within the time
    /// of the question.
    ///
    /// # Errors
    ///
    /// [`RequestError::NameNotFound`] if no node has registered the name for this type.
    pub async fn find<Q: Query>(
        &self,
        name: impl AsRef<str>,
        within: Duration,
    ) -> Result<Recipient<Ask<Q>>, RequestError> {
        let named = Named::<Q>::find(self.router.clone(), name.as_ref(), within).await?;
        Ok(Named::start_in_arbiter(&self.arbiter, |_| named).recipient())
    }

    /// The connected peers, in the order of their ids.
    ///
    /// # Errors
    ///
    /// If the node has shut down.
    pub async fn peers(&self) -> Result<Vec<Peer>, NodeGone> {
        Ok(self.router.send(Peers).await?)
    }

    /// Waits until so many peers are connected; they are the answer.
    ///
    /// # Errors
    ///
    /// [`NotReady`] when the time is over: it says where a dial failed, and why.
    pub async fn ready(&self, peers: usize, within: Duration) -> Result<Vec<Peer>, NotReady> {
        let waiting = self.router.send(Ready { peers });
        if let Ok(Ok(peers)) = timeout(within, waiting).await {
            return Ok(peers);
        }
        let connected = self.router.send(Peers).await.unwrap_or_default().len();
        let failures = self.router.send(DialFailures).await.unwrap_or_default();
        Err(NotReady {
            wanted: peers,
            connected,
            within,
            failures,
        })
    }

    /// Stops the node: flushes for at most 5 s, closes all connections, and reports.
    ///
    /// # Errors
    ///
    /// If the node has shut down before.
    pub async fn shutdown(&self) -> Result<ShutdownReport, NodeGone> {
        Ok(self.router.send(Shutdown::new()).await?)
    }

    /// Waits for SIGTERM, SIGINT or SIGHUP (elsewhere than on Unix: for Ctrl-C), and then [shuts down](Self::shutdown).
    ///
    /// # Errors
    ///
    /// If the node has shut down before, or if the operating system does not let signals be listened to: then at
    /// once.
    pub async fn shutdown_on_signals(&self) -> Result<ShutdownReport, NodeGone> {
        signal().await.map_err(|_| NodeGone)?;
        self.shutdown().await
    }
}

#[cfg(unix)]
async fn signal() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut term, mut int, mut hup) = (
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
        signal(SignalKind::hangup())?,
    );
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
        _ = hup.recv() => {}
    }
    Ok(())
}

#[cfg(not(unix))]
async fn signal() -> std::io::Result<()> {
    tokio::signal::ctrl_c().await
}
