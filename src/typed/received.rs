//! Values that arrive: an actor handles [`Received<T>`] like any other message.

use actix::{Context, Handler, MessageResult, Recipient};

use super::payload::format::read_message;
use super::payload::{Payload, kind};
use crate::node::delivery::subscriptions::{Handling, Sink, Taker};
use crate::node::messages::subscribe::Subscribe;
use crate::node::{Filter, Router};
use crate::wire::Message;

/// A value and the message that carried it.
///
/// A message whose value cannot be read is not delivered: it is counted and reported as
/// [`Event::Unreadable`](crate::Event::Unreadable), with its kind and author.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Received<T> {
    /// The value.
    pub value: T,
    /// The message: its author, how it was sent, its kind, and how many were [missed](Message::missed) before it.
    pub message: Message,
}

impl<T> Received<T> {
    /// For tests of actors that handle `Received`.
    pub fn new(value: T, message: Message) -> Self {
        Self { value, message }
    }
}

impl<T: Send + 'static> actix::Message for Received<T> {
    type Result = ();
}

impl<T: Payload> Subscribe<Received<T>> {
    /// Subscribes to the values of a type under its own kind; [`kinds`](Self::kinds) sets another filter.
    pub fn typed(recipient: impl Into<Recipient<Received<T>>>) -> Self {
        Self::new(recipient.into()).kinds(Filter::new().kind(kind::<T>()))
    }

    /// Sets the filter: for example values of another kind, of all kinds with a [prefix](Filter::kind_prefix), or of
    /// one author.
    ///
    /// The filter runs before anything is parsed or copied.
    #[must_use]
    pub fn kinds(mut self, filter: Filter) -> Self {
        self.filter = filter;
        self.filter.values = true;
        self
    }
}

impl<T: Payload> Handler<Subscribe<Received<T>>> for Router {
    type Result = MessageResult<Subscribe<Received<T>>>;

    fn handle(&mut self, subscribe: Subscribe<Received<T>>, _: &mut Context<Self>) -> Self::Result {
        let taker = Taker::Sink(Box::new(Values(subscribe.recipient)));
        MessageResult(self.subscribe(taker, subscribe.filter, subscribe.queue))
    }
}

/// An actor that takes values of a type.
struct Values<T: Payload>(Recipient<Received<T>>);

impl<T: Payload> Sink<Message> for Values<T> {
    fn is_connected(&self) -> bool {
        self.0.connected()
    }

    fn send(&self, message: &Message, wait: bool) -> Result<Option<Handling>, String> {
        let value = read_message(message).map_err(|error| error.to_string())?;
        let received = Received::new(value, message.clone());
        if wait {
            return Ok(Some(Box::pin(self.0.send(received))));
        }
        #[expect(
            clippy::disallowed_methods,
            reason = "bounded by the burst: the request at its end is awaited"
        )]
        self.0.do_send(received);
        Ok(None)
    }
}
