//! Bridges: nodes of one process that carry messages from one mesh to another.
//!
//! A mesh is one subnet of one generation, encryption and transport, and refuses all others. A [`Bridge`] joins two or more
//! of them: it subscribes to a [`Router`](crate::Router) in each and passes every broadcast on to the others.
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
//! A message keeps its author and its time, so it has the same id whoever passes it on, and a mesh takes each id once. Two
//! bridges may join the same two meshes, and three may form a ring: what comes round again is already known there.
//!
//! # Generations
//!
//! The sides may speak different generations of the protocol. Text is text in each. From generation 0.6 on a packet may be
//! another value; in 0.4 and 0.5 such a one is text that says what it is, `mesh+` and the value's MessagePack in base64url,
//! and becomes the value again on its way back. Bytes that are not valid UTF-8 do not cross from 0.4 or 0.5 to later ones:
//! they are counted as [failed](Carried::failed).
//!
//! # Whispers and replies
//!
//! Who answers a message from the other side whispers to its author, who is not in this mesh. The bridge hears the search for
//! that id and starts a *guest*: a node of this mesh under the author's id, whose whispers it takes across. Guests need a
//! [configuration](Side::guests), end after two minutes without use, and number 64 at most. Where ids are proven by
//! certificates, no guest can be believed, and whispers do not cross.
//!
//! This module composes messages to the `Router` from outside and knows nothing of the floors below it. With the feature
//! `unstable` those that only bridges send are public too (`PassOn`, `PassOnTo`, `TellSought`, `Vouch`), for bridges of other kinds.

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

// What a bridge is composed of: with `unstable`, others can be composed of it too.
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

/// How often guests are looked over.
const LOOK_OVER: std::time::Duration = std::time::Duration::from_secs(10);

/// What the actors of a bridge share. They run on one thread, and none keeps it borrowed over an await.
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
    #[error("a bridge joins two meshes or more: call `join` for each")]
    OneSided,
    /// Two sides are the same node.
    #[error("the sides {0} and {1} are the same node: give each mesh a node of its own")]
    SameNode(String, String),
    /// A node is gone.
    #[error("the node of side {side} has shut down")]
    Gone {
        /// Which side.
        side: String,
        /// What its mailbox said.
        source: MailboxError,
    },
}

/// Joins meshes: see the [module](self). Lives until [its address](Addr) is dropped or its system ends; it keeps none of
/// its nodes from shutting down.
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
    /// A bridge that joins nothing yet.
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

    /// Joins a mesh.
    #[must_use]
    pub fn join(self, side: Side) -> Self {
        self.joint.borrow_mut().sides.push(side);
        self
    }

    /// Starts carrying messages.
    ///
    /// # Errors
    ///
    /// If fewer than two sides are joined, two of them are one node, or a node is gone.
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
        let mut shared = self.joint.borrow_mut();
        for (side, (_, wire)) in shared.sides.iter_mut().zip(ids) {
            side.wire = wire;
        }
        Ok(())
    }
}

/// Not only what users without a kind of their own say.
fn everything(subscribe: Subscribe<Message>) -> Subscribe<Message> {
    subscribe.filter(Filter::new().any_kind())
}

impl Actor for Bridge {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.run_interval(LOOK_OVER, |bridge, ctx| {
            let ended = Guests::take_idle(&bridge.joint);
            ctx.spawn(guests::end_all(ended).into_actor(bridge).map(|(), _, _| ()));
            // The timer alone would keep it alive.
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
                // A node that is gone has ended its subscriptions itself.
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
