//! Values to be judged: an actor handles [`Proposed<T>`] and says whether they are delivered and relayed.

use actix::Recipient;

use super::payload::format::read_message;
use super::payload::{Payload, kind};
use crate::mesh::Acceptance;
use crate::node::Validate;
use crate::node::delivery::validator_queues::{Asks, Judging};
use crate::wire::Message;

/// A value held until an actor has judged it, and the message that carried it: see [`Validate`].
///
/// A value that cannot be read as the type is rejected without asking the actor.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Proposed<T> {
    /// The value.
    pub value: T,
    /// The message.
    pub message: Message,
}

impl<T> Proposed<T> {
    /// For tests of actors that handle `Proposed`.
    pub fn new(value: T, message: Message) -> Self {
        Self { value, message }
    }
}

impl<T: Send + 'static> actix::Message for Proposed<T> {
    type Result = Acceptance;
}

impl Validate {
    /// Validates the values of a type, under its kind.
    pub fn typed<T: Payload>(recipient: impl Into<Recipient<Proposed<T>>>) -> Self {
        Self::with(Box::new(Values(recipient.into()))).kind(kind::<T>())
    }
}

struct Values<T: Payload>(Recipient<Proposed<T>>);

impl<T: Payload> Asks for Values<T> {
    fn is_connected(&self) -> bool {
        self.0.connected()
    }

    fn ask(&self, message: &Message) -> Judging {
        let Ok(value) = read_message(message) else {
            return Box::pin(std::future::ready(Some(Acceptance::Reject)));
        };
        let asking = self.0.send(Proposed::new(value, message.clone()));
        Box::pin(async move { asking.await.ok() })
    }
}
