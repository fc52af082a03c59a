//! The list of nodes: each announces itself, with a description for others.
//!
//! Owns the list, and when a node is gone. Knows of the mesh only what its Router reports.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use actix::{
    Actor, ActorFutureExt as _, Addr, AsyncContext as _, Context, Handler, Recipient, SpawnHandle,
    WrapFuture as _,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::Instant;

use super::watchers::Watchers;
use crate::mesh::Event;
use crate::node::{Peers, Router, Send, Subscribe, SubscribeEvents};
use crate::start::Node;
use crate::typed::{Payload, Received};
use crate::wire::NodeId;

/// How often a node announces itself.
const EVERY: Duration = Duration::from_secs(20);
/// Announcements in a row that may be missed.
const MISSED: u32 = 3;
/// Maximum nodes listed; further ones are ignored.
const MAX_NODES: usize = 4096;
/// Maximum bytes of a node's description, as JSON.
const MAX_ABOUT: usize = 4096;
/// Longest time an announcement holds: an author with many names fills the list for no longer.
const MAX_HOLD: Duration = Duration::from_secs(600);
/// Shortest time between two announcements caused by peers that join.
const AT_MOST_EVERY: Duration = Duration::from_secs(2);

/// The message on the wire.
#[derive(Debug, Serialize, Deserialize)]
struct Announcement {
    /// The node's description.
    about: Value,
    /// How many seconds it holds; 0 if the node leaves.
    seconds: u32,
}

impl Payload for Announcement {
    const KIND: &'static str = "mesh.presence/1";
}

/// A node in the list.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Present {
    /// Its id, as claimed.
    pub node: NodeId,
    /// Its description.
    pub about: Value,
}

/// The list of nodes in the whole mesh. An actor announces this node and listens to the others.
///
/// A node is gone when it says so, or when it missed three announcements.
///
/// ```
/// use actix::Actor;
/// use actix_mesh::replicated::{Here, Presence};
/// use actix_mesh::Config;
/// use serde_json::json;
///
/// #[actix::main]
/// async fn main() -> Result<(), Box<dyn std::error::Error>> {
///     let a = Config::new().start().await?;
///     let b = Config::new().connect(a.addr).start().await?;
///     let ours = Presence::of(&a).about(json!({"name": "anna"})).start();
///     let _theirs = Presence::of(&b).about(json!({"name": "ben"})).start();
///     while ours.send(Here).await?.is_empty() {
///         tokio::time::sleep(std::time::Duration::from_millis(10)).await;
///     }
///     assert_eq!(ours.send(Here).await?[0].about["name"], "ben");
///     Ok(())
/// }
/// ```
///
/// At most 4,096 nodes are listed, with a description of at most 4 KiB each. Announcements beyond that are dropped and
/// [counted](PresenceStatus). On plaintext any member can speak for others, and fill the list.
pub struct Presence {
    router: Addr<Router>,
    me: NodeId,
    about: Value,
    every: Duration,
    present: BTreeMap<NodeId, (Value, Instant)>,
    watchers: Watchers<PresenceChanged>,
    passed_over: u64,
    announced: Option<Instant>,
    due: Option<SpawnHandle>,
}

impl fmt::Debug for Presence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Presence")
            .field("about", &self.about)
            .field("present", &self.present.len())
            .finish_non_exhaustive()
    }
}

impl Presence {
    /// Creates the list for this node, with an empty description: `Presence::of(&node).start()`.
    pub fn of(node: &Node) -> Self {
        Self {
            router: node.router.clone(),
            me: node.id.clone(),
            about: Value::Null,
            every: EVERY,
            present: BTreeMap::new(),
            watchers: Watchers::new(),
            passed_over: 0,
            announced: None,
            due: None,
        }
    }

    /// Sets this node's description.
    #[must_use]
    pub fn about(mut self, about: impl Into<Value>) -> Self {
        self.about = about.into();
        self
    }

    /// Sets how often this node announces itself. Default 20 s, 1 s to 200 s. Others notice a lost node within three
    /// times that.
    #[must_use]
    pub fn every(mut self, time: Duration) -> Self {
        self.every = time.clamp(Duration::from_secs(1), MAX_HOLD / MISSED);
        self
    }

    fn announcement(&self, holds: Duration) -> Option<Send> {
        let seconds = u32::try_from(holds.as_secs()).unwrap_or(u32::MAX);
        let about = self.about.clone();
        Send::typed(&Announcement { about, seconds }).ok()
    }

    fn announce(&mut self, ctx: &mut Context<Self>) {
        self.announced = Some(Instant::now());
        if let Some(send) = self.announcement(self.every * MISSED) {
            // Without peers nobody needs to know; the Router counts failures.
            let sending = self.router.send(send);
            ctx.spawn(sending.into_actor(self).map(|_, _, _| ()));
        }
    }

    /// Announces this node soon, for peers that just joined.
    fn announce_soon(&mut self, ctx: &mut Context<Self>) {
        if self.due.is_some() {
            return;
        }
        let since = self.announced.map_or(AT_MOST_EVERY, |then| then.elapsed());
        let wait = AT_MOST_EVERY.saturating_sub(since);
        self.due = Some(ctx.run_later(wait, |presence, ctx| {
            presence.due = None;
            presence.announce(ctx);
        }));
    }

    fn leave(&mut self, node: &NodeId) {
        if self.present.remove(node).is_some() {
            self.watchers.tell(&PresenceChanged::Left(node.clone()));
        }
    }

    fn expire(&mut self) {
        let now = Instant::now();
        let gone = self.present.iter().filter(|(_, (_, until))| *until <= now);
        let gone: Vec<_> = gone.map(|(node, _)| node.clone()).collect();
        gone.iter().for_each(|node| self.leave(node));
    }
}

impl Actor for Presence {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        let values = Subscribe::<Received<Announcement>>::typed(ctx.address());
        let events = SubscribeEvents::new(ctx.address());
        let router = self.router.clone();
        let subscribing = async move {
            router.send(values).await?;
            router.send(events).await?;
            router.send(Peers).await
        };
        ctx.wait(subscribing.into_actor(self).map(|peers, presence, ctx| {
            if peers.is_ok_and(|peers| !peers.is_empty()) {
                presence.announce(ctx);
            }
        }));
        ctx.run_interval(self.every, Self::announce);
        ctx.run_interval(Duration::from_secs(1), |presence, _| presence.expire());
    }

    fn stopped(&mut self, _: &mut Context<Self>) {
        if let Some(send) = self.announcement(Duration::ZERO) {
            // Announces that this node leaves, if the Router still runs.
            let _ = self.router.try_send(send);
        }
    }
}

impl Handler<Received<Announcement>> for Presence {
    type Result = ();

    fn handle(&mut self, got: Received<Announcement>, _: &mut Context<Self>) {
        let node = got.message.sender().clone();
        let Announcement { about, seconds } = got.value;
        if seconds == 0 {
            return self.leave(&node);
        }
        let is_new = !self.present.contains_key(&node);
        let too_much = got.message.byte_len() > MAX_ABOUT + 512;
        if node == self.me {
            return;
        }
        if too_much || (is_new && self.present.len() >= MAX_NODES) {
            self.passed_over += 1;
            return;
        }
        let until = Instant::now() + Duration::from_secs(u64::from(seconds)).min(MAX_HOLD);
        let before = self.present.insert(node.clone(), (about.clone(), until));
        match before {
            Some((before, _)) if before == about => {}
            Some(_) => self
                .watchers
                .tell(&PresenceChanged::Changed(Present { node, about })),
            None => self
                .watchers
                .tell(&PresenceChanged::Arrived(Present { node, about })),
        }
    }
}

impl Handler<Event> for Presence {
    type Result = ();

    fn handle(&mut self, event: Event, ctx: &mut Context<Self>) {
        if let Event::PeerJoined { .. } = event {
            self.announce_soon(ctx);
        }
    }
}

/// Changes this node's description.
///
/// ```
/// use actix::Actor;
/// use actix_mesh::Config;
/// use actix_mesh::replicated::{Announce, Presence};
/// use serde_json::json;
///
/// # #[actix::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let a = Config::new().start().await?;
/// let presence = Presence::of(&a).start();
/// presence.send(Announce(json!({ "load": 0.7 }))).await?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq, actix::Message)]
#[rtype(result = "()")]
pub struct Announce(pub Value);

impl Handler<Announce> for Presence {
    type Result = ();

    fn handle(&mut self, announce: Announce, ctx: &mut Context<Self>) {
        self.about = announce.0;
        self.announce_soon(ctx);
    }
}

/// Returns the nodes besides this one, in the order of their ids.
///
/// ```
/// use actix::Actor;
/// use actix_mesh::Config;
/// use actix_mesh::replicated::{Here, Presence};
///
/// # #[actix::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let a = Config::new().start().await?;
/// let presence = Presence::of(&a).start();
/// assert!(presence.send(Here).await?.is_empty());
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, actix::Message)]
#[rtype(result = "Vec<Present>")]
pub struct Here;

impl Handler<Here> for Presence {
    type Result = Vec<Present>;

    fn handle(&mut self, _: Here, _: &mut Context<Self>) -> Self::Result {
        let present = self.present.iter().map(|(node, (about, _))| Present {
            node: node.clone(),
            about: about.clone(),
        });
        present.collect()
    }
}

/// Asks for the list's state.
///
/// ```
/// use actix::Actor;
/// use actix_mesh::Config;
/// use actix_mesh::replicated::{Presence, PresenceStatus};
///
/// # #[actix::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let a = Config::new().start().await?;
/// let presence = Presence::of(&a).start();
/// assert_eq!(presence.send(PresenceStatus).await?.passed_over, 0);
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, actix::Message)]
#[rtype(result = "PresenceReport")]
pub struct PresenceStatus;

/// The list's state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PresenceReport {
    /// Nodes listed.
    pub present: usize,
    /// Announcements dropped because the list was full or the description too large.
    pub passed_over: u64,
}

impl Handler<PresenceStatus> for Presence {
    type Result = actix::MessageResult<PresenceStatus>;

    fn handle(&mut self, _: PresenceStatus, _: &mut Context<Self>) -> Self::Result {
        actix::MessageResult(PresenceReport {
            present: self.present.len(),
            passed_over: self.passed_over,
        })
    }
}

/// A change of the list.
#[derive(Clone, Debug, PartialEq, actix::Message)]
#[rtype(result = "()")]
#[non_exhaustive]
pub enum PresenceChanged {
    /// A node arrived.
    Arrived(Present),
    /// A node has another description.
    Changed(Present),
    /// A node is gone.
    Left(NodeId),
}

/// Tells an actor of every change from now on. A slow one misses changes, and can catch up with [`Here`].
///
/// ```
/// use actix::{Actor, Context, Handler};
/// use actix_mesh::Config;
/// use actix_mesh::replicated::{Presence, PresenceChanged, WatchPresence};
///
/// # #[actix::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// struct Doorman;
/// impl Actor for Doorman {
///     type Context = Context<Self>;
/// }
/// impl Handler<PresenceChanged> for Doorman {
///     type Result = ();
///     fn handle(&mut self, changed: PresenceChanged, _: &mut Context<Self>) {
///         println!("{changed:?}");
///     }
/// }
///
/// let a = Config::new().start().await?;
/// let presence = Presence::of(&a).start();
/// presence.send(WatchPresence(Doorman.start().recipient())).await?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, actix::Message)]
#[rtype(result = "()")]
pub struct WatchPresence(pub Recipient<PresenceChanged>);

impl Handler<WatchPresence> for Presence {
    type Result = ();

    fn handle(&mut self, watch: WatchPresence, _: &mut Context<Self>) {
        self.watchers.add(watch.0);
    }
}
