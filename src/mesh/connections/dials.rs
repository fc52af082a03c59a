//! Dials: how one starts, who waits for it, and how it fails.
//!
//! Owns how many are in progress. The [handshake](super::handshake) decides what a dialled connection becomes.

use std::time::Duration;

use crate::mesh::Mesh;
use crate::mesh::connections::awaiting::{Pending, Purpose};
use crate::mesh::effect::{Answer, Effect, Effects};
use crate::mesh::error::ConnectError;
use crate::mesh::event::Event;
use crate::mesh::input::{ConnId, DialError, Now, Ticket};
use crate::wire::{Address, NodeId};

/// Dials in progress at a time. Accepted connections do not count: strangers could keep a node from dialling.
const MAX_DIALS: usize = 256;

impl Mesh {
    /// Connects to a peer; ends in [`Answer::Connect`] under `ticket`, maybe at once.
    ///
    /// With `expect`, only that peer will do.
    pub fn connect(
        &mut self,
        _now: Now,
        ticket: Ticket,
        addr: Address,
        expect: Option<NodeId>,
        out: &mut Effects,
    ) {
        if let Some(id) = &expect {
            self.shunned.remove(id);
        }
        if let Err(error) = self.begin(ticket, addr, expect, out) {
            out.push(Effect::Answer {
                ticket,
                answer: Answer::Connect(Err(error)),
            });
        }
    }

    fn begin(
        &mut self,
        ticket: Ticket,
        addr: Address,
        expect: Option<NodeId>,
        out: &mut Effects,
    ) -> Result<(), ConnectError> {
        if self.closing {
            return Err(ConnectError::ShuttingDown);
        }
        if addr == self.params.address || expect.as_ref() == Some(self.me()) {
            return Err(ConnectError::Oneself);
        }
        let known = match &expect {
            Some(id) => self.routing.conn_of(id).map(|_| id),
            None => self.who_answers_at(&addr),
        };
        // Already connected.
        if let Some(id) = known.cloned() {
            if let Some(conn) = self.routing.conn_of(&id) {
                self.hold_on_to(conn);
            }
            out.push(Effect::Answer {
                ticket,
                answer: Answer::Connect(Ok(id)),
            });
            return Ok(());
        }
        if let Some(pending) = self.awaiting.dial_of(&addr) {
            pending.waiting.push((ticket, expect));
            return Ok(());
        }
        let purpose = Purpose::Asked(expect.clone());
        let conn = self
            .dial(addr, purpose, out)
            .ok_or(ConnectError::Busy(MAX_DIALS))?;
        if let Some(pending) = self.awaiting.get_mut(conn) {
            pending.waiting.push((ticket, expect));
        }
        Ok(())
    }

    /// Returns the connected peer at this address, as its connection or an earlier dial shows.
    pub(in crate::mesh) fn who_answers_at(&self, address: &Address) -> Option<&NodeId> {
        let answerer = || {
            let known = self.book.answerer(address);
            let known = known.or_else(|| self.tried.answerer(address));
            known.filter(|id| self.routing.conn_of(id).is_some())
        };
        self.routing.at(address).or_else(answerer)
    }

    /// Starts a dial. `None` if too many are in progress.
    pub(in crate::mesh) fn dial(
        &mut self,
        address: Address,
        purpose: Purpose,
        out: &mut Effects,
    ) -> Option<ConnId> {
        if self.awaiting.outgoing() >= MAX_DIALS {
            return None;
        }
        let conn = self.next_conn();
        out.push(Effect::Dial {
            conn,
            addr: address.clone(),
        });
        let pending = Pending {
            address,
            reached: None,
            proven: None,
            purpose,
            waiting: Vec::new(),
            // The driver times out the dial; `on_dialed` sets the deadline of the handshake.
            until: Duration::MAX,
        };
        self.awaiting.insert(conn, pending);
        Some(conn)
    }

    pub(in crate::mesh) fn on_dial_failed(
        &mut self,
        now: Now,
        conn: ConnId,
        why: DialError,
        out: &mut Effects,
    ) {
        let Some(pending) = self.awaiting.remove(conn) else {
            return;
        };
        self.stats.dials_failed += 1;
        self.problems
            .note(now.unix, format!("dial to {}: {why}", pending.address));
        let addr = pending.address.clone();
        out.push(Effect::Notify(Event::DialFailed {
            addr: addr.clone(),
            reason: why.clone(),
        }));
        let error = ConnectError::Dial {
            addr,
            why: why.clone(),
        };
        pending.fail(&error, out);
        self.defer(now, &pending.address);
        self.on_missed(now, &pending, why.to_string(), out);
    }
}
