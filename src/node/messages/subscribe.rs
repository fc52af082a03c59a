//! Receiving: subscriptions, the inbox, interception.
//!
//! Owns the types of these messages and their documented behaviour; the queues are in
//! [`subscriptions`](crate::node::delivery::subscriptions).

use std::fmt;
use std::time::Duration;

use actix::Recipient;
use serde::Serialize;

use crate::mesh::Event;
use crate::wire::{Flag, Message, NodeId, Packet};

/// The id of a subscription or an interception, for [`Unsubscribe`]; events about it carry the number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct SubscriptionId(pub u64);

impl fmt::Display for SubscriptionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Selects messages. By default those that the reference peers would queue for their users: packet 0 is the mesh's own
/// `broadcast` or `whisper`, regardless of sender and flag.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Filter {
    /// How the message travelled; `None` selects any. A relayed broadcast counts as a broadcast.
    pub flag: Option<Flag>,
    /// What packet 0 of the payload must be.
    pub kind: KindFilter,
    /// Also selects kinds with one of these prefixes, for large families such as rooms or keys.
    pub prefixes: Vec<Packet>,
    /// The claimed author; `None` selects any.
    pub sender: Option<NodeId>,
    /// Whether to select only typed values: see [`Subscribe::typed`].
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
    /// Selects what the reference peers would queue for their users.
    pub fn new() -> Self {
        Self::default()
    }

    /// Selects only messages with this flag.
    #[must_use]
    pub fn flag(mut self, flag: Flag) -> Self {
        self.flag = Some(flag);
        self
    }

    /// Selects this kind; call it again to select several.
    #[must_use]
    pub fn kind(mut self, kind: impl Into<Packet>) -> Self {
        match &mut self.kind {
            KindFilter::Any(kinds) => kinds.push(kind.into()),
            other => *other = KindFilter::Any(vec![kind.into()]),
        }
        self
    }

    /// Also selects kinds with this prefix: `"room/"` for all rooms.
    #[must_use]
    pub fn kind_prefix(mut self, prefix: impl Into<Packet>) -> Self {
        if self.kind == KindFilter::User {
            self.kind = KindFilter::Any(Vec::new());
        }
        self.prefixes.push(prefix.into());
        self
    }

    /// Selects all kinds.
    #[must_use]
    pub fn any_kind(mut self) -> Self {
        self.kind = KindFilter::All;
        self
    }

    /// Selects only messages by this author, as far as its name can be trusted.
    #[must_use]
    pub fn sender(mut self, sender: NodeId) -> Self {
        self.sender = Some(sender);
        self
    }
}

/// The bounds of a subscriber's queue, and what happens when it is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Queue {
    /// The maximum number of items. Default 1,024.
    pub items: usize,
    /// The maximum number of bytes. Default 4 MiB. An empty queue takes one item of any size.
    pub bytes: usize,
    /// What happens when the queue is full.
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
    /// Replaces `Pause` by `Detach`, for queues that no budget bounds.
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
    /// Drops the oldest item.
    #[default]
    DropOldest,
    /// Drops the new item.
    DropNewest,
    /// Ends the subscription, after delivering what is queued.
    Detach,
    /// Loses nothing: queued messages stay charged to the inbound budget of their connection, which stops reading when
    /// the budget is used up. A subscriber that stops reading makes this node stop reading, and its peers close their
    /// connections when their own patience ends. For events, which no budget bounds, the same as `Detach`.
    Pause,
}

/// Subscribes an actor to messages. For events there is [`SubscribeEvents`].
///
/// Answers at once with the id of the subscription. From then on every message that passes the filter goes into the
/// subscription's own bounded queue, and from there into the recipient's mailbox: at most 64 unhandled messages, or 256
/// KiB. When the queue is full, its [`Overflow`] policy applies, the next message says how many were
/// [missed](Message::missed), and the node emits [`Event::Lagged`].
///
/// The recipient is a strong address: it keeps its actor alive until [`Unsubscribe`] or the node's end. The
/// subscription ends when the actor has stopped.
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
    /// The recipient.
    pub recipient: Recipient<T>,
    /// Which messages.
    pub filter: Filter,
    /// The bounds of the queue.
    pub queue: Queue,
}

/// Several items in order, as sent to an `actix::Recipient` by [`Subscribe::bundles`]. Never empty.
#[derive(Clone, Debug)]
pub struct Bundle<T>(pub Vec<T>);

impl<T: Send + 'static> actix::Message for Bundle<T> {
    type Result = ();
}

impl Subscribe<Message> {
    /// Subscribes to messages, one by one.
    pub fn messages(recipient: impl Into<Recipient<Message>>) -> Self {
        Self::new(recipient.into())
    }
}

impl Subscribe<Bundle<Message>> {
    /// Subscribes to messages in bundles: all that are queued, at most 256 of them or 256 KiB. At a high rate this
    /// saves most of the cost of sending between actors; a message that arrives alone is a bundle of one.
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

    /// Sets the filter.
    #[must_use]
    pub fn filter(mut self, filter: Filter) -> Self {
        self.filter = filter;
        self
    }

    /// Sets the maximum number of queued items.
    #[must_use]
    pub fn items(mut self, items: usize) -> Self {
        self.queue.items = items;
        self
    }

    /// Sets the maximum number of queued bytes.
    #[must_use]
    pub fn bytes(mut self, bytes: usize) -> Self {
        self.queue.bytes = bytes;
        self
    }

    /// Sets what happens when the queue is full.
    #[must_use]
    pub fn overflow(mut self, overflow: Overflow) -> Self {
        self.queue.overflow = overflow;
        self
    }
}

/// Subscribes an actor to events of the mesh and of this node.
///
/// Answers at once with the id of the subscription. Events go into a bounded queue as messages do (see [`Subscribe`]);
/// [`Event::Lagged`] says how many did not fit. As with [`Subscribe`], the recipient keeps its actor alive.
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
    /// The recipient.
    pub recipient: Recipient<Event>,
    /// The bounds of the queue. [`Overflow::Pause`] acts as [`Overflow::Detach`]: no budget bounds events.
    pub queue: Queue,
}

impl SubscribeEvents {
    /// Subscribes this actor to events.
    pub fn new(recipient: impl Into<Recipient<Event>>) -> Self {
        Self {
            recipient: recipient.into(),
            queue: Queue::default(),
        }
    }

    /// Sets the maximum number of queued events.
    #[must_use]
    pub fn items(mut self, items: usize) -> Self {
        self.queue.items = items;
        self
    }

    /// Sets the maximum number of queued bytes; each event counts 256.
    #[must_use]
    pub fn bytes(mut self, bytes: usize) -> Self {
        self.queue.bytes = bytes;
        self
    }

    /// Sets what happens when the queue is full.
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

/// Ends a subscription or an interception.
///
/// Answers at once: false if the id is unknown. Queued items are dropped, except those already in the recipient's
/// mailbox.
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
    /// The id of the subscription.
    pub id: SubscriptionId,
}

impl Unsubscribe {
    /// Ends this subscription.
    pub fn from(id: SubscriptionId) -> Self {
        Self { id }
    }
}

/// Takes messages out of the node's bounded inbox, oldest first.
///
/// The inbox keeps what the default [`Filter`] passes, independent of subscriptions. Answers with at most `max`
/// messages as soon as there is one; without `wait`, or when `wait` has elapsed, with none. Concurrent calls are served
/// in the order they were made. The next message's [`missed`](Message::missed) counts what did not fit into the inbox
/// ([`Config::inbox_capacity`](crate::Config::inbox_capacity)).
///
/// Other kinds are pulled by [`kind`](Self::kind), each from its own inbox with the same bounds.
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
    /// The maximum number of messages; at least one.
    pub max: usize,
    /// How long to wait for the first message.
    pub wait: Option<Duration>,
    /// The kind; `None`: what the default [`Filter`] passes.
    pub kind: Option<&'static str>,
}

impl Recv {
    /// Takes what is queued, at most this many.
    pub fn up_to(max: usize) -> Self {
        Self {
            max,
            wait: None,
            kind: None,
        }
    }

    /// Takes the next message.
    pub fn one() -> Self {
        Self::up_to(1)
    }

    /// Takes only messages of this kind. They are kept from the first call that asks for the kind, or from the start
    /// with [`Config::inbox_kind`](crate::Config::inbox_kind).
    #[must_use]
    pub fn kind(mut self, kind: &'static str) -> Self {
        self.kind = Some(kind);
        self
    }

    /// Waits at most this long for the first message.
    #[must_use]
    pub fn wait(mut self, time: Duration) -> Self {
        self.wait = Some(time);
        self
    }
}

/// Offers every message that passes a filter to an actor, which may consume it before anyone else receives it.
///
/// Answers at once with the id of the interception. Interceptors are asked in order of registration, one message at a
/// time, so everyone behind them sees messages in order; meanwhile messages stay charged to the inbound budget of their
/// connection. When an interceptor misses the deadline, the message passes, the node emits [`Event::Lagged`], and the
/// interceptor is not asked again until it answers. Like a subscription, it keeps its actor alive and ends with it.
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
    /// The actor that decides.
    pub recipient: Recipient<Offer>,
    /// Which messages are offered.
    pub filter: Filter,
    /// The deadline for a decision. Default 1 s.
    pub deadline: Duration,
}

impl Intercept {
    /// Offers every message of the default filter to this actor.
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

    /// Sets the deadline for a decision.
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

/// A message that has not been delivered yet, for an actor that [intercepts](Intercept): see there for an example.
#[derive(Clone, Debug, actix::Message)]
#[rtype(result = "Verdict")]
#[non_exhaustive]
pub struct Offer {
    /// The message.
    pub message: Message,
}

/// The decision about an [`Offer`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, actix::dev::MessageResponse)]
#[non_exhaustive]
pub enum Verdict {
    /// No one behind this interceptor gets the message.
    Consume,
    /// The message goes on.
    Pass,
}
