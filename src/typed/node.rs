//! The methods of [`Node`]: each sends one message to its Router and has one error type.

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

/// The node has shut down: its Router takes no more messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the node has shut down")]
pub struct NodeGone;

impl From<actix::MailboxError> for NodeGone {
    fn from(_: actix::MailboxError) -> Self {
        Self
    }
}

/// Too few peers connected before the deadline.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NotReady {
    /// How many peers were wanted.
    pub wanted: usize,
    /// How many peers are connected.
    pub connected: usize,
    /// How long the call waited.
    pub within: Duration,
    /// Each address that a dial failed for, with the latest reason.
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
    /// Resolves once the message is queued on the connections. Equal values may be sent at any rate: their tags differ.
    ///
    /// # Errors
    ///
    /// [`SendError`], for example when no peer is connected; [`FormatError`](crate::FormatError) if the value cannot be
    /// written.
    pub async fn publish<T: Payload>(&self, value: &T) -> Result<Sent, PublishError> {
        let sent = self.router.send(Send::typed(value)?).await;
        Ok(sent.unwrap_or(Err(SendError::ShuttingDown))?)
    }

    /// Sends a value to one node. If that is not a neighbour, looks for it for at most 10 s.
    ///
    /// # Errors
    ///
    /// [`WhisperError`](crate::WhisperError); [`FormatError`](crate::FormatError) if the value cannot be written.
    pub async fn whisper<T: Payload>(&self, to: NodeId, value: &T) -> Result<Whispered, TellError> {
        let whispered = self.router.send(Whisper::typed(to, value)?).await;
        Ok(whispered.unwrap_or_else(|_| Err(SendError::ShuttingDown.into()))?)
    }

    /// Subscribes an actor to the values of a type, published or whispered; see [`Subscribe::typed`] for rooms, queue
    /// bounds and overflow policies.
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

    /// Has an actor judge each value of a type before it is delivered or relayed; see [`Validate`] for the deadline and
    /// what happens after it.
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

    /// Ends a subscription, an interception or a registration; returns false if the id is unknown.
    ///
    /// # Errors
    ///
    /// If the node has shut down.
    pub async fn unsubscribe(&self, id: SubscriptionId) -> Result<bool, NodeGone> {
        Ok(self.router.send(Unsubscribe::from(id)).await?)
    }

    /// Sends an actor the node's events.
    ///
    /// # Errors
    ///
    /// If the node has shut down.
    pub async fn events(&self, recipient: Recipient<Event>) -> Result<SubscriptionId, NodeGone> {
        Ok(self.router.send(SubscribeEvents::new(recipient)).await?)
    }

    /// Asks a question: of [one node](Request::to), of [all](Request::all), or of whichever node answers first.
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

    /// Registers an actor that answers questions of a type; see [`Answer`] for bounds and the deadline.
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

    /// Returns a recipient for the actors on another node that are subscribed to this type; `do_send`, `try_send` and
    /// `send().await` work as with a local actor.
    pub fn recipient<T: Payload>(&self, node: NodeId) -> Recipient<Tell<T>> {
        self.remote(node).recipient()
    }

    /// Returns a recipient for the actor on another node that answers this type.
    pub fn recipient_of<Q: Query>(&self, node: NodeId) -> Recipient<Ask<Q>> {
        self.remote(node).recipient()
    }

    fn remote(&self, node: NodeId) -> actix::Addr<Remote> {
        let router = self.router.clone();
        Remote::start_in_arbiter(&self.arbiter, |_| Remote { router, node })
    }

    /// Registers an actor under a name, by which every node of the mesh can [find](Self::find) it. The name ends with
    /// the actor, or with [`unsubscribe`](Self::unsubscribe).
    ///
    /// The mesh does not enforce unique names: if several nodes register one, `find` returns the first to answer.
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
    /// The recipient follows the name: if the actor has moved, a question finds it again within its own deadline.
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

    /// Returns the connected peers, ordered by id.
    ///
    /// # Errors
    ///
    /// If the node has shut down.
    pub async fn peers(&self) -> Result<Vec<Peer>, NodeGone> {
        Ok(self.router.send(Peers).await?)
    }

    /// Waits until at least `peers` peers are connected, and returns them.
    ///
    /// # Errors
    ///
    /// [`NotReady`] at the deadline, with the dials that failed and why.
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

    /// Stops the node: flushes for at most 5 s, closes all connections, and returns a report.
    ///
    /// # Errors
    ///
    /// If the node has already shut down.
    pub async fn shutdown(&self) -> Result<ShutdownReport, NodeGone> {
        Ok(self.router.send(Shutdown::new()).await?)
    }

    /// Waits for SIGTERM, SIGINT or SIGHUP (Ctrl-C where there is no Unix), then [shuts down](Self::shutdown).
    ///
    /// # Errors
    ///
    /// If the signal handlers cannot be installed: then at once, and the node goes on. Or a [`NodeGone`], if the node
    /// has already shut down.
    pub async fn shutdown_on_signals(&self) -> std::io::Result<ShutdownReport> {
        signal().await?;
        self.shutdown().await.map_err(std::io::Error::other)
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
