//! The laws of every transmission, whatever the nodes do.
//!
//! A broken law panics and names the seed.

use std::collections::BTreeSet;

use super::{Network, Node};
use crate::mesh::effect::{Effect, Effects};
use crate::mesh::input::ConnId;
use crate::wire::{Batch, Control, Frames};

/// Ids and authors of broadcasts.
pub(super) type Heard = BTreeSet<(Vec<u8>, Vec<u8>)>;

impl Network {
    /// Returns whether to check this transmission.
    pub(super) fn is_sampled(&mut self) -> bool {
        self.checks += 1;
        self.checks.is_multiple_of(self.check_every)
    }

    fn batch(&self, node: Node, frames: &Frames) -> Batch {
        let params = self.hosts[node.0].mesh.params();
        Batch::from_frames(params.generation, params.limits, &frames.plain)
            .unwrap_or_else(|error| panic!("seed {}: a node wrote {error}", self.seed))
    }

    /// Checks that no broadcast goes back to the connection it came from.
    pub(super) fn check_no_echo(&self, node: Node, conn: ConnId, heard: &Heard, out: &Effects) {
        for effect in out {
            if let Effect::Transmit { to, frames } = effect
                && to.contains(&conn)
            {
                let said = broadcast_ids(&self.batch(node, frames));
                assert!(
                    said.is_disjoint(heard),
                    "seed {}: {node:?} sent a broadcast back where it came from",
                    self.seed,
                );
            }
        }
    }

    /// Checks that what is written decodes and has correct ids, that nothing but a handshake is sent before the other's
    /// was accepted, and that no broadcast goes back to its author.
    pub(super) fn check_transmission(&mut self, node: Node, conn: ConnId, frames: &Frames) {
        let Some(line) = self.hosts[node.0].lines.get(&conn) else {
            return;
        };
        let (established, other) = (line.established, line.other.0);
        if established && !self.is_sampled() {
            return;
        }
        let batch = self.batch(node, frames);
        let seed = self.seed;
        let generation = self.hosts[node.0].mesh.params().generation;
        let target = self.hosts[other.0].mesh.me().clone();
        for index in 0..batch.len() {
            let Ok(frame) = batch.get(index) else {
                panic!("seed {seed}: {node:?} wrote a frame that does not decode");
            };
            assert_eq!(
                frame.verify().map(drop),
                Ok(()),
                "seed {seed}: {node:?} wrote a frame with a false id"
            );
            if !established {
                let control = Control::read(&frame, generation);
                let first = self.introduce(node, conn);
                assert!(
                    first && matches!(control, Some(Ok(Control::Handshake { .. }))),
                    "seed {seed}: {node:?} said more than its handshake before the other's",
                );
            }
            assert!(
                !frame.is_broadcast() || frame.sender() != target.as_bytes(),
                "seed {seed}: {node:?} sent a broadcast back to its author",
            );
        }
    }

    /// Returns whether this is the first write on this connection.
    fn introduce(&mut self, node: Node, conn: ConnId) -> bool {
        let line = self.hosts[node.0].lines.get_mut(&conn);
        line.is_some_and(|line| !std::mem::replace(&mut line.introduced, true))
    }
}

pub(super) fn broadcast_ids(batch: &Batch) -> Heard {
    let frames = (0..batch.len()).filter_map(|index| batch.get(index).ok());
    frames
        .filter(|frame| frame.is_broadcast())
        .map(|frame| (frame.id().to_vec(), frame.sender().to_vec()))
        .collect()
}
