//! The table of connections: which actor or dial belongs to each connection of the core.
//!
//! Owns the orders for each connection, collected from a batch of effects and sent as one message, and the form of its
//! frames: compressed once for all connections that use a method.

use std::collections::HashMap;
use std::mem;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor as _, Addr};
use actix_rt::task::JoinHandle;
use bytes::Bytes;
use smallvec::SmallVec;
use tokio::sync::oneshot;

use crate::mesh::{ConnId, Targets, Traffic};
use crate::node::connection::writer::Chunk;
use crate::node::connection::{Connection, Opening, Orders, Stream, Terms, Unwritten};
use crate::node::router::adaptive_compression::AdaptiveCompression;
use crate::node::router::arbiters::Threads;
use crate::node::router::observability::spans::Spans;
use crate::node::transport::Transport;
use crate::wire::{Address, Frames, Method, NodeId};

/// The close deadline of a stranger's connection: only this node's handshake has to be flushed.
const STRANGER: Duration = Duration::from_secs(1);

/// The number of connections that may close in order. Further ones are cut at once: otherwise a peer that reconnects
/// faster than it is closed could hold any number of them.
const LEAVING: usize = 256;

/// One connection.
struct Link {
    actor: Addr<Connection>,
    /// Whether its handshake was accepted.
    established: bool,
    /// Its peer, once it has been told to close; until then the core knows it.
    peer: Option<Box<NodeId>>,
    method: Option<Method>,
    /// The one-based index of its orders in `Links::orders`.
    order: Option<NonZeroUsize>,
    sent: Traffic,
    /// Whether it has been told to close.
    leaving: bool,
}

/// See the module.
pub(crate) struct Links {
    terms: Arc<Terms>,
    /// Boxed, because the table is half empty.
    open: HashMap<ConnId, Box<Link>>,
    /// The dials, and their addresses.
    dials: HashMap<ConnId, (JoinHandle<()>, Address)>,
    pub(crate) spans: Spans,
    /// New orders, and their connections.
    orders: Vec<(ConnId, Orders)>,
    /// The number that have been told to close.
    leaving: usize,
    compression: AdaptiveCompression,
    threads: Threads,
}

impl Links {
    /// Creates an empty table of connections that run on these threads.
    pub(crate) fn new(terms: Terms, threads: Threads) -> Self {
        Self {
            terms: Arc::new(terms),
            open: HashMap::new(),
            dials: HashMap::new(),
            spans: Spans::default(),
            orders: Vec::new(),
            leaving: 0,
            compression: AdaptiveCompression::new(),
            threads,
        }
    }

    /// Returns whether there is neither a connection nor a dial.
    pub(crate) fn is_empty(&self) -> bool {
        self.open.is_empty() && self.dials.is_empty()
    }

    /// Records a dial.
    pub(crate) fn dialing(&mut self, conn: ConnId, addr: Address, task: JoinHandle<()>) {
        self.dials.insert(conn, (task, addr));
    }

    /// Removes a dial and returns its address; `None` if it had been given up.
    pub(crate) fn dialed(&mut self, conn: ConnId) -> Option<Address> {
        self.dials.remove(&conn).map(|(_, addr)| addr)
    }

    /// Starts the actor of a connected stream. If the stream cannot be moved, the actor reports it and stops.
    pub(crate) fn open(&mut self, conn: ConnId, opening: Opening, transport: Transport) {
        let terms = Arc::clone(&self.terms);
        let actor = match self.threads.turn(conn.0) {
            None => {
                let stream = Ok(Stream::Here(transport));
                Connection::create(|ctx| Connection::new(conn, opening, stream, terms, ctx))
            }
            Some(thread) => {
                let stream = transport.detach().map(Stream::Elsewhere);
                Connection::start_in_arbiter(&thread.handle(), move |ctx| {
                    Connection::new(conn, opening, stream, terms, ctx)
                })
            }
        };
        let link = Link {
            actor,
            established: false,
            peer: None,
            method: None,
            order: None,
            sent: Traffic::default(),
            leaving: false,
        };
        self.open.insert(conn, Box::new(link));
    }

    /// Has every connection check whether its peer is still trusted.
    #[cfg(feature = "tls")]
    pub(crate) fn recheck(&self) {
        for link in self.open.values() {
            let orders = Orders {
                recheck: true,
                ..Orders::default()
            };
            #[expect(
                clippy::disallowed_methods,
                reason = "one for each connection, at most once a second"
            )]
            link.actor.do_send(orders);
        }
    }

    /// Removes a connection whose actor has ended; returns its peer if it had been told to close.
    pub(crate) fn gone(&mut self, conn: ConnId) -> Option<NodeId> {
        self.spans.close(conn);
        let link = self.open.remove(&conn)?;
        self.leaving -= usize::from(link.leaving);
        link.peer.map(|peer| *peer)
    }

    /// Records that a connection's handshake was accepted.
    pub(crate) fn establish(&mut self, conn: ConnId, peer: &NodeId) {
        self.spans.establish(conn, peer);
        if let Some(link) = self.open.get_mut(&conn) {
            link.established = true;
        }
    }

    pub(crate) fn is_established(&self, conn: ConnId) -> bool {
        self.open.get(&conn).is_some_and(|link| link.established)
    }

    pub(crate) fn set_compression(&mut self, conn: ConnId, method: Option<Method>) {
        if let Some(link) = self.open.get_mut(&conn) {
            link.method = method;
        }
    }

    /// Returns what was handed to a connection, written or not.
    pub(crate) fn handed(&self, conn: ConnId) -> Traffic {
        self.open
            .get(&conn)
            .map_or_else(Traffic::default, |link| link.sent)
    }

    /// Asks a connection what it has not written yet; `None` if it ends before it answers.
    pub(crate) fn unwritten(
        &self,
        conn: ConnId,
    ) -> Option<impl Future<Output = Option<Traffic>> + use<>> {
        let (tell, answer) = oneshot::channel();
        #[expect(
            clippy::disallowed_methods,
            reason = "one for each connection and each message of a user that asks"
        )]
        self.open.get(&conn)?.actor.do_send(Unwritten(tell));
        Some(async move { answer.await.ok() })
    }

    /// Queues frames for these connections.
    pub(crate) fn transmit(&mut self, to: &Targets, frames: &Frames) {
        let mut forms = Forms {
            frames,
            deflated: SmallVec::new(),
        };
        for conn in to {
            let Some(link) = self.open.get_mut(conn) else {
                continue;
            };
            let bytes = forms.of(link.method, &mut self.compression);
            link.sent.messages += u64::from(frames.count);
            link.sent.bytes += bytes.len() as u64;
            Self::orders(*conn, link, &mut self.orders)
                .write
                .push(Chunk::new(bytes, frames.count, frames.hold.clone()));
        }
    }

    /// Has a connection check whether its peer reads.
    pub(crate) fn watch(&mut self, conn: ConnId) {
        if let Some(link) = self.open.get_mut(&conn) {
            Self::orders(conn, link, &mut self.orders).watch = true;
        }
    }

    /// Closes a connection within this time, after its orders, or at once if many are closing; aborts a dial. `peer`:
    /// the peer of the connection.
    pub(crate) fn close(&mut self, conn: ConnId, peer: Option<NodeId>, within: Duration) {
        if let (Some(link), Some(peer)) = (self.open.get_mut(&conn), peer) {
            link.peer = Some(Box::new(peer));
        }
        let within = if self.leaving < LEAVING {
            within
        } else {
            Duration::ZERO
        };
        self.close_within(conn, within);
    }

    fn close_within(&mut self, conn: ConnId, within: Duration) {
        if let Some((dial, _)) = self.dials.remove(&conn) {
            dial.abort();
            self.spans.close(conn);
        }
        if let Some(link) = self.open.get_mut(&conn) {
            let within = if link.established {
                within
            } else {
                within.min(STRANGER)
            };
            self.leaving += usize::from(!mem::replace(&mut link.leaving, true));
            Self::orders(conn, link, &mut self.orders).close = Some(within);
        }
    }

    /// Closes all connections within this time, regardless of their number.
    pub(crate) fn close_all(&mut self, within: Duration) {
        let all: Vec<ConnId> = self.open.keys().chain(self.dials.keys()).copied().collect();
        all.into_iter()
            .for_each(|conn| self.close_within(conn, within));
        self.order();
    }

    /// Returns the new orders of a connection.
    fn orders<'a>(
        conn: ConnId,
        link: &mut Link,
        orders: &'a mut Vec<(ConnId, Orders)>,
    ) -> &'a mut Orders {
        let order = link.order.get_or_insert_with(|| {
            let order = NonZeroUsize::MIN.saturating_add(orders.len());
            orders.push((conn, Orders::default()));
            order
        });
        &mut orders[order.get() - 1].1
    }

    /// Sends each connection its new orders, in one message.
    pub(crate) fn order(&mut self) {
        for (conn, orders) in self.orders.drain(..) {
            if let Some(link) = self.open.get_mut(&conn) {
                link.order = None;
                #[expect(
                    clippy::disallowed_methods,
                    reason = "what is to be written holds permits of the budgets it came from"
                )]
                link.actor.do_send(orders);
            }
        }
    }
}

impl Drop for Links {
    fn drop(&mut self) {
        self.dials.values().for_each(|(dial, _)| dial.abort());
    }
}

/// Frames in the form of each method, compressed on first use.
struct Forms<'a> {
    frames: &'a Frames,
    deflated: SmallVec<[(Method, Option<Bytes>); 2]>,
}

impl Forms<'_> {
    fn of(&mut self, method: Option<Method>, compression: &mut AdaptiveCompression) -> Bytes {
        let at_hand = self
            .frames
            .compressed
            .as_ref()
            .is_some_and(|(have, _)| Some(*have) == method);
        match method.filter(|_| self.frames.compressible && !at_hand) {
            Some(method) => self
                .deflated(method, compression)
                .unwrap_or_else(|| self.frames.plain.clone()),
            None => self.frames.wire_form(method).clone(),
        }
    }

    /// Returns `None` where compression does not pay.
    fn deflated(&mut self, method: Method, compression: &mut AdaptiveCompression) -> Option<Bytes> {
        if let Some((_, bytes)) = self.deflated.iter().find(|(have, _)| *have == method) {
            return bytes.clone();
        }
        let bytes = compression.compression(self.frames, method);
        self.deflated.push((method, bytes.clone()));
        bytes
    }
}
