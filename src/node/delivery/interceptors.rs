//! Interceptors: actors that are offered a message before anyone else receives it.
//!
//! Owns the queue of messages that wait for a decision, in order, each charged to the inbound budget of its connection;
//! and which interceptor is next. Knows neither clocks nor contexts: the Router asks.

use std::collections::{BTreeMap, VecDeque};
use std::mem;
use std::time::Duration;

use actix::Recipient;

use crate::mesh::Event;
use crate::node::delivery::filter::CompiledFilter;
use crate::node::messages::subscribe::{Offer, SubscriptionId, Verdict};
use crate::wire::{Hold, Message};

struct Interceptor {
    recipient: Recipient<Offer>,
    compiled: CompiledFilter,
    deadline: Duration,
    /// Whether it missed a deadline and has not answered since.
    late: bool,
    /// Messages not offered to it because it was late, since the last report.
    missed: u64,
}

/// A message on its way past the interceptors.
struct Passing {
    message: Message,
    hold: Hold,
    /// The last interceptor that let it pass.
    after: Option<SubscriptionId>,
}

/// Which interceptor to ask, about what, and for how long.
pub(crate) struct Question {
    pub(crate) of: SubscriptionId,
    pub(crate) recipient: Recipient<Offer>,
    pub(crate) offer: Offer,
    pub(crate) deadline: Duration,
}

/// The next step.
pub(crate) enum Step {
    Ask(Question),
    /// All interceptors let it pass.
    Deliver(Message, Hold),
    /// A decision is awaited, or the queue is empty.
    Rest,
}

/// See the module.
#[derive(Default)]
pub(crate) struct Interception {
    interceptors: BTreeMap<SubscriptionId, Interceptor>,
    line: VecDeque<Passing>,
    /// The interceptor whose decision about the first message is awaited.
    asked: Option<SubscriptionId>,
}

impl Interception {
    pub(crate) fn add(
        &mut self,
        id: SubscriptionId,
        recipient: Recipient<Offer>,
        compiled: CompiledFilter,
        deadline: Duration,
    ) {
        let interceptor = Interceptor {
            recipient,
            compiled,
            deadline,
            late: false,
            missed: 0,
        };
        self.interceptors.insert(id, interceptor);
    }

    pub(crate) fn remove(&mut self, id: SubscriptionId) -> bool {
        self.interceptors.remove(&id).is_some()
    }

    /// Returns whether there is no interceptor and no queued message, so that messages can bypass this queue.
    pub(crate) fn is_idle(&self) -> bool {
        self.interceptors.is_empty() && self.line.is_empty()
    }

    /// Returns the number of queued messages.
    pub(crate) fn waiting(&self) -> usize {
        self.line.len()
    }

    pub(crate) fn push(&mut self, message: Message, hold: Hold) {
        self.line.push_back(Passing {
            message,
            hold,
            after: None,
        });
    }

    /// Returns what to do about the first message. Call it until it returns [`Step::Rest`].
    pub(crate) fn step(&mut self) -> Step {
        if self.asked.is_some() {
            return Step::Rest;
        }
        let Some(mut passing) = self.line.pop_front() else {
            return Step::Rest;
        };
        let next = self.next(&passing);
        let Some((of, question)) = next else {
            return Step::Deliver(passing.message, passing.hold);
        };
        passing.after = Some(of);
        self.asked = Some(of);
        self.line.push_front(passing);
        Step::Ask(question)
    }

    /// Returns the next interceptor to ask; late ones are skipped.
    fn next(&mut self, passing: &Passing) -> Option<(SubscriptionId, Question)> {
        let after = passing.after.map_or(0, |id| id.0 + 1);
        for (id, interceptor) in self.interceptors.range_mut(SubscriptionId(after)..) {
            if !interceptor.recipient.connected() || !interceptor.compiled.passes(&passing.message)
            {
                continue;
            }
            if interceptor.late {
                interceptor.missed += 1;
                continue;
            }
            let question = Question {
                of: *id,
                recipient: interceptor.recipient.clone(),
                offer: Offer {
                    message: passing.message.clone(),
                },
                deadline: interceptor.deadline,
            };
            return Some((*id, question));
        }
        None
    }

    /// Applies a decision; `None`: the actor has stopped.
    pub(crate) fn decided(&mut self, of: SubscriptionId, verdict: Option<Verdict>) {
        if verdict.is_none() {
            self.interceptors.remove(&of);
        }
        if self.asked == Some(of) {
            self.asked = None;
            if verdict == Some(Verdict::Consume) {
                self.line.pop_front();
            }
        }
    }

    /// Handles a missed deadline.
    pub(crate) fn overdue(&mut self, of: SubscriptionId) {
        if self.asked == Some(of) {
            self.asked = None;
        }
        if let Some(interceptor) = self.interceptors.get_mut(&of) {
            interceptor.late = true;
            interceptor.missed += 1;
        }
    }

    /// Handles a decision after its deadline: it is ignored, but the interceptor may be asked again.
    pub(crate) fn caught_up(&mut self, of: SubscriptionId, verdict: Option<Verdict>) {
        match (self.interceptors.get_mut(&of), verdict) {
            (Some(interceptor), Some(_)) => interceptor.late = false,
            _ => {
                self.interceptors.remove(&of);
            }
        }
    }

    /// Returns events on the messages that passed late interceptors since the last call.
    pub(crate) fn lagged(&mut self) -> Vec<Event> {
        self.interceptors
            .retain(|_, interceptor| interceptor.recipient.connected());
        let missed = |(id, interceptor): (&SubscriptionId, &mut Interceptor)| {
            let missed = mem::take(&mut interceptor.missed);
            (missed > 0).then_some(Event::Lagged {
                subscription: id.0,
                missed,
                detached: false,
            })
        };
        self.interceptors.iter_mut().filter_map(missed).collect()
    }
}
