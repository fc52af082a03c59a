//! A bounded queue in front of a receiver, and its exact count of what did not fit.
//!
//! Owns order, bounds and gaps. Knows no actor.

use std::collections::VecDeque;
use std::mem;

use crate::mesh::Event;
use crate::node::messages::subscribe::{Overflow, Queue};
use crate::wire::{Hold, Message};

/// An item of a [`Backlog`].
pub(crate) trait Item {
    /// Returns its approximate size in bytes.
    fn cost(&self) -> usize;
    /// Returns the item, marked as following a gap of `missed` items.
    fn after_gap(self, missed: u64) -> Self;
    /// Returns whether it reports a loss, and so must not be lost itself.
    fn is_kept(&self) -> bool {
        false
    }
    /// Merges a later item of this sort into this one; returns false if they are about different things.
    fn add(&mut self, _later: &Self) -> bool {
        false
    }
}

impl Item for Message {
    fn cost(&self) -> usize {
        self.memory()
    }

    fn after_gap(self, missed: u64) -> Self {
        self.with_missed(missed)
    }
}

impl Item for Event {
    fn cost(&self) -> usize {
        256
    }

    fn after_gap(self, _: u64) -> Self {
        self
    }

    fn is_kept(&self) -> bool {
        matches!(self, Event::Lagged { .. })
    }

    fn add(&mut self, later: &Self) -> bool {
        match (self, later) {
            (
                Event::Lagged {
                    subscription,
                    missed,
                    detached,
                },
                Event::Lagged {
                    subscription: other,
                    missed: more,
                    detached: ended,
                },
            ) if subscription == other => {
                *missed += more;
                *detached |= ended;
                true
            }
            _ => false,
        }
    }
}

#[derive(Debug)]
struct Waiting<T> {
    item: T,
    cost: usize,
    /// The number dropped between the previous item and this one.
    missed: u64,
    /// Under [`Overflow::Pause`]: a hold on the budget of the connection it came from.
    hold: Hold,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Backlog<T> {
    queue: VecDeque<Waiting<T>>,
    bytes: usize,
    bounds: Queue,
    /// The number dropped since the last item that was queued.
    gap: u64,
    /// The number dropped since the last [`take_missed`](Self::take_missed).
    unreported: u64,
    full: bool,
}

impl<T: Item> Backlog<T> {
    pub(crate) fn new(bounds: Queue) -> Self {
        Self {
            queue: VecDeque::new(),
            bytes: 0,
            bounds,
            gap: 0,
            unreported: 0,
            full: false,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.queue.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Returns whether it overflowed under [`Overflow::Detach`]; then it takes no more items.
    pub(crate) fn is_detached(&self) -> bool {
        self.full
    }

    /// Returns the number dropped since the last call.
    pub(crate) fn take_missed(&mut self) -> u64 {
        mem::take(&mut self.unreported)
    }

    pub(crate) fn push(&mut self, item: T, hold: &Hold) {
        if self.full {
            return;
        }
        let cost = item.cost();
        if item.is_kept() {
            // At most one per subscription, so their number is bounded.
            if self.queue.iter_mut().any(|waiting| waiting.item.add(&item)) {
                return;
            }
        } else if !self.fits(cost) {
            match self.bounds.overflow {
                Overflow::DropOldest => self.make_room(cost),
                Overflow::DropNewest => return self.miss(1),
                Overflow::Detach => {
                    self.full = true;
                    return self.miss(1);
                }
                Overflow::Pause => {}
            }
        }
        let hold = match self.bounds.overflow {
            Overflow::Pause => self.place(hold),
            _ => Hold::none(),
        };
        self.bytes += cost;
        self.queue.push_back(Waiting {
            item,
            cost,
            missed: mem::take(&mut self.gap),
            hold,
        });
    }

    /// Returns a hold on the budget. Of items that share one, only the last keeps it: those before it leave earlier.
    fn place(&mut self, hold: &Hold) -> Hold {
        match self.queue.back_mut() {
            Some(last) if last.hold.is(hold) => mem::take(&mut last.hold),
            _ => hold.clone(),
        }
    }

    pub(crate) fn pop(&mut self) -> Option<T> {
        self.pop_costly().map(|(item, _)| item)
    }

    /// Takes the first item, with its cost.
    pub(crate) fn pop_costly(&mut self) -> Option<(T, usize)> {
        let first = self.queue.pop_front()?;
        self.bytes -= first.cost;
        let item = if first.missed > 0 {
            first.item.after_gap(first.missed)
        } else {
            first.item
        };
        Some((item, first.cost))
    }

    /// Puts back the item that was popped last, because its receiver has gone.
    pub(crate) fn unpop(&mut self, item: T, missed: u64) {
        let cost = item.cost();
        self.bytes += cost;
        self.queue.push_front(Waiting {
            item,
            cost,
            missed,
            hold: Hold::none(),
        });
    }

    fn fits(&self, cost: usize) -> bool {
        self.is_empty()
            || (self.len() < self.bounds.items && self.bytes + cost <= self.bounds.bytes)
    }

    fn make_room(&mut self, cost: usize) {
        while !self.fits(cost) {
            let oldest = self.queue.iter().position(|it| !it.item.is_kept());
            let Some((at, oldest)) = oldest.and_then(|at| Some((at, self.queue.remove(at)?)))
            else {
                return;
            };
            self.bytes -= oldest.cost;
            self.unreported += 1;
            // The item that is now first reports the gap.
            let missed = oldest.missed + 1;
            match self.queue.get_mut(at) {
                Some(next) => next.missed += missed,
                None => self.gap += missed,
            }
        }
    }

    fn miss(&mut self, count: u64) {
        self.gap += count;
        self.unreported += count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq)]
    struct Numbered(u32, u64);

    impl Item for Numbered {
        fn cost(&self) -> usize {
            10
        }

        fn after_gap(self, missed: u64) -> Self {
            Numbered(self.0, missed)
        }
    }

    fn backlog(overflow: Overflow) -> Backlog<Numbered> {
        Backlog::new(Queue {
            items: 3,
            bytes: 1000,
            overflow,
        })
    }

    fn fill(backlog: &mut Backlog<Numbered>, numbers: std::ops::Range<u32>) {
        numbers.for_each(|n| backlog.push(Numbered(n, 0), &Hold::none()));
    }

    fn drain(backlog: &mut Backlog<Numbered>) -> Vec<(u32, u64)> {
        std::iter::from_fn(|| backlog.pop())
            .map(|Numbered(n, missed)| (n, missed))
            .collect()
    }

    #[test]
    fn the_oldest_make_room_and_the_next_tells_the_gap() {
        let mut backlog = backlog(Overflow::DropOldest);
        fill(&mut backlog, 0..8);
        assert_eq!(drain(&mut backlog), [(5, 5), (6, 0), (7, 0)]);
        assert_eq!(backlog.take_missed(), 5);
        assert_eq!(backlog.take_missed(), 0);
    }

    #[test]
    fn the_newest_are_dropped_and_the_next_let_in_tells_the_gap() {
        let mut backlog = backlog(Overflow::DropNewest);
        fill(&mut backlog, 0..5);
        assert_eq!(drain(&mut backlog), [(0, 0), (1, 0), (2, 0)]);
        fill(&mut backlog, 5..6);
        assert_eq!(drain(&mut backlog), [(5, 2)]);
    }

    #[test]
    fn what_tells_of_a_loss_is_not_lost() {
        for overflow in [Overflow::DropOldest, Overflow::DropNewest] {
            let mut backlog = Backlog::new(Queue {
                items: 3,
                bytes: 10_000,
                overflow,
            });
            let lagged = |subscription, missed| Event::Lagged {
                subscription,
                missed,
                detached: false,
            };
            for n in 0..100 {
                backlog.push(lagged(1 + n % 2, 10), &Hold::none());
                let reason = n.to_string();
                backlog.push(Event::NotSent { reason }, &Hold::none());
            }
            let told: Vec<Event> = std::iter::from_fn(|| backlog.pop()).collect();
            assert!(told.contains(&lagged(1, 500)) && told.contains(&lagged(2, 500)));
            assert_eq!(told.len() as u64 + backlog.take_missed(), 102);
        }
    }

    #[test]
    fn a_detached_one_gives_what_it_has_and_takes_nothing_more() {
        let mut backlog = backlog(Overflow::Detach);
        fill(&mut backlog, 0..5);
        assert!(backlog.is_detached());
        assert_eq!(drain(&mut backlog), [(0, 0), (1, 0), (2, 0)]);
        fill(&mut backlog, 5..6);
        assert_eq!(drain(&mut backlog), []);
        assert_eq!(backlog.take_missed(), 1);
    }

    #[test]
    fn a_paused_one_loses_nothing_and_holds_on_to_the_budget() {
        let held = std::sync::Arc::new(());
        let hold = Hold::new(std::sync::Arc::clone(&held));
        let mut backlog = backlog(Overflow::Pause);
        (0..9).for_each(|n| backlog.push(Numbered(n, 0), &hold));
        drop(hold);
        assert_eq!(std::sync::Arc::strong_count(&held), 2);
        assert_eq!(drain(&mut backlog).len(), 9);
        assert_eq!(std::sync::Arc::strong_count(&held), 1);
    }

    #[test]
    fn bytes_count_as_well_but_one_is_always_let_in() {
        let mut backlog = Backlog::new(Queue {
            items: 100,
            bytes: 15,
            overflow: Overflow::DropOldest,
        });
        fill(&mut backlog, 0..2);
        assert_eq!(drain(&mut backlog), [(1, 1)]);
    }
}
