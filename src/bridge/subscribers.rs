//! A bridge's subscribers on one side: one for messages, one for searches.
//!
//! Owns how a message is carried across. A message counts as handled once every other side has accepted or refused it,
//! so a bridge that falls behind misses messages in its subscription's queue, where they are counted.

use std::rc::Rc;

use actix::{Actor, Context, Handler, ResponseFuture};

use super::guests::{self, Guests};
use super::translation::translate;
use super::{Joint, PassOn};
use crate::mesh::Event;
use crate::wire::{Flag, Message};

/// Receives the messages of a side.
pub(super) struct MessageSubscriber {
    side: usize,
    joint: Joint,
}

impl MessageSubscriber {
    pub(super) fn new(side: usize, joint: Joint) -> Self {
        Self { side, joint }
    }
}

impl Actor for MessageSubscriber {
    type Context = Context<Self>;
}

impl Handler<Message> for MessageSubscriber {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, message: Message, _: &mut Context<Self>) -> Self::Result {
        let (side, joint) = (self.side, Rc::clone(&self.joint));
        Box::pin(async move { carry(side, &joint, &message).await })
    }
}

/// Passes a broadcast on to every other side that wants it.
async fn carry(from: usize, joint: &Joint, message: &Message) {
    joint.borrow_mut().ledger.missed(from, message.missed());
    // A whisper here is for this node; whispers that cross go to guests.
    if *message.flag() != Flag::Broadcast {
        return;
    }
    let targets = {
        let mut shared = joint.borrow_mut();
        shared.authors.heard(message.sender(), from);
        let kind = message.packets().first();
        let kind = kind.map(|kind| kind.as_bytes()).unwrap_or_default();
        let leaves = shared.sides[from].lets_out(kind);
        let others = shared.sides.iter().enumerate();
        let targets: Vec<_> = others
            .filter(|(index, side)| *index != from && leaves && side.lets_in(kind))
            .map(|(index, side)| (index, side.router.clone(), side.wire))
            .collect();
        if targets.is_empty() {
            shared.ledger.kept(from);
        }
        targets
    };
    let wire = joint.borrow().sides[from].wire;
    for (index, router, to) in targets {
        let Some(payload) = translate(message.packets(), wire, to) else {
            joint.borrow_mut().ledger.unheard(index);
            continue;
        };
        let pass_on = PassOn::new(message.sender().clone(), message.time(), payload);
        let answer = router.send(pass_on).await;
        let mut shared = joint.borrow_mut();
        match answer {
            Ok(answer) => shared.ledger.broadcast(index, answer.as_ref()),
            Err(_) => shared.ledger.unheard(index),
        }
    }
}

/// Receives the searches for ids on a side.
pub(super) struct EventSubscriber {
    side: usize,
    joint: Joint,
}

impl EventSubscriber {
    pub(super) fn new(side: usize, joint: Joint) -> Self {
        Self { side, joint }
    }
}

impl Actor for EventSubscriber {
    type Context = Context<Self>;
}

impl Handler<Event> for EventSubscriber {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, event: Event, _: &mut Context<Self>) -> Self::Result {
        let (side, joint) = (self.side, Rc::clone(&self.joint));
        Box::pin(async move {
            if let Event::Sought { peer } = event
                && guests::home_of(&joint, side, &peer).await.is_some()
            {
                Guests::invite(&joint, side, peer).await;
            }
        })
    }
}
