//! How users take what arrives: subscriptions, the inbox, interception.
//!
//! Owns the shapes of these messages and their promises; the queues behind them are
//! [`subscriptions`](crate::node::delivery::subscriptions).

use std::fmt;
use std::time::Duration;

use actix::Recipient;
use serde::Serialize;

use crate::mesh::Event;
use crate::wire::{Flag, Message, NodeId, Packet};

/// The name of a subscription or an interception, for [`Unsubscribe`]; events about it carry the number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct SubscriptionId(pub u64);

impl fmt::Display for SubscriptionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Which messages are wanted. By default those that the reference peers would queue for their users: packet
/// 0 is the mesh's own `broadcast` or `whisper`, whoever sent it and however it travelled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Filter {
    /// How it travelled; any way, if `None`. A relayed broadcast counts as a broadcast.
    pub flag: Option<Flag>,
    /// What packet 0 of the payload must be.
    pub kind: KindFilter,
    /// Also kinds that begin with one of these: rooms, keys, and whatever else there are many of.
    pub prefixes: Vec<Packet>,
    /// Who its author claims to be; anybody, if `None`.
    pub sender: Option<NodeId>,
    /// Whether only values are wanted: see [`Subscribe::typed`].
    pub(crate) values: bool,
}

/// What packet 0 of the payload must be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum KindFilter {
    /// The mesh's own `broadcast` or `whisper`.
    #[default]
    User,
    /// One of these.
    Any(Vec<Packet>),
    /// Anything.
    All,
}

impl Filter {
    /// What the reference peers would queue for their users.
    pub fn new() -> Self {
        Self::default()
    }

    /// Only what travels like this.
    #[must_use]
    pub fn flag(mut self, flag: Flag) -> Self {
        self.flag = Some(flag);
        self
    }

    /// Only this kind, or, said again, one of these kinds.
    #[must_use]
    pub fn kind(mut self, kind: impl Into<Packet>) -> Self {
        match &mut self.kind {
            KindFilter::Any(kinds) => kinds.push(kind.into()),
            other => *other = KindFilter::Any(vec![kind.into()]),
        }
        self
    }

    /// Also kinds that begin with this: `"room/"` for all rooms.
    #[must_use]
    pub fn kind_prefix(mut self, prefix: impl Into<Packet>) -> Self {
        if self.kind == KindFilter::User {
            self.kind = KindFilter::Any(Vec::new());
        }
        self.prefixes.push(prefix.into());
        self
    }

    /// Whatever its kind.
    #[must_use]
    pub fn any_kind(mut self) -> Self {
        self.kind = KindFilter::All;
        self
    }

    /// Only what this node wrote, as far as its name can be believed.
    #[must_use]
    pub fn sender(mut self, sender: NodeId) -> Self {
        self.sender = Some(sender);
        self
    }
}

/// How much may wait for a subscriber, and what happens beyond.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Queue {
    /// Items. Default 1,024.
    pub items: usize,
    /// Their bytes. Default 4 MiB. One item is always let in, whatever its size.
    pub bytes: usize,
    /// What happens beyond.
    pub overflow: Overflow,
}

impl Default for Queue {
    fn default() -> Self {
        Self {
            items: 1024,
            bytes: 4 << 20,
            overflow: Overflow::DropOldest,
        }
    }
}

impl Queue {
    /// For what no budget bounds.
    pub(crate) fn without_pause(mut self) -> Self {
        if self.overflow == Overflow::Pause {
            self.overflow = Overflow::Detach;
        }
        self
    }
}

/// What happens when a subscriber's queue is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Overflow {
    /// The oldest in the queue makes room.
    #[default]
    DropOldest,
    /// The newcomer is dropped.
    DropNewest,
    /// The subscription ends, after what is queued.
    Detach,
    /// Nothing is lost: what waits keeps its place in the budget of the connection it came from, which stops
    /// reading when the budget is used up. A subscriber that stops taking makes this node deaf, and after
    /// their own patience its peers close it. For events, which no budget bounds, the same as `Detach`.
    Pause,
}

/// Have messages sent to an actor. For events there is [`SubscribeEvents`].
///
/// Answers at once with the name of the subscription. From then on every message that passes the filter is
/// put into the subscription's own bounded queue, and from there into the recipient's mailbox: at most 64 of
/// them, or 256 KiB, ahead of what it has handled. If the queue overflows, its [`Overflow`] policy holds, the
/// next message says how many were [missed](Message::missed), and [`Event::Lagged`] is told.
///
/// The recipient is a strong address: it keeps its actor alive until [`Unsubscribe`] or the node's end. The
/// subscription ends by itself when the actor has stopped.
///
/// ```
/// use actix::{Actor, Context, Handler};
/// use actix_mesh::{Config, Filter, Message, Subscribe};
///
/// # #[actix::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// struct Cache;
/// impl Actor for Cache {
///     type Context = Context<Self>;
/// }
/// impl Handler<Message> for Cache {
///     type Result = ();
///     fn handle(&mut self, message: Message, _: &mut Context<Self>) {
///         println!("{} is out of date", message.text());
///     }
/// }
///
/// let a = Config::new().start().await?;
/// let stale = Filter::new().kind("invalidate");
/// a.router.send(Subscribe::messages(Cache.start()).filter(stale)).await?;
/// # Ok(()) }
/// ```
#[derive(actix::Message)]
#[rtype(result = "SubscriptionId")]
#[non_exhaustive]
pub struct Subscribe<T>
where
    T: actix::Message<Result = ()> + Send + 'static,
{
    /// Who is to have them.
    pub recipient: Recipient<T>,
    /// Which messages.
    pub filter: Filter,
    /// How many may wait.
    pub queue: Queue,
}

/// Several items at once, in order: what an `actix::Recipient` is sent by [`Subscribe::bundles`]. Never empty.
#[derive(Clone, Debug)]
pub struct Bundle<T>(pub Vec<T>);

impl<T: Send + 'static> actix::Message for Bundle<T> {
    type Result = ();
}

impl Subscribe<Message> {
    /// To messages, one by one.
    pub fn messages(recipient: impl Into<Recipient<Message>>) -> Self {
        Self::new(recipient.into())
    }
}

impl Subscribe<Bundle<Message>> {
    /// To messages, as many at once as wait: at most 256 of them, or 256 KiB. At a high rate that spares
    /// most of what it costs to send them from actor to actor; one that comes alone is a bundle of one.
    pub fn bundles(recipient: impl Into<Recipient<Bundle<Message>>>) -> Self {
        Self::new(recipient.into())
    }
}

impl<T> Subscribe<T>
where
    T: actix::Message<Result = ()> + Send + 'static,
{
    pub(crate) fn new(recipient: Recipient<T>) -> Self {
        Self {
            recipient,
            filter: Filter::new(),
            queue: Queue::default(),
        }
    }

    /// Sets which messages.
    #[must_use]
    pub fn filter(mut self, filter: Filter) -> Self {
        self.filter = filter;
        self
    }

    /// Sets how many items may wait.
    #[must_use]
    pub fn items(mut self, items: usize) -> Self {
        self.queue.items = items;
        self
    }

    /// Sets how many bytes may wait.
    #[must_use]
    pub fn bytes(mut self, bytes: usize) -> Self {
        self.queue.bytes = bytes;
        self
    }

    /// Sets what happens beyond.
    #[must_use]
    pub fn overflow(mut self, overflow: Overflow) -> Self {
        self.queue.overflow = overflow;
        self
    }
}

/// Have events sent to an actor: what happens in the mesh and in this node, as it happens.
///
/// Answers at once with the name of the subscription. Events wait in a bounded queue as messages do (see
/// [`Subscribe`]); how many did not fit is told by [`Event::Lagged`]. Like a [`Subscribe`], it keeps its actor alive.
///
/// ```
/// use actix::{Actor, Context, Handler};
/// use actix_mesh::{Config, Event, SubscribeEvents};
///
/// struct Log;
/// impl Actor for Log {
///     type Context = Context<Self>;
/// }
/// impl Handler<Event> for Log {
///     type Result = ();
///     fn handle(&mut self, event: Event, _: &mut Context<Self>) {
///         println!("{event:?}");
///     }
/// }
///
/// # #[actix::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let node = Config::new().start().await?;
/// node.router.send(SubscribeEvents::new(Log.start())).await?;
/// # Ok(()) }
/// ```
#[derive(actix::Message)]
#[rtype(result = "SubscriptionId")]
#[non_exhaustive]
pub struct SubscribeEvents {
    /// Who is to have them.
    pub recipient: Recipient<Event>,
    /// How many may wait. [`Overflow::Pause`] is taken as [`Overflow::Detach`]: no budget bounds events.
    pub queue: Queue,
}

impl SubscribeEvents {
    /// Sends events to this actor.
    pub fn new(recipient: impl Into<Recipient<Event>>) -> Self {
        Self {
            recipient: recipient.into(),
            queue: Queue::default(),
        }
    }

    /// Sets how many events may wait.
    #[must_use]
    pub fn items(mut self, items: usize) -> Self {
        self.queue.items = items;
        self
    }

    /// Sets how many bytes of events may wait; each counts 256.
    #[must_use]
    pub fn bytes(mut self, bytes: usize) -> Self {
        self.queue.bytes = bytes;
        self
    }

    /// Sets what happens beyond.
    #[must_use]
    pub fn overflow(mut self, overflow: Overflow) -> Self {
        self.queue.overflow = overflow;
        self
    }
}

impl fmt::Debug for SubscribeEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SubscribeEvents")
            .field("queue", &self.queue)
            .finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Subscribe<T>
where
    T: actix::Message<Result = ()> + Send + 'static,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscribe")
            .field("filter", &self.filter)
            .field("queue", &self.queue)
            .finish_non_exhaustive()
    }
}

/// End a subscription or an interception. Answers at once: false if there is none of that name. What is
/// queued for it is dropped; what is in the recipient's mailbox is not.
///
/// ```
/// use actix::{Actor, Context, Handler};
/// use actix_mesh::{Config, Message, Subscribe, Unsubscribe};
///
/// # #[actix::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # struct Cache;
/// # impl Actor for Cache {
/// #     type Context = Context<Self>;
/// # }
/// # impl Handler<Message> for Cache {
/// #     type Result = ();
/// #     fn handle(&mut self, _: Message, _: &mut Context<Self>) {}
/// # }
/// let a = Config::new().start().await?;
/// let id = a.router.send(Subscribe::messages(Cache.start())).await?;
/// assert!(a.router.send(Unsubscribe::from(id)).await?);
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, actix::Message)]
#[rtype(result = "bool")]
#[non_exhaustive]
pub struct Unsubscribe {
    /// Which.
    pub id: SubscriptionId,
}

impl Unsubscribe {
    /// From this subscription.
    pub fn from(id: SubscriptionId) -> Self {
        Self { id }
    }
}

/// Take messages out of the node's own bounded inbox, oldest first.
///
/// The inbox keeps what the default [`Filter`] passes, whoever else subscribes. Answers with at most `max`
/// messages as soon as there is one; without `wait`, or when `wait` is over, with none. Several that wait are
/// served in the order they asked. What did not fit into the inbox ([`Config::inbox_capacity`](crate::Config::inbox_capacity))
/// is counted by the next message's [`missed`](Message::missed).
///
/// Messages of other kinds are pulled by their [`kind`](Self::kind), each out of an inbox of its own with the same bounds.
///
/// ```
/// use std::time::Duration;
///
/// use actix_mesh::{Config, Recv, Send};
///
/// # #[actix::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let a = Config::new().start().await?;
/// let b = Config::new().connect(a.addr).start().await?;
/// a.ready(1, Duration::from_secs(5)).await?;
/// a.router.send(Send::new("to all")).await??;
/// let heard = b.router.send(Recv::up_to(16).wait(Duration::from_secs(5))).await?;
/// assert_eq!(heard[0].text(), "to all");
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, actix::Message)]
#[rtype(result = "Vec<Message>")]
#[non_exhaustive]
pub struct Recv {
    /// At most this many; at least one.
    pub max: usize,
    /// How long to wait for the first.
    pub wait: Option<Duration>,
    /// Of which kind; `None`: what the default [`Filter`] passes.
    pub kind: Option<&'static str>,
}

impl Recv {
    /// What is there, and at most this many.
    pub fn up_to(max: usize) -> Self {
        Self {
            max,
            wait: None,
            kind: None,
        }
    }

    /// The next message.
    pub fn one() -> Self {
        Self::up_to(1)
    }

    /// Only messages of this kind. They are kept from the first time on that they are asked for, or from the start with
    /// [`Config::inbox_kind`](crate::Config::inbox_kind).
    #[must_use]
    pub fn kind(mut self, kind: &'static str) -> Self {
        self.kind = Some(kind);
        self
    }

    /// Waits this long for the first, if there is none.
    #[must_use]
    pub fn wait(mut self, time: Duration) -> Self {
        self.wait = Some(time);
        self
    }
}

/// Offer every message that passes a filter to an actor before anybody else has it: the actor may consume it.
///
/// Answers at once with the name of the interception. Interceptors are asked in the order they came, one
/// message at a time, so that order is kept for everybody behind them; meanwhile messages wait within the
/// budget of the connection they came from. An interceptor that does not decide by the deadline has lost its
/// say: the message passes on, [`Event::Lagged`] tells, and until it answers it is not asked again. Like a
/// subscription, it keeps its actor alive and ends with it.
///
/// ```
/// use actix::{Actor, Context, Handler};
/// use actix_mesh::{Config, Intercept, Offer, Verdict};
///
/// # #[actix::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// /// Keeps what is secret from everybody behind it.
/// struct Censor;
/// impl Actor for Censor {
///     type Context = Context<Self>;
/// }
/// impl Handler<Offer> for Censor {
///     type Result = Verdict;
///     fn handle(&mut self, offer: Offer, _: &mut Context<Self>) -> Verdict {
///         match offer.message.text().starts_with("secret") {
///             true => Verdict::Consume,
///             false => Verdict::Pass,
///         }
///     }
/// }
///
/// let a = Config::new().start().await?;
/// a.router.send(Intercept::by(Censor.start())).await?;
/// # Ok(()) }
/// ```
#[derive(actix::Message)]
#[rtype(result = "SubscriptionId")]
#[non_exhaustive]
pub struct Intercept {
    /// Who decides.
    pub recipient: Recipient<Offer>,
    /// About which messages.
    pub filter: Filter,
    /// How long a decision may take. Default 1 s.
    pub deadline: Duration,
}

impl Intercept {
    /// Every message of the default filter is offered to this actor.
    pub fn by(recipient: impl Into<Recipient<Offer>>) -> Self {
        Self {
            recipient: recipient.into(),
            filter: Filter::new(),
            deadline: Duration::from_secs(1),
        }
    }

    /// Sets which messages are offered.
    #[must_use]
    pub fn filter(mut self, filter: Filter) -> Self {
        self.filter = filter;
        self
    }

    /// Sets how long a decision may take.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }
}

impl fmt::Debug for Intercept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Intercept")
            .field("filter", &self.filter)
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}

/// A message, before it is delivered.
#[derive(Clone, Debug, actix::Message)]
#[rtype(result = "Verdict")]
#[non_exhaustive]
pub struct Offer {
    /// Which.
    pub message: Message,
}

/// What becomes of an [`Offer`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, actix::dev::MessageResponse)]
#[non_exhaustive]
pub enum Verdict {
    /// Nobody behind this interceptor gets it.
    Consume,
    /// It goes on.
    Pass,
}
