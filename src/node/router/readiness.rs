//! Waiting for peers, and why dials failed.
//!
//! Owns the waiting askers, and the last failure of each of the 32 addresses that failed most recently.

use actix::{Context, Handler, MessageResult};

use crate::mesh::{Direction, Event};
use crate::node::Router;
use crate::node::messages::Peer;
use crate::node::reply::{Promise, Reply};
use crate::wire::Address;

/// The number of addresses whose last failure is remembered.
const MAX_FAILURES: usize = 32;

/// Waits until this many peers are connected. Answers with all of them.
#[derive(Clone, Copy, Debug, actix::Message)]
#[rtype(result = "Vec<Peer>")]
pub(crate) struct Ready {
    pub(crate) peers: usize,
}

/// Asks for the addresses where dials failed, each with the last cause.
#[derive(Clone, Copy, Debug, actix::Message)]
#[rtype(result = "Vec<(Address, String)>")]
pub(crate) struct DialFailures;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Readiness {
    waiting: Vec<(usize, Promise<Vec<Peer>>)>,
    failures: Vec<(Address, String)>,
}

impl Readiness {
    fn on_failure(&mut self, addr: &Address, why: String) {
        self.failures.retain(|(failed, _)| failed != addr);
        if self.failures.len() == MAX_FAILURES {
            self.failures.remove(0);
        }
        self.failures.push((addr.clone(), why));
    }

    fn on_joined(&mut self, addr: &Address) {
        self.failures.retain(|(failed, _)| failed != addr);
    }
}

impl Router {
    /// Updates the readiness state from an event.
    pub(crate) fn apply(&mut self, event: &Event) {
        match event {
            Event::DialFailed { addr, reason, .. } => {
                self.readiness.on_failure(addr, reason.to_string());
            }
            Event::Refused {
                addr,
                direction: Direction::Outgoing,
                reason,
                ..
            } => self.readiness.on_failure(addr, reason.to_string()),
            Event::PeerJoined { addr, .. } => {
                self.readiness.on_joined(addr);
                self.serve_ready();
            }
            _ => {}
        }
    }

    fn serve_ready(&mut self) {
        if self.readiness.waiting.is_empty() {
            return;
        }
        let connected = self.mesh.peers().len();
        let waiting = std::mem::take(&mut self.readiness.waiting);
        for (wanted, promise) in waiting {
            if promise.is_forgotten() {
                continue;
            }
            if wanted <= connected {
                let peers = self.all_peers();
                actix_rt::spawn(async move {
                    // The asker may have stopped waiting.
                    drop(promise.keep(peers.await));
                });
            } else {
                self.readiness.waiting.push((wanted, promise));
            }
        }
    }
}

impl Handler<Ready> for Router {
    type Result = Reply<Vec<Peer>>;

    fn handle(&mut self, ready: Ready, _: &mut Context<Self>) -> Self::Result {
        let (promise, reply) = Reply::later();
        self.readiness.waiting.push((ready.peers, promise));
        self.serve_ready();
        reply
    }
}

impl Handler<DialFailures> for Router {
    type Result = MessageResult<DialFailures>;

    fn handle(&mut self, _: DialFailures, _: &mut Context<Self>) -> Self::Result {
        MessageResult(self.readiness.failures.clone())
    }
}
