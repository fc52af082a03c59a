//! Registers actors that answer questions of a kind, with or without a name.

use std::any::Any;
use std::fmt;
use std::time::Duration;

use actix::{Context, Handler, MessageResult, Recipient};

use super::asked::{Asked, value};
use super::names::finder;
use super::payload::format::read_message;
use super::payload::{Query, kind};
use crate::node::requests::answering::{AddAnswerer, Answerer, Answering, NoAnswer, Registration};
use crate::node::{Router, SubscriptionId};
use crate::wire::{Message, Packet};

/// The default deadline of an answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// Registers an actor that answers the questions of a kind.
///
/// Returns the registration's id, for [`Unsubscribe`](crate::Unsubscribe). Several actors may answer one kind: they are
/// asked in the order of registration until one answers. For each kind, 64 questions are worked on at once and 1,024
/// more (4 MiB) are queued; one neighbour may use a quarter of the queue. Beyond that a question is answered with
/// `busy` and reported here as [`Event::QuestionRefused`](crate::Event::QuestionRefused).
///
/// ```
/// use actix::{Actor, Context, Handler};
/// use actix_mesh::{Answer, Asked, Config, Payload, Query};
/// use serde::{Deserialize, Serialize};
///
/// # #[actix::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// #[derive(Serialize, Deserialize)]
/// struct Square(i64);
/// #[derive(Serialize, Deserialize)]
/// struct Squared(i64);
/// impl Payload for Square {
///     const KIND: &'static str = "square/1";
/// }
/// impl Payload for Squared {
///     const KIND: &'static str = "squared/1";
/// }
/// impl Query for Square {
///     type Reply = Squared;
/// }
///
/// struct Squarer;
/// impl Actor for Squarer {
///     type Context = Context<Self>;
/// }
/// impl Handler<Asked<Square>> for Squarer {
///     type Result = Option<Squared>;
///     fn handle(&mut self, asked: Asked<Square>, _: &mut Context<Self>) -> Self::Result {
///         Some(Squared(asked.value.0 * asked.value.0))
///     }
/// }
///
/// let a = Config::new().start().await?;
/// a.router.send(Answer::by(Squarer.start())).await?;
/// # Ok(()) }
/// ```
#[derive(actix::Message)]
#[rtype(result = "SubscriptionId")]
#[non_exhaustive]
pub struct Answer<Q: Query> {
    /// The actor. It is kept alive until the registration ends.
    pub recipient: Recipient<Asked<Q>>,
    /// The name it answers under: see [`Node::register`](crate::Node::register). Default `None`: it answers every
    /// question of the kind.
    pub name: Option<String>,
    /// The deadline of an answer; after it the next actor is asked. Default 60 s.
    pub within: Duration,
}

impl<Q: Query> Answer<Q> {
    /// Registers this actor, without a name.
    pub fn by(recipient: impl Into<Recipient<Asked<Q>>>) -> Self {
        Self {
            recipient: recipient.into(),
            name: None,
            within: ANSWER_TIMEOUT,
        }
    }

    /// Sets the name it answers under. Other nodes cannot ask a name of more than 64 bytes.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Sets the deadline of an answer.
    #[must_use]
    pub fn within(mut self, time: Duration) -> Self {
        self.within = time;
        self
    }
}

impl<Q: Query> fmt::Debug for Answer<Q> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer")
            .field("kind", &Q::KIND)
            .field("name", &self.name)
            .field("within", &self.within)
            .finish_non_exhaustive()
    }
}

impl<Q: Query> Handler<Answer<Q>> for Router {
    type Result = MessageResult<Answer<Q>>;

    fn handle(&mut self, answer: Answer<Q>, _: &mut Context<Self>) -> Self::Result {
        let Answer {
            recipient,
            name,
            within,
        } = answer;
        let mut roles = Vec::with_capacity(2);
        if let Some(name) = &name {
            roles.push(finder(name, recipient.clone()));
        }
        roles.push(Registration {
            kind: Packet::from(kind::<Q>()),
            name: name.unwrap_or_default(),
            answerer: Box::new(Answers(recipient)),
        });
        MessageResult(self.add_answerer(AddAnswerer { roles, within }))
    }
}

/// An actor that answers questions of a type.
struct Answers<Q: Query>(Recipient<Asked<Q>>);

impl<Q: Query> Answerer for Answers<Q> {
    fn is_connected(&self) -> bool {
        self.0.connected()
    }

    fn ask(&self, question: &Message) -> Answering {
        let asking = match read_message(question) {
            Ok(value) => self.0.send(Asked::new(value, question.clone())),
            Err(error) => {
                return Box::pin(std::future::ready(Err(NoAnswer::Unreadable(
                    error.to_string(),
                ))));
            }
        };
        Box::pin(async move {
            match asking.await {
                Ok(Some(reply)) => value(&reply),
                Ok(None) => Err(NoAnswer::NotForMe),
                Err(_) => Err(NoAnswer::Gone),
            }
        })
    }

    fn recipient(&self) -> Box<dyn Any + Send> {
        Box::new(self.0.clone())
    }
}
