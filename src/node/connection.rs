//! One actor for each link: what it reads goes up to the Router, what it is ordered goes to the peer.
//!
//! Owns both halves of the stream and their ends. Knows the Router weakly and nothing of the protocol; its
//! end is reported once, from `stopped`.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{self, Poll};
use std::time::Duration;

use actix::{
    Actor, ActorContext as _, ActorFuture, ActorFutureExt as _, AsyncContext as _, Context,
    Handler, WeakAddr, WrapFuture as _,
};
use smallvec::SmallVec;
use tokio::sync::Semaphore;

use super::budget::{Account, Pool};
use super::intake::{BESIDE, Intake, READ, TURNS};
use super::orphan::Orphan;
use super::outbox::{Chunk, Outbox, Patience};
use super::pace::{Pace, Rates};
use super::router::{Gone, Router};
use super::transport::{Detached, Transport, Writer};
use crate::mesh::{ConnId, Ended};
use crate::wire::{Codec, Generation, Limits};

/// After a write failed: how long what the peer said last may take to be read.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What the Router wants done on a link: all that a batch of effects brought for it.
#[derive(Debug, Default, actix::Message)]
#[rtype(result = "()")]
pub(super) struct Orders {
    pub(super) write: SmallVec<[Chunk; 1]>,
    /// Write what is queued, then close; within this time.
    pub(super) close: Option<Duration>,
}

/// What every connection of a node is made with.
#[derive(Clone, Debug)]
pub(super) struct Terms {
    pub(super) router: WeakAddr<Router>,
    pub(super) generation: Generation,
    pub(super) limits: Limits,
    pub(super) inbound_budget: usize,
    pub(super) pool: Arc<Pool>,
    pub(super) rates: Rates,
    pub(super) frame_timeout: Duration,
    pub(super) patience: Patience,
}

/// A stream, here or on its way to another thread.
#[derive(Debug)]
pub(super) enum Stream {
    Here(Transport),
    Elsewhere(Detached),
}

/// See the module.
pub(super) struct Connection {
    conn: ConnId,
    terms: Arc<Terms>,
    account: Arc<Account>,
    outbox: Outbox,
    /// `None` before the start, and once the peer has been told that nothing more will come.
    writer: Option<Writer>,
    stream: Option<io::Result<Stream>>,
    flushing: bool,
    closing: bool,
    ended: Option<Ended>,
}

impl Connection {
    pub(super) fn new(conn: ConnId, stream: io::Result<Stream>, terms: Arc<Terms>) -> Self {
        let budget = terms.inbound_budget;
        let own = budget - BESIDE.min(budget / 2);
        let account = Account::new(own, Arc::clone(&terms.pool));
        Self {
            conn,
            account,
            outbox: Outbox::new(terms.patience, Arc::clone(&terms.pool)),
            terms,
            writer: None,
            stream: Some(stream),
            flushing: false,
            closing: false,
            ended: None,
        }
    }

    fn begin(&mut self, stream: Stream, ctx: &mut Context<Self>) -> io::Result<()> {
        let transport = match stream {
            Stream::Here(transport) => transport,
            Stream::Elsewhere(detached) => detached.attach()?,
        };
        let (reader, writer) = transport.split();
        self.writer = Some(writer);
        let intake = Intake {
            conn: self.conn,
            router: self.terms.router.clone(),
            codec: Codec::new(self.terms.generation, self.terms.limits),
            frame_limit: self.terms.limits.frame,
            account: Arc::clone(&self.account),
            turns: Arc::new(Semaphore::new(TURNS)),
            pace: Pace::new(self.terms.rates),
            frame_timeout: self.terms.frame_timeout,
            begun: None,
            stride: READ,
        };
        ctx.spawn(
            intake
                .run(reader)
                .into_actor(self)
                .map(|ended, link, ctx| link.end(ended, ctx)),
        );
        ctx.spawn(Orphan);
        Ok(())
    }

    fn end(&mut self, ended: Ended, ctx: &mut Context<Self>) {
        self.ended = Some(ended);
        ctx.stop();
    }

    fn flush(&mut self, ctx: &mut Context<Self>) {
        if !self.flushing && self.writer.is_some() {
            self.flushing = true;
            ctx.spawn(Flush);
        }
    }

    /// From now on nothing is read for us; what is queued is written while there is time.
    fn close(&mut self, within: Duration, ctx: &mut Context<Self>) {
        self.closing = true;
        self.account.close();
        ctx.run_later(within, |_, ctx| ctx.stop());
    }

    fn poll_flush(&mut self, cx: &mut task::Context<'_>) -> Poll<Result<(), Ended>> {
        let Some(writer) = &mut self.writer else {
            return Poll::Ready(Ok(()));
        };
        task::ready!(self.outbox.poll_flush(writer, cx))?;
        if self.closing {
            // Whether the peer was still there to be told makes no difference.
            let _ = task::ready!(writer.poll_shutdown(cx));
            self.writer = None;
        }
        Poll::Ready(Ok(()))
    }

    /// A write failed. The peer may have said something before it left, so reading ends this, unless it takes
    /// too long.
    fn write_failed(&mut self, why: Ended, ctx: &mut Context<Self>) {
        self.writer = None;
        let patience = if why == Ended::Stalled {
            Duration::ZERO
        } else {
            LAST_WORDS
        };
        self.ended = Some(why);
        ctx.run_later(patience, |_, ctx| ctx.stop());
    }
}

impl Actor for Connection {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        if let Some(stream) = self.stream.take()
            && let Err(error) = stream.and_then(|stream| self.begin(stream, ctx))
        {
            self.end(Ended::Failed(error.to_string()), ctx);
        }
    }

    fn stopped(&mut self, _: &mut Context<Self>) {
        if let Some(router) = self.terms.router.upgrade() {
            let why = self.ended.take().unwrap_or(Ended::ByPeer);
            // Once for each connection, so bounded by their number.
            router.do_send(Gone {
                conn: self.conn,
                why,
                unsent: self.outbox.unsent(),
            });
        }
    }
}

impl Handler<Orders> for Connection {
    type Result = ();

    fn handle(&mut self, orders: Orders, ctx: &mut Context<Self>) {
        for chunk in orders.write {
            self.outbox.push(chunk);
        }
        if let Some(within) = orders.close {
            self.close(within, ctx);
        }
        self.flush(ctx);
    }
}

/// Writes in the connection's own context, after its mailbox: whatever was ordered meanwhile goes out in one
/// write. Ends when nothing waits, so an idle connection has none.
struct Flush;

impl ActorFuture<Connection> for Flush {
    type Output = ();

    fn poll(
        self: Pin<&mut Self>,
        link: &mut Connection,
        ctx: &mut Context<Connection>,
        cx: &mut task::Context<'_>,
    ) -> Poll<()> {
        let flushed = task::ready!(link.poll_flush(cx));
        link.flushing = false;
        if let Err(why) = flushed {
            link.write_failed(why, ctx);
        }
        Poll::Ready(())
    }
}
