//! Own messages that came together: gathered while the mailbox is read, then sent as one.
//!
//! Owns who is told what became of which. Ids of one batch are hashed together, and a link is given all of it
//! in one order; a message that comes alone is a batch of one and waits for nobody.

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

/// A batch ends with this many messages or bytes: more gain nothing, and the first of them should leave.
const MAX_BATCH: (usize, usize) = (64, 1024 * 1024);

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Coalescer {
    messages: Vec<Outgoing>,
    /// Of all of them together.
    room: Option<Room>,
    askers: Vec<OwedReply<Result<Sent, SendError>>>,
    bytes: usize,
    /// Whether its sending is due once the mailbox is read.
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
    /// Takes up a message that has room in the send budget.
    pub(crate) fn gather(
        &mut self,
        send: Send,
        room: Room,
        asker: OwedReply<Result<Sent, SendError>>,
        ctx: &mut Context<Self>,
    ) {
        self.coalescer.push(send, room, asker);
        if self.coalescer.is_full() {
            self.send_volley(ctx);
        } else if !mem::replace(&mut self.coalescer.due, true) {
            // Polled as soon as the mailbox is empty.
            ctx.spawn(fut::ready(()).map(|(), router: &mut Self, ctx| {
                router.coalescer.due = false;
                router.send_volley(ctx);
            }));
        }
    }

    /// Sends what has been gathered: before anything else is done, so that all is done in the order it was asked.
    pub(crate) fn send_volley(&mut self, ctx: &mut Context<Self>) {
        if self.coalescer.askers.is_empty() {
            return;
        }
        // Taken for the while, with their memory.
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
