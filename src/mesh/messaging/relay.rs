//! Relay: sending others' broadcasts on.
//!
//! Owns the choice of targets. A message never goes back to its author, nor to the connection it came from, nor to a
//! peer it would hang. Its id is never recomputed.

use std::collections::BTreeMap;

use crate::mesh::Mesh;
use crate::mesh::effect::{Effect, Effects, Targets};
use crate::mesh::event::{Event, SkipReason};
use crate::mesh::input::{ConnId, Now};
use crate::mesh::messaging::announce::Large;
use crate::mesh::trace;
use crate::wire::{Batch, Frame, IdRule};

impl Mesh {
    /// Relays the frames picked from a batch to all peers but their source, their authors, peers they would hang, and
    /// peers that asked to be spared them. Large ones are offered first. `by_bytes`: whether all ids follow
    /// [`IdRule::Bytes`].
    pub(in crate::mesh) fn relay(
        &mut self,
        now: Now,
        source: ConnId,
        batch: Batch,
        picked: &[usize],
        by_bytes: bool,
        out: &mut Effects,
    ) {
        // The source may have disconnected by now.
        let others = self.routing.len() - usize::from(self.routing.get(source).is_some());
        if picked.is_empty() || others == 0 {
            return;
        }
        self.stats.relayed += picked.len() as u64;
        let harmless = by_bytes && !self.routing.has_fragile();
        let mut exceptions = self.exceptions(now, source, &batch, picked, harmless, out);
        self.spare(now, source, &batch, picked, &mut exceptions, out);
        for indices in exceptions.values_mut() {
            indices.sort_unstable();
            indices.dedup();
        }
        if trace::is_on() {
            self.trace_relayed(&batch, picked, others, &exceptions);
        }
        let others = self.others_than(source);
        let large = self.large_of(now, &batch, picked);
        if large.is_empty() {
            return flood(batch, picked, others, &exceptions, out);
        }
        self.relay_large(now, batch, (picked, &large), others, &exceptions, out);
    }

    /// Returns the peers a message from this connection is relayed to.
    fn others_than(&self, source: ConnId) -> Targets {
        let mut others = self.routing.conns();
        let from = self.routing.get(source);
        // Nor may its peer get it back on the other connection, while it has two.
        let other = from.filter(|from| from.duplicate);
        let other = other.and_then(|from| self.routing.conn_of(&from.id));
        others.retain(|conn| *conn != source && Some(*conn) != other);
        others
    }

    /// Relays a batch of which some frames are large enough to be offered first.
    fn relay_large(
        &mut self,
        now: Now,
        batch: Batch,
        (picked, large): (&[usize], &[usize]),
        others: Targets,
        exceptions: &BTreeMap<ConnId, Vec<usize>>,
        out: &mut Effects,
    ) {
        let without = |index: &usize| {
            let mut to = others.clone();
            to.retain(|conn| !exceptions.get(conn).is_some_and(|not| is_in(not, *index)));
            to
        };
        if let [index] = picked {
            // The only frame of the batch: it need not be copied.
            let named = batch.get(*index).map(|frame| Large::of(&frame)).ok();
            for (named, frames) in named.into_iter().zip(batch.into_relay(picked)) {
                self.relay_large_frame(now, named, frames, without(index), out);
            }
            return;
        }
        for index in large {
            let named = batch.get(*index).map(|frame| Large::of(&frame)).ok();
            for (named, frames) in named.into_iter().zip(batch.relay_some(&[*index])) {
                self.relay_large_frame(now, named, frames, without(index), out);
            }
        }
        let small = picked.iter().filter(|index| !large.contains(index));
        let small: Vec<usize> = small.copied().collect();
        flood(batch, &small, others, exceptions, out);
    }

    fn trace_relayed(
        &self,
        batch: &Batch,
        picked: &[usize],
        others: usize,
        exceptions: &BTreeMap<ConnId, Vec<usize>>,
    ) {
        for index in picked {
            let without = exceptions.values().filter(|not| is_in(not, *index));
            if let Ok(frame) = batch.get(*index) {
                trace::relayed(self.me(), &frame, others - without.count());
            }
        }
    }

    /// Returns, for each peer, the indices of frames that it must not get. Almost always empty. `harmless`: whether no
    /// frame can harm a peer.
    fn exceptions(
        &mut self,
        now: Now,
        source: ConnId,
        batch: &Batch,
        picked: &[usize],
        harmless: bool,
        out: &mut Effects,
    ) -> BTreeMap<ConnId, Vec<usize>> {
        let mut exceptions: BTreeMap<ConnId, Vec<usize>> = BTreeMap::new();
        let mut last: (&[u8], Option<ConnId>) = (&[], None);
        for &index in picked {
            let Ok(frame) = batch.get(index) else {
                continue;
            };
            if frame.sender() != last.0 {
                last = (frame.sender(), self.routing.conn_of_text(frame.sender()));
            }
            if let Some(author) = last.1.filter(|author| *author != source) {
                exceptions.entry(author).or_default().push(index);
            }
            if !harmless && !frame.is_text() {
                for (conn, reason) in self.harmed(&frame) {
                    if conn != source {
                        exceptions.entry(conn).or_default().push(index);
                        self.report_skipped(now, conn, &frame, reason, out);
                    }
                }
            }
        }
        exceptions
    }

    /// Returns the peers that a message which is not text would harm. The reference peers derive different ids for it:
    /// js2p hangs on a message with py2p's id, py2p closes the connection on one with js2p's.
    fn harmed(&self, frame: &Frame<'_>) -> Vec<(ConnId, SkipReason)> {
        let by_bytes = frame.verify() == Ok(IdRule::Bytes);
        let harmed = self
            .routing
            .iter()
            .filter(|entry| entry.hangs_on_binary == by_bytes);
        let reason = if by_bytes {
            SkipReason::BinaryHangsIt
        } else {
            SkipReason::IdOfOtherLanguage
        };
        harmed.map(|entry| (entry.conn, reason)).collect()
    }

    fn report_skipped(
        &mut self,
        now: Now,
        conn: ConnId,
        frame: &Frame<'_>,
        reason: SkipReason,
        out: &mut Effects,
    ) {
        self.stats.relay_skipped += 1;
        let Some(entry) = self.routing.get_mut(conn) else {
            return;
        };
        if entry.limits().notices.spend(now.monotonic) {
            let id = frame.message_id();
            let peer = entry.id.clone();
            out.push(Effect::Notify(Event::RelaySkipped { id, peer, reason }));
        }
    }
}

/// Whether a sorted list contains this index.
fn is_in(indices: &[usize], index: usize) -> bool {
    indices.binary_search(&index).is_ok()
}

/// Sends frames at once: to `others` all of them, and to each peer in `exceptions` those not listed for it. Both lists
/// of indices are sorted.
fn flood(
    batch: Batch,
    picked: &[usize],
    others: Targets,
    exceptions: &BTreeMap<ConnId, Vec<usize>>,
    out: &mut Effects,
) {
    for (conn, without) in exceptions {
        if without == picked {
            continue;
        }
        let rest = picked.iter().filter(|index| !is_in(without, **index));
        let rest: Vec<usize> = rest.copied().collect();
        for frames in batch.relay_some(&rest) {
            out.push(Effect::Transmit {
                to: Targets::from_elem(*conn, 1),
                frames,
            });
        }
    }
    let mut to = others;
    to.retain(|conn| !exceptions.contains_key(conn));
    if to.is_empty() || picked.is_empty() {
        return;
    }
    for frames in batch.into_relay(picked) {
        out.push(Effect::Transmit {
            to: to.clone(),
            frames,
        });
    }
}
