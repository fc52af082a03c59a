//! Our own questions that wait for answers.
//!
//! Owns the table and its bound. Only our own users make it grow: a peer can answer what was asked, once for each
//! question, and nothing else.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::envelope::{Decline, Envelope, Role};
use crate::wire::{Message, NodeId};

/// Questions that may wait.
pub(crate) const MAX_PENDING: usize = 4096;
/// Questions whose time is over that are remembered, to tell a late answer from an invented one.
const MAX_OVERDUE: usize = 1024;

/// What came for a question.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// An answer.
    Reply(Message),
    /// Whoever was asked does not answer.
    Declined(NodeId, Decline),
}

/// Whether a question goes on waiting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wants {
    /// It takes further answers.
    More,
    /// It takes further answers; this one it could not read.
    Unreadable(String),
    /// It has what it wanted.
    Nothing,
}

/// Takes what came for a question.
pub(crate) type Take = Box<dyn FnMut(Outcome) -> Wants + Send>;

/// Wait for the answers to a question. Answers at once: `Err` with how many wait, if that are too many.
#[derive(actix::Message)]
#[rtype(result = "Result<(), usize>")]
pub(crate) struct Expect {
    /// What it is known by.
    pub(crate) id: String,
    /// Who was asked; anybody, if `None`.
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

/// Wait for a question no longer.
#[derive(Debug, actix::Message)]
#[rtype(result = "()")]
pub(crate) struct Forget {
    pub(crate) id: String,
    /// Whether its time was over, so that an answer is late.
    pub(crate) overdue: bool,
}

/// What became of questions and answers, counted since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RequestStats {
    /// Questions of this node's users that wait for an answer now.
    pub pending: usize,
    /// Questions of others that wait for their answerer, or are being answered, now.
    pub answering: usize,
    /// Questions of others that were answered.
    pub answered: u64,
    /// Questions of others that nobody here answers.
    pub declined: u64,
    /// Questions of others that found too many waiting.
    pub turned_away: u64,
    /// Answers that came after their question's time.
    pub late: u64,
    /// Answers that nobody waits for: not asked for, from another than was asked, or after the first was taken.
    pub stray: u64,
    /// Values that could not be read as what their kind says.
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

/// What an answer was.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Arrived {
    Taken,
    Unreadable(String),
    Late,
    Stray,
}

impl PendingTable {
    /// `now`: on the node's own clock.
    pub(crate) fn expect(&mut self, expect: Expect, now: Duration) -> Result<(), usize> {
        if self.table.len() >= MAX_PENDING {
            return Err(self.table.len());
        }
        let Expect { id, from, take } = expect;
        let since = now;
        self.table.insert(id, Pending { from, take, since });
        Ok(())
    }

    /// Since when an answer to this question is awaited.
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

    /// Nobody will be answered any more.
    pub(crate) fn clear(&mut self) {
        self.table.clear();
    }

    /// An answer, or the word that there is none.
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
            // That one of many does not answer says nothing.
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
