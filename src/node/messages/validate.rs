//! Validation: an actor judges each message of a kind before it is delivered or relayed.
//!
//! Owns the types of these messages and their documented behaviour. The core holds the messages meanwhile.

use std::fmt;
use std::time::Duration;

use actix::Recipient;

use crate::mesh::Acceptance;
use crate::node::delivery::validator_queues::{Asks, Judging, Validator};
use crate::node::messages::subscribe::SubscriptionId;
use crate::wire::{Message, Packet};

/// Has an actor judge the messages of some kinds before they are delivered, and before broadcasts are relayed.
///
/// Answers at once with the id of the registration, for [`Unsubscribe`](crate::Unsubscribe). From then on each new
/// message of these kinds, broadcast or whispered, from any author, is held until the actor has answered a [`Proposal`]
/// with an [`Acceptance`]. An accepted message is delivered and relayed as if it had just arrived; an ignored or
/// rejected one is dropped and counted. Several validators of one kind are asked one after the other in order of
/// registration, and all must accept. Messages that this node sends, or passes on for a bridge, are not validated.
///
/// The deadline of each validator counts from when the message is queued for it. An actor is asked about at most 64
/// messages at once; a node holds at most 1,024 messages and 16 MiB for its validators, one neighbour at most a quarter
/// of each. A message that misses the deadline, does not fit, or whose validator has stopped is dropped, or accepted if
/// the validator [fails open](Self::fail_open); [`Event::Undecided`](crate::Event::Undecided) reports how many.
///
/// A neighbour is blamed for its own rejected messages: its host is banned for a while if they continue, and its
/// connection is closed after ten in a short time. A neighbour that only relayed a message is not blamed.
///
/// ```
/// use actix::{Actor, Context, Handler};
/// use actix_mesh::{Acceptance, Config, Proposal, Validate};
///
/// /// Takes no price that is not a number.
/// struct Numbers;
/// impl Actor for Numbers {
///     type Context = Context<Self>;
/// }
/// impl Handler<Proposal> for Numbers {
///     type Result = Acceptance;
///     fn handle(&mut self, proposal: Proposal, _: &mut Context<Self>) -> Acceptance {
///         match proposal.message.text().parse::<f64>() {
///             Ok(_) => Acceptance::Accept,
///             Err(_) => Acceptance::Reject,
///         }
///     }
/// }
///
/// # #[actix::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let node = Config::new().start().await?;
/// node.router.send(Validate::by(Numbers.start()).kind("price")).await?;
/// # Ok(()) }
/// ```
#[derive(actix::Message)]
#[rtype(result = "SubscriptionId")]
#[non_exhaustive]
pub struct Validate {
    /// The kinds: as packet 0, or in the plain form of a value as packet 1.
    pub kinds: Vec<Packet>,
    /// Also validates kinds with one of these prefixes.
    pub prefixes: Vec<Packet>,
    /// The deadline. Default 1 s, at most 30 s: peers would drop an older message.
    pub deadline: Duration,
    /// Whether undecided messages are accepted. By default they are dropped.
    pub open: bool,
    pub(crate) asks: Box<dyn Asks>,
}

impl Validate {
    /// Creates a validation by this actor, of no kind yet.
    pub fn by(recipient: impl Into<Recipient<Proposal>>) -> Self {
        Self::with(Box::new(Raw(recipient.into())))
    }

    pub(crate) fn with(asks: Box<dyn Asks>) -> Self {
        Self {
            kinds: Vec::new(),
            prefixes: Vec::new(),
            deadline: Duration::from_secs(1),
            open: false,
            asks,
        }
    }

    /// Adds this kind.
    #[must_use]
    pub fn kind(mut self, kind: impl Into<Packet>) -> Self {
        self.kinds.push(kind.into());
        self
    }

    /// Also validates kinds with this prefix.
    #[must_use]
    pub fn kind_prefix(mut self, prefix: impl Into<Packet>) -> Self {
        self.prefixes.push(prefix.into());
        self
    }

    /// Sets the deadline: at most 30 s.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Accepts undecided messages instead of dropping them.
    #[must_use]
    pub fn fail_open(mut self) -> Self {
        self.open = true;
        self
    }

    fn patience(&self) -> Duration {
        const MAX_DEADLINE: Duration = Duration::from_secs(30);
        self.deadline.min(MAX_DEADLINE)
    }

    pub(crate) fn into_validator(self) -> Validator {
        let deadline = self.patience();
        Validator::new(self.asks, deadline)
    }
}

impl fmt::Debug for Validate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Validate")
            .field("kinds", &self.kinds)
            .field("prefixes", &self.prefixes)
            .field("deadline", &self.deadline)
            .field("open", &self.open)
            .finish_non_exhaustive()
    }
}

/// A message that awaits the decision of an actor that [validates](Validate).
#[derive(Clone, Debug, actix::Message)]
#[rtype(result = "Acceptance")]
#[non_exhaustive]
pub struct Proposal {
    /// The message.
    pub message: Message,
}

impl Proposal {
    /// Creates a proposal, for tests of actors that handle it.
    pub fn new(message: Message) -> Self {
        Self { message }
    }
}

struct Raw(Recipient<Proposal>);

impl Asks for Raw {
    fn is_connected(&self) -> bool {
        self.0.connected()
    }

    fn ask(&self, message: &Message) -> Judging {
        let message = message.clone();
        let asking = self.0.send(Proposal { message });
        Box::pin(async move { asking.await.ok() })
    }
}

impl<A, M> actix::dev::MessageResponse<A, M> for Acceptance
where
    A: actix::Actor,
    M: actix::Message<Result = Acceptance>,
{
    fn handle(self, _: &mut A::Context, tx: Option<actix::dev::OneshotSender<Acceptance>>) {
        if let Some(tx) = tx {
            // The asker may have stopped waiting.
            let _ = tx.send(self);
        }
    }
}
