//! Verifies signatures and remembers which messages have been seen.
//!
//! Owns the authors' counters. Delivers a value only once its author is proven.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::time::Duration;

use actix::{
    Actor, ActorContext as _, ActorFutureExt as _, Addr, AsyncContext as _, Context, Handler,
    Recipient, WrapFuture as _,
};
use serde::Serialize;

use super::statement::{Proof, Statement};
use crate::mesh::Acceptance;
use crate::node::router::clock::UnixTime;
use crate::node::{Filter, Proposal, Router, Subscribe, Validate};
use crate::start::Node;
use crate::typed::{FormatError, Payload};
use crate::wire::{Flag, Message, NodeId, Packet, SubnetId};

pub(super) const MICROS: u64 = 1_000_000;
/// How many seconds a counter may be off its message's stamp: the time from signing to sending, and a second's end.
const OFF: u64 = 2;
/// Counters this much older than the newest cannot recur: the mesh drops messages that are 60 s off.
const KEPT: u64 = 130;
/// Counters remembered for each author; beyond it the oldest are forgotten, and messages up to them are refused.
const MAX_COUNTERS: usize = 1024;
/// Authors remembered. Beyond it, authors heard in the last 130 s are kept and new ones are refused.
const MAX_AUTHORS: usize = 1024;

/// How long a message may wait for verification before it is relayed.
const BEFORE_RELAY: Duration = Duration::from_secs(5);

/// A value whose author the signature proves, whichever node relayed it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Signed<T> {
    /// The value.
    pub value: T,
    /// The node that wrote it.
    pub author: NodeId,
    /// The message that carried it.
    pub message: Message,
}

impl<T: Send + 'static> actix::Message for Signed<T> {
    type Result = ();
}

/// Why a message was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Refusal {
    /// The message has no signature.
    #[error("it is not signed")]
    Unsigned,
    /// The key belongs to another node.
    #[error("the signing key does not belong to the author it names")]
    OtherAuthor,
    /// The signature does not match these bytes.
    #[error("invalid signature: the message was changed or forged")]
    Forged,
    /// It was not signed at the time it is stamped with.
    #[error("signing time and stamp differ by more than 2 s: it may be a replay")]
    Stale,
    /// Its counter has been seen.
    #[error("duplicate: this counter has been seen")]
    Replayed,
    /// Too many authors to remember.
    #[error("too many authors in the last 130 s")]
    TooManyAuthors,
    /// The signature is valid, but the value cannot be read as the type.
    #[error("it is signed, but cannot be read: {0}")]
    Unreadable(String),
}

/// Reports a refused message.
#[derive(Clone, Debug, actix::Message)]
#[rtype(result = "()")]
#[non_exhaustive]
pub struct Refused {
    /// The author it names.
    pub sender: NodeId,
    /// The neighbour that sent it.
    pub from: NodeId,
    /// The reason.
    pub why: Refusal,
}

/// What a verifier has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct VerifierReport {
    /// Values delivered.
    pub proven: u64,
    /// Messages refused, for any reason.
    pub refused: u64,
}

/// Asks a [`Verifier`] for its report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, actix::Message)]
#[rtype(result = "VerifierReport")]
pub struct VerifierStatus;

/// Verifies the signature of a single message, for example one from a log, and returns its counter.
///
/// `subnet` and `me` are the subnet's id and the id of the node that received it, as [`Node`] has them. Nothing is
/// remembered: the caller has to detect duplicates by author and counter. [`Verifier`] does that.
///
/// # Errors
///
/// The reason for a refusal; never [`Refusal::Replayed`], [`Refusal::TooManyAuthors`] or [`Refusal::Unreadable`].
pub fn check(message: &Message, subnet: &SubnetId, me: &NodeId) -> Result<u64, Refusal> {
    let packets: Vec<&[u8]> = message.packets().iter().map(Packet::as_bytes).collect();
    let (proof, packets) = packets.split_last().ok_or(Refusal::Unsigned)?;
    let proof = std::str::from_utf8(proof).ok().and_then(Proof::read);
    let proof = proof.ok_or(Refusal::Unsigned)?;
    if proof.author() != *message.sender() {
        return Err(Refusal::OtherAuthor);
    }
    // The cheap check comes first.
    if (proof.counter / MICROS).abs_diff(message.time()) > OFF {
        return Err(Refusal::Stale);
    }
    let statement = Statement {
        subnet: subnet.as_str(),
        to: (*message.flag() == Flag::Whisper).then(|| me.as_str()),
        counter: proof.counter,
        packets,
    };
    if !proof.holds(&statement) {
        return Err(Refusal::Forged);
    }
    Ok(proof.counter)
}

/// Verifies the signatures of a type's values and delivers the valid ones: `Verifier::new(&node, recipient).start()`.
///
/// Each check costs CPU time: where members may flood, run it in its own arbiter, or it delays the node. It stops when
/// its recipient does. It remembers 1,024 counters for each of 1,024 authors, about 16 MiB. When that many authors have
/// sent within two minutes, further ones are refused; in an open mesh one member with many keys can cause that.
/// Messages signed before it started are refused, because it cannot know whether they have been seen.
pub struct Verifier<T: Payload> {
    router: Addr<Router>,
    me: NodeId,
    subnet: SubnetId,
    recipient: Recipient<Signed<T>>,
    refusals: Option<Recipient<Refused>>,
    before_relay: bool,
    /// Counters up to this one are refused.
    floor: u64,
    authors: HashMap<NodeId, Author>,
    newest: u64,
    /// The second in which silent authors were last removed.
    looked: u64,
    report: VerifierReport,
}

#[derive(Default)]
struct Author {
    floor: u64,
    counters: BTreeSet<u64>,
}

impl<T: Payload> fmt::Debug for Verifier<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier")
            .field("kind", &T::KIND)
            .field("report", &self.report)
            .finish_non_exhaustive()
    }
}

impl<T: Payload> Verifier<T> {
    /// Verifies the values that this node receives.
    pub fn new(node: &Node, recipient: impl Into<Recipient<Signed<T>>>) -> Self {
        Self {
            router: node.router.clone(),
            me: node.id.clone(),
            subnet: node.subnet_id.clone(),
            recipient: recipient.into(),
            refusals: None,
            before_relay: false,
            floor: 0,
            authors: HashMap::new(),
            newest: 0,
            looked: 0,
            report: VerifierReport::default(),
        }
    }

    /// Sets the actor that is told of each refusal. If its mailbox is full it misses some; all are counted.
    #[must_use]
    pub fn refusals(mut self, recipient: impl Into<Recipient<Refused>>) -> Self {
        self.refusals = Some(recipient.into());
        self
    }

    /// Verifies messages of the kind before this node relays or delivers them, so a refused message stops here. This is
    /// a [`Validate`] with a deadline of 5 s that fails closed: once the verifier has ended, no message of the kind
    /// passes this node until the node is restarted.
    #[must_use]
    pub fn before_relay(mut self) -> Self {
        self.before_relay = true;
        self
    }

    fn check(&mut self, message: &Message) -> Result<(), Refusal> {
        let counter = check(message, &self.subnet, &self.me)?;
        self.remember(message.sender(), counter)
    }

    fn remember(&mut self, author: &NodeId, counter: u64) -> Result<(), Refusal> {
        self.newest = self.newest.max(counter);
        let old = self.newest.saturating_sub(KEPT * MICROS);
        if !self.authors.contains_key(author) && self.authors.len() >= MAX_AUTHORS {
            // Done at most once a second, not for each message of a flood.
            if self.looked < self.newest / MICROS {
                self.looked = self.newest / MICROS;
                self.authors
                    .retain(|_, author| author.counters.last().is_some_and(|last| *last > old));
            }
            if self.authors.len() >= MAX_AUTHORS {
                return Err(Refusal::TooManyAuthors);
            }
        }
        let floor = self.floor;
        let author = self.authors.entry(author.clone()).or_default();
        if counter <= author.floor.max(floor) || !author.counters.insert(counter) {
            return Err(Refusal::Replayed);
        }
        while author.counters.len() > MAX_COUNTERS
            || author.counters.first().is_some_and(|first| *first < old)
        {
            author.floor = author
                .floor
                .max(author.counters.pop_first().unwrap_or_default());
        }
        Ok(())
    }
}

impl<T: Payload> Actor for Verifier<T> {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        let router = self.router.clone();
        let validates = self.before_relay;
        let values = Subscribe::messages(ctx.address()).filter(Filter::new().kind(T::KIND));
        let validate = Validate::by(ctx.address()).kind(T::KIND);
        let subscribing = async move {
            let now = router.send(UnixTime).await;
            if validates {
                let _ = router.send(validate.deadline(BEFORE_RELAY)).await;
            } else {
                let _ = router.send(values).await;
            }
            now
        };
        ctx.wait(subscribing.into_actor(self).map(|now, verifier, _| {
            // A message signed within the current second may be new.
            verifier.floor = now.unwrap_or_default().saturating_sub(1) * MICROS;
        }));
    }
}

impl<T: Payload> Verifier<T> {
    /// Verifies a message and returns its value; counts it either way.
    fn verify(&mut self, message: &Message) -> Result<Signed<T>, Refusal> {
        let verified = self.check(message).and_then(|()| {
            crate::typed::read_value::<T>(message)
                .map_err(|error: FormatError| Refusal::Unreadable(error.to_string()))
        });
        match verified {
            Ok(value) => {
                self.report.proven += 1;
                Ok(Signed {
                    value,
                    author: message.sender().clone(),
                    message: message.clone(),
                })
            }
            Err(why) => {
                self.report.refused += 1;
                if let Some(recipient) = &self.refusals {
                    let _ = recipient.try_send(Refused {
                        sender: message.sender().clone(),
                        from: message.from().clone(),
                        why: why.clone(),
                    });
                }
                Err(why)
            }
        }
    }

    /// Delivers a value. The verifier waits until it is handled, so values do not pile up in the recipient's mailbox.
    fn hand_on(&self, signed: Signed<T>, ctx: &mut Context<Self>) {
        let handing = self.recipient.send(signed);
        ctx.wait(handing.into_actor(self).map(|handed, _, ctx| {
            if handed.is_err() {
                // The recipient is gone; the Router reports a lost subscriber.
                ctx.stop();
            }
        }));
    }
}

impl<T: Payload> Handler<Message> for Verifier<T> {
    type Result = ();

    fn handle(&mut self, message: Message, ctx: &mut Context<Self>) {
        if let Ok(signed) = self.verify(&message) {
            self.hand_on(signed, ctx);
        }
    }
}

/// Verifies a message before it is relayed or delivered: see [`Verifier::before_relay`].
impl<T: Payload> Handler<Proposal> for Verifier<T> {
    type Result = Acceptance;

    fn handle(&mut self, proposal: Proposal, ctx: &mut Context<Self>) -> Acceptance {
        match self.verify(&proposal.message) {
            Ok(signed) => {
                self.hand_on(signed, ctx);
                Acceptance::Accept
            }
            // The neighbour that relays these may be honest and late.
            Err(Refusal::Stale | Refusal::Replayed | Refusal::TooManyAuthors) => Acceptance::Ignore,
            Err(_) => Acceptance::Reject,
        }
    }
}

impl<T: Payload> Handler<VerifierStatus> for Verifier<T> {
    type Result = actix::MessageResult<VerifierStatus>;

    fn handle(&mut self, _: VerifierStatus, _: &mut Context<Self>) -> Self::Result {
        actix::MessageResult(self.report)
    }
}
