//! Validators: the actors that judge messages held by the core, and their deadlines.
//!
//! Owns the queue before each of them. The core applies the verdicts. Knows neither clocks nor contexts.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use crate::mesh::{Acceptance, ProposalId};
use crate::node::messages::subscribe::SubscriptionId;
use crate::wire::{Message, NodeId};

/// The most messages before a validator at once.
const MAX_WORKING: usize = 64;

/// A future verdict; `None`: the actor has stopped.
pub(crate) type Judging = Pin<Box<dyn Future<Output = Option<Acceptance>>>>;

/// A validator's actor.
pub(crate) trait Asks: Send {
    /// Returns whether the actor still runs.
    fn is_connected(&self) -> bool;

    fn ask(&self, message: &Message) -> Judging;
}

/// One validator, and its queue.
pub(crate) struct Validator {
    asks: Box<dyn Asks>,
    deadline: Duration,
    /// One queue per neighbour, served in turn, so that one that floods does not delay the others.
    waiting: VecDeque<(NodeId, VecDeque<(ProposalId, Message)>)>,
    working: usize,
    /// Whether it was reported that its actor has stopped.
    is_gone: bool,
}

impl Validator {
    fn push(&mut self, proposal: ProposalId, message: Message) {
        let from = message.from().clone();
        match self.waiting.iter_mut().find(|(it, _)| *it == from) {
            Some((_, line)) => line.push_back((proposal, message)),
            None => {
                let line = VecDeque::from([(proposal, message)]);
                self.waiting.push_back((from, line));
            }
        }
    }

    fn pop(&mut self) -> Option<(ProposalId, Message)> {
        let (from, mut line) = self.waiting.pop_front()?;
        let next = line.pop_front();
        if !line.is_empty() {
            self.waiting.push_back((from, line));
        }
        next
    }

    fn waiting(&self) -> usize {
        self.waiting.iter().map(|(_, line)| line.len()).sum()
    }

    pub(crate) fn new(asks: Box<dyn Asks>, deadline: Duration) -> Self {
        Self {
            asks,
            deadline,
            waiting: VecDeque::new(),
            working: 0,
            is_gone: false,
        }
    }
}

/// See the module.
#[derive(Default)]
pub(crate) struct Validators {
    list: BTreeMap<SubscriptionId, Validator>,
    /// Undecided messages, by deadline.
    undecided: BTreeSet<(Duration, ProposalId)>,
    until: BTreeMap<ProposalId, Duration>,
    /// The time of the timer that is set.
    pub(crate) timer: Option<Duration>,
}

impl Validators {
    pub(crate) fn add(&mut self, id: SubscriptionId, validator: Validator) {
        self.list.insert(id, validator);
    }

    pub(crate) fn remove(&mut self, id: SubscriptionId) -> bool {
        self.list.remove(&id).is_some()
    }

    /// Queues a message for a validator; false if the validator is gone.
    pub(crate) fn push(
        &mut self,
        of: SubscriptionId,
        proposal: ProposalId,
        message: Message,
        now: Duration,
    ) -> bool {
        let Some(validator) = self.list.get_mut(&of) else {
            return false;
        };
        if !validator.asks.is_connected() {
            return false;
        }
        validator.push(proposal, message);
        let until = now + validator.deadline;
        self.undecided.insert((until, proposal));
        self.until.insert(proposal, until);
        true
    }

    /// Asks about the next message. The caller must call [`answered`](Self::answered) for each.
    pub(crate) fn next(&mut self) -> Option<(SubscriptionId, ProposalId, Judging)> {
        for (id, validator) in &mut self.list {
            while validator.working < MAX_WORKING
                && let Some((proposal, message)) = validator.pop()
            {
                // Its deadline may have passed.
                if self.until.contains_key(&proposal) {
                    validator.working += 1;
                    return Some((*id, proposal, validator.asks.ask(&message)));
                }
            }
        }
        None
    }

    /// Records that a validator has answered or stopped; returns whether its verdict still counts.
    pub(crate) fn answered(&mut self, of: SubscriptionId, proposal: ProposalId) -> bool {
        if let Some(validator) = self.list.get_mut(&of) {
            validator.working -= 1;
        }
        self.decide(proposal)
    }

    fn decide(&mut self, proposal: ProposalId) -> bool {
        let until = self.until.remove(&proposal);
        until.is_some_and(|until| self.undecided.remove(&(until, proposal)))
    }

    /// Removes and returns the messages whose deadline has passed.
    pub(crate) fn overdue(&mut self, now: Duration) -> Vec<ProposalId> {
        let mut overdue = Vec::new();
        while let Some((until, proposal)) = self.undecided.first().copied()
            && until <= now
        {
            self.decide(proposal);
            overdue.push(proposal);
        }
        if !overdue.is_empty() {
            for validator in self.list.values_mut() {
                let until = &self.until;
                for (_, line) in &mut validator.waiting {
                    line.retain(|(proposal, _)| until.contains_key(proposal));
                }
                validator.waiting.retain(|(_, line)| !line.is_empty());
            }
        }
        overdue
    }

    /// Returns the next deadline.
    pub(crate) fn next_deadline(&self) -> Option<Duration> {
        self.undecided.first().map(|(until, _)| *until)
    }

    /// Returns validators whose actor has stopped, each once, with the number of messages it had not decided.
    pub(crate) fn gone(&mut self) -> Vec<(SubscriptionId, usize)> {
        let mut gone = Vec::new();
        for (id, validator) in &mut self.list {
            if !validator.is_gone && !validator.asks.is_connected() {
                validator.is_gone = true;
                gone.push((*id, validator.waiting() + validator.working));
            }
        }
        gone
    }
}

impl fmt::Debug for Validators {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Validators")
            .field("validators", &self.list.len())
            .field("undecided", &self.undecided.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Flag, MessageId};

    /// Never answers.
    struct Silent;

    impl Asks for Silent {
        fn is_connected(&self) -> bool {
            true
        }

        fn ask(&self, _: &Message) -> Judging {
            Box::pin(std::future::pending())
        }
    }

    fn message(from: &str) -> Message {
        let id = MessageId::parse("xyz").unwrap();
        let from = NodeId::parse(from).unwrap();
        Message::new(id, from.clone(), from, Flag::Broadcast, 0, ["price", "1"])
    }

    #[test]
    fn t35_who_floods_a_validator_does_not_keep_other_neighbours_waiting() {
        let of = SubscriptionId(1);
        let mut validators = Validators::default();
        validators.add(of, Validator::new(Box::new(Silent), Duration::from_secs(1)));
        let mut push = |number, from| {
            let (proposal, message) = (ProposalId(number), message(from));
            assert!(validators.push(of, proposal, message, Duration::ZERO));
        };
        (0..200).for_each(|number| push(number, "A"));
        push(200, "B");
        let asked: Vec<u64> = std::iter::from_fn(|| validators.next())
            .map(|(_, proposal, _)| proposal.0)
            .collect();
        assert_eq!(asked.len(), MAX_WORKING);
        assert_eq!(asked[..3], [0, 200, 1], "B has the second turn");
        // Overdue messages are no longer asked about.
        assert_eq!(validators.overdue(Duration::from_secs(1)).len(), 201);
        validators.answered(of, ProposalId(0));
        assert!(validators.next().is_none());
    }
}
