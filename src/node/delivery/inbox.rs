//! The node's own inbox, for users who pull.
//!
//! Owns the queue and those who wait for something in it.

use std::collections::VecDeque;

use crate::node::delivery::filter::CompiledFilter;
use crate::node::delivery::queue::Backlog;
use crate::node::messages::subscribe::{Filter, Overflow, Queue};
use crate::node::reply::{Promise, Reply};
use crate::wire::{Generation, Hold, Message};

/// The most its messages may take together.
const BYTES: usize = 1 << 20;

/// Who waits: its number, how many it wants, and where to.
#[derive(Debug)]
struct Waiter {
    number: u64,
    max: usize,
    promise: Promise<Vec<Message>>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Inbox {
    on: bool,
    compiled: CompiledFilter,
    backlog: Backlog<Message>,
    waiters: VecDeque<Waiter>,
    asked: u64,
}

impl Inbox {
    /// For that many messages; `None` turns it off.
    pub(crate) fn new(capacity: Option<usize>, generation: Generation) -> Self {
        let bounds = Queue {
            items: capacity.unwrap_or_default(),
            bytes: BYTES,
            overflow: Overflow::DropOldest,
        };
        Self {
            on: capacity.is_some(),
            compiled: CompiledFilter::new(Filter::new(), generation),
            backlog: Backlog::new(bounds),
            waiters: VecDeque::new(),
            asked: 0,
        }
    }

    pub(crate) fn is_on(&self) -> bool {
        self.on
    }

    /// Messages that somebody who has taken some before has not taken.
    pub(crate) fn left(&self) -> usize {
        if self.asked > 0 {
            self.backlog.len()
        } else {
            0
        }
    }

    /// Whether it keeps this one.
    pub(crate) fn wants(&self, message: &Message) -> bool {
        self.on && self.compiled.passes(message)
    }

    pub(crate) fn push(&mut self, message: &Message) {
        if self.wants(message) {
            self.backlog.push(message.clone(), &Hold::none());
        }
    }

    /// Takes what is there, or, if that is nothing and the asker waits, puts it in line: then its number.
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

    /// Serves those who wait, in order.
    pub(crate) fn serve(&mut self) {
        while !self.backlog.is_empty()
            && let Some(waiter) = self.waiters.pop_front()
        {
            if waiter.promise.is_forgotten() {
                continue;
            }
            let messages = self.pop(waiter.max);
            if let Err(back) = waiter.promise.keep(messages) {
                // It stopped waiting just now: nothing is lost.
                back.into_iter().rev().for_each(|message| {
                    let missed = message.missed();
                    self.backlog.unpop(message, missed);
                });
            }
        }
    }

    /// That one has waited long enough.
    pub(crate) fn give_up(&mut self, number: u64) {
        if let Some(at) = self
            .waiters
            .iter()
            .position(|waiter| waiter.number == number)
            && let Some(waiter) = self.waiters.remove(at)
        {
            // Whether it still wants the empty answer makes no difference.
            let _ = waiter.promise.keep(Vec::new());
        }
    }

    fn pop(&mut self, max: usize) -> Vec<Message> {
        std::iter::from_fn(|| self.backlog.pop())
            .take(max.max(1))
            .collect()
    }
}
