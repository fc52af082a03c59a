//! What connections, dials and the listener tell the Router.
//!
//! Each is handed to the core as an input; what the core decides is done before the next. What users ask for stands in
//! [`commands`](super::commands).

use std::net::SocketAddr;
use std::sync::Arc;

use actix::{Context, Handler};

use crate::mesh::{ConnId, Direction, Effect, Ended, Event, Input, QueuedWhisper, Traffic};
use crate::node::budget::{BatchSlot, MemoryPermit};
use crate::node::connection::Opening;
use crate::node::reply::Unheard;
use crate::node::router::Router;
use crate::node::router::observability::log;
use crate::node::transport::Transport;
use crate::node::transport::dial::Dial;
#[cfg(feature = "tls")]
use crate::wire::NodeId;
use crate::wire::{Batch, Hold};

/// A batch of frames came in on a link. Answers whether the link's handshake is done, once all that the
/// batch led to has been ordered.
#[derive(actix::Message)]
#[rtype(result = "bool")]
pub(crate) struct Received {
    pub(crate) conn: ConnId,
    pub(crate) batch: Batch,
    /// What the batch costs its connection.
    pub(crate) charge: Arc<MemoryPermit>,
    /// Given back when the batch was handled.
    pub(crate) turn: BatchSlot,
}

/// A link's actor has ended.
#[derive(Debug, actix::Message)]
#[rtype(result = "()")]
pub(crate) struct Gone {
    pub(crate) conn: ConnId,
    pub(crate) why: Ended,
    pub(crate) unsent: Traffic,
    /// Those among what was not written that were whispers of ours.
    pub(crate) whispers: Vec<QueuedWhisper>,
}

/// The other end of a link has proven who it is.
#[cfg(feature = "tls")]
#[derive(Debug, actix::Message)]
#[rtype(result = "()")]
pub(crate) struct Proven {
    pub(crate) conn: ConnId,
    pub(crate) id: NodeId,
}

/// A stranger has connected.
#[derive(Debug, actix::Message)]
#[rtype(result = "()")]
pub(crate) struct Accepted {
    pub(crate) transport: Transport,
    pub(crate) from: SocketAddr,
}

/// A dial has ended.
#[derive(Debug, actix::Message)]
#[rtype(result = "()")]
pub(crate) struct Dialed {
    pub(crate) conn: ConnId,
    pub(crate) dial: Dial,
}

/// Accepting is paused.
#[derive(Debug, actix::Message)]
#[rtype(result = "()")]
pub(crate) struct ListenerFailed {
    pub(crate) why: String,
}

impl Handler<Received> for Router {
    type Result = bool;

    fn handle(&mut self, received: Received, ctx: &mut Context<Self>) -> bool {
        let Received {
            conn,
            batch,
            charge,
            turn: _turn,
        } = received;
        let _span = self.links.spans.enter(conn);
        let input = Input::Received { conn, batch };
        let ((), effects) = self.decide(|mesh, now, out| mesh.handle(now, input, out));
        charge.shrink(effects.iter().map(kept).sum());
        self.perform_all(effects, &Hold::new(charge), ctx);
        self.links.is_established(conn)
    }
}

/// Bytes that an effect keeps alive until it is done.
fn kept(effect: &Effect) -> usize {
    match effect {
        Effect::Transmit { frames, .. } => {
            let compressed = frames
                .compressed
                .as_ref()
                .map_or(0, |(_, bytes)| bytes.len());
            frames.plain.len() + compressed
        }
        Effect::Deliver(messages) => messages.memory(),
        Effect::Propose { cost, .. } => *cost,
        _ => 0,
    }
}

impl Handler<Accepted> for Router {
    type Result = ();

    fn handle(&mut self, accepted: Accepted, ctx: &mut Context<Self>) {
        let Accepted { transport, from } = accepted;
        let conn = self.mesh.next_conn();
        let (me, direction) = (self.mesh.me(), Direction::Incoming);
        self.links.spans.open(me, conn, &from, direction);
        let _span = self.links.spans.enter(conn);
        log::accepted(me, from);
        self.links.open(conn, Opening::Accepted, transport);
        self.step(ctx, |mesh, now, out| {
            mesh.handle(
                now,
                Input::Accepted {
                    conn,
                    addr: from.into(),
                },
                out,
            )
        });
    }
}

impl Handler<Dialed> for Router {
    type Result = ();

    fn handle(&mut self, dialed: Dialed, ctx: &mut Context<Self>) {
        let Dialed { conn, dial } = dialed;
        let Some(dialed) = self.links.dialed(conn) else {
            return;
        };
        let _span = self.links.spans.enter(conn);
        let input = match dial {
            Ok((transport, addr)) => {
                self.links.open(conn, Opening::Dialed(dialed), transport);
                Input::Dialed {
                    conn,
                    addr: addr.into(),
                }
            }
            Err(why) => {
                self.links.spans.close(conn);
                Input::DialFailed { conn, why }
            }
        };
        self.step(ctx, |mesh, now, out| mesh.handle(now, input, out));
        self.drain(ctx);
    }
}

#[cfg(feature = "tls")]
impl Handler<Proven> for Router {
    type Result = ();

    fn handle(&mut self, proven: Proven, ctx: &mut Context<Self>) {
        let Proven { conn, id } = proven;
        let _span = self.links.spans.enter(conn);
        self.step(ctx, |mesh, now, out| {
            mesh.handle(now, Input::Proven { conn, id }, out)
        });
    }
}

impl Handler<Gone> for Router {
    type Result = ();

    fn handle(&mut self, gone: Gone, ctx: &mut Context<Self>) {
        let Gone {
            conn,
            why,
            unsent,
            whispers,
        } = gone;
        let _span = self.links.spans.enter(conn);
        let told = self.links.gone(conn);
        let closed_by_us = told.is_some();
        let peer = told.or_else(|| self.mesh.peer_at(conn).cloned());
        if let Some(peer) = peer.filter(|_| unsent.messages > 0) {
            self.unwritten.messages += unsent.messages;
            self.unwritten.bytes += unsent.bytes;
            if let Some(draining) = &mut self.draining {
                draining.note(peer, unsent);
            } else if closed_by_us {
                let unwritten = unsent;
                self.notify(Event::Unwritten { peer, unwritten });
            } else {
                self.ending = unsent;
            }
        }
        self.step(ctx, |mesh, now, out| {
            mesh.handle(now, Input::Closed { conn, why }, out);
            mesh.on_unwritten_whispers(now, whispers, out);
        });
        self.ending = Traffic::default();
        self.drain(ctx);
    }
}

impl Handler<Unheard> for Router {
    type Result = ();

    fn handle(&mut self, unheard: Unheard, _: &mut Context<Self>) {
        self.unheard += 1;
        if self.unheard_events.spend(self.clock.now().monotonic) {
            self.notify(Event::NotSent { reason: unheard.0 });
        }
    }
}

impl Handler<ListenerFailed> for Router {
    type Result = ();

    fn handle(&mut self, failed: ListenerFailed, ctx: &mut Context<Self>) {
        let why = failed.why;
        self.step(ctx, |mesh, now, out| {
            mesh.handle(now, Input::AcceptFailed { why }, out)
        });
    }
}
