//! Batching of own messages: gathered while the mailbox is read, then sent together.
//!
//! Owns which asker gets which result. The ids of a batch are hashed together, and each connection gets the batch in
//! one order; a message that comes alone is a batch of one and is not delayed.

use std::mem;

use actix::ActorFutureExt as _;
use actix::fut;
use actix::{AsyncContext as _, Context};

use crate::mesh::{Outgoing, SendError, Sent};
use crate::node::Router;
use crate::node::messages::Send;
use crate::node::reply::OwedReply;
use crate::node::sending::queue::Room;
use crate::wire::Hold;

/// A batch is sent at this many messages or bytes: a larger one gains nothing and delays its first message.
const MAX_BATCH: (usize, usize) = (64, 1024 * 1024);

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Coalescer {
    messages: Vec<Outgoing>,
    /// The room of all messages together.
    room: Option<Room>,
    askers: Vec<OwedReply<Result<Sent, SendError>>>,
    bytes: usize,
    /// Whether the batch will be sent once the mailbox is read.
    due: bool,
}

impl Coalescer {
    fn push(&mut self, send: Send, room: Room, asker: OwedReply<Result<Sent, SendError>>) {
        let Send {
            packets,
            flag,
            kind,
            allow_empty,
            or_busy: _,
        } = send;
        self.bytes += packets.byte_len();
        let what = Outgoing {
            packets,
            flag,
            kind,
            allow_empty,
        };
        self.messages.push(what);
        match &mut self.room {
            Some(all) => all.merge(room),
            none => *none = Some(room),
        }
        self.askers.push(asker);
    }

    fn is_full(&self) -> bool {
        self.messages.len() >= MAX_BATCH.0 || self.bytes >= MAX_BATCH.1
    }
}

impl Router {
    /// Adds a message that has room in the send budget to the batch.
    pub(crate) fn gather(
        &mut self,
        send: Send,
        room: Room,
        asker: OwedReply<Result<Sent, SendError>>,
        ctx: &mut Context<Self>,
    ) {
        self.coalescer.push(send, room, asker);
        if self.coalescer.is_full() {
            self.send_coalesced(ctx);
        } else if !mem::replace(&mut self.coalescer.due, true) {
            // Polled as soon as the mailbox is empty.
            ctx.spawn(fut::ready(()).map(|(), router: &mut Self, ctx| {
                router.coalescer.due = false;
                router.send_coalesced(ctx);
            }));
        }
    }

    /// Sends the batch. Called before any other operation, so that operations keep the order in which they were
    /// requested.
    pub(crate) fn send_coalesced(&mut self, ctx: &mut Context<Self>) {
        if self.coalescer.askers.is_empty() {
            return;
        }
        // Taken meanwhile, and put back to reuse its memory.
        let mut coalescer = mem::take(&mut self.coalescer);
        let hold = coalescer.room.take().map_or_else(Hold::none, Hold::new);
        let messages = coalescer.messages.drain(..);
        let sent = self.act(ctx, |mesh, now, out| {
            mesh.send_many(now, messages, &hold, out)
        });
        self.observed.sent(&sent);
        for (asker, sent) in coalescer.askers.drain(..).zip(sent) {
            asker.keep(sent);
        }
        coalescer.bytes = 0;
        self.coalescer = coalescer;
    }
}
