//! Asking: a question to one node, to whichever node answers first, or to all.

use std::collections::HashSet;
use std::fmt;
use std::future::{Future, IntoFuture};
use std::marker::PhantomData;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix::{Addr, MailboxError};
use tokio::sync::oneshot;
use tokio::time::sleep;

use super::payload::format::{FormatError, read_kind, write};
use super::payload::tag::fresh;
use super::payload::{Query, kind};
use crate::mesh::{SendError, WhisperError};
use crate::node::requests::envelope::Decline;
use crate::node::requests::pending::{Expect, Forget, Outcome, Take, Wants};
use crate::node::{Router, Send as Broadcast, Whisper};
use crate::wire::{Message, NodeId, Packet, Packets};

/// The default deadline of a question.
pub(super) const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// The most answers kept for one question, and the most bytes.
const MAX_ANSWERS: (usize, usize) = (1024, 4 << 20);

/// Why a question got no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The type's format cannot represent the question.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// No peer is connected.
    #[error("no peer is connected")]
    NoPeers,
    /// Nobody answered in time.
    #[error(
        "no answer within {within:?}: no node answers this kind, or the answer takes longer; raise `within`"
    )]
    Timeout {
        /// How long the node waited.
        within: Duration,
    },
    /// The asked node has nothing that answers this.
    #[error(
        "node {by} has no answer to this: call `answer` for the kind there, or its actor returned None"
    )]
    NoAnswerer {
        /// The node that says so.
        by: NodeId,
    },
    /// The asked node's queue of questions is full.
    #[error("the queue of questions on node {by} is full: ask fewer at once, or retry later")]
    Overloaded {
        /// The node that says so.
        by: NodeId,
    },
    /// The asked node cannot read the question.
    #[error(
        "node {by} cannot read the question: its type differs from ours; use a new kind for a changed type"
    )]
    BadQuestion {
        /// The node that says so.
        by: NodeId,
    },
    /// The node to be asked was not found or not reached.
    #[error("node {to} was not reached: {why}")]
    Unreachable {
        /// The node to be asked.
        to: NodeId,
        /// What went wrong.
        why: String,
    },
    /// An answer cannot be read.
    #[error("the answer of node {from} cannot be read: {why}")]
    BadReply {
        /// The node that answered.
        from: NodeId,
        /// Why it cannot be read.
        why: FormatError,
    },
    /// No node has registered the name for this type of question.
    #[error("no node has registered {name:?} for this question (waited {within:?})")]
    NameNotFound {
        /// The name that was looked up.
        name: String,
        /// How long the node waited.
        within: Duration,
    },
    /// The node refused to send the question.
    #[error(transparent)]
    Refused(SendError),
    /// Too many questions of this node are waiting for answers.
    #[error("{0} questions are waiting for answers: await some of them first")]
    Busy(usize),
    /// The node is shutting down, or has shut down.
    #[error("the node is shutting down")]
    ShuttingDown,
}

impl RequestError {
    /// Returns a short, stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Format(_) => "format",
            Self::NoPeers => "no_peers",
            Self::Timeout { .. } => "timeout",
            Self::NoAnswerer { .. } => "no_answerer",
            Self::Overloaded { .. } => "overloaded",
            Self::BadQuestion { .. } => "bad_question",
            Self::Unreachable { .. } => "unreachable",
            Self::BadReply { .. } => "bad_reply",
            Self::NameNotFound { .. } => "name_not_found",
            Self::Refused(error) => error.code(),
            Self::Busy(_) => "busy",
            Self::ShuttingDown => "shutting_down",
        }
    }

    fn declined(by: NodeId, why: Decline) -> Self {
        match why {
            Decline::None => Self::NoAnswerer { by },
            Decline::Busy => Self::Overloaded { by },
            Decline::Bad => Self::BadQuestion { by },
        }
    }
}

impl From<MailboxError> for RequestError {
    fn from(_: MailboxError) -> Self {
        Self::ShuttingDown
    }
}

impl From<SendError> for RequestError {
    fn from(error: SendError) -> Self {
        match error {
            SendError::NoPeers => Self::NoPeers,
            SendError::ShuttingDown => Self::ShuttingDown,
            error => Self::Refused(error),
        }
    }
}

impl From<WhisperError> for RequestError {
    fn from(error: WhisperError) -> Self {
        let why = error.to_string();
        match error {
            WhisperError::Refused(error) => error.into(),
            WhisperError::NoPeers(_) => Self::NoPeers,
            WhisperError::NotFound { to, .. }
            | WhisperError::Unreachable { to, .. }
            | WhisperError::NoWay(to)
            | WhisperError::NoReceipt(to) => Self::Unreachable { to, why },
            WhisperError::Busy(waiting) => Self::Refused(SendError::Busy(waiting)),
        }
    }
}

/// A question, asked when it is awaited: see [`Node::request`](crate::Node::request).
///
/// Without [`to`](Self::to) it is a broadcast, and the first answer counts. Dropping the future cancels it. A node may
/// have at most 4,096 questions waiting at once.
#[must_use = "a question is asked when it is awaited"]
pub struct Request<Q: Query> {
    router: Addr<Router>,
    value: Result<Packet, FormatError>,
    to: Option<NodeId>,
    name: String,
    within: Duration,
    plain: bool,
    query: PhantomData<fn(Q)>,
}

impl<Q: Query> fmt::Debug for Request<Q> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("kind", &Q::KIND)
            .field("to", &self.to)
            .field("within", &self.within)
            .finish_non_exhaustive()
    }
}

/// The future of a question.
type Awaited<T> = Pin<Box<dyn Future<Output = T> + Send>>;

impl<Q: Query> Request<Q> {
    /// Prepares a question to be asked through this node.
    pub fn new(router: &Addr<Router>, query: &Q) -> Self {
        Self::of(router, write(query))
    }

    pub(super) fn of(router: &Addr<Router>, value: Result<Packet, FormatError>) -> Self {
        Self {
            router: router.clone(),
            value,
            to: None,
            name: String::new(),
            within: REQUEST_TIMEOUT,
            plain: false,
            query: PhantomData,
        }
    }

    /// Asks only this node, which is looked for if it is not a neighbour.
    pub fn to(mut self, node: NodeId) -> Self {
        self.to = Some(node);
        self
    }

    /// Asks the actor that is [registered](crate::Node::register) under this name.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Sets the deadline, from looking for the node to its answer. Default 10 s.
    pub fn within(mut self, time: Duration) -> Self {
        self.within = time;
        self
    }

    /// Asks in the plain form, so that a py2p or js2p program gets the question from its `recv()`: packet 0 is the
    /// mesh's sub-flag, then come the kind, the value and the tag `ask:...`. The answer is `message.reply([kind, value,
    /// "reply:..."])`, with the same characters after the colon.
    pub fn plain(mut self) -> Self {
        self.plain = true;
        self
    }

    /// Collects answers until the deadline: one for each node, the first 1,024 or 4 MiB. An answer that cannot be read
    /// is left out and reported as [`Event::Unreadable`](crate::Event::Unreadable).
    pub fn all(self) -> RequestAll<Q> {
        RequestAll(self)
    }

    fn prepare(&mut self) -> Result<Prepared, RequestError> {
        let value = std::mem::replace(&mut self.value, Ok(Packet::default()))?;
        let mut tag = fresh("ask");
        let id = String::from(&tag["ask:".len()..]);
        if !self.name.is_empty() {
            tag.push(':');
            tag.push_str(&self.name);
        }
        let kind = Packet::from(kind::<Q>());
        let tag = Packet::from(tag);
        let (kind, packets) = match self.plain {
            true => (None, Packets::from_iter([kind, value, tag])),
            false => (Some(kind), Packets::from_iter([value, tag])),
        };
        Ok(Prepared { id, kind, packets })
    }

    /// Runs [`exchange`](Self::exchange) in a span.
    async fn ask<T>(
        self,
        take: Take,
        answer: oneshot::Receiver<Result<T, RequestError>>,
    ) -> Result<Option<T>, RequestError> {
        #[cfg(feature = "tracing")]
        let span = tracing::debug_span!(
            target: "actix_mesh::request",
            "request",
            kind = kind::<Q>(),
            to = self.to.as_ref().map(tracing::field::display),
            within = ?self.within
        );
        let exchange = self.exchange(take, answer);
        #[cfg(feature = "tracing")]
        let exchange = tracing::Instrument::instrument(exchange, span);
        exchange.await
    }

    /// Sends the question and waits for what `take` makes of the answers, until the deadline.
    async fn exchange<T>(
        mut self,
        take: Take,
        answer: oneshot::Receiver<Result<T, RequestError>>,
    ) -> Result<Option<T>, RequestError> {
        let Prepared { id, kind, packets } = self.prepare()?;
        let mut guard = Guard {
            router: self.router.clone(),
            id: id.clone(),
            overdue: false,
            waits: true,
        };
        let mut time = pin!(sleep(self.within));
        // Both enter the Router's mailbox, in this order, before either is awaited.
        let expecting = self.router.send(Expect {
            id,
            from: self.to.clone(),
            take,
        });
        let posting = Posting::new(&self.router, self.to.clone(), self.within, kind, packets);
        let posted = async {
            expecting.await?.map_err(RequestError::Busy)?;
            posting.done().await
        };
        tokio::select! {
            biased;
            posted = posted => posted?,
            () = &mut time => return Err(self.not_posted()),
        }
        tokio::select! {
            biased;
            answer = answer => {
                guard.waits = false;
                match answer {
                    Ok(answer) => answer.map(Some),
                    Err(_) => Err(RequestError::ShuttingDown),
                }
            }
            () = time => {
                guard.overdue = true;
                Ok(None)
            }
        }
    }

    /// The deadline passed before the question was sent.
    fn not_posted(&self) -> RequestError {
        let within = self.within;
        match &self.to {
            Some(to) => RequestError::Unreachable {
                to: to.clone(),
                why: format!(
                    "no peer knew its address within {within:?}, or it could not be dialled"
                ),
            },
            None => RequestError::Timeout { within },
        }
    }
}

/// A question, ready to be sent.
struct Prepared {
    id: String,
    kind: Option<Packet>,
    packets: Packets,
}

/// A question being sent.
enum Posting {
    One(actix::dev::Request<Router, Whisper>),
    All(actix::dev::Request<Router, Broadcast>),
}

impl Posting {
    fn new(
        router: &Addr<Router>,
        to: Option<NodeId>,
        within: Duration,
        kind: Option<Packet>,
        packets: Packets,
    ) -> Self {
        match to {
            Some(to) => {
                let mut whisper = Whisper::new(to, packets).within(within);
                whisper.kind = kind;
                Self::One(router.send(whisper))
            }
            None => {
                let mut send = Broadcast::new(packets);
                send.kind = kind;
                Self::All(router.send(send))
            }
        }
    }

    async fn done(self) -> Result<(), RequestError> {
        match self {
            Self::One(whisper) => drop(whisper.await??),
            Self::All(send) => drop(send.await??),
        }
        Ok(())
    }
}

impl<Q: Query> IntoFuture for Request<Q> {
    type Output = Result<Q::Reply, RequestError>;
    type IntoFuture = Awaited<Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { self.first().await.map(|(reply, _)| reply) })
    }
}

impl<Q: Query> Request<Q> {
    /// Returns the first answer and the node that gave it.
    pub(super) async fn first(self) -> Result<(Q::Reply, NodeId), RequestError> {
        let within = self.within;
        let directed = self.to.is_some();
        let (answers, answer) = oneshot::channel();
        let mut answers = Some(answers);
        // In a broadcast, one unreadable answer says nothing about the other nodes'.
        let bad = Arc::new(Mutex::new(None));
        let keeps = Arc::clone(&bad);
        let take: Take = Box::new(move |outcome| {
            let answer = match outcome {
                Outcome::Reply(message) => match reply::<Q>(&message) {
                    Err(error) if !directed => {
                        let told = error.to_string();
                        *lock(&keeps) = Some(error);
                        return Wants::Unreadable(told);
                    }
                    answer => answer.map(|answer| (answer, message.sender().clone())),
                },
                Outcome::Declined(by, why) => Err(RequestError::declined(by, why)),
            };
            if let Some(answers) = answers.take() {
                // The caller may have stopped waiting.
                let _ = answers.send(answer);
            }
            Wants::Nothing
        });
        let answer = self.ask(take, answer).await?;
        answer.ok_or_else(|| {
            let bad = lock(&bad).take();
            bad.unwrap_or(RequestError::Timeout { within })
        })
    }
}

fn lock<T>(shared: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

fn reply<Q: Query>(message: &Message) -> Result<Q::Reply, RequestError> {
    read_kind(message).map_err(|why| RequestError::BadReply {
        from: message.sender().clone(),
        why,
    })
}

/// One of several answers.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Answered<T> {
    /// The node that gave it.
    pub from: NodeId,
    /// The answer.
    pub value: T,
}

impl<T> Answered<T> {
    /// For an actor that stands in for a node in a test.
    pub fn new(from: NodeId, value: T) -> Self {
        Self { from, value }
    }
}

/// A question to all nodes, asked when it is awaited: see [`Request::all`].
#[must_use = "a question is asked when it is awaited"]
#[derive(Debug)]
pub struct RequestAll<Q: Query>(Request<Q>);

impl<Q: Query> RequestAll<Q> {
    /// Sets the deadline. Default 10 s.
    pub fn within(self, time: Duration) -> Self {
        Self(self.0.within(time))
    }
}

/// The answers so far.
struct Gathered<T> {
    answers: Vec<Answered<T>>,
    from: HashSet<NodeId>,
    bytes: usize,
}

impl<Q: Query> IntoFuture for RequestAll<Q> {
    type Output = Result<Vec<Answered<Q::Reply>>, RequestError>;
    type IntoFuture = Awaited<Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.0.every())
    }
}

impl<Q: Query> Request<Q> {
    async fn every(self) -> Result<Vec<Answered<Q::Reply>>, RequestError> {
        let directed = self.to.is_some();
        let (end, ended) = oneshot::channel::<Result<(), RequestError>>();
        let mut end = Some(end);
        let gathered = Arc::new(Mutex::new(Gathered {
            answers: Vec::new(),
            from: HashSet::new(),
            bytes: 0,
        }));
        let gathers = Arc::clone(&gathered);
        let take: Take = Box::new(move |outcome| {
            let mut finish = |how| {
                if let Some(end) = end.take() {
                    // The caller may have stopped waiting.
                    let _ = end.send(how);
                }
                Wants::Nothing
            };
            let message = match outcome {
                Outcome::Reply(message) => message,
                Outcome::Declined(by, why) => {
                    return finish(Err(RequestError::declined(by, why)));
                }
            };
            let from = message.sender().clone();
            let value = match reply::<Q>(&message) {
                Ok(value) => value,
                Err(error) if directed => return finish(Err(error)),
                Err(error) => return Wants::Unreadable(error.to_string()),
            };
            let mut gathered = lock(&gathers);
            if gathered.from.insert(from.clone()) {
                gathered.bytes += message.memory();
                gathered.answers.push(Answered { from, value });
            }
            let full = gathered.answers.len() >= MAX_ANSWERS.0 || gathered.bytes >= MAX_ANSWERS.1;
            if directed || full {
                return finish(Ok(()));
            }
            Wants::More
        });
        self.ask(take, ended).await?;
        let answers = std::mem::take(&mut lock(&gathered).answers);
        Ok(answers)
    }
}

/// Tells the Router to forget the question when its future ends or is dropped.
struct Guard {
    router: Addr<Router>,
    id: String,
    overdue: bool,
    waits: bool,
}

impl Drop for Guard {
    fn drop(&mut self) {
        if self.waits {
            #[expect(
                clippy::disallowed_methods,
                reason = "once for each question, whose number the Router bounds"
            )]
            self.router.do_send(Forget {
                id: std::mem::take(&mut self.id),
                overdue: self.overdue,
            });
        }
    }
}
