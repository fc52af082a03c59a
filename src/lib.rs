//! A peer-to-peer mesh under any actix system: processes on many machines hear each other, with no broker in between.
//!
//! Start a node, subscribe an actor, send messages. Nodes find each other, relay what their neighbours have not seen, and
//! speak the protocol of [p2p.today](https://github.com/p2p-today/p2p-project), so that py2p (Python) and js2p (JavaScript)
//! programs join the same mesh.
//!
//! # An actor hears the mesh
//!
//! ```
//! use actix::{Actor, Context, Handler};
//! use actix_mesh::{Config, Payload, Received};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Serialize, Deserialize)]
//! struct Invalidate {
//!     key: String,
//! }
//! impl Payload for Invalidate {
//!     const KIND: &'static str = "invalidate/1";
//! }
//!
//! struct Cache;
//! impl Actor for Cache {
//!     type Context = Context<Self>;
//! }
//! impl Handler<Received<Invalidate>> for Cache {
//!     type Result = ();
//!     fn handle(&mut self, got: Received<Invalidate>, _: &mut Context<Self>) {
//!         println!("{} is stale, says {}", got.value.key, got.message.sender());
//!     }
//! }
//!
//! #[actix::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let second = std::time::Duration::from_secs(1);
//!     let here = Config::new().start().await?;
//!     let there = Config::new().connect(here.addr).start().await?;
//!     there.ready(1, 5 * second).await?;
//!     here.subscribe::<Invalidate>(Cache.start().recipient()).await?;
//!     there.publish(&Invalidate { key: "user/7".into() }).await?;
//!     Ok(())
//! }
//! ```
//!
//! # Two nodes that talk, without an actor of your own
//!
//! ```
//! use actix_mesh::{Config, Connect, Recv, Send};
//!
//! #[actix::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let alice = Config::new().start().await?;
//!     let bob = Config::new().start().await?;
//!     bob.router.send(Connect::to(alice.addr)).await??;
//!     bob.router.send(Send::new("hello, mesh")).await??;
//!
//!     let next = Recv::one().wait(std::time::Duration::from_secs(5));
//!     let heard = alice.router.send(next).await?;
//!     println!("alice hears: {}", heard[0].text());
//!     alice.router.send(heard[0].reply("hello, bob")).await??;
//!     let heard = bob.router.send(next).await?;
//!     println!("bob hears: {}", heard[0].text());
//!     Ok(())
//! }
//! ```
//!
//! # What you can do
//!
//! | to | with types | with packets |
//! |---|---|---|
//! | tell everybody | [`Node::publish`] | [`Send`](struct@Send) |
//! | tell one node, wherever it is | [`Node::whisper`], [`Node::recipient`] | [`Whisper`], [`Message::reply`] |
//! | hear | [`Node::subscribe`] | [`Subscribe`], [`Recv`] |
//! | ask, and be asked | [`Node::request`], [`Node::answer`] | |
//! | reach an actor on another node, by its node or its name | [`Node::recipient_of`], [`Node::find`] | |
//! | decide what is relayed, or who hears it first | [`Node::validate`] | [`Validate`], [`Intercept`] |
//! | meet others, part from them | [`Config::connect`] | [`Connect`], [`Disconnect`], [`RequestPeers`] |
//! | see what happens | [`Node::events`], [`Node::peers`] | [`SubscribeEvents`], [`Status`], [`Topology`], [`RouteOf`] |
//! | end | [`Node::shutdown`], [`Node::shutdown_on_signals`] | [`Shutdown`] |
//!
//! Each method of [`Node`] is one message to the [`Router`], which is the node's actor: hold `node.router` in your own actors
//! and send it the messages yourself where that suits better. `actix_mesh::prelude` has names that do not clash with
//! `actix::prelude`.
//!
//! Built on it: who is here and a shared dictionary ([`replicated`]); meshes joined to others, or to NATS ([`bridge`]); a node
//! beside plain tokio ([`Config::start_on_thread`]); closed meshes and signed messages (feature `tls`); a live page (feature
//! `dashboard`); and an actor tested on fifty nodes in virtual time (`SimNet`, feature `sim`).
//!
//! # Words
//!
//! | | |
//! |---|---|
//! | node | a process's part in the mesh: a [`Router`], a listener and its connections |
//! | peer, neighbour | a node whose handshake was accepted, on a connection of its own |
//! | subnet | a name and an encryption that nodes must share; others are refused |
//! | broadcast | a message for all nodes; it is flooded, or offered if it is large |
//! | whisper | a message for one node |
//! | waterfall | relaying what was not seen before to everybody but where it came from |
//! | packet | one byte string of a message; most carry several |
//! | kind | packet 0 behind the header: what a message is about |
//! | author | the node that wrote a message, by its own word |
//! | awaiting list, routing table | connections before and after their handshake |
//! | peers list | addresses a node hands to those who join it |
//! | event | something that happened to the node, told as it happens |
//!
//! # The life of one message
//!
//! `publish` writes the value as JSON beside its kind and a tag, and sends the Router a [`Send`](struct@Send). The Router
//! stamps it with the second, hashes it to an id, remembers the id, and puts one copy of the bytes, shared, into the outbound
//! queue of each connection; then it answers with [`Sent`], which says whom it was handed to. A peer reads it, drops it if it
//! knows the id, proves that the id is the hash of what it came with, relays it to its other peers, and puts it into the queue
//! of each subscription whose [`Filter`] it passes. Only then is the value read and your actor sent a [`Received`].
//!
//! # Order and delivery
//!
//! While the mesh is connected every node that is in it when a message is sent hears it once. What one neighbour sends comes in
//! its order; over several paths messages may overtake each other. A node that is not connected when a message passes does not
//! get it later: what must not be lost needs an answer ([`Node::request`]) or a store. `Sent` says that connections took it, not
//! that it was read. A subscriber that is slower than the mesh loses the oldest first, and is told how many:
//! [`Message::missed`], [`Event::Lagged`]; [`Overflow::Pause`] slows down the mesh instead.
//!
//! # Which thread
//!
//! A node runs in the arbiter it is started in. An actor in the same arbiter that computes for long holds up the node, and
//! the other way round: give it an arbiter of its own (`Actor::start_in_arbiter`), or a `SyncArbiter` for what blocks.
//! [`Config::arbiters`] has connections read and written on threads of their own.
//!
//! # When something goes wrong
//!
//! Nothing fails silently: whatever did not happen comes back as an `Err`, an [`Event`] and a counter in [`Stats`].
//!
//! | you see | because | do |
//! |---|---|---|
//! | [`NotReady`], [`Event::DialFailed`] | nobody listens at that address, or a firewall is between | it says which address and why |
//! | `other_subnet` in [`Event::Refused`] | subnet, encryption or generation differ | make all three the same |
//! | [`SendError::NoPeers`] | nobody is connected yet | [`Node::ready`] first, or [`allow_empty`](Send::allow_empty) |
//! | [`SendError::TooOften`] | the very same packets, many times within seconds | vary the payload, or publish a typed value |
//! | [`SendError::NotText`] | binary in generation 0.4 hangs js2p peers | send text, or generation 0.7, or allow it |
//! | [`SendError::Busy`] | more is sent than the slowest peer takes | await the answers of those sent before |
//! | [`WhisperError::NotFound`] | no peer knows that id | it has left, or was never in this mesh |
//! | [`RequestError::Timeout`] | nobody answers that kind, or it takes longer | is an actor registered with [`Node::answer`]? |
//! | [`Event::Unreadable`] | two versions of a type under one kind | give the new one a new kind: `invalidate/2` |
//! | [`Event::Lagged`] | a subscriber is too slow | an arbiter of its own, a longer queue, or [`Overflow::Pause`] |
//! | [`Event::ClockSkew`] | clocks differ by more than a minute, and messages are dropped | NTP on both |
//! | [`NodeGone`], `MailboxError::Closed` | the node has shut down | |
//!
//! # What is not promised
//!
//! On plaintext nobody's name is proven: a sender is a claim. `docs/tls.md` says how to close a mesh.
//!
//! # From js2p and py2p
//!
//! [Coming from js2p](coming_from_js2p) has a row for each name of the reference libraries.
//!
//! # The floors
//!
//! ```text
//!   3 node   actors, sockets, clocks     does
//!   2 mesh   the protocol's decisions    decides, pure
//!   1 wire   bytes and messages          says, pure
//! ```
//!
//! A floor uses those below it. `mesh` and `wire` know neither actix nor tokio's runtime: without the default feature `node`
//! they are all there is. As modules they are public with the feature `unstable`, whose name says what they promise; what
//! users need of them stands here.

// docs.rs says beside each item which feature it needs.
#![cfg_attr(docsrs, feature(doc_cfg))]
// Cargo.toml allows them, for tests; in what runs, each use says what bounds it (clippy.toml).
#![cfg_attr(not(test), deny(clippy::disallowed_methods, clippy::disallowed_types))]

// Public to those who ask for it: what they have in common with this crate's own tests may change in any version.
#[cfg(not(feature = "unstable"))]
#[allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    reason = "public with `unstable`"
)]
mod mesh;
#[cfg(feature = "unstable")]
pub mod mesh;
#[cfg(not(feature = "unstable"))]
#[allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    reason = "public with `unstable`"
)]
mod wire;
#[cfg(feature = "unstable")]
pub mod wire;

// Words only: there is nothing in it to compile, and its links lead to the actors.
#[cfg(all(feature = "node", any(doc, doctest)))]
#[doc = include_str!("../docs/coming-from-js2p.md")]
pub mod coming_from_js2p {}

// The programs in the README are run like those in this documentation.
#[cfg(all(feature = "node", doctest))]
#[doc = include_str!("../README.md")]
struct Readme;

#[cfg(feature = "node")]
pub mod bridge;
#[cfg(feature = "node")]
mod config;
#[cfg(feature = "dashboard")]
pub mod dashboard;
#[cfg(feature = "node")]
mod error;
#[cfg(any(feature = "metrics", feature = "dashboard"))]
pub mod metrics;
#[cfg(feature = "node")]
mod node;
#[cfg(feature = "node")]
mod node_thread;
#[cfg(feature = "node")]
pub mod replicated;
#[cfg(feature = "tls")]
pub mod signed;
#[cfg(all(feature = "node", feature = "sim"))]
mod sim_net;
#[cfg(feature = "node")]
mod start;
#[cfg(feature = "tls")]
pub mod tls;
#[cfg(feature = "node")]
mod typed;

/// What most programs use, under names that clash neither with `actix::prelude::*` nor with `std::marker::Send`.
///
/// ```
/// use actix::prelude::*;
/// use actix_mesh::prelude::*;
///
/// struct Hears;
///
/// impl Actor for Hears {
///     type Context = Context<Self>;
/// }
///
/// impl Handler<MeshMessage> for Hears {
///     type Result = ();
///
///     fn handle(&mut self, message: MeshMessage, _: &mut Context<Self>) {
///         println!("{}", message.text());
///     }
/// }
///
/// fn is_sent<T: Send>(_: T) {}
/// is_sent(MeshSend::new("the marker trait and the message do not clash"));
/// ```
#[cfg(feature = "node")]
pub mod prelude {
    pub use crate::{
        Answered, Ask, Asked, Config, Event, Filter, MessageId, Node, NodeId, Payload, Query,
        Received, RequestError, Tell,
    };
    pub use crate::{
        Connect as MeshConnect, Message as MeshMessage, Send as MeshSend,
        Subscribe as MeshSubscribe, Whisper as MeshWhisper,
    };
}

#[cfg(feature = "node")]
pub use config::Config;
#[cfg(feature = "node")]
pub use error::{SettingError, StartError};
pub use mesh::{
    Acceptance, CloseReason, ConnectError, DialError, Direction, Event, Hop, Neighbor,
    Neighborhood, OtherProtocol, PassedMessage, Route, SendError, Sent, Severity, SkipReason,
    Skipped, Stats, TlsRefusal, Traffic, Trouble, WhisperError, Whispered,
};
#[cfg(feature = "node")]
pub use node::transport::encryption::Encryption;
#[cfg(feature = "node")]
pub use node::{
    Awaited, Awaiting, Bundle, Connect, Disconnect, Filter, Histogram, Intercept, KindFilter,
    Offer, Overflow, PassedMessages, Peer, Peers, Proposal, Queue, Recv, Reply, RequestPeers,
    RequestStats, RouteOf, Router, Send, SendMany, Shutdown, ShutdownReport, Status, StatusReport,
    Subscribe, SubscribeEvents, SubscriptionId, Topology, Unsent, Unsubscribe, Validate, Verdict,
    Whisper,
};
#[cfg(feature = "node")]
pub use node_thread::NodeThread;
#[cfg(all(feature = "node", feature = "sim"))]
pub use sim_net::SimNet;
#[cfg(feature = "node")]
pub use start::Node;
#[cfg(feature = "node")]
pub use typed::{
    Answer, Answered, Ask, Asked, Format, FormatError, NodeGone, NotReady, Payload, Proposed,
    PublishError, Query, Received, Request, RequestAll, RequestError, Tell, TellError,
};
pub use wire::{
    Address, AddressError, BadAddress, EncodeError, Flag, Generation, HostPort, IdError, Limits,
    Message, MessageId, Method, NodeId, Packet, Packets, SubFlag, Subnet, SubnetId,
};
