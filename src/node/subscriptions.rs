//! Who is sent what arrives: one bounded queue for each subscriber, pumped into its mailbox.
//!
//! Owns the queues and how far each subscriber may be behind. The mailbox of an actor has no bound that
//! `do_send` keeps, so only so much is sent ahead of what the subscriber has handled: the last of each
//! burst is sent with a request for an answer, and the next burst waits for it.

use std::collections::BTreeMap;

use actix::dev::RecipientRequest;
use actix::{MailboxError, Recipient};

use super::backlog::{Backlog, Item};
use super::sieve::Sieve;
use super::subscribe::{Queue, SubscriptionId};
use crate::mesh::Event;
use crate::wire::{Hold, Message};

/// Sent ahead of what the subscriber has handled: items, and bytes.
const BURST: (usize, usize) = (64, 256 * 1024);

/// What can be subscribed to.
pub(super) trait Topic: Item + actix::Message<Result = ()> + Clone + Send + 'static {
    /// What a subscriber says about which of them it wants.
    type Sieve;

    fn passes(&self, sieve: &Self::Sieve) -> bool;
}

impl Topic for Message {
    type Sieve = Sieve;

    fn passes(&self, sieve: &Sieve) -> bool {
        sieve.passes(self)
    }
}

impl Topic for Event {
    type Sieve = ();

    fn passes(&self, (): &()) -> bool {
        true
    }
}

/// One subscriber.
struct Subscription<T: Topic> {
    recipient: Recipient<T>,
    sieve: T::Sieve,
    backlog: Backlog<T>,
    /// Sent since the subscriber was last known to have handled everything: items, and bytes.
    ahead: (usize, usize),
    /// Whether the last one sent has yet to be answered.
    waits: bool,
}

/// The end of a burst, to be awaited by whoever has a context to do it in.
pub(super) type Burst<T> = (SubscriptionId, RecipientRequest<T>);

impl<T: Topic> Subscription<T> {
    /// Sends what may be sent; the request to await, if a burst is at its end.
    fn pump(&mut self) -> Option<RecipientRequest<T>> {
        while !self.waits
            && let Some(item) = self.backlog.pop()
        {
            self.ahead.0 += 1;
            self.ahead.1 += item.cost();
            if self.ahead.0 >= BURST.0 || self.ahead.1 >= BURST.1 {
                self.waits = true;
                return Some(self.recipient.send(item));
            }
            // Bounded by the burst: the next ones wait until this one is known to be handled.
            self.recipient.do_send(item);
        }
        None
    }

    fn is_done(&self) -> bool {
        !self.recipient.connected() || (self.backlog.is_detached() && self.backlog.is_empty())
    }
}

/// All subscribers of one kind. Ordered, so that they are served in the order they came.
pub(super) struct Subscriptions<T: Topic> {
    list: BTreeMap<SubscriptionId, Subscription<T>>,
}

impl<T: Topic> Default for Subscriptions<T> {
    fn default() -> Self {
        Self {
            list: BTreeMap::new(),
        }
    }
}

impl<T: Topic> Subscriptions<T> {
    pub(super) fn add(
        &mut self,
        id: SubscriptionId,
        recipient: Recipient<T>,
        sieve: T::Sieve,
        queue: Queue,
    ) {
        let backlog = Backlog::new(queue);
        self.list.insert(
            id,
            Subscription {
                recipient,
                sieve,
                backlog,
                ahead: (0, 0),
                waits: false,
            },
        );
    }

    pub(super) fn remove(&mut self, id: SubscriptionId) -> bool {
        self.list.remove(&id).is_some()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Items that no subscriber has been sent yet.
    pub(super) fn waiting(&self) -> usize {
        self.list
            .values()
            .map(|subscription| subscription.backlog.len())
            .sum()
    }

    /// Puts it into the queue of each who wants it.
    pub(super) fn push(&mut self, item: &T, hold: &Hold) {
        for subscription in self.list.values_mut() {
            if item.passes(&subscription.sieve) {
                subscription.backlog.push(item.clone(), hold);
            }
        }
    }

    /// Sends what may be sent, and gives the ends of bursts to be awaited.
    pub(super) fn pump(&mut self, mut burst: impl FnMut(Burst<T>)) {
        for (id, subscription) in &mut self.list {
            if let Some(request) = subscription.pump() {
                burst((*id, request));
            }
        }
    }

    /// The end of a burst was handled, or nobody is there any more to do it.
    pub(super) fn handled(&mut self, id: SubscriptionId, answer: Result<(), MailboxError>) {
        let Some(subscription) = self.list.get_mut(&id) else {
            return;
        };
        if answer.is_err() {
            self.list.remove(&id);
            return;
        }
        subscription.ahead = (0, 0);
        subscription.waits = false;
    }

    /// What each missed since this was last asked; those who are gone are forgotten.
    pub(super) fn lagged(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        self.list.retain(|id, subscription| {
            let missed = subscription.backlog.take_missed();
            let detached = subscription.backlog.is_detached();
            if missed > 0 {
                events.push(Event::Lagged {
                    subscription: id.0,
                    missed,
                    detached,
                });
            }
            !subscription.is_done()
        });
        events
    }
}
