//! Handlers of the notices from connections, dials and the listener.
//!
//! Each becomes an input of the core, whose effects are performed before the next. The messages of users are in
//! [`commands`](super::commands).

use actix::{Context, Handler};

use crate::mesh::{Direction, Effect, Event, Input, Traffic};
use crate::node::Router;
use crate::node::connection::Opening;
#[cfg(feature = "tls")]
use crate::node::connection::notices::Proven;
use crate::node::connection::notices::{Gone, Received, Taking};
use crate::node::reply::Unheard;
use crate::node::router::observability::log;
use crate::node::transport::dial::Dialed;
use crate::node::transport::listener::{Accepted, ListenerFailed};
use crate::wire::Hold;

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

/// Returns the bytes that an effect keeps alive until it is done.
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

impl Handler<Taking> for Router {
    type Result = ();

    fn handle(&mut self, taking: Taking, ctx: &mut Context<Self>) {
        let conn = taking.conn;
        self.step(ctx, |mesh, now, out| {
            mesh.handle(now, Input::Taking { conn }, out)
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
                draining.note(peer.clone(), unsent);
            }
            if closed_by_us {
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
