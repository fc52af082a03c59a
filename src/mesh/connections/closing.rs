//! The end of a connection: which parts are told, whether it counts as misbehavior, and what ends with it.
//!
//! Owns the only way out of the awaiting list and the routing table. What a lost connection means to other parts is
//! decided there.

use crate::mesh::Mesh;
use crate::mesh::connections::awaiting::Pending;
use crate::mesh::connections::bans::Misbehavior;
use crate::mesh::effect::{Effect, Effects};
use crate::mesh::error::ConnectError;
use crate::mesh::event::{CloseReason, Event};
use crate::mesh::input::{ConnId, Ended, Now, OtherProtocol};
use crate::mesh::tls_refusal::TlsRefusal;
use crate::wire::{Address, NodeId};

impl Mesh {
    /// Closes the connection to a peer. It is neither dialled nor admitted again for a while, unless a user asks for
    /// it. False if it is not connected.
    pub fn disconnect(&mut self, now: Now, peer: &NodeId, out: &mut Effects) -> bool {
        let Some(conn) = self.routing.conn_of(peer) else {
            return false;
        };
        self.shun(now, peer);
        self.close(now, conn, CloseReason::Requested, out);
        true
    }

    /// Refuses everything from now on, answers pending requests, and closes every connection.
    pub fn shut_down(&mut self, now: Now, out: &mut Effects) {
        self.closing = true;
        self.abandon_whispers(now, out);
        let waiting: Vec<ConnId> = self.awaiting.iter().map(|(conn, _)| conn).collect();
        for conn in waiting.into_iter().chain(self.routing.all_conns()) {
            self.close(now, conn, CloseReason::ShuttingDown, out);
        }
    }

    pub(in crate::mesh) fn on_closed(
        &mut self,
        now: Now,
        conn: ConnId,
        why: Ended,
        out: &mut Effects,
    ) {
        let reason = match why {
            Ended::ByPeer => CloseReason::ByPeer,
            Ended::Broken(what) => CloseReason::BadFrame(what),
            Ended::Failed(what) => CloseReason::Failed(what),
            Ended::Stalled => CloseReason::SlowPeer,
            Ended::Unfinished => CloseReason::Unfinished,
            Ended::Insecure { refusal, by_peer } => CloseReason::Insecure { refusal, by_peer },
            // An accepted peer speaks our protocol: for it these are a bad frame.
            Ended::OtherProtocol(protocol) if self.routing.get(conn).is_some() => {
                CloseReason::BadFrame(format!("bytes of {protocol}"))
            }
            Ended::OtherProtocol(OtherProtocol::Tls) => CloseReason::Insecure {
                refusal: TlsRefusal::Tls,
                by_peer: false,
            },
            Ended::OtherProtocol(protocol) => CloseReason::OtherProtocol(protocol),
        };
        self.forget(now, conn, reason, out);
    }

    /// Closes a connection or dial, and reports it.
    pub(in crate::mesh) fn close(
        &mut self,
        now: Now,
        conn: ConnId,
        reason: CloseReason,
        out: &mut Effects,
    ) {
        // Closing another connection may have closed this one already.
        if self.awaiting.get(conn).is_none() && self.routing.get(conn).is_none() {
            return;
        }
        out.push(Effect::Close {
            conn,
            peer: self.peer_at(conn).cloned(),
            reason: reason.clone(),
        });
        self.forget(now, conn, reason, out);
    }

    /// Removes a connection from the list it is in, and weighs how it ended.
    fn forget(&mut self, now: Now, conn: ConnId, reason: CloseReason, out: &mut Effects) {
        let peer = self.routing.get(conn).map(|entry| &entry.reached);
        let stranger = self.awaiting.get(conn);
        let stranger = stranger.and_then(|pending| pending.reached.as_ref());
        let reached = peer.or(stranger).cloned();
        self.take_out(now, conn, reason.clone(), out);
        // Weighed after the removal, so that a ban is reported after the end that led to it.
        if let Some(reached) = reached {
            self.weigh_end(now, &reached, &reason, out);
        }
    }

    fn take_out(&mut self, now: Now, conn: ConnId, reason: CloseReason, out: &mut Effects) {
        if let Some(entry) = self.routing.remove(conn) {
            self.end_announcements(now, conn, out);
            self.end_pruning(now, conn, false, out);
            if entry.leaving {
                return self.departed(entry, out);
            }
            if entry.duplicate {
                return self.contender_left(now, &entry);
            }
            if self.succeed(now, &entry, &reason, out) {
                return;
            }
            self.on_lost(now, &entry, &reason, out);
            self.give_second_chance(now, &entry, &reason, out);
            let id = entry.id;
            if !matches!(reason, CloseReason::ShuttingDown | CloseReason::Requested) {
                self.problems.note(now.unix, format!("lost {id}: {reason}"));
            }
            out.push(Effect::left(id, reason));
        } else if let Some(pending) = self.awaiting.remove(conn) {
            self.refuse(now, pending, reason, out);
        }
    }

    fn weigh_end(&mut self, now: Now, reached: &Address, reason: &CloseReason, out: &mut Effects) {
        let offence = match reason {
            CloseReason::BadFrame(_) => {
                self.stats.bad_frames += 1;
                Misbehavior::Invalid
            }
            CloseReason::SpokeTooSoon => Misbehavior::OutOfPlace,
            CloseReason::SlowPeer | CloseReason::Unfinished => {
                self.stats.slow_peers += 1;
                Misbehavior::Slow
            }
            _ => return,
        };
        self.blame(now, reached, offence, out);
    }

    /// Reports that a connection ended before its handshake was accepted.
    pub(in crate::mesh) fn refuse(
        &mut self,
        now: Now,
        pending: Pending,
        reason: CloseReason,
        out: &mut Effects,
    ) {
        self.stats.refused += 1;
        let addr = pending
            .reached
            .clone()
            .unwrap_or_else(|| pending.address.clone());
        self.problems
            .note(now.unix, format!("refused {addr}: {reason}"));
        out.push(Effect::Notify(Event::Refused {
            addr: addr.clone(),
            direction: pending.purpose.direction(),
            reason: reason.clone(),
        }));
        match reason.clone() {
            CloseReason::Duplicate(id) => pending.succeed(&id, out),
            CloseReason::ShuttingDown => pending.fail(&ConnectError::ShuttingDown, out),
            CloseReason::Oneself => pending.fail(&ConnectError::Oneself, out),
            reason => pending.fail(&ConnectError::Closed { addr, reason }, out),
        }
        match reason {
            CloseReason::Oneself => self.book.strike(&pending.address),
            _ => self.defer(now, &pending.address),
        }
        self.on_missed(now, &pending, reason.to_string(), out);
    }
}
