//! Who checks signatures, and remembers what was there already.
//!
//! Owns the counters of authors. Hands values on only once they are proven.

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
/// How far a counter may be off the second of its message: what it takes from signing to sending, and a second that ends.
const OFF: u64 = 2;
/// Counters older than this against the newest cannot come again: the mesh drops messages that are 60 s off.
const KEPT: u64 = 130;
/// Counters that are remembered of one author; of more the oldest are refused from then on.
const MAX_COUNTERS: usize = 1024;
/// Authors that are remembered. Beyond it those heard in the last 130 s are, and others are refused.
const MAX_AUTHORS: usize = 1024;

/// How long a message may wait for its signature to be checked before it is relayed.
const BEFORE_RELAY: Duration = Duration::from_secs(5);

/// A value whose author is proven: by the signature, whoever relayed it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Signed<T> {
    /// The value.
    pub value: T,
    /// Who wrote it.
    pub author: NodeId,
    /// The message it came in.
    pub message: Message,
}

impl<T: Send + 'static> actix::Message for Signed<T> {
    type Result = ();
}

/// Why a message was not handed on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Refusal {
    /// There is no signature.
    #[error("it is not signed")]
    Unsigned,
    /// The key is another's.
    #[error("it is signed with the key of another node than the one it names")]
    OtherAuthor,
    /// The signature is not that of these bytes.
    #[error("its signature does not hold: it was changed, or forged")]
    Forged,
    /// It was signed at another time than it is stamped with.
    #[error(
        "it was signed at another time than it was sent: it may have been sent again by somebody else"
    )]
    Stale,
    /// It was there already.
    #[error("it was there already")]
    Replayed,
    /// More authors than can be remembered.
    #[error("too many authors were heard of late")]
    TooManyAuthors,
    /// The signature holds, and what it signs is no value of the type.
    #[error("it is signed, but cannot be read: {0}")]
    Unreadable(String),
}

/// A message was refused.
#[derive(Clone, Debug, actix::Message)]
#[rtype(result = "()")]
#[non_exhaustive]
pub struct Refused {
    /// Who is named as its author.
    pub sender: NodeId,
    /// The neighbour it came from.
    pub from: NodeId,
    /// Why.
    pub why: Refusal,
}

/// What a verifier has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct VerifierReport {
    /// Values handed on.
    pub proven: u64,
    /// Messages refused, for whatever reason.
    pub refused: u64,
}

/// What has it done?
#[derive(Clone, Copy, Debug, PartialEq, Eq, actix::Message)]
#[rtype(result = "VerifierReport")]
pub struct VerifierStatus;

/// Checks the signature of one message by itself, as for a log that is read later: the counter it was signed with.
///
/// `subnet` and `me` are the subnet's id and the id of the node that heard it, as [`Node`] has them. Nothing is remembered:
/// whether the message was there already the caller has to find out, by author and counter. [`Verifier`] does.
///
/// # Errors
///
/// Whatever does not hold; never [`Refusal::Replayed`], [`Refusal::TooManyAuthors`] or [`Refusal::Unreadable`].
pub fn check(message: &Message, subnet: &SubnetId, me: &NodeId) -> Result<u64, Refusal> {
    let packets: Vec<&[u8]> = message.packets().iter().map(Packet::as_bytes).collect();
    let (proof, packets) = packets.split_last().ok_or(Refusal::Unsigned)?;
    let proof = std::str::from_utf8(proof).ok().and_then(Proof::read);
    let proof = proof.ok_or(Refusal::Unsigned)?;
    if proof.author() != *message.sender() {
        return Err(Refusal::OtherAuthor);
    }
    // First what costs nothing.
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

/// Checks the signatures of values of a type, and hands on those that hold: `Verifier::new(&node, recipient).start()`.
///
/// Each check takes time: where members may flood, give it an arbiter of its own, or it holds up the node. It ends when
/// its recipient has. It remembers counters of at most 1,024 authors, 1,024 of each: some 16 MiB. Where that many have
/// spoken within two minutes others are refused; in a mesh that anybody may join, one member with many keys is enough for it. Messages that were signed before it was started are
/// refused, because it cannot know whether they were there.
pub struct Verifier<T: Payload> {
    router: Addr<Router>,
    me: NodeId,
    subnet: SubnetId,
    recipient: Recipient<Signed<T>>,
    refusals: Option<Recipient<Refused>>,
    before_relay: bool,
    /// Nothing up to this holds.
    floor: u64,
    authors: HashMap<NodeId, Author>,
    newest: u64,
    /// For which second authors that are silent were looked for last.
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
    /// For values that this node hears.
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

    /// Sets who is told of each refusal. Whoever falls behind misses some; all are counted.
    #[must_use]
    pub fn refusals(mut self, recipient: impl Into<Recipient<Refused>>) -> Self {
        self.refusals = Some(recipient.into());
        self
    }

    /// Has messages of the kind checked before this node relays them or hands them to anybody else: what does not hold goes
    /// no further than here. It is a [`Validate`] with a deadline of 5 s that fails closed, so when the verifier ends, nothing
    /// of the kind passes this node any more until the node is started anew.
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
            // Looked through once for each second, not for each message of a flood.
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
            // What is signed in this very second may be new.
            verifier.floor = now.unwrap_or_default().saturating_sub(1) * MICROS;
        }));
    }
}

impl<T: Payload> Verifier<T> {
    /// The value of a message, if it holds; counted either way.
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

    /// Hands a value on. The next one waits for it, so that nothing piles up behind.
    fn hand_on(&self, signed: Signed<T>, ctx: &mut Context<Self>) {
        let handing = self.recipient.send(signed);
        ctx.wait(handing.into_actor(self).map(|handed, _, ctx| {
            if handed.is_err() {
                // Nobody is there to hand anything to; the Router tells that a subscriber is gone.
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

/// Before anything becomes of it: see [`Verifier::before_relay`].
impl<T: Payload> Handler<Proposal> for Verifier<T> {
    type Result = Acceptance;

    fn handle(&mut self, proposal: Proposal, ctx: &mut Context<Self>) -> Acceptance {
        match self.verify(&proposal.message) {
            Ok(signed) => {
                self.hand_on(signed, ctx);
                Acceptance::Accept
            }
            // Whoever sends these may be honest, and late.
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
