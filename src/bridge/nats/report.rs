//! What a bridge to NATS did, counted.

use std::cell::Cell;

use serde::Serialize;

/// Ask a [`NatsBridge`](super::NatsBridge) what it did. Answers at once.
#[derive(Clone, Copy, Debug, Default, actix::Message)]
#[rtype(result = "NatsReport")]
pub struct NatsStatus;

/// What a bridge to NATS did since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct NatsReport {
    /// Messages of the mesh that were published.
    pub to_nats: u64,
    /// Messages of the mesh that NATS did not take.
    pub to_nats_failed: u64,
    /// Messages of the mesh whose kind is not carried.
    pub kept: u64,
    /// Messages of the mesh that the bridge missed because it fell behind.
    pub missed: u64,
    /// Messages of NATS that were sent in the mesh.
    pub to_mesh: u64,
    /// Messages of NATS that the mesh did not take.
    pub to_mesh_failed: u64,
    /// Messages of NATS that the mesh had already.
    pub known: u64,
    /// Messages of NATS that had come from this mesh.
    pub own: u64,
    /// Messages of NATS whose subject or headers could not be read.
    pub unreadable: u64,
}

/// The bridge's actors and tasks run on one thread and share it.
#[derive(Debug, Default)]
pub(super) struct Tally(Cell<NatsReport>);

impl Tally {
    fn count(&self, counted: impl FnOnce(&mut NatsReport)) {
        let mut report = self.0.get();
        counted(&mut report);
        self.0.set(report);
    }

    pub(super) fn report(&self) -> NatsReport {
        self.0.get()
    }

    pub(super) fn published(&self, done: bool) {
        self.count(|report| match done {
            true => report.to_nats += 1,
            false => report.to_nats_failed += 1,
        });
    }

    pub(super) fn spoken(&self, done: bool) {
        self.count(|report| match done {
            true => report.to_mesh += 1,
            false => report.to_mesh_failed += 1,
        });
    }

    pub(super) fn kept(&self) {
        self.count(|report| report.kept += 1);
    }

    pub(super) fn missed(&self, count: u64) {
        self.count(|report| report.missed += count);
    }

    pub(super) fn known(&self) {
        self.count(|report| report.known += 1);
    }

    pub(super) fn own(&self) {
        self.count(|report| report.own += 1);
    }

    pub(super) fn unreadable(&self) {
        self.count(|report| report.unreadable += 1);
    }
}
