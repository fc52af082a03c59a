//! Recipients that stand for actors on other nodes.

use std::future::IntoFuture as _;
use std::time::Duration;

use actix::{Actor, Addr, Context, Handler, ResponseFuture};

use super::payload::{Payload, Query};
use super::request::{REQUEST_TIMEOUT, Request, RequestError};
use super::send::TellError;
use crate::mesh::{SendError, Whispered};
use crate::node::{Router, Whisper};
use crate::wire::NodeId;

/// A value sent to the subscribers on another node through the recipient of
/// [`Node::recipient`](crate::Node::recipient).
///
/// Resolves once the value is queued on the peer's connection, or to the error that prevented it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tell<T>(pub T);

impl<T: Payload> actix::Message for Tell<T> {
    type Result = Result<Whispered, TellError>;
}

impl<T> From<T> for Tell<T> {
    fn from(value: T) -> Self {
        Self(value)
    }
}

/// A question for an actor on another node, sent through the recipient of
/// [`Node::recipient_of`](crate::Node::recipient_of) or [`Node::find`](crate::Node::find).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ask<Q> {
    /// The question.
    pub query: Q,
    /// The deadline, from looking for the node to its answer. Default 10 s.
    pub within: Duration,
}

impl<Q> Ask<Q> {
    /// Asks `query` with the default deadline.
    pub fn new(query: Q) -> Self {
        Self {
            query,
            within: REQUEST_TIMEOUT,
        }
    }

    /// Sets the deadline, from looking for the node to its answer.
    #[must_use]
    pub fn within(mut self, time: Duration) -> Self {
        self.within = time;
        self
    }
}

impl<Q> From<Q> for Ask<Q> {
    fn from(query: Q) -> Self {
        Self::new(query)
    }
}

impl<Q: Query> actix::Message for Ask<Q> {
    type Result = Result<Q::Reply, RequestError>;
}

/// Stands for the actors of another node.
pub(super) struct Remote {
    pub(super) router: Addr<Router>,
    pub(super) node: NodeId,
}

impl Actor for Remote {
    type Context = Context<Self>;
}

impl<T: Payload> Handler<Tell<T>> for Remote {
    type Result = ResponseFuture<Result<Whispered, TellError>>;

    fn handle(&mut self, Tell(value): Tell<T>, _: &mut Context<Self>) -> Self::Result {
        // The Router's mailbox gets this before the next value is handled, so order is kept.
        let sending = Whisper::typed(self.node.clone(), &value).map(|it| self.router.send(it));
        Box::pin(async move {
            match sending?.await {
                Ok(whispered) => Ok(whispered?),
                Err(_) => Err(TellError::Whisper(SendError::ShuttingDown.into())),
            }
        })
    }
}

impl<Q: Query> Handler<Ask<Q>> for Remote {
    type Result = ResponseFuture<Result<Q::Reply, RequestError>>;

    fn handle(&mut self, ask: Ask<Q>, _: &mut Context<Self>) -> Self::Result {
        let request = Request::new(&self.router, &ask.query);
        Box::pin(
            request
                .to(self.node.clone())
                .within(ask.within)
                .into_future(),
        )
    }
}
