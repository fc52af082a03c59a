//! Handshakes: which connections become peers.
//!
//! Owns the way from the awaiting list into the routing table. Both sides send their handshake at once; nothing else is
//! sent on a connection until the other side's is accepted.

use crate::mesh::Mesh;
use crate::mesh::connections::awaiting::{Pending, Purpose};
use crate::mesh::connections::routing_table::Entry;
use crate::mesh::effect::{Effect, Effects};
use crate::mesh::event::{CloseReason, Direction, Event};
use crate::mesh::input::{ConnId, Now};
use crate::mesh::membership::address_scope::seen_at;
use crate::mesh::stats::Traffic;
use crate::wire::{
    Address, Batch, Control, Dialect, Flag, Frame, Method, Methods, NodeId, SubnetId,
};

/// The contents of a handshake.
pub(in crate::mesh) struct Handshake {
    pub(in crate::mesh) id: NodeId,
    pub(in crate::mesh) subnet: SubnetId,
    pub(in crate::mesh) address: Option<Address>,
    pub(in crate::mesh) methods: Vec<Method>,
    pub(in crate::mesh) dialect: Dialect,
    pub(in crate::mesh) extended: bool,
}

impl Mesh {
    pub(in crate::mesh) fn on_accepted(
        &mut self,
        now: Now,
        conn: ConnId,
        addr: Address,
        out: &mut Effects,
    ) {
        let pending = Pending {
            address: addr.clone(),
            reached: Some(addr),
            proven: None,
            purpose: Purpose::Accepted,
            waiting: Vec::new(),
            until: now.monotonic + self.params.handshake_timeout,
        };
        let verdict = self.admit_stranger(now, &pending.address, out);
        self.awaiting.insert(conn, pending);
        match verdict {
            // Where the dialect matters, the dialler's handshake comes first.
            Ok(()) if self.params.generation.mirrors_subnet() => {}
            Ok(()) => self.introduce(now, conn, Dialect::Spaced, out),
            Err(reason) => self.close(now, conn, reason, out),
        }
    }

    pub(in crate::mesh) fn on_dialed(
        &mut self,
        now: Now,
        conn: ConnId,
        addr: Address,
        out: &mut Effects,
    ) {
        let Some(pending) = self.awaiting.get_mut(conn) else {
            // The core has given up this dial.
            out.push(Effect::Close {
                conn,
                peer: None,
                reason: CloseReason::Requested,
            });
            return;
        };
        pending.reached = Some(addr);
        pending.until = now.monotonic + self.params.handshake_timeout;
        self.introduce(now, conn, Dialect::Spaced, out);
    }

    /// Notes the id that the other end has proven; its handshake must state the same.
    pub(in crate::mesh) fn on_proven(&mut self, conn: ConnId, id: NodeId) {
        if let Some(pending) = self.awaiting.get_mut(conn) {
            pending.proven = Some(Box::new(id));
        }
    }

    /// Sends our handshake.
    pub(in crate::mesh) fn introduce(
        &mut self,
        now: Now,
        conn: ConnId,
        dialect: Dialect,
        out: &mut Effects,
    ) {
        let handshake = Control::Handshake {
            id: self.me().clone(),
            subnet: self.subnet_id.clone(),
            address: Some(self.params.address.clone()),
            methods: self.params.methods.clone(),
            dialect,
            extended: self.params.extensions,
        };
        self.say(now, conn, &Flag::Whisper, &handshake, out);
    }

    /// Checks that the first frame of a connection is a handshake; true if it was accepted.
    pub(in crate::mesh) fn on_first_frame(
        &mut self,
        now: Now,
        conn: ConnId,
        batch: &Batch,
        out: &mut Effects,
    ) -> bool {
        let verdict = match batch.get(0) {
            Err(error) => Err(CloseReason::BadFrame(error.to_string())),
            Ok(frame) => self
                .read_handshake(&frame)
                .map(|hello| (hello, frame.time())),
        };
        match verdict {
            Ok((handshake, time)) => self.on_handshake(now, conn, handshake, time, out),
            Err(reason) => {
                self.close(now, conn, reason, out);
                false
            }
        }
    }

    fn read_handshake(&self, frame: &Frame<'_>) -> Result<Handshake, CloseReason> {
        frame
            .verify()
            .map(drop)
            .map_err(|error| CloseReason::BadFrame(error.to_string()))?;
        if frame.flag() != Flag::Whisper {
            return Err(CloseReason::SpokeTooSoon);
        }
        match Control::read(frame, self.params.generation) {
            Some(Ok(Control::Handshake {
                id,
                subnet,
                address,
                methods,
                dialect,
                extended,
            })) => Ok(Handshake {
                id,
                subnet,
                address,
                methods,
                dialect,
                extended,
            }),
            Some(Err(error)) => Err(CloseReason::BadFrame(error.to_string())),
            _ => Err(CloseReason::SpokeTooSoon),
        }
    }

    fn on_handshake(
        &mut self,
        now: Now,
        conn: ConnId,
        handshake: Handshake,
        time: u64,
        out: &mut Effects,
    ) -> bool {
        let Some(pending) = self.awaiting.get(conn) else {
            return false;
        };
        if pending.purpose == Purpose::Accepted && self.params.generation.mirrors_subnet() {
            self.introduce(now, conn, handshake.dialect, out);
        }
        let Some(pending) = self.awaiting.get(conn) else {
            return false;
        };
        if let Err(reason) = self.examine(now, pending, &handshake) {
            self.close(now, conn, reason, out);
            return false;
        }
        self.hasten_departure(now, &handshake.id, out);
        if let Some(old) = self.routing.conn_of(&handshake.id) {
            return self.contest(now, old, conn, handshake, time, out);
        }
        if !self.find_room(now, conn, &handshake, out) {
            return false;
        }
        self.accept(now, conn, handshake, time, out);
        true
    }

    /// Checks the subnet, that it is not ourselves, the proven id, whether a user wants it away, and the expected id.
    fn examine(
        &self,
        now: Now,
        pending: &Pending,
        handshake: &Handshake,
    ) -> Result<(), CloseReason> {
        if handshake.subnet != self.subnet_id {
            return Err(CloseReason::OtherSubnet {
                theirs: handshake.subnet.to_string(),
                ours: Box::new(self.subnet_id.clone()),
            });
        }
        if handshake.id == *self.me() {
            return Err(CloseReason::Oneself);
        }
        if let Some(proven) = pending.proven.as_ref().filter(|id| ***id != handshake.id) {
            return Err(CloseReason::UnprovenId {
                claimed: Box::new(handshake.id.clone()),
                proven: proven.clone(),
            });
        }
        let asked = matches!(pending.purpose, Purpose::Asked(_) | Purpose::Wanted(_));
        if !asked && self.is_shunned(now, &handshake.id) {
            return Err(CloseReason::Unwanted);
        }
        match &pending.purpose {
            Purpose::Asked(Some(expected)) if *expected != handshake.id => {
                Err(CloseReason::WrongId {
                    expected: Box::new(expected.clone()),
                    found: Box::new(handshake.id.clone()),
                })
            }
            _ => Ok(()),
        }
    }

    /// Moves a pending connection into the routing table.
    fn accept(
        &mut self,
        now: Now,
        conn: ConnId,
        handshake: Handshake,
        time: u64,
        out: &mut Effects,
    ) {
        let Some(pending) = self.awaiting.remove(conn) else {
            return;
        };
        let entry = self.entry(now, conn, &pending, handshake);
        let (peer, method) = (entry.id.clone(), entry.compression);
        self.routing.insert(entry);
        out.push(Effect::Establish {
            conn,
            peer: peer.clone(),
        });
        out.push(Effect::SetCompression { conn, method });
        self.announce_joined(now, conn, out);
        self.welcome(now, conn, &pending, &peer, time, out);
    }

    /// Reports a connection that has become a peer's, and looks for further ones.
    pub(in crate::mesh) fn announce_joined(&mut self, now: Now, conn: ConnId, out: &mut Effects) {
        if let Some(entry) = self.routing.get(conn) {
            out.push(Effect::Notify(Event::PeerJoined {
                peer: entry.id.clone(),
                addr: entry.address().clone(),
                direction: entry.direction,
            }));
        }
        self.seek_links_soon(now);
    }

    /// Begins with a peer on a new connection, whether or not it had another one before.
    pub(in crate::mesh) fn welcome(
        &mut self,
        now: Now,
        conn: ConnId,
        pending: &Pending,
        id: &NodeId,
        time: u64,
        out: &mut Effects,
    ) {
        self.shunned.remove(id);
        self.report_skew(now, id, time, out);
        self.send_peers(now, conn, out);
        self.note_address(now, pending, id);
        pending.succeed(id, out);
        if pending.purpose.expect().is_some_and(|wanted| wanted != id) {
            self.on_missed(now, pending, format!("found {id} there"), out);
        }
        self.on_reachable(now, id, out);
    }

    pub(in crate::mesh) fn entry(
        &self,
        now: Now,
        conn: ConnId,
        pending: &Pending,
        handshake: Handshake,
    ) -> Entry {
        let reached = pending
            .reached
            .clone()
            .unwrap_or_else(|| pending.address.clone());
        let announced = handshake.address.map(|address| seen_at(address, &reached));
        let dialled = pending.purpose.direction() == Direction::Outgoing;
        Entry {
            conn,
            id: handshake.id,
            direction: pending.purpose.direction(),
            compression: Method::choose(&self.params.methods, &handshake.methods),
            since: now.unix,
            received: Traffic::default(),
            announced,
            reached,
            dialled: dialled.then(|| Box::new(pending.address.clone())),
            methods: Methods::of(&handshake.methods),
            duplicate: false,
            leaving: false,
            loose: pending.purpose.is_loose() && pending.waiting.is_empty(),
            asks: 0,
            proven: pending.proven.is_some(),
            extended: handshake.extended,
            dialect: handshake.dialect,
            hangs_on_binary: self.params.generation.is_text_only()
                && handshake.dialect == Dialect::Tight,
            ready_at: now.monotonic,
            heard: now.monotonic,
            probed: false,
            ping: None,
            pinged_at: now.monotonic,
            skew: 0,
            contest: None,
            last_whisper: None,
            joined_at: self.order,
            limits: None,
        }
    }

    /// Notes where to dial a peer again. An incoming peer is believed if it announced the host it came from; a node of this
    /// crate not where a user wants the address kept, or we dialled it before: then dialling shows who is there.
    fn note_address(&mut self, now: Now, pending: &Pending, id: &NodeId) {
        let Some(entry) = self
            .routing
            .conn_of(id)
            .and_then(|conn| self.routing.get(conn))
        else {
            return;
        };
        match pending.purpose {
            Purpose::Accepted => {
                if let Some(announced) = &entry.announced
                    && announced.host == entry.reached.host
                    && !(entry.extended && self.book.is_ours(announced))
                {
                    self.book.found(announced, id, false, now.unix);
                }
            }
            _ => self.book.found(&pending.address, id, true, now.unix),
        }
        if !pending.waiting.is_empty() {
            self.book.keep(&pending.address);
        }
    }

    /// Handles a handshake on an established connection: it updates everything but the id.
    pub(in crate::mesh) fn on_handshake_again(
        &mut self,
        now: Now,
        conn: ConnId,
        handshake: Handshake,
        out: &mut Effects,
    ) {
        let ours = &self.params.methods;
        let Some(entry) = self.routing.get_mut(conn) else {
            return;
        };
        if handshake.id != entry.id || handshake.subnet != self.subnet_id {
            self.stats.malformed += 1;
            self.stats.id_conflicts += 1;
            let addr = entry.address().clone();
            if entry.limits().notices.spend(now.monotonic) {
                out.push(Effect::Notify(Event::IdConflict {
                    peer: handshake.id,
                    addr,
                }));
            }
            return;
        }
        if let Some(address) = handshake.address {
            let address = seen_at(address, entry.address());
            entry.announced = Some(address);
        }
        entry.compression = Method::choose(ours, &handshake.methods);
        entry.methods = Methods::of(&handshake.methods);
        out.push(Effect::SetCompression {
            conn,
            method: entry.compression,
        });
        self.answer_peers(now, conn, out);
    }
}
