//! Values that arrive: an actor handles [`Received<T>`] as any message of its own.

use actix::{Context, Handler, MessageResult, Recipient};

use super::payload::format::read_message;
use super::payload::{Payload, kind};
use crate::node::delivery::subscriptions::{Handling, Sink, Taker};
use crate::node::messages::subscribe::Subscribe;
use crate::node::{Filter, Router};
use crate::wire::Message;

/// A value, and the message it came in.
///
/// Never made of what cannot be read: that is told as [`Event::Unreadable`](crate::Event::Unreadable), with the kind
/// and the author, and counted.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Received<T> {
    /// The value.
    pub value: T,
    /// The message: its author, how it came, its kind, and how many were [missed](Message::missed) before it.
    pub message: Message,
}

impl<T> Received<T> {
    /// For tests of actors that handle it.
    pub fn new(value: T, message: Message) -> Self {
        Self { value, message }
    }
}

impl<T: Send + 'static> actix::Message for Received<T> {
    type Result = ();
}

impl<T: Payload> Subscribe<Received<T>> {
    /// To values of a type, of its kind: [`filter`](Self::kinds) takes others.
    pub fn typed(recipient: impl Into<Recipient<Received<T>>>) -> Self {
        Self::new(recipient.into()).kinds(Filter::new().kind(kind::<T>()))
    }

    /// Sets which: values of another kind than the type's own, of all kinds with a
    /// [prefix](Filter::kind_prefix), of one author only, ...
    ///
    /// The filter is applied before anything is parsed or copied.
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

/// Whoever takes values of a type.
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
