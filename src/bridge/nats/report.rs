//! Counters of a bridge to NATS.

use std::cell::Cell;

use serde::Serialize;

/// Asks a [`NatsBridge`](super::NatsBridge) for its report. Answered at once.
#[derive(Clone, Copy, Debug, Default, actix::Message)]
#[rtype(result = "NatsReport")]
pub struct NatsStatus;

/// What a bridge to NATS has done since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct NatsReport {
    /// Messages of the mesh published to NATS.
    pub to_nats: u64,
    /// Messages of the mesh that NATS refused.
    pub to_nats_failed: u64,
    /// Messages of the mesh not carried because of their kind.
    pub kept: u64,
    /// Messages of the mesh that the bridge missed because it fell behind.
    pub missed: u64,
    /// Messages of NATS sent in the mesh.
    pub to_mesh: u64,
    /// Messages of NATS that the mesh refused.
    pub to_mesh_failed: u64,
    /// Messages of NATS that the mesh already had.
    pub known: u64,
    /// Messages of NATS that came from this mesh.
    pub own: u64,
    /// Messages of NATS with an unreadable subject or header.
    pub unreadable: u64,
}

/// The counters; the bridge's actors and tasks share them on one thread.
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
