//! Crossings: two connections to one peer, and which of them is kept.
//!
//! Owns the tie_break, the duplicate that the loser may leave for a while, and the care for a py2p that gives
//! up both. No claim unseats a live peer: only a connection begun before its dialler could know of
//! the other counts as having crossed it.

use std::time::Duration;

use crate::mesh::connections::awaiting::Purpose;
use crate::mesh::connections::handshake::{Handshake, connected_to};
use crate::mesh::connections::routing_table::Entry;
use crate::mesh::effect::{Effect, Effects};
use crate::mesh::event::{CloseReason, Direction, Event};
use crate::mesh::input::{ConnId, Now};
use crate::mesh::machine::Mesh;
use crate::wire::{Control, Flag, NodeId};

/// A connection begun no later than this after the other's handshake counts as having crossed it:
/// its dialler could not have known.
const CROSSING: Duration = Duration::from_secs(5);

/// A probed peer must be heard within this time.
const PROBE: Duration = Duration::from_secs(5);

/// A peer is given a second chance once in this time, and so many peers at most.
const SECOND_CHANCE: Duration = Duration::from_secs(60);

const MAX_SECOND_CHANCES: usize = 64;

/// What becomes of a connection whose handshake names a peer that has one already.
enum TieBreak {
    /// The old one is kept: no crossing, first come.
    Refused,
    /// The peer dialled twice at once: which one it keeps is for it to say.
    Duplicate,
    /// They crossed; the old one is kept.
    OldWins,
    /// They crossed; the new one is kept.
    NewWins,
}

impl Mesh {
    /// A handshake names a peer that is connected already; whether its connection is read on.
    pub(in crate::mesh) fn break_tie(
        &mut self,
        now: Now,
        old: ConnId,
        new: ConnId,
        handshake: Handshake,
        time: u64,
        out: &mut Effects,
    ) -> bool {
        match self.tie_break(old, new, &handshake.id) {
            TieBreak::NewWins => {
                self.displace(old, &handshake.id, out);
                self.accept(now, new, handshake, time, true, out);
                self.probe(now, new, out);
                true
            }
            TieBreak::OldWins => {
                self.yield_to(new, &handshake.id, out);
                self.probe(now, old, out);
                false
            }
            TieBreak::Duplicate => {
                self.accept_duplicate(now, new, handshake, out);
                true
            }
            TieBreak::Refused => {
                self.refuse_claim(now, new, handshake.id, out);
                false
            }
        }
    }

    /// Of two connections that crossed, the one dialled by the numerically larger id is kept, on
    /// both sides. Without a crossing the first one is: no claim unseats a live peer.
    fn tie_break(&self, old: ConnId, new: ConnId, id: &NodeId) -> TieBreak {
        let (Some(entry), Some(new)) = (self.routing.get(old), self.awaiting.get(new)) else {
            return TieBreak::Refused;
        };
        if new.began > entry.ready_at + CROSSING {
            return TieBreak::Refused;
        }
        match (entry.direction, new.purpose.direction()) {
            (Direction::Incoming, Direction::Incoming) => return TieBreak::Duplicate,
            (Direction::Outgoing, Direction::Outgoing) => return TieBreak::Refused,
            _ => {}
        }
        let ours_is_kept = self.me().cmp_numeric(id).is_gt();
        if ours_is_kept == (new.purpose.direction() == Direction::Outgoing) {
            TieBreak::NewWins
        } else {
            TieBreak::OldWins
        }
    }

    /// Closes the old one of two crossed connections without a word to the user: the peer stays.
    fn displace(&mut self, old: ConnId, id: &NodeId, out: &mut Effects) {
        self.routing.remove(old);
        out.push(Effect::Close {
            conn: old,
            peer: Some(id.clone()),
            reason: CloseReason::Duplicate(id.clone()),
        });
    }

    /// Closes the new one of two crossed connections; who asked for it has what they wanted.
    fn yield_to(&mut self, conn: ConnId, id: &NodeId, out: &mut Effects) {
        out.push(Effect::Close {
            conn,
            peer: None,
            reason: CloseReason::Duplicate(id.clone()),
        });
        if let Some(pending) = self.awaiting.remove(conn) {
            connected_to(&pending, id, out);
        }
    }

    fn refuse_claim(&mut self, now: Now, conn: ConnId, id: NodeId, out: &mut Effects) {
        if let Some(pending) = self.awaiting.get(conn)
            && pending.purpose == Purpose::Accepted
        {
            let addr = pending.address.clone();
            out.push(Effect::Notify(Event::IdConflict {
                peer: id.clone(),
                addr,
            }));
        }
        self.close(now, conn, CloseReason::Duplicate(id), out);
    }

    /// Takes a second connection of a peer into the table, unseen.
    fn accept_duplicate(
        &mut self,
        now: Now,
        conn: ConnId,
        handshake: Handshake,
        out: &mut Effects,
    ) {
        let Some(pending) = self.awaiting.remove(conn) else {
            return;
        };
        let mut entry = self.entry(now, conn, &pending, handshake);
        entry.duplicate = true;
        let (peer, method) = (entry.id.clone(), entry.compression);
        self.routing.insert(entry);
        out.push(Effect::Establish { conn, peer });
        out.push(Effect::SetCompression { conn, method });
    }

    /// A second connection that its dialler did not give up in time is no crossing but a claim.
    pub(in crate::mesh) fn drop_duplicates(&mut self, now: Now, out: &mut Effects) {
        let then = now.monotonic.saturating_sub(CROSSING);
        for conn in self.routing.duplicates_before(then) {
            let Some(entry) = self.routing.get(conn) else {
                continue;
            };
            let (peer, addr) = (entry.id.clone(), entry.address().clone());
            out.push(Effect::Notify(Event::IdConflict {
                peer: peer.clone(),
                addr,
            }));
            self.close(now, conn, CloseReason::Duplicate(peer), out);
        }
    }

    /// Asks the survivor of a crossing for a sign of life: py2p may have given up both.
    fn probe(&mut self, now: Now, conn: ConnId, out: &mut Effects) {
        if let Some(entry) = self.routing.get_mut(conn) {
            entry.crossed = true;
            (entry.heard, entry.probed) = (now.monotonic + PROBE, true);
            self.say(now, conn, &Flag::Whisper, &Control::RequestPeers, out);
        }
    }

    /// A peer that is lost right after a crossing is dialled once more: py2p closes, or forgets,
    /// both of two crossing connections.
    pub(in crate::mesh) fn give_second_chance(
        &mut self,
        now: Now,
        lost: &Entry,
        reason: &CloseReason,
        out: &mut Effects,
    ) {
        let id = &lost.id;
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
