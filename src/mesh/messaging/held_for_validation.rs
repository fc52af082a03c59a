//! Messages held until a validator has decided about them.
//!
//! Owns which kinds are validated, which messages are held and how many, and the effect of each verdict. It does not
//! know who the validators are, nor their deadlines: the core's driver does.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use crate::mesh::Mesh;
use crate::mesh::connections::bans::Misbehavior;
use crate::mesh::effect::{Effect, Effects};
use crate::mesh::event::{CloseReason, Event};
use crate::mesh::input::{ConnId, Now, ProposalId};
use crate::mesh::token_bucket::TokenBucket;
use crate::wire::{
    Batch, Control, Copies, Flag, Frame, Generation, Hold, Message, Messages, NodeId, Packet,
    SubFlag,
};

/// Maximum number of held messages, and of their bytes.
const MAX_HELD: (usize, usize) = (1024, 16 << 20);
/// One neighbour's share of that, as a divisor: a quarter.
const NEIGHBOURS_SHARE: usize = 4;
/// Maximum characters of a kind in an event.
const KIND_TOLD: usize = 64;

/// A validator's verdict on a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Acceptance {
    /// Deliver it, and relay it if it is a broadcast.
    Accept,
    /// Drop it without blame, for example because it is out of date.
    Ignore,
    /// Drop it: its author should not have sent it. A neighbour is blamed if it is the author.
    Reject,
}

/// Which kinds a validator is asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValidationRule {
    /// The validator's number, given by the driver. Validators are asked in ascending order.
    pub validator: u64,
    /// Exact kinds.
    pub kinds: Vec<Packet>,
    /// Prefixes of further kinds.
    pub prefixes: Vec<Packet>,
    /// Whether a message is accepted when the validator does not decide.
    pub open: bool,
}

impl ValidationRule {
    fn holds_for(&self, kind: &[u8]) -> bool {
        let begins = |prefix: &Packet| kind.starts_with(prefix.as_bytes());
        self.kinds.iter().any(|it| it.as_bytes() == kind) || self.prefixes.iter().any(begins)
    }
}

/// A held message.
#[derive(Debug)]
struct Held {
    message: Message,
    /// The frame as it came, if it is to be relayed.
    relay: Option<Relay>,
    source: ConnId,
    /// The validator that is asked now.
    validator: u64,
    hold: Hold,
    cost: usize,
}

#[derive(Debug)]
struct Relay {
    batch: Batch,
    by_bytes: bool,
}

/// See the module.
#[derive(Debug)]
pub(in crate::mesh) struct Validation {
    rules: Vec<ValidationRule>,
    held: BTreeMap<ProposalId, Held>,
    bytes: usize,
    /// Messages held and their bytes, by the neighbour they came from.
    shares: HashMap<NodeId, (usize, usize)>,
    /// Messages that each validator did not decide about, since the last report.
    undecided: BTreeMap<u64, u64>,
    events: TokenBucket,
    last: u64,
}

impl Default for Validation {
    fn default() -> Self {
        Self {
            rules: Vec::new(),
            held: BTreeMap::new(),
            bytes: 0,
            shares: HashMap::new(),
            undecided: BTreeMap::new(),
            events: TokenBucket::new(16.0, 4.0),
            last: 0,
        }
    }
}

impl Validation {
    fn next_rule(&self, after: Option<u64>, kinds: Kinds<'_>) -> Option<&ValidationRule> {
        let asked = |rule: &&ValidationRule| after.is_none_or(|after| rule.validator > after);
        let holds = |rule: &&ValidationRule| kinds.iter().flatten().any(|it| rule.holds_for(it));
        self.rules.iter().filter(asked).find(holds)
    }

    /// Whether one more message of this neighbour fits, on top of `more` messages and bytes. The first one always fits,
    /// whatever its size.
    fn has_room(&self, from: &NodeId, cost: usize, more: (usize, usize)) -> bool {
        let share = self.shares.get(from).copied().unwrap_or_default();
        let fits = |(messages, bytes): (usize, usize), part| {
            let (messages, bytes) = (messages + more.0, bytes + more.1);
            messages < MAX_HELD.0 / part && (messages == 0 || bytes + cost <= MAX_HELD.1 / part)
        };
        fits((self.held.len(), self.bytes), 1) && fits(share, NEIGHBOURS_SHARE)
    }

    fn insert(&mut self, held: Held) -> ProposalId {
        self.last += 1;
        self.bytes += held.cost;
        let share = self.shares.entry(held.message.from().clone());
        let (messages, bytes) = share.or_default();
        (*messages, *bytes) = (*messages + 1, *bytes + held.cost);
        self.held.insert(ProposalId(self.last), held);
        ProposalId(self.last)
    }

    fn remove(&mut self, proposal: ProposalId) -> Option<Held> {
        let held = self.held.remove(&proposal)?;
        self.bytes -= held.cost;
        if let Some((messages, bytes)) = self.shares.get_mut(held.message.from()) {
            (*messages, *bytes) = (*messages - 1, *bytes - held.cost);
            if *messages == 0 {
                self.shares.remove(held.message.from());
            }
        }
        Some(held)
    }

    fn is_open(&self, validator: u64) -> bool {
        let rule = self.rules.iter().find(|rule| rule.validator == validator);
        rule.is_none_or(|rule| rule.open)
    }
}

/// The kinds a message may have.
type Kinds<'a> = [Option<&'a [u8]>; 2];

/// Returns packet 0; and after the mesh's own sub-flag also packet 1, which is the kind of a plainly encoded value.
fn kinds<'a>(mut payload: impl Iterator<Item = &'a [u8]>, generation: Generation) -> Kinds<'a> {
    let first = payload.next();
    let is_own = first.is_some_and(|first| {
        SubFlag::read(first, generation)
            .is_some_and(|flag| matches!(flag, SubFlag::Broadcast | SubFlag::Whisper))
    });
    [first, payload.next().filter(|_| is_own)]
}

impl Mesh {
    /// Holds messages of these kinds from now on until [`judge`](Self::judge)d, and proposes each with
    /// [`Effect::Propose`].
    pub fn validate(&mut self, rule: ValidationRule) {
        let rules = &mut self.validation.rules;
        rules.push(rule);
        rules.sort_by_key(|rule| rule.validator);
    }

    /// Removes a validator, and accepts what it holds on its behalf. False if there is none of that number.
    pub fn end_validation(&mut self, now: Now, validator: u64, out: &mut Effects) -> bool {
        let before = self.validation.rules.len();
        self.validation
            .rules
            .retain(|rule| rule.validator != validator);
        let waiting = self.validation.held.iter();
        let waiting: Vec<_> = waiting
            .filter(|(_, held)| held.validator == validator)
            .map(|(id, _)| *id)
            .collect();
        for proposal in waiting {
            self.judge(now, proposal, Some(Acceptance::Accept), out);
        }
        self.validation.rules.len() < before
    }

    /// Applies the verdict on a proposed message; `None` if its validator did not decide. Returns the message's hold on
    /// its connection's budget.
    pub fn judge(
        &mut self,
        now: Now,
        proposal: ProposalId,
        verdict: Option<Acceptance>,
        out: &mut Effects,
    ) -> Hold {
        let Some(held) = self.validation.remove(proposal) else {
            return Hold::none();
        };
        let hold = held.hold.clone();
        let validator = held.validator;
        let verdict = verdict.unwrap_or_else(|| self.undecided(validator));
        if verdict != Acceptance::Accept
            && let Some(relay) = &held.relay
        {
            self.count_dropped(now, &relay.batch, out);
        }
        match verdict {
            Acceptance::Accept => self.propose_next(now, held, Some(validator), out),
            Acceptance::Ignore => self.stats.ignored += 1,
            Acceptance::Reject => self.reject(now, &held, out),
        }
        hold
    }

    /// Returns the verdict in place of a validator that did not decide.
    fn undecided(&mut self, validator: u64) -> Acceptance {
        self.stats.undecided += 1;
        *self.validation.undecided.entry(validator).or_default() += 1;
        match self.validation.is_open(validator) {
            true => Acceptance::Accept,
            false => Acceptance::Ignore,
        }
    }

    /// Whether there are no validators: almost always.
    pub(in crate::mesh) fn validates_nothing(&self) -> bool {
        self.validation.rules.is_empty()
    }

    /// Whether a broadcast of a validated kind fits among the held messages; `more`: the earlier ones of its batch. If
    /// it does not and the validator is closed, it is dropped before it is remembered. Otherwise a neighbour that has
    /// used up its share could keep others' messages from us by relaying them first.
    pub(in crate::mesh) fn has_room_to_wait(
        &mut self,
        conn: ConnId,
        (batch, index): (&Batch, usize),
        more: &mut (usize, usize),
    ) -> bool {
        let (Ok(frame), Some(entry)) = (batch.get(index), self.routing.get(conn)) else {
            return true;
        };
        let kinds = kinds(frame.payload(), self.params.generation);
        let rule = self.validation.next_rule(None, kinds);
        let Some(rule) = rule.filter(|it| !it.open && self.is_users(&frame)) else {
            return true;
        };
        let validator = rule.validator;
        // A lower bound for the memory of the message and its frame.
        let packets = frame.payload().len();
        let cost = frame.wire_len() + 3 * frame.body.len() + 64 * packets + 1024;
        if self.validation.has_room(&entry.id, cost, *more) {
            *more = (more.0 + 1, more.1 + cost);
            return true;
        }
        self.undecided(validator);
        self.stats.ignored += 1;
        false
    }

    /// Whether a message is for users, not for the mesh.
    fn is_users(&self, frame: &Frame<'_>) -> bool {
        frame.flag() != Flag::Renegotiate
            && frame.kind().is_some()
            && Control::read(frame, self.params.generation).is_none()
    }

    /// Holds a user's message if its kind is validated; false if not. `by_bytes`: whether the ids of the batch follow
    /// the byte rule.
    pub(in crate::mesh) fn hold_for_validation(
        &mut self,
        now: Now,
        conn: ConnId,
        (batch, index): (&Batch, usize),
        by_bytes: bool,
        out: &mut Effects,
    ) -> bool {
        let generation = self.params.generation;
        let Ok(frame) = batch.get(index) else {
            return false;
        };
        let rule = self
            .validation
            .next_rule(None, kinds(frame.payload(), generation));
        let is_users = self.is_users(&frame);
        let (Some(_), true, Some(entry)) = (rule, is_users, self.routing.get(conn)) else {
            return false;
        };
        let mut messages = Messages::default();
        messages.push(&frame, &entry.id, &mut Copies::new(frame.wire_len()));
        let Some(message) = messages.into_vec().pop() else {
            return false;
        };
        let is_relayed = frame.is_broadcast();
        let relay = is_relayed.then(|| batch.extract(index)).flatten();
        let relay = relay.map(|batch| Relay { batch, by_bytes });
        let held = Held {
            cost: message.memory() + relay.as_ref().map_or(0, |relay| relay.batch.cost()),
            message,
            relay,
            source: conn,
            validator: 0,
            hold: batch.held().clone(),
        };
        self.propose_next(now, held, None, out);
        true
    }

    /// Proposes a message to the next validator of its kind; delivers and relays it if there is none.
    fn propose_next(
        &mut self,
        now: Now,
        mut held: Held,
        mut after: Option<u64>,
        out: &mut Effects,
    ) {
        let message = held.message.clone();
        let payload = || message.packets().iter().map(Packet::as_bytes);
        let kinds = kinds(payload(), self.params.generation);
        while let Some(rule) = self.validation.next_rule(after, kinds) {
            let validator = rule.validator;
            if self.validation.has_room(message.from(), held.cost, (0, 0)) {
                held.validator = validator;
                let cost = held.cost;
                let proposal = self.validation.insert(held);
                return out.push(Effect::Propose {
                    proposal,
                    validator,
                    message,
                    cost,
                });
            }
            if self.undecided(validator) != Acceptance::Accept {
                self.stats.ignored += 1;
                return;
            }
            after = Some(validator);
        }
        self.let_pass(now, held, out);
    }

    fn let_pass(&mut self, now: Now, held: Held, out: &mut Effects) {
        let Held {
            message,
            relay,
            source,
            ..
        } = held;
        let time = message.time();
        if self.audience {
            self.stats.delivered += 1;
            out.push(Effect::Deliver(Messages::one(message)));
        }
        let Some(Relay { batch, by_bytes }) = relay else {
            return;
        };
        // Peers would drop it by now, and blame our clock.
        if self.waterfall.expired(now.unix, time) {
            self.stats.expired += 1;
            return;
        }
        self.relay(now, source, batch, &[0], by_bytes, out);
    }

    fn reject(&mut self, now: Now, held: &Held, out: &mut Effects) {
        self.stats.rejected += 1;
        let message = &held.message;
        if self.validation.events.spend(now.monotonic) {
            let payload = message.packets().iter().map(Packet::as_bytes);
            let kind = kinds(payload, self.params.generation);
            let kind = kind.into_iter().flatten().last();
            let kind = String::from_utf8_lossy(kind.unwrap_or_default());
            out.push(Effect::Notify(Event::Rejected {
                id: message.id().clone(),
                kind: kind.chars().take(KIND_TOLD).collect(),
                sender: message.sender().clone(),
                from: message.from().clone(),
            }));
        }
        // A neighbour that only relayed it may not validate this kind.
        let conn = held.source;
        let Some(entry) = self.routing.get_mut(conn) else {
            return;
        };
        if entry.id != *message.sender() {
            return;
        }
        let may_go_on = entry.limits().rejected.spend(now.monotonic);
        self.blame_peer(now, conn, Misbehavior::Rejected, out);
        if !may_go_on {
            self.close(now, conn, CloseReason::Rejected, out);
        }
    }

    /// Reports how many messages validators did not decide about.
    pub(in crate::mesh) fn report_undecided(&mut self, out: &mut Effects) {
        for (validator, messages) in std::mem::take(&mut self.validation.undecided) {
            out.push(Effect::Notify(Event::Undecided {
                validator,
                messages,
                accepted: self.validation.is_open(validator),
            }));
        }
    }

    /// The number of messages held for a validator.
    pub fn proposals(&self) -> usize {
        self.validation.held.len()
    }
}
