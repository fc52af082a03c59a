//! Questions that arrive: an actor handles [`Asked<Q>`] and answers with `Option<Q::Reply>`.

use super::payload::format::write;
use super::payload::{Payload, Query, kind};
use crate::node::requests::answering::{NoAnswer, Value};
use crate::wire::{Message, Packet};

/// A question and the message that carried it.
///
/// An actor handles it with `type Result = Option<Q::Reply>`, or with a future of that
/// ([`ResponseFuture`](actix::ResponseFuture), [`ResponseActFuture`](actix::ResponseActFuture)). `None` means that the
/// question is not for this actor: the next actor registered for the kind is asked. If none answers, the asking node is
/// told so.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Asked<Q> {
    /// The question.
    pub value: Q,
    /// The message; its author asks the question.
    pub message: Message,
}

impl<Q> Asked<Q> {
    /// For tests of actors that handle `Asked`.
    pub fn new(value: Q, message: Message) -> Self {
        Self { value, message }
    }
}

impl<Q: Query> actix::Message for Asked<Q> {
    type Result = Option<Q::Reply>;
}

/// Writes an answer, ready to be sent.
pub(super) fn value<T: Payload>(reply: &T) -> Result<Value, NoAnswer> {
    let value = write(reply).map_err(|error| NoAnswer::Unwritable(error.to_string()))?;
    Ok(Value {
        kind: Packet::from(kind::<T>()),
        value,
    })
}
