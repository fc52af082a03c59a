//! Reconnecting: lost peers are dialled again, and the mesh closes its gaps.
//!
//! Owns when a lost address is dialled again, and when peers are asked for their peers. It does not know where the
//! [peer book](super::peer_book) gets its addresses.

use std::time::Duration;

use crate::mesh::Mesh;
use crate::mesh::connections::awaiting::Purpose;
use crate::mesh::connections::routing_table::Entry;
use crate::mesh::effect::Effects;
use crate::mesh::event::CloseReason;
use crate::mesh::input::Now;
use crate::mesh::membership::backoff::Backoff;
use crate::mesh::membership::peer_book::Place;
use crate::wire::Address;

/// Lost addresses dialled per tick.
const DIALS_A_TICK: usize = 1;

/// A peer connected for less than this was admitted and dropped at once: its back-off keeps growing.
const PROVED_AFTER: Duration = Duration::from_secs(10);

impl Mesh {
    /// Adds addresses to the book: from an earlier run, or as seeds of a first one. They are dialled while no peer is
    /// connected; the last two that we dialled in that run are dialled even when one is.
    pub fn learn(&mut self, places: impl IntoIterator<Item = Place>) {
        let places = places.into_iter();
        let others = places.filter(|place| place.address != self.params.address);
        self.book.learn(others.collect());
    }

    /// Dials this address until a peer there is connected, and again whenever that peer is lost.
    pub fn keep(&mut self, address: &Address) {
        if *address != self.params.address {
            self.book.keep(address);
        }
    }

    /// Returns the places to save for a later run, the last good ones first.
    pub fn places(&self) -> Vec<Place> {
        self.book.places()
    }

    fn backoff(&self) -> Backoff {
        Backoff {
            first: Duration::from_secs(1),
            cap: Some(self.params.max_reconnect_delay).filter(|cap| !cap.is_zero()),
        }
    }

    /// Defers the addresses of a lost peer, and asks the other peers for their peers.
    pub(in crate::mesh) fn on_lost(
        &mut self,
        now: Now,
        lost: &Entry,
        reason: &CloseReason,
        out: &mut Effects,
    ) {
        let seen = |address: &&Address| address.host == lost.reached.host;
        let dialled = lost.dialled.as_deref().into_iter();
        for address in dialled.clone().chain(lost.announced.as_ref().filter(seen)) {
            let proved = now.monotonic >= lost.ready_at + PROVED_AFTER;
            self.book.left(address, now.unix, proved);
        }
        if self.closing {
            return;
        }
        let addresses = dialled.chain(&lost.announced);
        if *reason == CloseReason::Requested {
            self.book.release(&lost.id, lost.dialled.as_deref());
            return;
        }
        for address in addresses {
            self.defer(now, address);
            match reason {
                CloseReason::ByPeer => {
                    let backoff = self.backoff();
                    self.book.leave_alone(address, now.monotonic, backoff);
                }
                CloseReason::Failed(_) | CloseReason::Unresponsive => self.book.lose(address),
                _ => {}
            }
        }
        self.seek_links_soon(now);
        let wanting = self.routing.outgoing() + self.awaiting.listed() < self.params.max_outgoing;
        if wanting && self.ask_budget.spend(now.monotonic) {
            self.request_peers(now, out);
        }
    }

    /// Defers an address after a failed dial.
    pub(in crate::mesh) fn defer(&mut self, now: Now, address: &Address) {
        let backoff = self.backoff();
        self.book
            .defer(address, now.monotonic, backoff, &mut self.rng);
    }

    /// Dials addresses that are due.
    pub(in crate::mesh) fn reconnect(&mut self, now: Now, out: &mut Effects) {
        if self.closing {
            return;
        }
        let alone = self.routing.is_empty();
        let connected = |id: &_| self.routing.conn_of(id).is_some();
        let mut due = self.book.due(now.monotonic, alone, connected);
        due.retain(|address| {
            !self.awaiting.dials(address) && self.who_answers_at(address).is_none()
        });
        for _ in 0..DIALS_A_TICK.min(due.len()) {
            let pick = rand::RngExt::random_range(&mut self.rng, 0..due.len());
            let address = due.swap_remove(pick);
            self.dial(address, Purpose::Lost, out);
        }
    }
}
