//! The subscriber that prints messages and events to standard output.
//!
//! Owns the order: it takes the next message once the last one is queued for output. The excess is queued, and dropped
//! and counted, in the subscription's bounded queue.

use std::cell::RefCell;
use std::rc::Rc;

use actix::fut::wrap_future;
use actix::{Actor, Addr, AsyncContext as _, AtomicResponse, Context, Handler, MailboxError};
use actix_mesh::{Event, Filter, Message, Router, Subscribe, SubscribeEvents};

use super::directory::Directory;
use super::interface::Interface;
use crate::output::Output;

/// How much may be queued for a slow reader of the output.
const ITEMS: usize = 1 << 16;
const BYTES: usize = 16 << 20;

pub(crate) struct Printer {
    pub(crate) router: Addr<Router>,
    pub(crate) interface: Rc<dyn Interface>,
    pub(crate) directory: Rc<RefCell<Directory>>,
    pub(crate) output: Output,
}

impl Printer {
    /// Subscribes to the node's messages and events and prints them.
    pub(crate) async fn subscribe(self, router: &Addr<Router>) -> Result<Addr<Self>, MailboxError> {
        let printer = self.start();
        let events = SubscribeEvents::new(printer.clone())
            .items(ITEMS)
            .bytes(BYTES);
        let messages = Subscribe::messages(printer.clone())
            .filter(Filter::new().any_kind())
            .items(ITEMS)
            .bytes(BYTES);
        router.send(events).await?;
        router.send(messages).await?;
        Ok(printer)
    }

    fn say(&self, line: Option<String>) -> AtomicResponse<Self, ()> {
        let output = self.output.clone();
        AtomicResponse::new(Box::pin(wrap_future(async move {
            if let Some(line) = line {
                // The caller watches for the end of the output.
                let _ = output.say(line).await;
            }
        })))
    }
}

impl Actor for Printer {
    type Context = Context<Self>;
}

impl Handler<Message> for Printer {
    type Result = AtomicResponse<Self, ()>;

    fn handle(&mut self, message: Message, _: &mut Context<Self>) -> Self::Result {
        self.directory.borrow_mut().heard(&message);
        self.say(self.interface.message(&message))
    }
}

impl Handler<Event> for Printer {
    type Result = AtomicResponse<Self, ()>;

    fn handle(&mut self, event: Event, ctx: &mut Context<Self>) -> Self::Result {
        self.directory.borrow_mut().told(&event);
        if let Some(command) = self.interface.introduce(&event) {
            let introduced = command.begin(&self.router, &self.directory.borrow());
            // The introduction is not a user's command, so its result is dropped: the peer may have left already.
            ctx.spawn(wrap_future(async { drop(introduced.await) }));
        }
        self.say(self.interface.event(&event))
    }
}

/// Answered once everything before it has been printed.
#[derive(Debug, actix::Message)]
#[rtype(result = "()")]
pub(crate) struct Said;

impl Handler<Said> for Printer {
    type Result = ();

    fn handle(&mut self, _: Said, _: &mut Context<Self>) {}
}
