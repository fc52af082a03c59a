//! Handshakes: who is let in, and which of two connections to one peer is kept.
//!
//! Owns the way from the awaiting list into the routing table. Both sides say their handshake at
//! once; only when the other's has been accepted is anything else said on a connection.

use std::time::Duration;

use super::awaiting::{Newcomer, Purpose};
use super::effect::{CloseReason, ConnectError, Direction, Effect, Event};
use super::input::{ConnId, Now};
use super::machine::{Effects, Mesh};
use super::reach::seen_at;
use super::routing::{Budgets, Entry, Peer, Traffic};
use crate::wire::{Address, Batch, Control, Dialect, Flag, Frame, Method, NodeId, SubnetId};

/// A connection begun no later than this after the other's handshake counts as having crossed it:
/// its dialler could not have known.
const CROSSING: Duration = Duration::from_secs(5);

/// A probed peer must be heard within this time.
const PROBE: Duration = Duration::from_secs(5);

/// A peer is given a second chance once in this time, and so many peers at most.
const SECOND_CHANCE: Duration = Duration::from_secs(60);
const MAX_SECOND_CHANCES: usize = 64;

/// Clocks this far apart are told to the user.
const SKEW: u64 = 5;

/// What a handshake said.
pub(super) struct Handshake {
    pub(super) id: NodeId,
    pub(super) subnet: SubnetId,
    pub(super) address: Option<Address>,
    pub(super) methods: Vec<Method>,
    pub(super) dialect: Dialect,
}

/// What becomes of a connection whose handshake names a peer that has one already.
enum Duel {
    /// The old one is kept: no crossing, first come.
    Refused,
    /// The peer dialled twice at once: which one it keeps is for it to say.
    Shadow,
    /// They crossed; the old one is kept.
    OldWins,
    /// They crossed; the new one is kept.
    NewWins,
}

impl Mesh {
    pub(super) fn on_accepted(&mut self, now: Now, conn: ConnId, addr: Address, out: &mut Effects) {
        let newcomer = Newcomer {
            address: addr.clone(),
            reached: Some(addr),
            purpose: Purpose::Accepted,
            waiting: Vec::new(),
            began: now.monotonic,
            until: now.monotonic + self.params.handshake_timeout,
        };
        let verdict = self.let_wait(now, &newcomer.address, out);
        self.awaiting.insert(conn, newcomer);
        match verdict {
            Ok(()) => self.introduce(now, conn, out),
            Err(reason) => self.close(now, conn, reason, out),
        }
    }

    pub(super) fn on_dialed(&mut self, now: Now, conn: ConnId, addr: Address, out: &mut Effects) {
        let Some(newcomer) = self.awaiting.get_mut(conn) else {
            // The core gave this dial up meanwhile.
            out.push(Effect::Close {
                conn,
                reason: CloseReason::Requested,
            });
            return;
        };
        newcomer.reached = Some(addr);
        newcomer.until = now.monotonic + self.params.handshake_timeout;
        self.introduce(now, conn, out);
    }

    /// Says our handshake.
    fn introduce(&mut self, now: Now, conn: ConnId, out: &mut Effects) {
        let handshake = Control::Handshake {
            id: self.me().clone(),
            subnet: self.subnet_id.clone(),
            address: Some(self.params.address.clone()),
            methods: self.params.methods.clone(),
            dialect: Dialect::Spaced,
        };
        self.say(now, conn, &Flag::Whisper, &handshake, out);
    }

    /// The first frame of a connection must be a handshake; true if it was and was accepted.
    pub(super) fn on_first_frame(
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
            .prove()
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
            })) => Ok(Handshake {
                id,
                subnet,
                address,
                methods,
                dialect,
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
        let Some(newcomer) = self.awaiting.get(conn) else {
            return false;
        };
        if let Err(reason) = self.examine(newcomer, &handshake) {
            self.close(now, conn, reason, out);
            return false;
        }
        if let Some(old) = self.routing.conn_of(&handshake.id) {
            match self.duel(old, newcomer, &handshake.id) {
                Duel::NewWins => {
                    self.displace(old, &handshake.id, out);
                    self.accept(now, conn, handshake, time, out);
                    self.probe(now, conn, out);
                    return true;
                }
                Duel::OldWins => {
                    self.yield_to(conn, &handshake.id, out);
                    self.probe(now, old, out);
                }
                Duel::Shadow => {
                    self.accept_shadow(now, conn, handshake, out);
                    return true;
                }
                Duel::Refused => self.refuse_claim(now, conn, handshake.id, out),
            }
            return false;
        }
        if !self.find_room(now, conn, &handshake, out) {
            return false;
        }
        self.accept(now, conn, handshake, time, out);
        true
    }

    /// Subnet, ourselves, and the one we wanted.
    fn examine(&self, newcomer: &Newcomer, handshake: &Handshake) -> Result<(), CloseReason> {
        if handshake.subnet != self.subnet_id {
            return Err(CloseReason::OtherSubnet {
                theirs: handshake.subnet.to_string(),
                ours: self.subnet_id.clone(),
            });
        }
        if handshake.id == *self.me() {
            return Err(CloseReason::Oneself);
        }
        match &newcomer.purpose {
            Purpose::Asked(Some(expected)) if *expected != handshake.id => {
                Err(CloseReason::WrongId {
                    expected: expected.clone(),
                    found: handshake.id.clone(),
                })
            }
            _ => Ok(()),
        }
    }

    /// Of two connections that crossed, the one dialled by the numerically larger id is kept, on
    /// both sides. Without a crossing the first one is: no claim unseats a live peer.
    fn duel(&self, old: ConnId, new: &Newcomer, id: &NodeId) -> Duel {
        let Some(entry) = self.routing.get(old) else {
            return Duel::NewWins;
        };
        if new.began > entry.ready_at + CROSSING {
            return Duel::Refused;
        }
        match (entry.peer.direction, new.purpose.direction()) {
            (Direction::Incoming, Direction::Incoming) => return Duel::Shadow,
            (Direction::Outgoing, Direction::Outgoing) => return Duel::Refused,
            _ => {}
        }
        let ours_is_kept = self.me().cmp_numeric(id).is_gt();
        if ours_is_kept == (new.purpose.direction() == Direction::Outgoing) {
            Duel::NewWins
        } else {
            Duel::OldWins
        }
    }

    /// Closes the old one of two crossed connections without a word to the user: the peer stays.
    fn displace(&mut self, old: ConnId, id: &NodeId, out: &mut Effects) {
        self.routing.remove(old);
        out.push(Effect::Close {
            conn: old,
            reason: CloseReason::Duplicate(id.clone()),
        });
    }

    /// Closes the new one of two crossed connections; who asked for it has what they wanted.
    fn yield_to(&mut self, conn: ConnId, id: &NodeId, out: &mut Effects) {
        out.push(Effect::Close {
            conn,
            reason: CloseReason::Duplicate(id.clone()),
        });
        if let Some(newcomer) = self.awaiting.remove(conn) {
            found(&newcomer, id, out);
        }
    }

    fn refuse_claim(&mut self, now: Now, conn: ConnId, id: NodeId, out: &mut Effects) {
        if let Some(newcomer) = self.awaiting.get(conn)
            && newcomer.purpose == Purpose::Accepted
        {
            let addr = newcomer.address.clone();
            out.push(Effect::Notify(Event::IdConflict {
                peer: id.clone(),
                addr,
            }));
        }
        self.close(now, conn, CloseReason::Duplicate(id), out);
    }

    /// Moves a newcomer into the routing table.
    fn accept(
        &mut self,
        now: Now,
        conn: ConnId,
        handshake: Handshake,
        time: u64,
        out: &mut Effects,
    ) {
        let Some(newcomer) = self.awaiting.remove(conn) else {
            return;
        };
        let entry = self.entry(now, conn, &newcomer, handshake);
        let id = entry.peer.id.clone();
        let (address, direction) = (entry.peer.address.clone(), entry.peer.direction);
        let method = entry.peer.compression;
        let displaced = self.routing.conn_of(&id).is_some();
        self.routing.insert(entry);
        out.push(Effect::Establish {
            conn,
            peer: id.clone(),
        });
        out.push(Effect::SetCompression { conn, method });
        if !displaced {
            let peer = id.clone();
            out.push(Effect::Notify(Event::PeerJoined {
                peer,
                addr: address,
                direction,
            }));
        }
        self.tell_skew(now, &id, time, out);
        self.send_peers(now, conn, out);
        self.write_down(now, &newcomer, &id);
        found(&newcomer, &id, out);
        if newcomer
            .purpose
            .expect()
            .is_some_and(|wanted| *wanted != id)
        {
            self.on_missed(now, &newcomer, format!("found {id} there"), out);
        }
        self.on_reachable(now, &id, out);
    }

    /// Takes a second connection of a peer into the table, unseen.
    fn accept_shadow(&mut self, now: Now, conn: ConnId, handshake: Handshake, out: &mut Effects) {
        let Some(newcomer) = self.awaiting.remove(conn) else {
            return;
        };
        let mut entry = self.entry(now, conn, &newcomer, handshake);
        entry.shadow = true;
        let (peer, method) = (entry.peer.id.clone(), entry.peer.compression);
        self.routing.insert(entry);
        out.push(Effect::Establish { conn, peer });
        out.push(Effect::SetCompression { conn, method });
    }

    /// A second connection that its dialler did not give up in time is no crossing but a claim.
    pub(super) fn drop_shadows(&mut self, now: Now, out: &mut Effects) {
        let then = now.monotonic.saturating_sub(CROSSING);
        for conn in self.routing.shadows_before(then) {
            let Some(entry) = self.routing.get(conn) else {
                continue;
            };
            let (peer, addr) = (entry.peer.id.clone(), entry.peer.address.clone());
            out.push(Effect::Notify(Event::IdConflict {
                peer: peer.clone(),
                addr,
            }));
            self.close(now, conn, CloseReason::Duplicate(peer), out);
        }
    }

    fn entry(&self, now: Now, conn: ConnId, newcomer: &Newcomer, handshake: Handshake) -> Entry {
        let reached = newcomer
            .reached
            .clone()
            .unwrap_or_else(|| newcomer.address.clone());
        let announced = handshake.address.map(|address| seen_at(address, &reached));
        let dialled = newcomer.purpose.direction() == Direction::Outgoing;
        Entry {
            peer: Peer {
                conn,
                id: handshake.id,
                address: announced.clone().unwrap_or_else(|| reached.clone()),
                direction: newcomer.purpose.direction(),
                compression: Method::choose(&self.params.methods, &handshake.methods),
                since: now.unix,
                received: Traffic::default(),
            },
            announced,
            reached,
            dialled: dialled.then(|| newcomer.address.clone()),
            methods: handshake.methods,
            shadow: false,
            hangs_on_binary: handshake.dialect == Dialect::Tight,
            ready_at: now.monotonic,
            heard_at: now.monotonic,
            probed_until: None,
            ping: None,
            crossed: false,
            renegotiated_at: None,
            last_whisper: None,
            joined_at: self.order,
            budgets: Budgets::default(),
        }
    }

    /// Where a peer is to be found again. One that came to us is believed if it names the host it
    /// came from.
    fn write_down(&mut self, now: Now, newcomer: &Newcomer, id: &NodeId) {
        let Some(entry) = self
            .routing
            .conn_of(id)
            .and_then(|conn| self.routing.get(conn))
        else {
            return;
        };
        match newcomer.purpose {
            Purpose::Accepted => {
                if let Some(announced) = &entry.announced
                    && announced.host == entry.reached.host
                {
                    self.book.found(announced, id, now.unix);
                }
            }
            _ => self.book.found(&newcomer.address, id, now.unix),
        }
        if !newcomer.waiting.is_empty() {
            self.book.keep(&newcomer.address);
        }
    }

    fn tell_skew(&mut self, now: Now, peer: &NodeId, time: u64, out: &mut Effects) {
        if time.abs_diff(now.unix) > SKEW {
            let seconds = i128::from(time) - i128::from(now.unix);
            let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
            self.troubles.note(
                now.unix,
                format!("the clock of {peer} is {seconds} s off ours"),
            );
            out.push(Effect::Notify(Event::ClockSkew {
                peer: peer.clone(),
                seconds,
            }));
        }
    }

    /// A handshake on an established connection refreshes what the peer named, but its id.
    pub(super) fn on_handshake_again(
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
        if handshake.id != entry.peer.id || handshake.subnet != self.subnet_id {
            self.stats.malformed += 1;
            let addr = entry.peer.address.clone();
            if entry.budgets.notices.spend(now.monotonic) {
                out.push(Effect::Notify(Event::IdConflict {
                    peer: handshake.id,
                    addr,
                }));
            }
            return;
        }
        if let Some(address) = handshake.address {
            let address = seen_at(address, &entry.peer.address);
            entry.announced = Some(address.clone());
            entry.peer.address = address;
        }
        entry.peer.compression = Method::choose(ours, &handshake.methods);
        entry.methods = handshake.methods;
        out.push(Effect::SetCompression {
            conn,
            method: entry.peer.compression,
        });
        self.answer_peers(now, conn, out);
    }

    /// Asks the survivor of a crossing for a sign of life: py2p may have given up both.
    fn probe(&mut self, now: Now, conn: ConnId, out: &mut Effects) {
        if let Some(entry) = self.routing.get_mut(conn) {
            entry.crossed = true;
            entry.probed_until = Some(now.monotonic + PROBE);
            self.say(now, conn, &Flag::Whisper, &Control::RequestPeers, out);
        }
    }

    /// A peer that is lost right after a crossing is dialled once more: py2p closes, or forgets,
    /// both of two crossing connections.
    pub(super) fn give_second_chance(
        &mut self,
        now: Now,
        lost: &Entry,
        reason: &CloseReason,
        out: &mut Effects,
    ) {
        let id = &lost.peer.id;
        let soon = now.monotonic <= lost.ready_at + CROSSING + PROBE;
        let theirs = matches!(
            reason,
            CloseReason::ByPeer | CloseReason::Failed(_) | CloseReason::Unresponsive
        );
        let crossing = lost.crossed || self.awaiting.reaches(&lost.reached.host);
        self.second_chances
            .retain(|_, at| now.monotonic <= *at + SECOND_CHANCE);
        let given =
            self.second_chances.contains_key(id) || self.second_chances.len() >= MAX_SECOND_CHANCES;
        if soon
            && theirs
            && crossing
            && !given
            && !self.closing
            && let Some(address) = lost.announced.clone()
            && !self.awaiting.dials(&address)
        {
            self.second_chances.insert(id.clone(), now.monotonic);
            self.dial(now, address, Purpose::Listed(id.clone()), out);
        }
    }
}

/// Tells those who waited for a connection whom it led to.
fn found(newcomer: &Newcomer, id: &NodeId, out: &mut Effects) {
    for (ticket, expect) in &newcomer.waiting {
        let result = match expect {
            Some(expected) if expected != id => Err(ConnectError::Closed {
                addr: newcomer.address.clone(),
                reason: CloseReason::WrongId {
                    expected: expected.clone(),
                    found: id.clone(),
                },
            }),
            _ => Ok(id.clone()),
        };
        out.push(Effect::Answer {
            ticket: *ticket,
            answer: super::Answer::Connect(result),
        });
    }
}
