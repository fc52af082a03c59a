//! The node's inboxes, for users who pull: one with the default filter, and one for each requested kind.
//!
//! Owns their queues and the waiting askers.

use std::collections::{BTreeMap, VecDeque};

use crate::node::delivery::filter::CompiledFilter;
use crate::node::delivery::queue::Backlog;
use crate::node::messages::subscribe::{Filter, Overflow, Queue};
use crate::node::reply::{Promise, Reply};
use crate::wire::{Generation, Hold, Message};

/// The byte bound of each inbox.
const BYTES: usize = 1 << 20;

/// The capacity of the inbox of a kind when the default inbox is off.
const OF_A_KIND: usize = 1024;

/// All inboxes of the node.
#[derive(Debug)]
pub(crate) struct Inboxes {
    own: Inbox,
    kinds: BTreeMap<&'static str, Inbox>,
    capacity: usize,
    generation: Generation,
}

impl Inboxes {
    /// Creates them with this capacity each; `None` turns the default inbox off, not those of kinds.
    pub(crate) fn new(
        capacity: Option<usize>,
        kinds: &[&'static str],
        generation: Generation,
    ) -> Self {
        let mut inboxes = Self {
            own: Inbox::new(capacity, Filter::new(), generation),
            kinds: BTreeMap::new(),
            capacity: capacity.unwrap_or(OF_A_KIND),
            generation,
        };
        for kind in kinds {
            inboxes.of(Some(kind));
        }
        inboxes
    }

    /// Returns the inbox of a kind, creating it if necessary.
    pub(crate) fn of(&mut self, kind: Option<&'static str>) -> &mut Inbox {
        let Some(kind) = kind else {
            return &mut self.own;
        };
        let (capacity, generation) = (self.capacity, self.generation);
        self.kinds
            .entry(kind)
            .or_insert_with(|| Inbox::new(Some(capacity), Filter::new().kind(kind), generation))
    }

    fn all(&self) -> impl Iterator<Item = &Inbox> {
        std::iter::once(&self.own).chain(self.kinds.values())
    }

    fn all_mut(&mut self) -> impl Iterator<Item = &mut Inbox> {
        std::iter::once(&mut self.own).chain(self.kinds.values_mut())
    }

    pub(crate) fn is_on(&self) -> bool {
        self.all().any(|inbox| inbox.on)
    }

    /// Returns the number of messages left in inboxes that were ever pulled from.
    pub(crate) fn left(&self) -> usize {
        self.all().map(Inbox::left).sum()
    }

    /// Returns whether an inbox keeps this message.
    pub(crate) fn want(&self, message: &Message) -> bool {
        self.all().any(|inbox| inbox.wants(message))
    }

    pub(crate) fn push(&mut self, message: &Message) {
        self.all_mut().for_each(|inbox| inbox.push(message));
    }

    /// Serves waiting askers, in order.
    pub(crate) fn serve(&mut self) {
        self.all_mut().for_each(Inbox::serve);
    }
}

/// A waiting asker: its number, how many messages it wants, and its promise.
#[derive(Debug)]
struct Waiter {
    number: u64,
    max: usize,
    promise: Promise<Vec<Message>>,
}

/// One inbox.
#[derive(Debug)]
pub(crate) struct Inbox {
    on: bool,
    compiled: CompiledFilter,
    backlog: Backlog<Message>,
    waiters: VecDeque<Waiter>,
    asked: u64,
}

impl Inbox {
    /// Creates an inbox for that many messages; `None` turns it off.
    fn new(capacity: Option<usize>, filter: Filter, generation: Generation) -> Self {
        let bounds = Queue {
            items: capacity.unwrap_or_default(),
            bytes: BYTES,
            overflow: Overflow::DropOldest,
        };
        Self {
            on: capacity.is_some(),
            compiled: CompiledFilter::new(filter, generation),
            backlog: Backlog::new(bounds),
            waiters: VecDeque::new(),
            asked: 0,
        }
    }

    /// Returns the number of messages left, or 0 if it was never pulled from.
    fn left(&self) -> usize {
        if self.asked > 0 {
            self.backlog.len()
        } else {
            0
        }
    }

    /// Returns whether it keeps this message.
    fn wants(&self, message: &Message) -> bool {
        self.on && self.compiled.passes(message)
    }

    fn push(&mut self, message: &Message) {
        if self.wants(message) {
            self.backlog.push(message.clone(), &Hold::none());
        }
    }

    /// Takes what is queued; if that is nothing and the asker waits, queues the asker and returns its number.
    pub(crate) fn take(&mut self, max: usize, waits: bool) -> (Reply<Vec<Message>>, Option<u64>) {
        self.asked += 1;
        if !waits || (self.waiters.is_empty() && !self.backlog.is_empty()) {
            return (Reply::now(self.pop(max)), None);
        }
        let (promise, reply) = Reply::later();
        self.waiters.push_back(Waiter {
            number: self.asked,
            max,
            promise,
        });
        (reply, Some(self.asked))
    }

    /// Serves waiting askers, in order.
    fn serve(&mut self) {
        while !self.backlog.is_empty()
            && let Some(waiter) = self.waiters.pop_front()
        {
            if waiter.promise.is_forgotten() {
                continue;
            }
            let messages = self.pop(waiter.max);
            if let Err(back) = waiter.promise.keep(messages) {
                // The asker has just stopped waiting: put the messages back.
                back.into_iter().rev().for_each(|message| {
                    let missed = message.missed();
                    self.backlog.unpop(message, missed);
                });
            }
        }
    }

    /// Answers a waiting asker with nothing, at the end of its wait.
    pub(crate) fn give_up(&mut self, number: u64) {
        if let Some(at) = self
            .waiters
            .iter()
            .position(|waiter| waiter.number == number)
            && let Some(waiter) = self.waiters.remove(at)
        {
            // The asker may have stopped waiting.
            let _ = waiter.promise.keep(Vec::new());
        }
    }

    fn pop(&mut self, max: usize) -> Vec<Message> {
        std::iter::from_fn(|| self.backlog.pop())
            .take(max.max(1))
            .collect()
    }
}
