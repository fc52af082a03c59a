//! Subscribers: one bounded queue for each, pumped into its mailbox.
//!
//! Owns the queues and how far each subscriber may be behind. `do_send` ignores the bound of a mailbox, so only a burst
//! is sent ahead of what the subscriber has handled: the last item of each burst is sent as a request, and the next
//! burst waits for its answer.

use std::collections::BTreeMap;
use std::future::Future;
use std::mem;
use std::pin::Pin;

use actix::dev::RecipientRequest;
use actix::{MailboxError, Recipient};
use futures_util::future::Either;

use crate::mesh::Event;
use crate::node::delivery::filter::CompiledFilter;
use crate::node::delivery::queue::{Backlog, Item};
use crate::node::messages::subscribe::{Bundle, Queue, SubscriptionId};
use crate::wire::{Hold, Message};

/// The most items and bytes sent ahead of what the subscriber has handled.
const BURST: (usize, usize) = (64, 256 * 1024);

/// An item that can be subscribed to.
pub(crate) trait Topic: Item + actix::Message<Result = ()> + Clone + Send + 'static {
    /// The subscriber's selection.
    type CompiledFilter;

    fn passes(&self, compiled: &Self::CompiledFilter) -> bool;
}

impl Topic for Message {
    type CompiledFilter = CompiledFilter;

    fn passes(&self, compiled: &CompiledFilter) -> bool {
        compiled.passes(self)
    }
}

impl Topic for Event {
    type CompiledFilter = ();

    fn passes(&self, (): &()) -> bool {
        true
    }
}

/// A subscriber that takes items in another form, such as values of a type.
pub(crate) trait Sink<T>: Send {
    /// Returns whether its actor still runs.
    fn is_connected(&self) -> bool;

    /// Sends the item on; with `wait`, returns the request to await. `Err`: why it could not be decoded.
    fn send(&self, item: &T, wait: bool) -> Result<Option<Handling>, String>;
}

/// The handling of an item, to be awaited.
pub(crate) type Handling = Pin<Box<dyn Future<Output = Result<(), MailboxError>>>>;

/// The form in which a subscriber takes items.
pub(crate) enum Taker<T: Topic> {
    OneByOne(Recipient<T>),
    Bundled(Recipient<Bundle<T>>),
    Sink(Box<dyn Sink<T>>),
}

impl<T: Topic> Taker<T> {
    fn is_there(&self) -> bool {
        match self {
            Self::OneByOne(recipient) => recipient.connected(),
            Self::Bundled(recipient) => recipient.connected(),
            Self::Sink(sink) => sink.is_connected(),
        }
    }

    /// Returns how many items may be sent ahead of what it has handled.
    fn burst(&self) -> usize {
        match self {
            Self::OneByOne(_) | Self::Sink(_) => BURST.0,
            Self::Bundled(_) => 4 * BURST.0,
        }
    }
}

/// A subscriber's queue, and how far it is behind.
struct Line<T> {
    backlog: Backlog<T>,
    burst: usize,
    /// Sent since the subscriber was last known to have handled everything: items, and bytes.
    ahead: (usize, usize),
    /// Whether the last item sent has not been answered yet.
    waits: bool,
}

impl<T: Item> Line<T> {
    /// Returns the next item that may be sent. If this sets `waits`, it must be sent as a request.
    fn next(&mut self) -> Option<T> {
        if self.waits {
            return None;
        }
        let (item, cost) = self.backlog.pop_costly()?;
        self.ahead.0 += 1;
        self.ahead.1 += cost;
        self.waits = self.ahead.0 >= self.burst || self.ahead.1 >= BURST.1;
        Some(item)
    }

    fn handled(&mut self) {
        self.ahead = (0, 0);
        self.waits = false;
    }
}

/// One subscriber.
struct Subscription<T: Topic> {
    taker: Taker<T>,
    compiled: T::CompiledFilter,
    line: Line<T>,
}

type Request<T> = Either<Either<RecipientRequest<T>, RecipientRequest<Bundle<T>>>, Handling>;

/// The request at the end of a burst, to be awaited by the Router.
pub(crate) type Burst<T> = (SubscriptionId, Request<T>);

impl<T: Topic> Subscription<T> {
    /// Queues an item that passes the filter.
    fn push(&mut self, item: T, hold: &Hold) {
        if item.passes(&self.compiled) {
            self.line.backlog.push(item, hold);
        }
    }

    /// Sends what may be sent; returns the request at the end of a burst. What is sent without a request is bounded by
    /// the burst: the next burst waits for the request.
    fn pump(&mut self, unreadable: &mut Vec<(T, String)>) -> Option<Request<T>> {
        match &self.taker {
            Taker::Sink(sink) => {
                while let Some(item) = self.line.next() {
                    match sink.send(&item, self.line.waits) {
                        Ok(Some(handling)) => return Some(Either::Right(handling)),
                        Ok(None) => {}
                        Err(why) => {
                            // The next item becomes the request instead.
                            self.line.waits = false;
                            unreadable.push((item, why));
                        }
                    }
                }
            }
            Taker::OneByOne(recipient) => {
                while let Some(item) = self.line.next() {
                    if self.line.waits {
                        return Some(Either::Left(Either::Left(recipient.send(item))));
                    }
                    #[expect(
                        clippy::disallowed_methods,
                        reason = "bounded by the burst: the request at its end is awaited"
                    )]
                    recipient.do_send(item);
                }
            }
            Taker::Bundled(recipient) => {
                if self.line.waits || self.line.backlog.is_empty() {
                    return None;
                }
                let mut items = Vec::with_capacity(self.line.backlog.len().min(self.line.burst));
                items.extend(std::iter::from_fn(|| self.line.next()));
                if self.line.waits {
                    return Some(Either::Left(Either::Right(recipient.send(Bundle(items)))));
                }
                #[expect(
                    clippy::disallowed_methods,
                    reason = "bounded by the burst: the request at its end is awaited"
                )]
                recipient.do_send(Bundle(items));
            }
        }
        None
    }

    fn is_done(&self) -> bool {
        let backlog = &self.line.backlog;
        !self.taker.is_there() || (backlog.is_detached() && backlog.is_empty())
    }
}

/// All subscribers of messages or of events, in the order they subscribed.
pub(crate) struct Subscriptions<T: Topic> {
    list: BTreeMap<SubscriptionId, Subscription<T>>,
    /// Items that a subscriber could not decode, and why, since the last call of `take_unreadable`.
    unreadable: Vec<(T, String)>,
    /// Subscribers that stopped without unsubscribing, and how many items each lost, since the last call of `lagged`.
    gone: Vec<(SubscriptionId, usize)>,
    /// Items that all of them missed; `stopped` counts the subscribers that stopped.
    missed: u64,
    stopped: u64,
}

impl<T: Topic> Default for Subscriptions<T> {
    fn default() -> Self {
        Self {
            list: BTreeMap::new(),
            unreadable: Vec::new(),
            gone: Vec::new(),
            missed: 0,
            stopped: 0,
        }
    }
}

impl<T: Topic> Subscriptions<T> {
    pub(crate) fn add(
        &mut self,
        id: SubscriptionId,
        taker: Taker<T>,
        compiled: T::CompiledFilter,
        queue: Queue,
    ) {
        let line = Line {
            backlog: Backlog::new(queue),
            burst: taker.burst(),
            ahead: (0, 0),
            waits: false,
        };
        self.list.insert(
            id,
            Subscription {
                taker,
                compiled,
                line,
            },
        );
    }

    pub(crate) fn remove(&mut self, id: SubscriptionId) -> bool {
        self.list.remove(&id).is_some()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Returns whether the item passes any subscriber's filter.
    pub(crate) fn want(&self, item: &T) -> bool {
        self.list
            .values()
            .any(|subscription| item.passes(&subscription.compiled))
    }

    /// Returns the items that subscribers could not decode, and why.
    pub(crate) fn take_unreadable(&mut self) -> Vec<(T, String)> {
        mem::take(&mut self.unreadable)
    }

    /// Returns the number of queued items.
    pub(crate) fn waiting(&self) -> usize {
        self.list
            .values()
            .map(|subscription| subscription.line.backlog.len())
            .sum()
    }

    /// Queues each item for every subscriber whose filter it passes; the last subscriber takes the items without a
    /// copy.
    pub(crate) fn push_all(&mut self, items: Vec<T>, hold: &Hold) {
        let mut subscriptions = self.list.values_mut();
        let Some(last) = subscriptions.next_back() else {
            return;
        };
        for subscription in subscriptions {
            items
                .iter()
                .for_each(|item| subscription.push(item.clone(), hold));
        }
        items.into_iter().for_each(|item| last.push(item, hold));
    }

    /// Sends what may be sent, and passes on the requests to await.
    pub(crate) fn pump(&mut self, mut burst: impl FnMut(Burst<T>)) {
        for (id, subscription) in &mut self.list {
            if let Some(request) = subscription.pump(&mut self.unreadable) {
                burst((*id, request));
            }
        }
    }

    /// Records that the request of a burst was handled; on an error its actor has stopped.
    pub(crate) fn handled(&mut self, id: SubscriptionId, answer: Result<(), MailboxError>) {
        let Some(subscription) = self.list.get_mut(&id) else {
            return;
        };
        if answer.is_err() {
            let waiting = subscription.line.backlog.len() + subscription.line.ahead.0;
            self.list.remove(&id);
            self.gone.push((id, waiting));
            return;
        }
        subscription.line.handled();
    }

    /// Returns the number of items that subscribers missed because they fell behind.
    pub(crate) fn missed(&self) -> u64 {
        self.missed
    }

    /// Returns the number of subscribers that stopped without unsubscribing.
    pub(crate) fn stopped(&self) -> u64 {
        self.stopped + self.gone.len() as u64
    }

    /// Returns events on what each subscriber missed and which stopped, since the last call; stopped ones are removed.
    pub(crate) fn lagged(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        self.list.retain(|id, subscription| {
            let missed = subscription.line.backlog.take_missed();
            let detached = subscription.line.backlog.is_detached();
            if missed > 0 {
                self.missed += missed;
                events.push(Event::Lagged {
                    subscription: id.0,
                    missed,
                    detached,
                });
            }
            if !subscription.taker.is_there() {
                self.gone.push((*id, subscription.line.backlog.len()));
            }
            !subscription.is_done()
        });
        for (id, waiting) in self.gone.drain(..) {
            self.stopped += 1;
            events.push(Event::SubscriberGone {
                subscription: id.0,
                lost: waiting as u64,
            });
        }
        events
    }
}
