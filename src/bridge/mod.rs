//! Bridges between meshes: nodes in one process that carry messages from one mesh to another.
//!
//! A mesh is one subnet with one generation, encryption and transport, and refuses all others. A [`Bridge`] joins two
//! or more meshes: it subscribes to a [`Router`](crate::Router) in each and passes every broadcast on to the others.
//!
//! ```no_run
//! use actix_mesh::Config;
//! use actix_mesh::bridge::{Bridge, Side};
//!
//! #[actix::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let shop = Config::new().subnet("shop", "Plaintext").connect("shop.internal:4444").start().await?;
//!     let back = Config::new().subnet("back-office", "Plaintext").connect("office.internal:4444").start().await?;
//!     let bridge = Bridge::new()
//!         .join(Side::new("shop", &shop).kinds(["order/"]).guests(Config::new().subnet("shop", "Plaintext")))
//!         .join(Side::new("office", &back).guests(Config::new().subnet("back-office", "Plaintext")))
//!         .start()
//!         .await?;
//!     println!("{:#?}", bridge.send(actix_mesh::bridge::BridgeStatus).await?);
//!     Ok(())
//! }
//! ```
//!
//! # No echo, no loop
//!
//! A message keeps its author and time, so its id is the same whichever bridge carries it, and a mesh accepts each id
//! once. Two bridges may join the same two meshes, and three may form a ring: a message that comes round again is a
//! duplicate.
//!
//! # Generations
//!
//! The sides may speak different generations of the protocol. Text is text in each. From generation 0.6 on a packet may
//! be another value; in 0.4 and 0.5 it is carried as text, `mesh+` and the value's MessagePack in base64url, and
//! becomes the value again on its way back. As the first packet, the numbers below 32, which are the protocol's own
//! kinds, are single bytes there. Bytes that are not valid UTF-8 do not cross from 0.4 or 0.5 to later
//! generations: they are counted as [failed](Carried::failed).
//!
//! # Whispers and replies
//!
//! A reply to a message from the other side is a whisper to its author, who is not in this mesh. The bridge sees the
//! search for that id and starts a *guest*: a node of this mesh under the author's id, whose whispers the bridge
//! carries across. Guests need a [configuration](Side::guests) and end after two minutes without use; at most 64 run at
//! once. Where certificates prove ids a guest cannot prove its own, so whispers do not cross.
//!
//! This module sends messages to the `Router` from outside and knows nothing of the layers below it. With the feature
//! `unstable` the messages that only bridges send are public (`PassOn`, `PassOnTo`, `TellSought`, `Vouch`), so that
//! other kinds of bridges can be written.

mod guests;
#[cfg(feature = "nats")]
pub mod nats;
mod report;
mod side;
mod subscribers;
mod translation;

use std::cell::RefCell;
use std::rc::Rc;

use actix::{
    Actor, ActorFutureExt as _, Addr, AsyncContext as _, Context, Handler, MailboxError,
    MessageResult, WrapFuture as _,
};

use crate::node::{Filter, Status, Subscribe, SubscribeEvents, SubscriptionId, Unsubscribe};
use crate::wire::Message;

// The messages a bridge is built from; public with `unstable`.
#[cfg(feature = "unstable")]
pub use crate::mesh::PassOnError;
#[cfg(not(feature = "unstable"))]
pub(crate) use crate::node::messages::pass_on::{PassOn, PassOnTo, TellSought, Vouch};
#[cfg(feature = "unstable")]
pub use crate::node::messages::pass_on::{PassOn, PassOnTo, TellSought, Vouch};
pub use report::{BridgeReport, BridgeStatus, Carried, SideReport};
pub use side::Side;

use guests::Guests;
use report::Ledger;
use side::Authors;
use subscribers::{EventSubscriber, MessageSubscriber};

/// How often idle guests are looked for.
const LOOK_OVER: std::time::Duration = std::time::Duration::from_secs(10);

/// The state shared by a bridge's actors. They run on one thread, and none holds a borrow across an await.
struct Shared {
    sides: Vec<Side>,
    authors: Authors,
    guests: Guests,
    ledger: Ledger,
}

type Joint = Rc<RefCell<Shared>>;

/// Why a bridge did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BridgeError {
    /// It joins fewer than two meshes.
    #[error("a bridge needs at least two meshes: call `join` for each")]
    OneSided,
    /// Two sides are the same node.
    #[error("the sides {0} and {1} are the same node: give each mesh a node of its own")]
    SameNode(String, String),
    /// Two sides have one name, so the report could not tell them apart.
    #[error("two sides are named {0:?}: give each a name of its own")]
    SameName(String),
    /// A node has shut down.
    #[error("the node of side {side} has shut down")]
    Gone {
        /// The name of its side.
        side: String,
        /// The mailbox's error.
        source: MailboxError,
    },
}

/// Joins meshes: see the [module](self). It runs until [its address](Addr) is dropped or its system ends; it does not
/// keep its nodes from shutting down.
pub struct Bridge {
    joint: Joint,
    subscriptions: Vec<(usize, SubscriptionId)>,
}

impl std::fmt::Debug for Bridge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bridge").finish_non_exhaustive()
    }
}

impl Default for Bridge {
    fn default() -> Self {
        Self::new()
    }
}

impl Bridge {
    /// Creates a bridge without sides.
    #[must_use]
    pub fn new() -> Self {
        let shared = Shared {
            sides: Vec::new(),
            authors: Authors::default(),
            guests: Guests::default(),
            ledger: Ledger::default(),
        };
        Self {
            joint: Rc::new(RefCell::new(shared)),
            subscriptions: Vec::new(),
        }
    }

    /// Adds a mesh.
    #[must_use]
    pub fn join(self, side: Side) -> Self {
        self.joint.borrow_mut().sides.push(side);
        self
    }

    /// Starts carrying messages.
    ///
    /// # Errors
    ///
    /// If there are fewer than two sides, two of them are the same node or have one name, or a node has shut down.
    pub async fn start(mut self) -> Result<Addr<Self>, BridgeError> {
        self.check().await?;
        let sides = self.joint.borrow().sides.clone();
        for (index, side) in sides.iter().enumerate() {
            let hears = MessageSubscriber::new(index, Rc::clone(&self.joint)).start();
            let watches = EventSubscriber::new(index, Rc::clone(&self.joint)).start();
            let gone = side.gone();
            side.router.send(TellSought).await.map_err(&gone)?;
            let heard = side
                .router
                .send(everything(Subscribe::messages(hears)))
                .await;
            self.subscriptions.push((index, heard.map_err(&gone)?));
            let told = side.router.send(SubscribeEvents::new(watches)).await;
            self.subscriptions.push((index, told.map_err(&gone)?));
        }
        Ok(Actor::start(self))
    }

    async fn check(&self) -> Result<(), BridgeError> {
        let sides = self.joint.borrow().sides.clone();
        if sides.len() < 2 {
            return Err(BridgeError::OneSided);
        }
        let mut ids = Vec::new();
        for side in &sides {
            let status = side.router.send(Status).await.map_err(side.gone())?;
            if let Some(at) = ids.iter().position(|(id, _)| *id == status.id) {
                let first: &Side = &sides[at];
                return Err(BridgeError::SameNode(first.name.clone(), side.name.clone()));
            }
            ids.push((status.id, status.wire));
        }
        for (at, side) in sides.iter().enumerate() {
            if sides[..at].iter().any(|other| other.name == side.name) {
                return Err(BridgeError::SameName(side.name.clone()));
            }
        }
        let mut shared = self.joint.borrow_mut();
        for (side, (_, wire)) in shared.sides.iter_mut().zip(ids) {
            side.wire = wire;
        }
        Ok(())
    }
}

/// Subscribes to every kind, not only to messages without a kind.
fn everything(subscribe: Subscribe<Message>) -> Subscribe<Message> {
    subscribe.filter(Filter::new().any_kind())
}

impl Actor for Bridge {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.run_interval(LOOK_OVER, |bridge, ctx| {
            let ended = Guests::take_idle(&bridge.joint);
            ctx.spawn(guests::end_all(ended).into_actor(bridge).map(|(), _, _| ()));
            // The timer alone would keep the actor alive.
            if !ctx.connected() {
                actix::ActorContext::stop(ctx);
            }
        });
    }

    fn stopped(&mut self, _: &mut Context<Self>) {
        let subscriptions = std::mem::take(&mut self.subscriptions);
        let sides = self.joint.borrow().sides.clone();
        let guests = Guests::take_all(&self.joint);
        actix_rt::spawn(async move {
            for (side, id) in subscriptions {
                // A node that has shut down has already ended its subscriptions.
                let _ = sides[side].router.send(Unsubscribe::from(id)).await;
            }
            guests::end_all(guests).await;
        });
    }
}

impl Handler<BridgeStatus> for Bridge {
    type Result = MessageResult<BridgeStatus>;

    fn handle(&mut self, _: BridgeStatus, _: &mut Context<Self>) -> Self::Result {
        let shared = self.joint.borrow();
        MessageResult(shared.ledger.report(&shared.sides, shared.guests.len()))
    }
}
