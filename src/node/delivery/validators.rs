//! Validators: who is asked about messages that the core holds, and until when each may take.
//!
//! Owns what waits before each of them. What a word leads to is decided by the core; knows neither clocks nor contexts.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use crate::mesh::{Acceptance, ProposalId};
use crate::node::messages::subscribe::SubscriptionId;
use crate::wire::{Message, NodeId};

/// Messages that are before a validator at once.
const MAX_WORKING: usize = 64;

/// A word that is not spoken yet; `None`: it will not be.
pub(crate) type Judging = Pin<Box<dyn Future<Output = Option<Acceptance>>>>;

/// Whoever can be asked about a message.
pub(crate) trait Asks: Send {
    /// Whether it is still there.
    fn is_connected(&self) -> bool;

    fn ask(&self, message: &Message) -> Judging;
}

/// One of them, and what waits for it.
pub(crate) struct Validator {
    asks: Box<dyn Asks>,
    deadline: Duration,
    /// By the neighbour they came from, whose turn is next first: one that floods does not keep the others waiting.
    waiting: VecDeque<(NodeId, VecDeque<(ProposalId, Message)>)>,
    working: usize,
    /// That its actor has stopped was told.
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
    /// What is not decided yet, by the time it has.
    undecided: BTreeSet<(Duration, ProposalId)>,
    until: BTreeMap<ProposalId, Duration>,
    /// For when a timer is set.
    pub(crate) timer: Option<Duration>,
}

impl Validators {
    pub(crate) fn add(&mut self, id: SubscriptionId, validator: Validator) {
        self.list.insert(id, validator);
    }

    pub(crate) fn remove(&mut self, id: SubscriptionId) -> bool {
        self.list.remove(&id).is_some()
    }

    /// A message waits for a validator's word; false if there will be none.
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

    /// The next that may be asked; [`answered`](Self::answered) is owed for each.
    pub(crate) fn next(&mut self) -> Option<(SubscriptionId, ProposalId, Judging)> {
        for (id, validator) in &mut self.list {
            while validator.working < MAX_WORKING
                && let Some((proposal, message)) = validator.pop()
            {
                // It may have become too late to ask.
                if self.until.contains_key(&proposal) {
                    validator.working += 1;
                    return Some((*id, proposal, validator.asks.ask(&message)));
                }
            }
        }
        None
    }

    /// A validator has answered, or never will. Whether the word still counts.
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

    /// Messages whose time is over.
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

    /// When the time of the next is over.
    pub(crate) fn next_deadline(&self) -> Option<Duration> {
        self.undecided.first().map(|(until, _)| *until)
    }

    /// Validators whose actors have stopped, each once, and how many messages waited for it.
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
        // What has waited too long is asked about no more.
        assert_eq!(validators.overdue(Duration::from_secs(1)).len(), 201);
        validators.answered(of, ProposalId(0));
        assert!(validators.next().is_none());
    }
}
