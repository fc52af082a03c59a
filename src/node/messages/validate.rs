//! How users decide what is passed on: an actor is asked about each message of a kind before anything becomes of it.
//!
//! Owns the shapes of these messages and their promises. What is held meanwhile is the core's affair.

use std::fmt;
use std::time::Duration;

use actix::Recipient;

use crate::mesh::Acceptance;
use crate::node::delivery::validators::{Asks, Judging, Validator};
use crate::node::messages::subscribe::SubscriptionId;
use crate::wire::{Message, Packet};

/// Have an actor judge the messages of some kinds before they are delivered to anybody and before broadcasts are relayed.
///
/// Answers at once with the name of the registration, for [`Unsubscribe`](crate::Unsubscribe). From then on each new message
/// of the kinds, broadcast or whispered, by whomever, is held until the actor has answered a [`Proposal`] with an
/// [`Acceptance`]. What is accepted is delivered and relayed as if it had come now; what is ignored or rejected is dropped
/// and counted. If several are registered for a kind, they are asked one after the other in the order they came, and all
/// must accept. Messages that this node sends itself, or passes on for a bridge, are not asked about.
///
/// The actor has until the deadline, counted from the arrival of the message. At most 64 messages are before it at once; 1,024
/// messages of 16 MiB in all wait for the validators of a node, of one neighbour a quarter of them. What is not decided in
/// time, is too much, or is asked of an actor that has stopped, is dropped, or accepted if the validator
/// [fails open](Self::fail_open); [`Event::Undecided`](crate::Event::Undecided) tells how much that was.
///
/// A neighbour whose own messages are rejected is blamed for them: its host is banned for a while if that goes on, and after
/// ten in short order its connection is closed. Whoever only relayed a message is not blamed.
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
    /// Which kinds: as packet 0, or in the plain form of a value as packet 1.
    pub kinds: Vec<Packet>,
    /// Also kinds that begin with one of these.
    pub prefixes: Vec<Packet>,
    /// How long it may take. Default 1 s, and at most 30 s: what is older is taken by nobody.
    pub deadline: Duration,
    /// Whether what is not decided is accepted. Default: it is dropped.
    pub open: bool,
    pub(crate) asks: Box<dyn Asks>,
}

impl Validate {
    /// By this actor; of no kind yet.
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

    /// This kind, or, said again, one of these kinds.
    #[must_use]
    pub fn kind(mut self, kind: impl Into<Packet>) -> Self {
        self.kinds.push(kind.into());
        self
    }

    /// Also kinds that begin with this.
    #[must_use]
    pub fn kind_prefix(mut self, prefix: impl Into<Packet>) -> Self {
        self.prefixes.push(prefix.into());
        self
    }

    /// Sets how long a decision may take: at most 30 s.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Has what is not decided accepted instead of dropped.
    #[must_use]
    pub fn fail_open(mut self) -> Self {
        self.open = true;
        self
    }

    fn patience(&self) -> Duration {
        const LONGEST: Duration = Duration::from_secs(30);
        self.deadline.min(LONGEST)
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

/// A message, before anything becomes of it: what an actor is asked that [validates](Validate).
#[derive(Clone, Debug, actix::Message)]
#[rtype(result = "Acceptance")]
#[non_exhaustive]
pub struct Proposal {
    /// Which.
    pub message: Message,
}

impl Proposal {
    /// For tests of actors that handle it.
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
            // Whoever asked may have stopped waiting.
            let _ = tx.send(self);
        }
    }
}
