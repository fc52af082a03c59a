//! This node's pending requests.
//!
//! Owns the table and its bound. Only this node's users make it grow: a peer can only answer a pending request, once.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::envelope::{Decline, Envelope, Role};
use crate::wire::{Message, NodeId};

/// The maximum number of pending requests.
pub(crate) const MAX_PENDING: usize = 4096;
/// Timed-out requests that are remembered, to tell a late answer from an unsolicited one.
const MAX_OVERDUE: usize = 1024;

/// The outcome of a request at one peer.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// An answer.
    Reply(Message),
    /// The peer declined.
    Declined(NodeId, Decline),
}

/// Whether a request stays pending after an outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wants {
    /// It takes further answers.
    More,
    /// It takes further answers; this one could not be decoded.
    Unreadable(String),
    /// It is complete.
    Nothing,
}

/// Takes an outcome of a request.
pub(crate) type Take = Box<dyn FnMut(Outcome) -> Wants + Send>;

/// Registers a pending request. Answers at once: `Err` with the number pending if the table is full.
#[derive(actix::Message)]
#[rtype(result = "Result<(), usize>")]
pub(crate) struct Expect {
    /// The correlation id.
    pub(crate) id: String,
    /// The node that was asked; anyone may answer if `None`.
    pub(crate) from: Option<NodeId>,
    pub(crate) take: Take,
}

impl fmt::Debug for Expect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Expect")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// Removes a pending request.
#[derive(Debug, actix::Message)]
#[rtype(result = "()")]
pub(crate) struct Forget {
    pub(crate) id: String,
    /// Whether it timed out, so that a later answer counts as late.
    pub(crate) overdue: bool,
}

/// Counters of requests and answers since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RequestStats {
    /// This node's requests that are pending now.
    pub pending: usize,
    /// Requests of others that are queued or being answered now.
    pub answering: usize,
    /// Requests of others that were answered.
    pub answered: u64,
    /// Requests of others that no answerer here took.
    pub declined: u64,
    /// Requests of others refused because the queue was full.
    pub turned_away: u64,
    /// Answers that arrived after the request's deadline.
    pub late: u64,
    /// Answers to no pending request: unsolicited, from another node than was asked, or after the first was taken.
    pub stray: u64,
    /// Values that could not be decoded as their kind.
    pub unreadable: u64,
}

struct Pending {
    from: Option<NodeId>,
    take: Take,
    since: Duration,
}

/// See the module.
#[derive(Default)]
pub(crate) struct PendingTable {
    table: HashMap<String, Pending>,
    overdue: VecDeque<String>,
}

/// How an answer was classified.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Arrived {
    Taken,
    Unreadable(String),
    Late,
    Stray,
}

impl PendingTable {
    /// Adds a pending request. `now`: on the node's own clock.
    pub(crate) fn expect(&mut self, expect: Expect, now: Duration) -> Result<(), usize> {
        if self.table.len() >= MAX_PENDING {
            return Err(self.table.len());
        }
        let Expect { id, from, take } = expect;
        let since = now;
        self.table.insert(id, Pending { from, take, since });
        Ok(())
    }

    /// Returns when this request was registered.
    pub(crate) fn since(&self, id: &str) -> Option<Duration> {
        self.table.get(id).map(|pending| pending.since)
    }

    pub(crate) fn forget(&mut self, forget: Forget) {
        if self.table.remove(&forget.id).is_some() && forget.overdue {
            if self.overdue.len() == MAX_OVERDUE {
                self.overdue.pop_front();
            }
            self.overdue.push_back(forget.id);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    /// Drops all pending requests unanswered.
    pub(crate) fn clear(&mut self) {
        self.table.clear();
    }

    /// Handles an answer or a decline.
    pub(crate) fn on_answer(&mut self, message: &Message, envelope: &Envelope<'_>) -> Arrived {
        let (id, declined) = match envelope.role {
            Role::Reply(id) => (id, None),
            Role::Declined(id, why) => (id, Some(why)),
            Role::Value | Role::Ask { .. } => return Arrived::Stray,
        };
        let Some(pending) = self.table.get_mut(id) else {
            let late = self.overdue.iter().any(|overdue| overdue == id);
            return if late { Arrived::Late } else { Arrived::Stray };
        };
        let asked = pending.from.as_ref();
        if asked.is_some_and(|asked| asked != message.sender()) {
            return Arrived::Stray;
        }
        let outcome = match declined {
            // One decline out of many means nothing.
            Some(_) if asked.is_none() => return Arrived::Taken,
            Some(why) => Outcome::Declined(message.sender().clone(), why),
            None => Outcome::Reply(message.clone()),
        };
        match (pending.take)(outcome) {
            Wants::More => {}
            Wants::Unreadable(why) => return Arrived::Unreadable(why),
            Wants::Nothing => drop(self.table.remove(id)),
        }
        Arrived::Taken
    }
}

impl fmt::Debug for PendingTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PendingTable")
            .field("pending", &self.table.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::wire::{Flag, MessageId, Packets};

    fn node(text: &str) -> NodeId {
        NodeId::parse(text).unwrap()
    }

    fn message(sender: &str, packets: impl Into<Packets>) -> Message {
        let id = MessageId::parse("xyz").unwrap();
        Message::new(id, node(sender), node(sender), Flag::Whisper, 0, packets)
    }

    fn answer(table: &mut PendingTable, sender: &str, tag: &str) -> Arrived {
        let message = message(sender, ["k", "v", tag]);
        table.on_answer(&message, &Envelope::read(&message).unwrap())
    }

    fn expect(id: &str, from: Option<&str>, wants: Wants) -> (Expect, Arc<Mutex<Vec<String>>>) {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let hears = Arc::clone(&heard);
        let take: Take = Box::new(move |outcome| {
            hears.lock().unwrap().push(match outcome {
                Outcome::Reply(message) => message.sender().to_string(),
                Outcome::Declined(_, why) => format!("{why:?}"),
            });
            wants.clone()
        });
        let id = String::from(id);
        let from = from.map(node);
        (Expect { id, from, take }, heard)
    }

    #[test]
    fn only_who_was_asked_can_answer_and_only_once() {
        let mut table = PendingTable::default();
        let (question, heard) = expect("q", Some("A"), Wants::Nothing);
        table.expect(question, Duration::ZERO).unwrap();
        assert_eq!(answer(&mut table, "B", "reply:q"), Arrived::Stray);
        assert_eq!(answer(&mut table, "A", "reply:other"), Arrived::Stray);
        assert_eq!(answer(&mut table, "A", "reply:q"), Arrived::Taken);
        assert_eq!(answer(&mut table, "A", "reply:q"), Arrived::Stray);
        assert_eq!(*heard.lock().unwrap(), ["A"]);
    }

    #[test]
    fn a_refusal_ends_a_question_to_one_and_not_one_to_all() {
        let mut table = PendingTable::default();
        let (one, told) = expect("one", Some("A"), Wants::Nothing);
        let (all, heard) = expect("all", None, Wants::More);
        table.expect(one, Duration::ZERO).unwrap();
        table.expect(all, Duration::ZERO).unwrap();
        assert_eq!(answer(&mut table, "A", "none:one"), Arrived::Taken);
        assert_eq!(answer(&mut table, "A", "none:all"), Arrived::Taken);
        assert_eq!(answer(&mut table, "B", "reply:all"), Arrived::Taken);
        assert_eq!(answer(&mut table, "C", "reply:all"), Arrived::Taken);
        assert_eq!(*told.lock().unwrap(), ["None"]);
        assert_eq!(*heard.lock().unwrap(), ["B", "C"]);
        assert_eq!(table.len(), 1);
    }

    #[test]
    fn an_answer_after_its_time_is_late_and_one_to_what_was_dropped_is_not() {
        let mut table = PendingTable::default();
        for (id, overdue) in [("late", true), ("dropped", false)] {
            table
                .expect(expect(id, None, Wants::Nothing).0, Duration::ZERO)
                .unwrap();
            let id = String::from(id);
            table.forget(Forget { id, overdue });
        }
        assert_eq!(answer(&mut table, "A", "reply:late"), Arrived::Late);
        assert_eq!(answer(&mut table, "A", "reply:dropped"), Arrived::Stray);
    }

    #[test]
    fn the_table_is_bounded_and_so_is_what_is_remembered_of_it() {
        let mut table = PendingTable::default();
        for n in 0..MAX_PENDING {
            let (question, _) = expect(&n.to_string(), None, Wants::Nothing);
            table.expect(question, Duration::ZERO).unwrap();
        }
        let (one_more, _) = expect("x", None, Wants::Nothing);
        assert_eq!(table.expect(one_more, Duration::ZERO), Err(MAX_PENDING));
        for n in 0..MAX_PENDING {
            let id = n.to_string();
            table.forget(Forget { id, overdue: true });
        }
        assert_eq!((table.len(), table.overdue.len()), (0, MAX_OVERDUE));
    }
}
