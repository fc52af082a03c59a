//! A peer-to-peer mesh for actix: processes on many machines send each other typed messages, with no broker in between.
//!
//! Start a node, subscribe an actor, send messages. Nodes find each other and relay messages that their neighbours have
//! not seen. They speak the [p2p.today](https://github.com/p2p-today/p2p-project) protocol, so py2p (Python) and js2p
//! (JavaScript) programs join the same mesh.
//!
//! # A first actor
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
//! # Two nodes without an actor of your own
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
//! | send to all nodes | [`Node::publish`] | [`Send`](struct@Send) |
//! | send to one node, wherever it is | [`Node::whisper`], [`Node::recipient`] | [`Whisper`], [`Message::reply`] |
//! | receive | [`Node::subscribe`] | [`Subscribe`], [`Recv`] |
//! | send requests, answer them | [`Node::request`], [`Node::answer`] | |
//! | reach an actor on another node, by its node or its name | [`Node::recipient_of`], [`Node::find`] | |
//! | decide which messages are relayed, or see them first | [`Node::validate`] | [`Validate`], [`Intercept`] |
//! | connect, disconnect | [`Config::connect`] | [`Connect`], [`Disconnect`], [`RequestPeers`] |
//! | observe the node | [`Node::events`], [`Node::peers`] | [`SubscribeEvents`], [`Status`], [`Topology`], [`RouteOf`] |
//! | shut down | [`Node::shutdown`], [`Node::shutdown_on_signals`] | [`Shutdown`] |
//!
//! Each method of [`Node`] sends one message to the [`Router`], the node's actor. Your own actors can hold
//! `node.router` and send these messages themselves. `actix_mesh::prelude` has names that do not clash with
//! `actix::prelude`.
//!
//! Built on it: presence and a shared dictionary ([`replicated`]); bridges to other meshes and to NATS (feature
//! `bridge`); a node beside plain tokio ([`Config::start_on_thread`]); closed meshes and signed messages (feature
//! `tls`); a live page (feature `dashboard`); and tests of an actor on fifty nodes in virtual time (`SimNet`, feature
//! `sim`).
//!
//! # Glossary
//!
//! | | |
//! |---|---|
//! | node | one participant in the mesh: a [`Router`], a listener and its connections |
//! | connection, link | a stream to another node, from dial or accept to close |
//! | reference peer | a node that runs py2p or js2p |
//! | generation | a version of the wire protocol, 0.4 to 0.7; generations refuse each other |
//! | peer, neighbour | a node at the other end of a connection whose handshake was accepted |
//! | stranger | the other end of a connection before its handshake is accepted |
//! | subnet | a name and an encryption that nodes must share; a node refuses all others |
//! | closed mesh | a mesh over TLS with certificates on both ends: ids are proven, and strangers are refused |
//! | frame | one message as bytes on a connection: its length, then its packets, perhaps compressed |
//! | batch | the frames of one read, handled together |
//! | broadcast | a message to all nodes; flooded, or sent only where it is needed once the author is known; offered first if large |
//! | whisper | a message to one node |
//! | flooding | each node relays a message once, to all neighbours but its author and the one it came from |
//! | waterfall | the reference peers' word for flooding; here the cache of the broadcasts already seen |
//! | offer | a relay names a large broadcast, and sends it only to the peers that ask for it |
//! | prune, spare | a peer asks not to be sent an author's small broadcasts; it is spared them |
//! | search | the request to the mesh for the address of a node that is not connected |
//! | packet | one byte string of a message; most messages have several |
//! | kind | the first packet of the payload (packet 0): the type of the message; `type` in JSON |
//! | stamp | the second in which a message was sent, as the message claims |
//! | control message | a message of the protocol itself, such as a handshake or a peers list |
//! | author | the node that wrote a message, as the message claims |
//! | validator | an actor that decides which messages of a kind are relayed and delivered |
//! | awaiting list | the connections whose handshake is not accepted yet |
//! | routing table | the peers |
//! | peers list | ids and addresses of peers, sent to a peer that joins, asks, or has to leave |
//! | peer book | the addresses at which peers answered, also kept in a file |
//! | seed | an address that newcomers dial first; also the number behind a node's random choices |
//! | misconduct | what a peer does wrong; its points add up to a ban of its host |
//! | core | the layer `mesh`: the protocol's decisions, without I/O |
//! | event | a report of something that happened in the node |
//!
//! # The life of one message
//!
//! `publish` writes the value as JSON, puts its kind and a tag in front, and sends the Router a [`Send`](struct@Send).
//! The Router stamps it with the current second, hashes it to an id, remembers the id, and puts the bytes, shared
//! rather than copied, into the outbound queue of each connection. It answers with [`Sent`], which lists the peers that
//! were given it.
//!
//! A peer drops a message that it has seen: same id, same author, same packets. Otherwise it verifies that the id is
//! the hash of the message, relays it to its other peers, and queues it for each subscription whose [`Filter`] it
//! passes. The value is parsed only then, and your actor gets a [`Received`].
//!
//! # Order and delivery
//!
//! While the mesh is connected, every node that is in it when a message is sent gets it once. No order is guaranteed:
//! messages that take different paths may overtake each other. A node that is disconnected when a message passes does
//! not get it later: messages that must not be lost need an answer ([`Node::request`]) or a store.
//!
//! `Sent` means that connections took the message, not that a peer read it. A subscriber that is slower than the mesh
//! loses its oldest messages, and [`Message::missed`] and [`Event::Lagged`] say how many. With [`Overflow::Pause`] it
//! slows down the mesh instead.
//!
//! # Threads
//!
//! A node runs in the arbiter that starts it. An actor that computes for long in the same arbiter delays the node, and
//! the node delays the actor: start such an actor in an arbiter of its own (`Actor::start_in_arbiter`), or in a
//! `SyncArbiter` if it blocks. [`Config::arbiters`] moves reading and writing to threads of their own.
//!
//! # When something goes wrong
//!
//! Nothing fails silently: a failure is an `Err` for the caller that awaits it, and otherwise an [`Event`]. [`Stats`]
//! counts the failures of the mesh.
//!
//! | you see | because | do |
//! |---|---|---|
//! | [`NotReady`], [`Event::DialFailed`] | nothing listens at that address, or a firewall is in between | read the address and the reason in it |
//! | `other_subnet` in [`Event::Refused`] | subnet, encryption or generation differ | make all three the same |
//! | [`SendError::NoPeers`] | no peer is connected yet | [`Node::ready`] first, or [`allow_empty`](Send::allow_empty) |
//! | [`SendError::TooOften`] | identical packets were sent many times within seconds | vary the payload, or publish a typed value |
//! | [`SendError::NotText`] | binary in generation 0.4 hangs js2p peers | send text, use generation 0.7, or allow it |
//! | [`SendError::Busy`] | you send faster than the slowest peer reads | await the answers to earlier messages |
//! | [`WhisperError::NotFound`] | no peer knows that id | the node has left, or was never in this mesh |
//! | [`RequestError::Timeout`] | no node answers that kind, or the answer takes longer | check that an actor is registered with [`Node::answer`] |
//! | [`Event::Unreadable`] | two versions of a type share one kind | give the new one a new kind: `invalidate/2` |
//! | [`Event::Lagged`] | a subscriber is too slow | give it its own arbiter, a longer queue, or [`Overflow::Pause`] |
//! | [`Event::ClockSkew`] | clocks differ by more than 5 s; beyond a minute messages are dropped | run NTP on both machines |
//! | [`NodeGone`], `MailboxError::Closed` | the node has shut down | |
//!
//! # What is not promised
//!
//! No author is authenticated unless the message is signed: any member may claim any sender, in a closed mesh too. A
//! closed mesh refuses strangers and proves who each neighbour is: see `docs/tls.md`.
//!
//! # From js2p and py2p
//!
//! [Coming from js2p](coming_from_js2p) has a row for each name of the reference libraries.
//!
//! # Layers
//!
//! ```text
//!   3 node   actors, sockets, clocks
//!   2 mesh   the protocol's decisions, as a pure state machine
//!   1 wire   frames, ids and messages, pure
//! ```
//!
//! A layer uses only those below it, except that `node` also uses `tls`, `sim_net` and `error`. `mesh` and `wire`
//! depend on neither actix nor tokio's runtime; without the default feature `node` they are all that is built. The
//! feature `unstable` makes them public as modules that any version may change. Those of their types that users need
//! are re-exported here.

// docs.rs shows beside each item which feature it needs.
#![cfg_attr(docsrs, feature(doc_cfg))]
// Tests may use the methods that clippy.toml disallows; elsewhere each use states its bound.
#![cfg_attr(not(test), deny(clippy::disallowed_methods, clippy::disallowed_types))]

// Public with `unstable` only: this crate's own tests use them, and any version may change them.
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

// Documentation only; its links need the feature `node`.
#[cfg(all(feature = "node", any(doc, doctest)))]
#[doc = include_str!("../docs/coming-from-js2p.md")]
pub mod coming_from_js2p {}

// Runs the README's programs as doctests.
#[cfg(all(feature = "node", doctest))]
#[doc = include_str!("../README.md")]
struct Readme;

#[cfg(feature = "bridge")]
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

/// The items most programs use, under names that clash neither with `actix::prelude::*` nor with `std::marker::Send`.
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
    Message, MessageId, Method, NodeId, Packet, Packets, Subnet, SubnetId,
};
