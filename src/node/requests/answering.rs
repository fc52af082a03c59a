//! Requests of other nodes, and the answerers.
//!
//! Owns the answerers, a bounded queue of requests per topic, and the number being answered at once. Knows neither
//! contexts nor values: the Router awaits the answers.

use std::any::Any;
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use super::envelope::{Envelope, Role};
use crate::node::messages::subscribe::SubscriptionId;
use crate::wire::{Message, NodeId, Packet};

/// Requests of a topic answered at once.
const MAX_WORKING: usize = 64;
/// The maximum number of queued requests of a topic, and of their bytes.
const MAX_WAITING: (usize, usize) = (1024, 4 << 20);
/// One neighbour may use this part of both: a quarter.
const NEIGHBOURS_SHARE: usize = 4;

/// An encoded value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Value {
    pub(crate) kind: Packet,
    pub(crate) value: Packet,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NoAnswer {
    /// The answerer declined the request.
    NotForMe,
    /// The answerer has stopped.
    Gone,
    /// The request cannot be decoded.
    Unreadable(String),
    /// The answer cannot be encoded.
    Unwritable(String),
}

/// A future answer.
pub(crate) type Answering = Pin<Box<dyn Future<Output = Result<Value, NoAnswer>>>>;

/// An actor that answers requests.
pub(crate) trait Answerer: Send {
    /// Returns whether the actor still runs.
    fn is_connected(&self) -> bool;

    /// Sends it a request.
    fn ask(&self, question: &Message) -> Answering;

    /// Returns its `Recipient`, for callers that know the type.
    fn recipient(&self) -> Box<dyn Any + Send>;
}

/// One kind of request that an answerer takes.
pub(crate) struct Registration {
    pub(crate) kind: Packet,
    /// The actor name in the request; empty: requests that name no actor.
    pub(crate) name: String,
    pub(crate) answerer: Box<dyn Answerer>,
}

/// One registration: which answerer takes which requests.
pub(crate) struct AddAnswerer {
    pub(crate) roles: Vec<Registration>,
    /// The deadline for an answer.
    pub(crate) within: Duration,
}

/// Looks up a name on this node: returns this node's id, and the `Recipient` behind the name.
#[derive(Debug, actix::Message)]
#[rtype(result = "(NodeId, Option<Box<dyn Any + Send>>)")]
pub(crate) struct Local {
    pub(crate) kind: Packet,
    pub(crate) name: String,
}

/// The kind of a request, and the actor it names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Topic {
    kind: Packet,
    name: String,
}

struct Registered {
    id: SubscriptionId,
    answerer: Box<dyn Answerer>,
    within: Duration,
}

/// The answerers and requests of one topic.
#[derive(Default)]
struct AnswererState {
    answerers: Vec<Registered>,
    waiting: VecDeque<Message>,
    bytes: usize,
    /// Queued requests and their bytes, by the neighbour they came from.
    shares: HashMap<NodeId, (usize, usize)>,
    working: usize,
}

impl AnswererState {
    fn push(&mut self, message: &Message) -> bool {
        let cost = message.memory();
        let (requests, bytes) = self.shares.get(message.from()).copied().unwrap_or_default();
        // A single request may be larger than any share of the bytes.
        let full = self.waiting.len() >= MAX_WAITING.0
            || (self.bytes + cost > MAX_WAITING.1 && !self.waiting.is_empty())
            || requests >= MAX_WAITING.0 / NEIGHBOURS_SHARE
            || (bytes + cost > MAX_WAITING.1 / NEIGHBOURS_SHARE && requests > 0);
        if full {
            return false;
        }
        self.bytes += cost;
        let share = (requests + 1, bytes + cost);
        self.shares.insert(message.from().clone(), share);
        self.waiting.push_back(message.clone());
        true
    }

    fn next(&mut self) -> Option<Message> {
        if self.working >= MAX_WORKING {
            return None;
        }
        let message = self.waiting.pop_front()?;
        let cost = message.memory();
        self.bytes -= cost;
        if let Some((requests, bytes)) = self.shares.get_mut(message.from()) {
            *requests -= 1;
            *bytes -= cost;
            if *requests == 0 {
                self.shares.remove(message.from());
            }
        }
        self.working += 1;
        Some(message)
    }
}

/// Whether a request was queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    Queued,
    /// The queue is full.
    Full,
    /// No answerer here takes it.
    Nobody,
}

/// A request to put to an answerer.
pub(crate) struct Question {
    pub(crate) topic: Topic,
    pub(crate) message: Message,
    /// The last answerer that was asked and did not answer.
    pub(crate) after: Option<SubscriptionId>,
}

/// See the module.
#[derive(Default)]
pub(crate) struct Answerers {
    topics: HashMap<Topic, AnswererState>,
}

impl Answerers {
    pub(crate) fn add(&mut self, id: SubscriptionId, add: AddAnswerer) {
        let AddAnswerer { roles, within } = add;
        for role in roles {
            let topic = Topic {
                kind: role.kind,
                name: role.name,
            };
            let state = self.topics.entry(topic).or_default();
            state.answerers.push(Registered {
                id,
                answerer: role.answerer,
                within,
            });
        }
    }

    /// Returns the recipient behind a name.
    pub(crate) fn local(&self, local: Local) -> Option<Box<dyn Any + Send>> {
        let Local { kind, name } = local;
        let state = self.topics.get(&Topic { kind, name })?;
        let there = state
            .answerers
            .iter()
            .find(|it| it.answerer.is_connected())?;
        Some(there.answerer.recipient())
    }

    pub(crate) fn remove(&mut self, id: SubscriptionId) -> bool {
        let mut found = false;
        for state in self.topics.values_mut() {
            let before = state.answerers.len();
            state.answerers.retain(|registered| registered.id != id);
            found |= state.answerers.len() < before;
        }
        self.sweep();
        found
    }

    /// Removes stopped answerers, and topics that are no longer used.
    pub(crate) fn sweep(&mut self) {
        self.topics.retain(|_, state| {
            state.answerers.retain(|it| it.answerer.is_connected());
            !state.answerers.is_empty() || state.working > 0 || !state.waiting.is_empty()
        });
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.topics.is_empty()
    }

    /// Returns the number of requests queued or being answered.
    pub(crate) fn waiting(&self) -> usize {
        let of = |state: &AnswererState| state.waiting.len() + state.working;
        self.topics.values().map(of).sum()
    }

    /// Queues a request.
    pub(crate) fn push(&mut self, message: &Message, envelope: &Envelope<'_>) -> Taken {
        let Role::Ask { name, .. } = envelope.role else {
            return Taken::Nobody;
        };
        if self.topics.is_empty() {
            return Taken::Nobody;
        }
        let topic = Topic {
            kind: envelope.kind.clone(),
            name: name.to_owned(),
        };
        match self.topics.get_mut(&topic) {
            Some(state) if state.answerers.iter().any(|it| it.answerer.is_connected()) => {
                match state.push(message) {
                    true => Taken::Queued,
                    false => Taken::Full,
                }
            }
            _ => Taken::Nobody,
        }
    }

    /// Returns the next request to ask about. The caller must call [`done`](Self::done) for each.
    pub(crate) fn next(&mut self) -> Option<Question> {
        let mut next = None;
        for (topic, state) in &mut self.topics {
            if let Some(message) = state.next() {
                next = Some((topic.clone(), message));
                break;
            }
        }
        next.map(|(topic, message)| Question {
            topic,
            message,
            after: None,
        })
    }

    /// Asks the next answerer; returns its id, its deadline and the future answer.
    pub(crate) fn ask(
        &mut self,
        question: &Question,
    ) -> Option<(SubscriptionId, Duration, Answering)> {
        let state = self.topics.get(&question.topic)?;
        let next = state.answerers.iter().find(|it| {
            it.answerer.is_connected() && question.after.is_none_or(|after| it.id > after)
        })?;
        let answering = next.answerer.ask(&question.message);
        Some((next.id, next.within, answering))
    }

    /// Ends the handling of a request.
    pub(crate) fn done(&mut self, topic: &Topic) {
        if let Some(state) = self.topics.get_mut(topic) {
            state.working -= 1;
        }
    }
}

impl fmt::Debug for Answerers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answerers")
            .field("topics", &self.topics.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Flag, MessageId};

    /// Runs, and declines every request.
    struct Silent;

    impl Answerer for Silent {
        fn is_connected(&self) -> bool {
            true
        }

        fn ask(&self, _: &Message) -> Answering {
            Box::pin(std::future::ready(Err(NoAnswer::NotForMe)))
        }

        fn recipient(&self) -> Box<dyn Any + Send> {
            Box::new(())
        }
    }

    fn question(from: &str, name: &str) -> Message {
        let id = MessageId::parse("xyz").unwrap();
        let from = NodeId::parse(from).unwrap();
        let tag = format!("ask:q{name}");
        Message::new(id, from.clone(), from, Flag::Whisper, 0, ["k", "v", &tag])
    }

    fn topics(names: &[&str]) -> Answerers {
        let mut topics = Answerers::default();
        for (id, name) in (0..).zip(names) {
            let role = Registration {
                kind: Packet::from("k"),
                name: String::from(*name),
                answerer: Box::new(Silent),
            };
            let add = AddAnswerer {
                roles: vec![role],
                within: Duration::from_secs(1),
            };
            topics.add(SubscriptionId(id), add);
        }
        topics
    }

    fn push(topics: &mut Answerers, from: &str, name: &str) -> Taken {
        let message = question(from, name);
        topics.push(&message, &Envelope::read(&message).unwrap())
    }

    #[test]
    fn a_question_finds_its_kind_and_name_or_nobody() {
        let mut topics = topics(&["", "billing"]);
        assert_eq!(push(&mut topics, "A", ""), Taken::Queued);
        assert_eq!(push(&mut topics, "A", ":billing"), Taken::Queued);
        assert_eq!(push(&mut topics, "A", ":other"), Taken::Nobody);
        assert_eq!(topics.waiting(), 2);
        assert!(topics.remove(SubscriptionId(0)));
        assert!(!topics.remove(SubscriptionId(0)));
        assert_eq!(push(&mut topics, "A", ""), Taken::Nobody);
    }

    #[test]
    fn one_neighbour_cannot_fill_the_queue() {
        let mut topics = topics(&[""]);
        let flood = (0..5000).filter(|_| push(&mut topics, "A", "") == Taken::Queued);
        assert_eq!(flood.count(), MAX_WAITING.0 / NEIGHBOURS_SHARE);
        assert_eq!(push(&mut topics, "A", ""), Taken::Full);
        assert_eq!(push(&mut topics, "B", ""), Taken::Queued);
    }

    #[test]
    fn one_neighbour_cannot_fill_the_queue_with_a_few_large_questions() {
        let mut topics = topics(&[""]);
        let mut push_large = |from: &str| {
            let mut message = question(from, "");
            let tag = message.packets().last().unwrap().clone();
            let large = "x".repeat(MAX_WAITING.1 / NEIGHBOURS_SHARE / 3);
            let packets = [Packet::from("k"), Packet::from(large), tag];
            let author = message.sender().clone();
            message = Message::new(
                message.id().clone(),
                author.clone(),
                author,
                Flag::Whisper,
                0,
                packets,
            );
            let envelope = Envelope::read(&message).unwrap();
            topics.push(&message, &envelope)
        };
        let taken = (0..50).filter(|_| push_large("A") == Taken::Queued).count();
        assert_eq!(taken, 2);
        assert_eq!(push_large("B"), Taken::Queued);
    }

    #[test]
    fn so_many_are_answered_at_once_and_a_place_comes_free() {
        let mut topics = topics(&[""]);
        for _ in 0..100 {
            push(&mut topics, "A", "");
        }
        let partial: Vec<_> = std::iter::from_fn(|| topics.next()).collect();
        assert_eq!(partial.len(), MAX_WORKING);
        topics.done(&partial[0].topic);
        assert!(topics.next().is_some() && topics.next().is_none());
    }

    #[test]
    fn who_answers_not_is_followed_by_the_next() {
        let mut topics = topics(&["", ""]);
        push(&mut topics, "A", "");
        let mut question = topics.next().unwrap();
        for id in [0, 1] {
            let (asked, _, _) = topics.ask(&question).unwrap();
            assert_eq!(asked, SubscriptionId(id));
            question.after = Some(asked);
        }
        assert!(topics.ask(&question).is_none());
    }
}
