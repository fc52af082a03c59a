//! The subscriber through which messages and events reach standard output.
//!
//! Owns the order: the next is taken when the last has found room in the output, so that what is too much
//! waits, and is dropped and counted, in the subscription's bounded queue.

use std::cell::RefCell;
use std::rc::Rc;

use actix::fut::wrap_future;
use actix::{Actor, Addr, AsyncContext as _, AtomicResponse, Context, Handler, MailboxError};
use actix_mesh::{Event, Filter, Message, Router, Subscribe, SubscribeEvents};

use super::front::Front;
use super::known::Known;
use crate::output::Output;

/// How much may wait for a slow reader of our output.
pub(crate) const ITEMS: usize = 1 << 16;
pub(crate) const BYTES: usize = 16 << 20;

pub(crate) struct Voice {
    pub(crate) router: Addr<Router>,
    pub(crate) front: Rc<dyn Front>,
    pub(crate) known: Rc<RefCell<Known>>,
    pub(crate) output: Output,
}

impl Voice {
    /// Has everything said that the node delivers and tells.
    pub(crate) async fn subscribe(self, router: &Addr<Router>) -> Result<Addr<Self>, MailboxError> {
        let voice = self.start();
        let events = SubscribeEvents::new(voice.clone())
            .items(ITEMS)
            .bytes(BYTES);
        let messages = Subscribe::messages(voice.clone())
            .filter(Filter::new().any_kind())
            .items(ITEMS)
            .bytes(BYTES);
        router.send(events).await?;
        router.send(messages).await?;
        Ok(voice)
    }

    fn say(&self, line: Option<String>) -> AtomicResponse<Self, ()> {
        let output = self.output.clone();
        AtomicResponse::new(Box::pin(wrap_future(async move {
            if let Some(line) = line {
                // Whoever started us watches for the end of the output.
                let _ = output.say(line).await;
            }
        })))
    }
}

impl Actor for Voice {
    type Context = Context<Self>;
}

impl Handler<Message> for Voice {
    type Result = AtomicResponse<Self, ()>;

    fn handle(&mut self, message: Message, _: &mut Context<Self>) -> Self::Result {
        self.known.borrow_mut().heard(&message);
        self.say(self.front.message(&message))
    }
}

impl Handler<Event> for Voice {
    type Result = AtomicResponse<Self, ()>;

    fn handle(&mut self, event: Event, ctx: &mut Context<Self>) -> Self::Result {
        self.known.borrow_mut().told(&event);
        if let Some(command) = self.front.introduce(&event) {
            let introduced = command.begin(&self.router, &self.known.borrow());
            // Nobody asked for it, so nobody is told: a peer that has left again needs no introduction.
            ctx.spawn(wrap_future(async { drop(introduced.await) }));
        }
        self.say(self.front.event(&event))
    }
}

/// Answered when everything that came before it has been said.
#[derive(Debug, actix::Message)]
#[rtype(result = "()")]
pub(crate) struct Said;

impl Handler<Said> for Voice {
    type Result = ();

    fn handle(&mut self, _: Said, _: &mut Context<Self>) {}
}
