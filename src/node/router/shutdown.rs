//! Shutdown, in order: refuse, flush, close, report.
//!
//! Owns the progress of a shutdown, and its report.

use std::mem;
use std::time::Duration;

use actix::{ActorContext as _, AsyncContext as _, Context, Handler};
use tokio::time::Instant;

use crate::mesh::{Mesh, Traffic};
use crate::node::Router;
use crate::node::messages::{Shutdown, ShutdownReport, Unsent};
use crate::node::reply::{Promise, Reply};
use crate::node::router::observability::log;
use crate::wire::NodeId;

/// After the deadline: how long connections may take to report what they did not write.
const LAST_REPORTS: Duration = Duration::from_secs(1);

/// The state of a node that is shutting down.
#[derive(Debug)]
pub(crate) struct Draining {
    until: Instant,
    askers: Vec<Promise<ShutdownReport>>,
    report: ShutdownReport,
    /// Whether the core has been shut down: only after the send queue has been served.
    closed: bool,
}

impl Draining {
    fn new(drain: Duration) -> Self {
        /// Longer than any real drain, and short enough to be added to a clock.
        const FOREVER: Duration = Duration::from_secs(365 * 24 * 3600);
        Self {
            until: Instant::now() + drain.min(FOREVER),
            askers: Vec::new(),
            report: ShutdownReport::default(),
            closed: false,
        }
    }

    pub(crate) fn time_left(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }

    /// Records what a connection to a peer left unwritten.
    pub(crate) fn note(&mut self, peer: NodeId, unsent: Traffic) {
        if unsent.messages > 0 {
            self.report.unsent.push(Unsent {
                peer,
                traffic: unsent,
            });
        }
    }
}

impl Handler<Shutdown> for Router {
    type Result = Reply<ShutdownReport>;

    fn handle(&mut self, shutdown: Shutdown, ctx: &mut Context<Self>) -> Self::Result {
        let (promise, reply) = Reply::later();
        let partial = self.draining.is_some();
        let draining = self
            .draining
            .get_or_insert_with(|| Draining::new(shutdown.drain));
        draining.askers.push(promise);
        if !partial {
            // The last address of the Listener: dropping it stops the actor.
            self.listener = None;
            log::draining(self.mesh.me(), shutdown.drain);
            ctx.run_later(draining.time_left(), Self::cut_off);
            self.drain(ctx);
        }
        reply
    }
}

impl Router {
    /// Continues a shutdown as far as it can. Called whenever something has ended.
    pub(crate) fn drain(&mut self, ctx: &mut Context<Self>) {
        let Some(draining) = &mut self.draining else {
            return;
        };
        if self.sending.waiting() > 0 {
            return;
        }
        if !mem::replace(&mut draining.closed, true) {
            self.requests.close();
            self.close_book();
            self.step(ctx, Mesh::shut_down);
        }
        if self.is_drained() {
            self.end(ctx);
        }
    }

    /// Whether every connection has ended, and every subscriber has been given what there is: events too, which say what
    /// was not written.
    fn is_drained(&self) -> bool {
        self.links.is_empty() && self.undelivered() == 0 && self.events.waiting() == 0
    }

    /// Ends the shutdown at its deadline.
    fn cut_off(&mut self, ctx: &mut Context<Self>) {
        let refused = self.sending.refuse_all();
        if let Some(draining) = &mut self.draining {
            draining.report.refused += refused;
        }
        self.drain(ctx);
        self.links.close_all(Duration::ZERO);
        ctx.run_later(LAST_REPORTS, Self::end);
        if self.links.is_empty() && self.events.waiting() == 0 {
            self.end(ctx);
        }
    }

    fn undelivered(&self) -> usize {
        self.interception.waiting() + self.messages.waiting()
    }

    fn end(&mut self, ctx: &mut Context<Self>) {
        if let Some(draining) = self.draining.take() {
            let mut report = draining.report;
            report.undelivered = self.undelivered() + self.inbox.left();
            log::ended(self.mesh.me(), report.is_clean());
            for asker in draining.askers {
                // The asker may have stopped waiting.
                let _ = asker.keep(report.clone());
            }
        }
        ctx.stop();
    }
}
