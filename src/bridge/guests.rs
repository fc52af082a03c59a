//! Guests: nodes that stand in one mesh for a peer of another, so that this peer can be whispered to.
//!
//! Owns their number and their lifetimes. A guest has the id of the peer it stands for and dials no peer; a whisper to
//! it is passed on to that peer under its author's id.

use std::collections::HashMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use actix::{Actor, Context, Handler, ResponseFuture};

use super::translation::translate;
use super::{Joint, PassOn, PassOnTo, Vouch};
use crate::node::{Peers, Shutdown, Subscribe};
use crate::start::Node;
use crate::wire::{Flag, Message, NodeId};

/// The most guests of a bridge at once, on all sides.
const MAX_GUESTS: usize = 64;
/// A guest that gets no whisper for this long ends.
const IDLE: Duration = Duration::from_secs(120);

/// A guest, or one that is being started.
struct Guest {
    node: Option<Node>,
    used: Instant,
}

/// The guests, by side and by the peer each stands for.
#[derive(Default)]
pub(super) struct Guests(HashMap<(usize, NodeId), Guest>);

/// A guest to be stopped.
pub(super) struct Ended {
    node: Node,
    router: actix::Addr<crate::node::Router>,
}

/// Returns the side that a peer belongs to, unless it is `side`: where it was first heard, or where it is connected.
pub(super) async fn home_of(joint: &Joint, side: usize, peer: &NodeId) -> Option<usize> {
    let known = joint.borrow().authors.side_of(peer);
    if let Some(home) = known {
        return (home != side).then_some(home);
    }
    let sides = joint.borrow().sides.clone();
    for (index, other) in sides.iter().enumerate().filter(|(index, _)| *index != side) {
        let peers = other.router.send(Peers).await.unwrap_or_default();
        if peers.iter().any(|connected| connected.id == *peer) {
            return Some(joint.borrow_mut().authors.heard(peer, index));
        }
    }
    None
}

impl Guests {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Starts a guest for a peer, unless there is one, and vouches for it.
    pub(super) async fn invite(joint: &Joint, side: usize, peer: NodeId) {
        let key = (side, peer.clone());
        let (config, router) = {
            let mut shared = joint.borrow_mut();
            if let Some(guest) = shared.guests.0.get_mut(&key) {
                guest.used = Instant::now();
                return;
            }
            let full = shared.guests.len() >= MAX_GUESTS;
            let wire = shared.sides[side].wire;
            let Some(config) = shared.sides[side].guests.clone().filter(|_| !full) else {
                return shared.ledger.guest_refused(side);
            };
            let guest = Guest {
                node: None,
                used: Instant::now(),
            };
            shared.guests.0.insert(key.clone(), guest);
            (config.generation(wire), shared.sides[side].router.clone())
        };
        let started = Self::start(config.id(peer.clone()), side, joint).await;
        let Some(node) = started else {
            let mut shared = joint.borrow_mut();
            shared.guests.0.remove(&key);
            return shared.ledger.guest_refused(side);
        };
        let vouched = router.send(Vouch::at(peer, node.advertised.clone())).await;
        // The bridge or its node may have ended meanwhile.
        let mut unwanted = Some(node);
        {
            let mut shared = joint.borrow_mut();
            match (vouched, shared.guests.0.get_mut(&key)) {
                (Ok(()), Some(guest)) => guest.node = unwanted.take(),
                _ => drop(shared.guests.0.remove(&key)),
            }
        }
        if let Some(node) = unwanted {
            end_all(vec![Ended { node, router }]).await;
        }
    }

    async fn start(config: crate::Config, side: usize, joint: &Joint) -> Option<Node> {
        let id = config.id.clone()?;
        let node = config.start().await.ok()?;
        let door = Door {
            side,
            stands_for: id,
            joint: Rc::clone(joint),
        };
        let heard = node
            .router
            .send(super::everything(Subscribe::messages(door.start())))
            .await;
        heard.ok().map(|_| node)
    }

    /// Removes and returns the idle guests.
    pub(super) fn take_idle(joint: &Joint) -> Vec<Ended> {
        Self::take(joint, |guest| {
            guest.node.is_some() && guest.used.elapsed() > IDLE
        })
    }

    /// Removes and returns every guest.
    pub(super) fn take_all(joint: &Joint) -> Vec<Ended> {
        Self::take(joint, |_| true)
    }

    fn take(joint: &Joint, which: impl Fn(&Guest) -> bool) -> Vec<Ended> {
        let mut shared = joint.borrow_mut();
        let gone: Vec<_> = shared
            .guests
            .0
            .extract_if(|_, guest| which(guest))
            .collect();
        let ended = |((side, _), guest): ((usize, NodeId), Guest)| {
            Some(Ended {
                node: guest.node?,
                router: shared.sides[side].router.clone(),
            })
        };
        gone.into_iter().filter_map(ended).collect()
    }
}

/// Withdraws the vouching for these guests and stops them.
pub(super) async fn end_all(guests: Vec<Ended>) {
    for Ended { node, router } in guests {
        // A node that has shut down has nothing to withdraw or to stop.
        let _ = router.send(Vouch::withdraw(node.id)).await;
        let _ = node.router.send(Shutdown::new()).await;
    }
}

/// Receives the whispers to a guest.
struct Door {
    side: usize,
    stands_for: NodeId,
    joint: Joint,
}

impl Actor for Door {
    type Context = Context<Self>;
}

impl Handler<Message> for Door {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, message: Message, _: &mut Context<Self>) -> Self::Result {
        let (side, joint) = (self.side, Rc::clone(&self.joint));
        let to = self.stands_for.clone();
        Box::pin(async move {
            if *message.flag() == Flag::Whisper {
                whisper_across(side, &joint, to, &message).await;
            }
        })
    }
}

async fn whisper_across(side: usize, joint: &Joint, to: NodeId, message: &Message) {
    let (home, router, payload) = {
        let mut shared = joint.borrow_mut();
        shared.authors.heard(message.sender(), side);
        if let Some(guest) = shared.guests.0.get_mut(&(side, to.clone())) {
            guest.used = Instant::now();
        }
        let kind = message.packets().first();
        let kind = kind.map(|kind| kind.as_bytes()).unwrap_or_default();
        let home = shared.authors.side_of(&to);
        let Some(home) = home.filter(|home| {
            shared.sides[side].lets_out_whisper(kind) && shared.sides[*home].lets_in_whisper(kind)
        }) else {
            return shared.ledger.kept(side);
        };
        let (from, into) = (shared.sides[side].wire, shared.sides[home].wire);
        let Some(payload) = translate(message.packets(), from, into) else {
            return shared.ledger.untold(home);
        };
        (home, shared.sides[home].router.clone(), payload)
    };
    let whisper = PassOn::new(message.sender().clone(), message.time(), payload);
    let answer = router.send(PassOnTo::new(to, whisper)).await;
    let mut shared = joint.borrow_mut();
    match answer {
        Ok(answer) => shared.ledger.whisper(home, answer.as_ref()),
        Err(_) => shared.ledger.unheard(home),
    }
}
