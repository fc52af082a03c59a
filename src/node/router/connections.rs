//! The address book: which actor or dial stands for each connection of the core.
//!
//! Owns what a batch of effects brings for each link until it is ordered in one message, and the form in
//! which each link gets its frames: compressed once for all that use a method.

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
use crate::node::router::arbiters::Threads;
use crate::node::router::compress::AdaptiveCompression;
use crate::node::router::observability::spans::Spans;
use crate::node::transport::Transport;
use crate::wire::{Address, Frames, Method, NodeId};

/// How long a link may take to close that never was a peer's: there is only our handshake to be flushed.
const STRANGER: Duration = Duration::from_secs(1);

/// Links that may take their time to close. More are cut at once: or whoever comes and is thrown out fast could
/// have any number of them.
const LEAVING: usize = 256;

/// One link.
struct Link {
    actor: Addr<Connection>,
    /// Whether its handshake is done.
    established: bool,
    /// Whose it was, once it has been told to close: until then the core knows.
    peer: Option<Box<NodeId>>,
    method: Option<Method>,
    /// Where among the new orders its own are, counted from one.
    order: Option<NonZeroUsize>,
    sent: Traffic,
    /// Whether it has been told to close.
    leaving: bool,
}

/// See the module.
pub(crate) struct Links {
    terms: Arc<Terms>,
    /// Each in a box of its own: the table is half empty.
    open: HashMap<ConnId, Box<Link>>,
    /// And where to.
    dials: HashMap<ConnId, (JoinHandle<()>, Address)>,
    pub(crate) spans: Spans,
    /// New orders, and whose they are.
    orders: Vec<(ConnId, Orders)>,
    /// How many have been told to close.
    leaving: usize,
    compression: AdaptiveCompression,
    threads: Threads,
}

impl Links {
    /// On these threads.
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

    /// Whether there is neither a link nor a dial.
    pub(crate) fn is_empty(&self) -> bool {
        self.open.is_empty() && self.dials.is_empty()
    }

    /// A dial has begun.
    pub(crate) fn dialing(&mut self, conn: ConnId, addr: Address, task: JoinHandle<()>) {
        self.dials.insert(conn, (task, addr));
    }

    /// A dial has ended: where to; `None` if it had been given up.
    pub(crate) fn dialed(&mut self, conn: ConnId) -> Option<Address> {
        self.dials.remove(&conn).map(|(_, addr)| addr)
    }

    /// Starts the actor of a connected stream. If the stream cannot be moved, its actor says so and stops.
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

    /// Has every link see whether its peer is still let in.
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

    /// A link's actor has ended: whose it was, if it had been told to close.
    pub(crate) fn gone(&mut self, conn: ConnId) -> Option<NodeId> {
        self.spans.close(conn);
        let link = self.open.remove(&conn)?;
        self.leaving -= usize::from(link.leaving);
        link.peer.map(|peer| *peer)
    }

    /// A link's handshake is done.
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

    /// What was handed to a link, written or not.
    pub(crate) fn handed(&self, conn: ConnId) -> Traffic {
        self.open
            .get(&conn)
            .map_or_else(Traffic::default, |link| link.sent)
    }

    /// Asks a link what of that is not written yet; `None` if it ends before it answers.
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

    /// Has frames written to these.
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

    /// Has a link see whether its peer takes what waits for it.
    pub(crate) fn watch(&mut self, conn: ConnId) {
        if let Some(link) = self.open.get_mut(&conn) {
            Self::orders(conn, link, &mut self.orders).watch = true;
        }
    }

    /// Closes a link within this time, after what is ordered for it, and at once if many are closing; gives up a
    /// dial at once. `peer`: whose it is.
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

    /// Closes all that are left within this time, however many they are.
    pub(crate) fn close_all(&mut self, within: Duration) {
        let all: Vec<ConnId> = self.open.keys().chain(self.dials.keys()).copied().collect();
        all.into_iter()
            .for_each(|conn| self.close_within(conn, within));
        self.order();
    }

    /// The new orders of a link.
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

    /// Gives each link its new orders, in one message.
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

/// Frames in the form of each method, made when first asked for.
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

    /// `None` where it does not pay.
    fn deflated(&mut self, method: Method, compression: &mut AdaptiveCompression) -> Option<Bytes> {
        if let Some((_, bytes)) = self.deflated.iter().find(|(have, _)| *have == method) {
            return bytes.clone();
        }
        let bytes = compression.compression(self.frames, method);
        self.deflated.push((method, bytes.clone()));
        bytes
    }
}
