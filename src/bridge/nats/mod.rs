//! A bridge between a mesh and NATS: kinds become subjects, and subjects become kinds.
//!
//! Use it when a mesh has more consumers than its nodes should feed, or when messages must outlive the nodes: NATS fans
//! out, and JetStream stores.
//!
//! ```no_run
//! use actix_mesh::Config;
//! use actix_mesh::bridge::nats::NatsBridge;
//!
//! #[actix::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let node = Config::new().subnet("shop", "Plaintext").connect("shop.internal:4444").start().await?;
//!     let client = async_nats::connect("nats.internal:4222").await?;
//!     let bridge = NatsBridge::new(&node, client, "shop").kinds(["order/"]).subjects(["job.>"]).start().await?;
//!     println!("{:?}", bridge.send(actix_mesh::bridge::nats::NatsStatus).await?);
//!     Ok(())
//! }
//! ```
//!
//! # Subjects
//!
//! Under the prefix `shop` the mesh's kind `order/new` becomes the subject `shop.order.new`: slashes become dots. Bytes
//! that a subject may not contain, dots among them, are written as `%` and two hexadecimal digits. The kind of an
//! ordinary broadcast is `shop.%00`.
//!
//! # Payload
//!
//! The payload of a NATS message is the body of the mesh message, all packets concatenated. The header `Mesh-Lengths`
//! lists the packets' lengths and is left out for a single packet. The headers `Mesh-Author`, `Mesh-Time` (unix
//! seconds) and `Mesh-Subnet` give the author, the time and the mesh of origin. `Nats-Msg-Id` is the message's id, by
//! which JetStream drops the duplicate that a second bridge publishes.
//!
//! # No echo
//!
//! A message that came from a mesh is not carried back into it. The bridges of one mesh share a queue group, so only
//! one of them takes each NATS message. A message that another mesh's bridge published keeps its author and time.

mod report;
mod subject;

use std::rc::Rc;
use std::str::FromStr as _;
use std::time::Duration;

use actix::{Actor, Addr, Context, Handler, MailboxError, MessageResult, ResponseFuture};
use async_nats::{Client, HeaderMap, jetstream};
use bytes::Bytes;
use futures_util::StreamExt as _;

use crate::bridge::PassOn;
use crate::mesh::PassOnError;
use crate::node::{Filter, Router, Status, Subscribe, SubscriptionId, Unsubscribe};
use crate::start::Node;
use crate::wire::{Flag, Message, NodeId, Packet, Packets, SubnetId};

pub use report::{NatsReport, NatsStatus};

use report::Tally;

/// How long to wait until a server has processed the subscriptions.
const SETTLE: Duration = Duration::from_secs(2);

const AUTHOR: &str = "Mesh-Author";
const TIME: &str = "Mesh-Time";
const SUBNET: &str = "Mesh-Subnet";
const LENGTHS: &str = "Mesh-Lengths";
const MESSAGE_ID: &str = "Nats-Msg-Id";

/// Why a bridge to NATS did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NatsBridgeError {
    /// The prefix is not a valid beginning of a subject.
    #[error(
        "`{0}` is not a valid subject prefix: use letters, digits, `-` and `_`, with dots between"
    )]
    BadPrefix(String),
    /// The node has shut down.
    #[error("the node has shut down")]
    Gone(#[from] MailboxError),
    /// NATS refused a subscription.
    #[error("NATS refused to subscribe to {subject}")]
    Refused {
        /// The subject.
        subject: String,
        /// The cause.
        source: async_nats::SubscribeError,
    },
}

/// Carries messages between a mesh and NATS: see the [module](self). It runs until its address is dropped.
#[derive(Debug)]
pub struct NatsBridge {
    router: Addr<Router>,
    client: Client,
    stored: Option<jetstream::Context>,
    prefix: String,
    kinds: Vec<Packet>,
    subjects: Vec<String>,
    subnet: Option<SubnetId>,
    tally: Rc<Tally>,
    subscription: Option<SubscriptionId>,
    tasks: Vec<actix_rt::task::JoinHandle<()>>,
}

impl NatsBridge {
    /// Joins the mesh of this node to NATS, with kinds as subjects below the prefix. Carries nothing until
    /// [`kinds`](Self::kinds) or [`subjects`](Self::subjects) say what.
    pub fn new(node: &Node, client: Client, prefix: impl Into<String>) -> Self {
        Self {
            router: node.router.clone(),
            client,
            stored: None,
            prefix: prefix.into(),
            kinds: Vec::new(),
            subjects: Vec::new(),
            subnet: None,
            tally: Rc::default(),
            subscription: None,
            tasks: Vec::new(),
        }
    }

    /// Carries broadcasts to NATS whose kind begins with one of these prefixes. `""` matches all.
    #[must_use]
    pub fn kinds(mut self, prefixes: impl IntoIterator<Item = impl Into<Packet>>) -> Self {
        self.kinds = prefixes.into_iter().map(Into::into).collect();
        self
    }

    /// Carries messages of these subjects into the mesh, each given without the prefix; NATS wildcards work.
    #[must_use]
    pub fn subjects(mut self, subjects: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.subjects = subjects.into_iter().map(Into::into).collect();
        self
    }

    /// Publishes to JetStream, and counts a message as carried once it is stored. A stream must cover the subjects.
    /// Default: a message counts as carried once the client has accepted it.
    #[must_use]
    pub fn stored(mut self) -> Self {
        self.stored = Some(jetstream::new(self.client.clone()));
        self
    }

    /// Starts carrying messages.
    ///
    /// # Errors
    ///
    /// If the prefix is invalid, the node has shut down, or NATS refuses a subscription.
    pub async fn start(mut self) -> Result<Addr<Self>, NatsBridgeError> {
        if !subject::is_prefix(&self.prefix) {
            return Err(NatsBridgeError::BadPrefix(self.prefix));
        }
        let subnet = self.router.send(Status).await?.subnet_id;
        let group = format!("actix-mesh-{subnet}");
        for wanted in std::mem::take(&mut self.subjects) {
            let subject = format!("{}.{wanted}", self.prefix);
            let heard = self.client.queue_subscribe(subject.clone(), group.clone());
            let heard = heard
                .await
                .map_err(|source| NatsBridgeError::Refused { subject, source })?;
            let inward = Inward {
                router: self.router.clone(),
                prefix: self.prefix.clone(),
                subnet: subnet.clone(),
                tally: Rc::clone(&self.tally),
            };
            self.tasks.push(actix_rt::spawn(inward.carry_all(heard)));
        }
        settle(&self.client).await;
        if !self.kinds.is_empty() {
            let outward = Outward {
                client: self.client.clone(),
                stored: self.stored.clone(),
                prefix: self.prefix.clone(),
                kinds: self.kinds.clone(),
                subnet: subnet.clone(),
                tally: Rc::clone(&self.tally),
            };
            let subscribe = Subscribe::messages(outward.start());
            let subscribe = subscribe.filter(Filter::new().any_kind().flag(Flag::Broadcast));
            self.subscription = Some(self.router.send(subscribe).await?);
        }
        self.subnet = Some(subnet);
        Ok(Actor::start(self))
    }
}

/// Waits until the server has processed this client's requests: a message to itself returns after that. Gives up after
/// `SETTLE`, since a server may forbid that message.
async fn settle(client: &Client) {
    let echo = async {
        let inbox = client.new_inbox();
        let mut echo = client.subscribe(inbox.clone()).await.ok()?;
        client.publish(inbox, Bytes::new()).await.ok()?;
        echo.next().await
    };
    let _ = tokio::time::timeout(SETTLE, echo).await;
}

impl Actor for NatsBridge {
    type Context = Context<Self>;

    fn stopped(&mut self, _: &mut Context<Self>) {
        self.tasks.drain(..).for_each(|task| task.abort());
        if let Some(id) = self.subscription.take() {
            let router = self.router.clone();
            actix_rt::spawn(async move {
                // A node that has shut down has already ended its subscriptions.
                let _ = router.send(Unsubscribe::from(id)).await;
            });
        }
    }
}

impl Handler<NatsStatus> for NatsBridge {
    type Result = MessageResult<NatsStatus>;

    fn handle(&mut self, _: NatsStatus, _: &mut Context<Self>) -> Self::Result {
        MessageResult(self.tally.report())
    }
}

/// Receives messages of the mesh and publishes them to NATS.
struct Outward {
    client: Client,
    stored: Option<jetstream::Context>,
    prefix: String,
    kinds: Vec<Packet>,
    subnet: SubnetId,
    tally: Rc<Tally>,
}

impl Actor for Outward {
    type Context = Context<Self>;
}

impl Handler<Message> for Outward {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, message: Message, _: &mut Context<Self>) -> Self::Result {
        self.tally.missed(message.missed());
        let kind = message.packets().first().cloned().unwrap_or_default();
        let wanted = |prefix: &Packet| kind.as_bytes().starts_with(prefix.as_bytes());
        if !self.kinds.iter().any(wanted) {
            self.tally.kept();
            return Box::pin(std::future::ready(()));
        }
        let subject = subject::of(&self.prefix, kind.as_bytes());
        let headers = headers(&message, &self.subnet);
        let payload = payload(message.body());
        let (client, stored) = (self.client.clone(), self.stored.clone());
        let tally = Rc::clone(&self.tally);
        Box::pin(async move {
            let published = publish(client, stored, subject, headers, payload).await;
            tally.published(published.is_ok());
        })
    }
}

async fn publish(
    client: Client,
    stored: Option<jetstream::Context>,
    subject: String,
    headers: HeaderMap,
    payload: Bytes,
) -> Result<(), async_nats::Error> {
    match stored {
        Some(stored) => {
            stored
                .publish_with_headers(subject, headers, payload)
                .await?
                .await?;
        }
        None => {
            client
                .publish_with_headers(subject, headers, payload)
                .await?;
        }
    }
    Ok(())
}

fn headers(message: &Message, subnet: &SubnetId) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(AUTHOR, message.sender().to_string());
    headers.insert(TIME, message.time().to_string());
    headers.insert(SUBNET, subnet.to_string());
    headers.insert(MESSAGE_ID, message.id().to_string());
    if message.body().len() != 1 {
        let lengths = message.body().iter().map(|packet| packet.as_bytes().len());
        let lengths: Vec<String> = lengths.map(|len| len.to_string()).collect();
        headers.insert(LENGTHS, lengths.join(","));
    }
    headers
}

fn payload(body: &[Packet]) -> Bytes {
    let packets: Vec<&[u8]> = body.iter().map(Packet::as_bytes).collect();
    Bytes::from(packets.concat())
}

/// Receives messages of NATS and sends them in the mesh.
struct Inward {
    router: Addr<Router>,
    prefix: String,
    subnet: SubnetId,
    tally: Rc<Tally>,
}

impl Inward {
    /// Carries one message at a time: the rest is queued in the NATS client, which reports slow consumers.
    async fn carry_all(self, mut heard: async_nats::Subscriber) {
        while let Some(message) = heard.next().await {
            self.carry(&message).await;
        }
    }

    async fn carry(&self, message: &async_nats::Message) {
        let header = |name: &str| {
            let headers = message.headers.as_ref()?;
            Some(headers.get(name)?.as_str())
        };
        if header(SUBNET) == Some(self.subnet.to_string().as_str()) {
            return self.tally.own();
        }
        let kind = subject::kind(&self.prefix, &message.subject);
        let packets = packets(&message.payload, header(LENGTHS));
        let (Some(kind), Some(packets)) = (kind, packets) else {
            return self.tally.unreadable();
        };
        let author = header(AUTHOR).and_then(|author| NodeId::from_str(author).ok());
        let time = header(TIME).and_then(|time| time.parse().ok());
        match (author, time) {
            (Some(author), Some(time)) => {
                let foreign = PassOn::new(author, time, packets.led_by(kind));
                match self.router.send(foreign).await {
                    Ok(Err(PassOnError::Known)) => self.tally.known(),
                    answer => self.tally.spoken(matches!(answer, Ok(Ok(_)))),
                }
            }
            _ => {
                let send = crate::Send::new(packets).kind(kind);
                let answer = self.router.send(send).await;
                self.tally.spoken(matches!(answer, Ok(Ok(_))));
            }
        }
    }
}

/// Splits a payload into packets; `None` if the lengths do not match it.
fn packets(payload: &[u8], lengths: Option<&str>) -> Option<Packets> {
    let Some(lengths) = lengths else {
        return Some(Packets::from(payload));
    };
    let mut rest = payload;
    let mut packets = Vec::new();
    for len in lengths.split(',').filter(|len| !len.is_empty()) {
        let (packet, behind) = rest.split_at_checked(len.parse().ok()?)?;
        packets.push(Packet::from(packet));
        rest = behind;
    }
    rest.is_empty().then(|| Packets::from(packets))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_come_back_by_their_lengths() {
        let body = [Packet::from("ab"), Packet::from(""), Packet::from("c")];
        let together = payload(&body);
        assert_eq!(
            packets(&together, Some("2,0,1")),
            Some(Packets::from(&body[..]))
        );
        assert_eq!(packets(&together, None), Some(Packets::from("abc")));
        assert_eq!(
            packets(b"", Some("")),
            Some(Packets::from(Vec::<Packet>::new()))
        );
        for wrong in ["2,0,2", "2", "x", "1,1,2", "18446744073709551615,1"] {
            assert_eq!(packets(&together, Some(wrong)), None, "{wrong}");
        }
    }
}
