//! Handlers of a bridge's messages, for the core.

use actix::{Context, Handler};

use crate::mesh::{PassOnError, SendError, Sent, WhisperError, Whispered};
use crate::node::messages::pass_on::{PassOn, PassOnTo, TellSought, Vouch};
use crate::node::reply::{Promise, Reply};
use crate::node::sending::queue::{QueuedSend, Room};
use crate::node::{Asker, Router};
use crate::wire::Hold;

impl Handler<PassOn> for Router {
    type Result = Reply<Result<Sent, PassOnError>>;

    fn handle(&mut self, message: PassOn, ctx: &mut Context<Self>) -> Self::Result {
        if self.draining.is_some() {
            return Reply::now(Err(SendError::ShuttingDown.into()));
        }
        let (promise, reply) = Reply::later();
        match self.sending.room_for_all(&message.payload) {
            Some(room) => self.pass_on(message, promise, room, ctx),
            None => self.queue(QueuedSend::PassOn(message, promise), ctx),
        }
        reply
    }
}

impl Handler<PassOnTo> for Router {
    type Result = Reply<Result<Whispered, WhisperError>>;

    fn handle(&mut self, message: PassOnTo, ctx: &mut Context<Self>) -> Self::Result {
        if self.draining.is_some() {
            return Reply::now(Err(SendError::ShuttingDown.into()));
        }
        let (promise, reply) = Reply::later();
        match self.sending.room_for_one(&message.message.payload) {
            Some(room) => self.pass_on_to(message, promise, room, ctx),
            None => self.queue(QueuedSend::PassOnTo(message, promise), ctx),
        }
        reply
    }
}

impl Router {
    pub(super) fn pass_on(
        &mut self,
        message: PassOn,
        promise: Promise<Result<Sent, PassOnError>>,
        room: Room,
        ctx: &mut Context<Self>,
    ) {
        let foreign = message.foreign();
        let answer = self.step(ctx, |mesh, now, out| {
            mesh.pass_on(now, &foreign, Hold::new(room), out)
        });
        // The asker may have stopped waiting.
        drop(promise.keep(answer));
    }

    pub(super) fn pass_on_to(
        &mut self,
        message: PassOnTo,
        promise: Promise<Result<Whispered, WhisperError>>,
        room: Room,
        ctx: &mut Context<Self>,
    ) {
        let ticket = self.ticket(Asker::Whisper(promise, self.clock.now().monotonic));
        let PassOnTo {
            to,
            message,
            within,
        } = message;
        let foreign = message.foreign();
        self.step(ctx, |mesh, now, out| {
            mesh.pass_on_whisper(now, ticket, to, foreign, within, Hold::new(room), out);
        });
    }
}

impl Handler<TellSought> for Router {
    type Result = ();

    fn handle(&mut self, _: TellSought, _: &mut Context<Self>) {
        self.mesh.tell_sought();
    }
}

impl Handler<Vouch> for Router {
    type Result = ();

    fn handle(&mut self, vouch: Vouch, ctx: &mut Context<Self>) {
        self.step(ctx, |mesh, now, out| match &vouch.addr {
            Some(addr) => mesh.vouch(now, &vouch.peer, addr, out),
            None => mesh.disown(&vouch.peer),
        });
    }
}
