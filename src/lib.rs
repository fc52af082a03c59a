//! A peer-to-peer mesh under any actix system: broadcasts, whispers and discovery with no broker, on the wire
//! of [p2p.today](https://github.com/p2p-today/p2p-project) (py2p, js2p), generation 0.4.
//!
//! A node is one actor, the [`Router`]; users hold its address and send it messages. Two nodes that talk:
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
//! # What to send a Router
//!
//! | to | messages |
//! |---|---|
//! | meet others | [`Connect`], [`Disconnect`], [`RequestPeers`] |
//! | speak | [`Send`](struct@Send) to all, [`Whisper`] or [`Message::reply`] to one |
//! | hear | [`Subscribe`] an actor, pull with [`Recv`], decide first with [`Intercept`], decide what is relayed with [`Validate`]; [`Event`]s by [`SubscribeEvents`] |
//! | look | [`Peers`], [`Awaiting`], [`Topology`], [`Status`] |
//! | end | [`Shutdown`] |
//!
//! # What is built on it
//!
//! | to | there is |
//! |---|---|
//! | work with types, questions and actors on other nodes | [`Payload`], [`Query`], and the methods of [`Node`] |
//! | know who is here, share a dictionary | [`replicated`] |
//! | join meshes of other subnets or generations, or a broker | [`bridge`] |
//! | use a node without an actix system of one's own | [`Config::start_on_thread`] |
//! | prove who wrote what (feature `tls`) | `signed` |
//! | test an actor on fifty nodes in virtual time (feature `sim`) | `SimNet` |
//!
//! # Threads
//!
//! A node runs in the arbiter it is started in. An actor in the same arbiter that computes for long holds up the node, and
//! the other way round: give it an arbiter of its own (`Actor::start_in_arbiter`), or a `SyncArbiter` for what blocks.
//! [`Config::arbiters`] has connections read and written on threads of their own.
//!
//! # The floors
//!
//! ```text
//!   3 node   actors, sockets, clocks     does
//!   2 mesh   the protocol's decisions    decides, pure
//!   1 wire   bytes and messages          says, pure
//! ```
//!
//! A floor uses those below it. [`mesh`] and [`wire`] know neither actix nor tokio's runtime: without the default
//! feature `node` they are all there is.
//!
//! # What is not promised
//!
//! On plaintext nobody's name is proven: a sender is a claim. Messages may arrive in another order than they were
//! sent, and a node that is not connected when a message passes does not get it later.

// docs.rs says beside each item which feature it needs.
#![cfg_attr(docsrs, feature(doc_cfg))]
// Cargo.toml allows them, for tests; in what runs, each use says what bounds it (clippy.toml).
#![cfg_attr(not(test), deny(clippy::disallowed_methods, clippy::disallowed_types))]

pub mod mesh;
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
    Acceptance, CloseReason, ConnectError, DialError, Direction, Event, Neighbor, Neighborhood,
    OtherProtocol, SendError, Sent, Severity, SkipReason, Skipped, Stats, TlsRefusal, Traffic,
    Trouble, WhisperError, Whispered,
};
#[cfg(feature = "node")]
pub use node::transport::encryption::Encryption;
#[cfg(feature = "node")]
pub use node::{
    Awaited, Awaiting, Bundle, Connect, Disconnect, Filter, Histogram, Intercept, KindFilter,
    Offer, Overflow, Peer, Peers, Proposal, Queue, Recv, Reply, RequestPeers, RequestStats, Router,
    Send, SendMany, Shutdown, ShutdownReport, Status, StatusReport, Subscribe, SubscribeEvents,
    SubscriptionId, Topology, Unsent, Unsubscribe, Validate, Verdict, Whisper,
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
