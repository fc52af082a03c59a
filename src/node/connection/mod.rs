//! One actor per connection: passes what it reads to the Router, and writes to the peer what the Router orders.
//!
//! Owns the stream and its end. Holds the Router weakly, and knows nothing of the protocol; reports its own end once,
//! from `stopped`.

pub(crate) mod notices;
pub(crate) mod rate_limit;
pub(crate) mod read_buffer;
pub(crate) mod reader;
pub(crate) mod writer;

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{self, Poll};
use std::time::Duration;

use actix::{Actor, ActorContext as _, ActorFuture, AsyncContext as _, Context, Handler, WeakAddr};
#[cfg(any(feature = "tls", feature = "websocket"))]
use actix::{ActorFutureExt as _, WrapFuture as _};
use smallvec::SmallVec;
use tokio::sync::oneshot;

#[cfg(feature = "websocket")]
use crate::mesh::TlsRefusal;
use crate::mesh::{ConnId, Ended, Traffic};
use crate::node::Router;
use crate::node::budget::{Account, Pool};
#[cfg(feature = "tls")]
use crate::node::connection::notices::Proven;
use crate::node::connection::notices::{Gone, Taking};
use crate::node::connection::rate_limit::Rates;
use crate::node::connection::reader::{BESIDE, Reader, Source};
use crate::node::connection::writer::slow_peer::Patience;
use crate::node::connection::writer::{Chunk, OutboundQueue};
use crate::node::stop_on_last_addr::StopOnLastAddr;
#[cfg(feature = "tls")]
use crate::node::transport::Secured;
#[cfg(feature = "websocket")]
use crate::node::transport::websocket;
use crate::node::transport::{Detached, Transport};
#[cfg(all(feature = "tls", feature = "websocket"))]
use crate::tls::failure_of;
#[cfg(feature = "tls")]
use crate::tls::{Failure, Side, Upgrade, unix_now};
use crate::wire::{Address, Generation, Limits};

/// After a failed write: how long the peer's last data may take to be read.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// If data is still queued after this time, the peer is slow, not the scheduler.
const FULL: Duration = Duration::from_millis(500);
/// A peer that reads frees some of the system's buffer within this time.
const TAKEN: Duration = Duration::from_millis(3500);

/// The Router's orders for a connection: all that a batch of effects brought.
#[derive(Debug, Default, actix::Message)]
#[rtype(result = "()")]
pub(crate) struct Orders {
    pub(crate) write: SmallVec<[Chunk; 1]>,
    /// Check whether the peer reads what is queued for it.
    pub(crate) watch: bool,
    /// Flush the queue, then close, within this time.
    pub(crate) close: Option<Duration>,
    /// Check whether the peer is still trusted.
    #[cfg(feature = "tls")]
    pub(crate) recheck: bool,
}

/// Asks how much of what was ordered before is not written yet. The answer has its own channel: a message that waits
/// for an answer can be overtaken by orders when the mailbox is full.
#[derive(Debug, actix::Message)]
#[rtype(result = "()")]
pub(crate) struct Unwritten(pub(crate) oneshot::Sender<Traffic>);

/// What all connections of a node share.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    pub(crate) router: WeakAddr<Router>,
    pub(crate) pool: Arc<Pool>,
    pub(crate) settings: ConnectionSettings,
}

/// The settings of a connection, as the configuration has them.
#[derive(Clone, Debug)]
pub(crate) struct ConnectionSettings {
    pub(crate) generation: Generation,
    pub(crate) limits: Limits,
    pub(crate) inbound_budget: usize,
    pub(crate) rates: Rates,
    pub(crate) frame_timeout: Duration,
    pub(crate) patience: Patience,
    /// How streams are secured before any other data; `None`: they are not.
    #[cfg(feature = "tls")]
    pub(crate) upgrade: Option<Upgrade>,
    /// How streams become WebSockets; `None`: they do not.
    #[cfg(feature = "websocket")]
    pub(crate) websocket: Option<websocket::Upgrade>,
}

#[cfg(any(feature = "tls", feature = "websocket"))]
impl ConnectionSettings {
    /// Returns whether a stream has a TLS or WebSocket handshake first.
    fn are_upgraded(&self) -> bool {
        #[cfg(feature = "tls")]
        let secured = self.upgrade.is_some();
        #[cfg(not(feature = "tls"))]
        let secured = false;
        #[cfg(feature = "websocket")]
        let framed = self.websocket.is_some();
        #[cfg(not(feature = "websocket"))]
        let framed = false;
        secured || framed
    }
}

/// Which side dialled.
#[derive(Clone, Debug)]
pub(crate) enum Opening {
    /// The remote end dialled.
    Accepted,
    /// This node dialled that address.
    #[cfg_attr(
        not(any(feature = "tls", feature = "websocket")),
        expect(dead_code, reason = "plain TCP has no use for it")
    )]
    Dialed(Address),
}

/// A stream on this thread, or on its way to another.
#[derive(Debug)]
pub(crate) enum Stream {
    Here(Transport),
    Elsewhere(Detached),
}

impl Stream {
    fn open(self) -> io::Result<Transport> {
        match self {
            Self::Here(transport) => Ok(transport),
            Self::Elsewhere(detached) => detached.attach(),
        }
    }
}

/// See the module. There may be many idle ones, so what only busy ones need is created on demand.
pub(crate) struct Connection {
    source: Source,
    /// `None` if it could not be opened on this thread.
    transport: Option<Transport>,
    reader: Reader,
    /// `None` while nothing is queued.
    outbound: Option<Box<OutboundQueue>>,
    flushing: bool,
    closing: bool,
    /// Whether the write side is shut down, or cannot be.
    shut: bool,
    ended: Option<Box<Ended>>,
    /// During a TLS or WebSocket handshake: nothing else is read or written before it ends.
    #[cfg(any(feature = "tls", feature = "websocket"))]
    opening: bool,
}

impl Connection {
    /// Creates the actor, on the thread where it runs.
    pub(crate) fn new(
        conn: ConnId,
        opening: Opening,
        stream: io::Result<Stream>,
        terms: Arc<Terms>,
        ctx: &mut Context<Self>,
    ) -> Self {
        #[cfg(not(any(feature = "tls", feature = "websocket")))]
        let _ = (opening, ctx);
        #[cfg(any(feature = "tls", feature = "websocket"))]
        let is_upgraded = terms.settings.are_upgraded();
        let budget = terms.settings.inbound_budget;
        let own = budget - BESIDE.min(budget / 2);
        let account = Account::new(own, Arc::clone(&terms.pool));
        let (transport, ended) = match stream.and_then(Stream::open) {
            Ok(transport) => (Some(transport), None),
            Err(error) => (None, Some(Box::new(Ended::Failed(error.to_string())))),
        };
        let link = Self {
            source: Source {
                conn,
                terms,
                account,
            },
            transport,
            reader: Reader::new(),
            outbound: None,
            flushing: false,
            closing: false,
            shut: false,
            ended,
            #[cfg(any(feature = "tls", feature = "websocket"))]
            opening: is_upgraded,
        };
        #[cfg(any(feature = "tls", feature = "websocket"))]
        let link = match is_upgraded {
            true => link.open(opening, ctx),
            false => link,
        };
        link
    }

    fn end(&mut self, ended: Ended, ctx: &mut Context<Self>) {
        self.ended = Some(Box::new(ended));
        ctx.stop();
    }

    /// Reports the peer as alive if more of its queue is written within [`TAKEN`]. The system's buffer is full by now,
    /// so only a peer that reads makes room.
    fn watch(&mut self, ctx: &mut Context<Self>) {
        let stalled = self.outbound.as_ref().filter(|queue| queue.is_stalled());
        let Some(before) = stalled.map(|outbound| outbound.written()) else {
            return;
        };
        ctx.run_later(TAKEN, move |link, _| {
            let outbound = link.outbound.as_ref();
            let took = outbound.is_none_or(|outbound| outbound.written() != before);
            if took && let Some(router) = link.source.terms.router.upgrade() {
                #[expect(
                    clippy::disallowed_methods,
                    reason = "once for each time that the Router asks"
                )]
                router.do_send(Taking {
                    conn: link.source.conn,
                });
            }
        });
    }

    fn unwritten(&self) -> Traffic {
        let outbound = self.outbound.as_ref();
        outbound
            .map(|outbound| outbound.unsent())
            .unwrap_or_default()
    }

    fn flush(&mut self, ctx: &mut Context<Self>) {
        if !self.flushing && !self.shut {
            self.flushing = true;
            ctx.spawn(Flush);
        }
    }

    /// Passes on nothing more, and flushes the queue within this time.
    fn close(&mut self, within: Duration, ctx: &mut Context<Self>) {
        self.closing = true;
        self.source.account.close();
        #[cfg(any(feature = "tls", feature = "websocket"))]
        if self.opening {
            // Nothing has been sent yet.
            return ctx.stop();
        }
        ctx.run_later(within, |_, ctx| ctx.stop());
    }

    fn poll_flush(&mut self, cx: &mut task::Context<'_>) -> Poll<Result<(), Ended>> {
        #[cfg(any(feature = "tls", feature = "websocket"))]
        if self.opening {
            return Poll::Ready(Ok(()));
        }
        let Some(transport) = &mut self.transport else {
            return Poll::Ready(Ok(()));
        };
        if let Some(outbound) = &mut self.outbound {
            task::ready!(outbound.poll_flush(transport, cx))?;
            self.outbound = None;
        }
        let flushed = task::ready!(transport.poll_flush(cx));
        flushed.map_err(|error| Ended::Failed(error.to_string()))?;
        if self.closing {
            task::ready!(self.poll_shut(cx));
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shut(&mut self, cx: &mut task::Context<'_>) -> Poll<()> {
        if let Some(transport) = &mut self.transport {
            // The peer may be gone already.
            let _ = task::ready!(transport.poll_shutdown(cx));
        }
        self.shut = true;
        Poll::Ready(())
    }

    /// Handles a failed write. The peer may have sent something before it left, so reading goes on until EOF or a
    /// timeout.
    fn write_failed(&mut self, why: Ended, ctx: &mut Context<Self>, cx: &mut task::Context<'_>) {
        let _ = self.poll_shut(cx);
        self.shut = true;
        let patience = if why == Ended::Stalled {
            Duration::ZERO
        } else {
            LAST_WORDS
        };
        self.ended = Some(Box::new(why));
        ctx.run_later(patience, |_, ctx| ctx.stop());
    }
}

impl Actor for Connection {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        if self.ended.is_some() {
            return ctx.stop();
        }
        ctx.spawn(StopOnLastAddr);
        #[cfg(any(feature = "tls", feature = "websocket"))]
        if self.opening {
            return;
        }
        ctx.spawn(Reading);
    }

    fn stopped(&mut self, _: &mut Context<Self>) {
        if let Some(router) = self.source.terms.router.upgrade() {
            let why = self.ended.take().map_or(Ended::ByPeer, |why| *why);
            let outbound = self.outbound.as_ref();
            let whispers = outbound.map(|outbound| outbound.unsent_whispers());
            #[expect(
                clippy::disallowed_methods,
                reason = "once for each connection, so bounded by their number"
            )]
            router.do_send(Gone {
                conn: self.source.conn,
                why,
                unsent: self.unwritten(),
                whispers: whispers.unwrap_or_default(),
            });
        }
    }
}

impl Handler<Orders> for Connection {
    type Result = ();

    fn handle(&mut self, orders: Orders, ctx: &mut Context<Self>) {
        for chunk in orders.write {
            let terms = &self.source.terms;
            let empty = || {
                Box::new(OutboundQueue::new(
                    terms.settings.patience,
                    Arc::clone(&terms.pool),
                ))
            };
            self.outbound.get_or_insert_with(empty).push(chunk);
        }
        if orders.watch {
            ctx.run_later(FULL, Self::watch);
        }
        if let Some(within) = orders.close {
            self.close(within, ctx);
        }
        #[cfg(feature = "tls")]
        if orders.recheck
            && let Some(transport) = &mut self.transport
            && let Err(refusal) = transport.recheck(unix_now())
        {
            let by_peer = false;
            return self.end(Ended::Insecure { refusal, by_peer }, ctx);
        }
        self.flush(ctx);
    }
}

impl Handler<Unwritten> for Connection {
    type Result = ();

    fn handle(&mut self, asked: Unwritten, _: &mut Context<Self>) {
        // The asker may have stopped waiting.
        let _ = asked.0.send(self.unwritten());
    }
}

#[cfg(any(feature = "tls", feature = "websocket"))]
impl Connection {
    /// Starts the TLS or WebSocket handshake; then reading begins and the queue is flushed. The core closes the
    /// connection if that takes too long.
    fn open(mut self, opening: Opening, ctx: &mut Context<Self>) -> Self {
        let Some(transport) = self.transport.take() else {
            return self;
        };
        let terms = Arc::clone(&self.source.terms);
        let opening = async move { opened(transport, &terms, &opening).await };
        let opened = opening.into_actor(&self).map(|opened, link, ctx| {
            match opened {
                Ok(transport) => link.opened(transport, ctx),
                Err(ended) => link.end(ended, ctx),
            };
        });
        ctx.spawn(opened);
        self
    }

    fn opened(&mut self, transport: Transport, ctx: &mut Context<Self>) {
        #[cfg(feature = "tls")]
        if let Transport::Secure(secured) = &transport
            && let Some(id) = secured.proven().cloned()
        {
            let Some(router) = self.source.terms.router.upgrade() else {
                return ctx.stop();
            };
            #[expect(
                clippy::disallowed_methods,
                reason = "once for each connection, so bounded by their number"
            )]
            router.do_send(Proven {
                conn: self.source.conn,
                id,
            });
        }
        self.opening = false;
        self.transport = Some(transport);
        ctx.spawn(Reading);
        self.flush(ctx);
    }
}

/// Runs the TLS and WebSocket handshakes that are configured.
#[cfg(any(feature = "tls", feature = "websocket"))]
async fn opened(
    mut transport: Transport,
    terms: &Terms,
    opening: &Opening,
) -> Result<Transport, Ended> {
    #[cfg(feature = "tls")]
    if let Some(upgrade) = &terms.settings.upgrade {
        transport = secured(transport, upgrade, opening).await?;
    }
    #[cfg(feature = "websocket")]
    if let Some(upgrade) = &terms.settings.websocket {
        transport = framed(transport, upgrade, opening).await?;
    }
    Ok(transport)
}

#[cfg(feature = "tls")]
async fn secured(
    transport: Transport,
    upgrade: &Upgrade,
    opening: &Opening,
) -> Result<Transport, Ended> {
    let Transport::Plain(stream) = transport else {
        return Err(Ended::Failed(String::from("only TCP can be secured")));
    };
    let side = match opening {
        Opening::Dialed(addr) => Side::Client { host: &addr.host },
        Opening::Accepted => Side::Server,
    };
    match upgrade.secure(stream, side).await {
        Ok(stream) => Ok(Transport::Secure(Box::new(Secured::new(stream)))),
        Err(Failure::Refused(refusal, by_peer)) => Err(Ended::Insecure { refusal, by_peer }),
        Err(Failure::Io(why)) => Err(Ended::Failed(why)),
        Err(Failure::Gone) => Err(Ended::ByPeer),
    }
}

#[cfg(feature = "websocket")]
async fn framed(
    transport: Transport,
    upgrade: &websocket::Upgrade,
    opening: &Opening,
) -> Result<Transport, Ended> {
    let socket = match opening {
        Opening::Dialed(addr) => websocket::Upgrade::ask(transport, &addr.to_string()).await,
        Opening::Accepted => upgrade.answer(transport).await,
    };
    match socket {
        Ok(socket) => Ok(Transport::WebSocket(Box::new(socket))),
        Err(websocket::Failure::Gone) => Err(Ended::ByPeer),
        Err(websocket::Failure::Tls) => Err(Ended::Insecure {
            refusal: TlsRefusal::Tls,
            by_peer: false,
        }),
        Err(websocket::Failure::Io(why)) => Err(failed(&why)),
        Err(why) => Err(Ended::Broken(why.to_string())),
    }
}

/// Classifies a failed stream: TLS refusals apart from other errors.
#[cfg(feature = "websocket")]
fn failed(why: &io::Error) -> Ended {
    #[cfg(feature = "tls")]
    if let Failure::Refused(refusal, by_peer) = failure_of(why) {
        return Ended::Insecure { refusal, by_peer };
    }
    Ended::Failed(why.to_string())
}

/// Reads as long as the connection lives.
struct Reading;

impl ActorFuture<Connection> for Reading {
    type Output = ();

    fn poll(
        self: Pin<&mut Self>,
        link: &mut Connection,
        ctx: &mut Context<Connection>,
        cx: &mut task::Context<'_>,
    ) -> Poll<()> {
        let Some(transport) = &mut link.transport else {
            return Poll::Ready(());
        };
        let ended = task::ready!(link.reader.poll(transport, &link.source, cx));
        #[cfg(feature = "tls")]
        let ended = match transport.take_refusal() {
            Some((refusal, by_peer)) => Ended::Insecure { refusal, by_peer },
            None => ended,
        };
        #[cfg(feature = "websocket")]
        let ended = transport.take_broken().map_or(ended, Ended::Broken);
        link.end(ended, ctx);
        Poll::Ready(())
    }
}

/// Writes in the connection's own context, after its mailbox, so that all orders of a turn go out in one write. Ends
/// when the queue is empty, so an idle connection has no such future.
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
            link.write_failed(why, ctx, cx);
        }
        Poll::Ready(())
    }
}
