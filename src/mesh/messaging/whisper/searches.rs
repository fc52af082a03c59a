//! Searches: asking the mesh where a wanted peer is, and answering such requests.
//!
//! Owns the requests for an id, their answers, and which of the answers is dialled. [`whisper`](super) sends what is
//! queued for the peer.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::mesh::Mesh;
use crate::mesh::connections::awaiting::{Pending, Purpose};
use crate::mesh::effect::{Effect, Effects};
use crate::mesh::error::WhisperError;
use crate::mesh::input::{ConnId, Now, Ticket};
use crate::mesh::membership::address_scope::{Scope, scope_of};
use crate::mesh::membership::peer_exchange::Named;
use crate::wire::{Address, Control, Hold, NodeId, Packets, RequestId};

/// Addresses kept for one wanted peer; later ones are dropped.
const MAX_CANDIDATES: usize = 8;

/// Whispers queued for one peer: an unreachable peer cannot use up the whole queue.
const MAX_WAITING_FOR_ONE: usize = 64;

/// Payload bytes queued for peers that are being searched. A single whisper may be larger.
const MAX_WAITING_BYTES: usize = 4 << 20;

/// A search without a peer after this time tries the path on which the peer was heard.
const FRUITLESS: Duration = Duration::from_secs(1);

/// A queued whisper.
#[derive(Debug)]
pub(in crate::mesh) struct Waiting {
    pub(in crate::mesh) ticket: Ticket,
    /// The name it is sent under; `None`: ours.
    pub(in crate::mesh) author: Option<NodeId>,
    pub(in crate::mesh) payload: Packets,
    pub(in crate::mesh) hold: Hold,
    pub(in crate::mesh) within: Duration,
    pub(in crate::mesh) until: Duration,
}

/// A peer that is being searched.
#[derive(Debug)]
struct Search {
    request: Option<RequestId>,
    began: Duration,
    waiting: Vec<Waiting>,
    /// Where it is said to be, in the order of the answers, and the scope of the peer that named each address.
    candidates: VecDeque<(Address, Scope)>,
    tried: Vec<Address>,
    /// The last error.
    last: Option<String>,
}

/// See the module.
#[derive(Debug, Default)]
pub(in crate::mesh) struct Searches {
    searches: BTreeMap<NodeId, Search>,
    waiting: usize,
    /// Payload bytes of all of them.
    bytes: usize,
}

impl Mesh {
    /// Starts a search for this peer, unless one is running.
    pub(in crate::mesh) fn search(
        &mut self,
        now: Now,
        to: &NodeId,
        bytes: usize,
        out: &mut Effects,
    ) -> Result<(), WhisperError> {
        let for_one = self.searches.searches.get(to);
        let for_one = for_one.map_or(0, |search| search.waiting.len());
        if self.searches.waiting >= self.params.max_waiting_whispers
            || for_one >= MAX_WAITING_FOR_ONE
            || self.searches.bytes.saturating_add(bytes) > MAX_WAITING_BYTES
                && self.searches.waiting > 0
        {
            return Err(WhisperError::Busy(self.searches.waiting));
        }
        if self.searches.searches.contains_key(to) {
            return Ok(());
        }
        let request = self.ask_for(now, to, out);
        if request.is_none() && !self.awaiting.expects(to) {
            return Err(WhisperError::NoPeers(to.clone()));
        }
        self.searches.begin(to.clone(), request, now.monotonic);
        Ok(())
    }

    /// Asks every peer where this one is.
    fn ask_for(&mut self, now: Now, to: &NodeId, out: &mut Effects) -> Option<RequestId> {
        let peers = self.routing.conns();
        if peers.is_empty() {
            return None;
        }
        let salt: [u8; 16] = rand::RngExt::random(&mut self.rng);
        let request = RequestId::derive(to, now.unix, &salt);
        let control = Control::Request {
            request: request.clone(),
            wanted: to.clone(),
        };
        let frames = self.compose_control(now, &control)?;
        self.note_broadcast(&frames);
        out.push(Effect::Transmit { to: peers, frames });
        Some(request)
    }

    /// Handles an answer to a search.
    pub(in crate::mesh) fn on_response(
        &mut self,
        now: Now,
        conn: ConnId,
        request: &RequestId,
        id: &NodeId,
        address: Address,
        out: &mut Effects,
    ) {
        let Some(source) = self.routing.get(conn) else {
            return;
        };
        let source = scope_of(&source.reached);
        let Some(search) = self.searches.searches.get_mut(id) else {
            return;
        };
        if search.request.as_ref() != Some(request) || address == self.params.address {
            return;
        }
        if search.learn(address, source) && !self.awaiting.expects(id) {
            self.try_next(now, id, out);
        }
    }

    /// Dials the next address a wanted peer is said to be at.
    fn try_next(&mut self, now: Now, id: &NodeId, out: &mut Effects) {
        while let Some(search) = self.searches.searches.get_mut(id)
            && let Some((address, source)) = search.candidates.pop_front()
        {
            let purpose = Purpose::Wanted(id.clone());
            let named = self.dial_named(now, source, address.clone(), purpose, out);
            let Some(search) = self.searches.searches.get_mut(id) else {
                return;
            };
            match named {
                Named::Dialled => return search.tried.push(address),
                Named::Later => return search.candidates.push_front((address, source)),
                Named::Refused(why) => {
                    search.last = Some(format!("{address}: not dialled, because {why}"));
                    search.tried.push(address);
                }
            }
        }
    }

    /// Tries the next address after a dial that did not reach the wanted peer.
    pub(in crate::mesh) fn on_missed(
        &mut self,
        now: Now,
        pending: &Pending,
        why: String,
        out: &mut Effects,
    ) {
        let Some(id) = pending.purpose.expect() else {
            return;
        };
        if let Some(search) = self.searches.searches.get_mut(id) {
            search.last = Some(format!("{}: {why}", pending.address));
            self.try_next(now, id, out);
            self.without_dialling(now, id, out);
        }
    }

    /// Retries postponed dials, and looks for another way for old searches.
    pub(in crate::mesh) fn end_fruitless_searches(&mut self, now: Now, out: &mut Effects) {
        let searches = self.searches.searches.iter();
        let put_off = searches.filter(|(_, search)| !search.candidates.is_empty());
        let put_off: Vec<NodeId> = put_off.map(|(id, _)| id.clone()).collect();
        for id in put_off {
            if !self.awaiting.expects(&id) {
                self.try_next(now, &id, out);
            }
        }
        let searches = self.searches.searches.iter();
        let old = searches.filter(|(_, search)| search.began + FRUITLESS <= now.monotonic);
        let old: Vec<NodeId> = old.map(|(id, _)| id.clone()).collect();
        for id in old {
            self.without_dialling(now, &id, out);
        }
    }

    /// Once nothing is left to dial, sends the whispers along the path on which the peer was heard. If every address
    /// failed and there is no path, fails them: waiting longer would not help.
    fn without_dialling(&mut self, now: Now, id: &NodeId, out: &mut Effects) {
        let Some(search) = self.searches.searches.get(id) else {
            return;
        };
        let old = search.began + FRUITLESS <= now.monotonic;
        let failed =
            !search.tried.is_empty() && search.candidates.is_empty() && !self.awaiting.expects(id);
        let last = search.last.clone().filter(|_| failed && old);
        if !(old || failed) || self.whisper_along(now, id, out) {
            return;
        }
        let Some(last) = last else {
            return;
        };
        for waiting in self.searches.end(id) {
            let (to, last) = (id.clone(), last.clone());
            let error = WhisperError::Unreachable { to, last };
            self.give_up(now, id, waiting.ticket, error, out);
        }
    }

    /// Handles a request for an id, which is a broadcast (and relayed) or a whisper.
    pub(in crate::mesh) fn on_request(
        &mut self,
        now: Now,
        conn: ConnId,
        request: RequestId,
        wanted: &NodeId,
        out: &mut Effects,
    ) {
        let known = self.routing.conn_of(wanted);
        let known = known.and_then(|known| self.routing.get(known));
        let address = match known {
            Some(entry) => entry.announced.clone(),
            None => self.on_sought(now, conn, &request, wanted, out),
        };
        if let Some(address) = address {
            self.respond(now, conn, request, wanted, address, out);
        }
    }

    /// Tells a peer where another one is.
    pub(in crate::mesh) fn respond(
        &mut self,
        now: Now,
        conn: ConnId,
        request: RequestId,
        id: &NodeId,
        address: Address,
        out: &mut Effects,
    ) {
        let Some(asker) = self.routing.get_mut(conn) else {
            return;
        };
        if !asker.limits().responses.spend(now.monotonic) {
            self.over_budget(now, conn, out);
            return;
        }
        let response = Control::Response {
            request,
            id: id.clone(),
            address,
        };
        if let Some(frames) = self.compose_control(now, &response) {
            let to = [conn].into_iter().collect();
            out.push(Effect::Transmit { to, frames });
        }
    }
}

impl Searches {
    /// The number of queued whispers.
    pub(in crate::mesh) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Returns every peer that is being searched.
    pub(in crate::mesh) fn wanted(&self) -> Vec<NodeId> {
        self.searches.keys().cloned().collect()
    }

    fn begin(&mut self, id: NodeId, request: Option<RequestId>, began: Duration) {
        let search = Search {
            request,
            began,
            waiting: Vec::new(),
            candidates: VecDeque::new(),
            tried: Vec::new(),
            last: None,
        };
        self.searches.insert(id, search);
    }

    pub(in crate::mesh) fn wait(&mut self, id: NodeId, waiting: Waiting) {
        if let Some(search) = self.searches.get_mut(&id) {
            self.bytes += waiting.payload.byte_len();
            search.waiting.push(waiting);
            self.waiting += 1;
        }
    }

    pub(in crate::mesh) fn end(&mut self, id: &NodeId) -> Vec<Waiting> {
        let waiting = self
            .searches
            .remove(id)
            .map(|search| search.waiting)
            .unwrap_or_default();
        self.waiting -= waiting.len();
        self.bytes -= waiting
            .iter()
            .map(|it| it.payload.byte_len())
            .sum::<usize>();
        waiting
    }

    /// Removes the whispers whose deadline has passed, and the searches without whispers.
    pub(in crate::mesh) fn overdue(
        &mut self,
        now: Duration,
    ) -> Vec<(NodeId, Waiting, Option<String>)> {
        let mut overdue = Vec::new();
        for (id, search) in &mut self.searches {
            for waiting in search
                .waiting
                .extract_if(.., |waiting| waiting.until <= now)
            {
                overdue.push((id.clone(), waiting, search.last.clone()));
            }
        }
        self.searches.retain(|_, search| !search.waiting.is_empty());
        self.waiting -= overdue.len();
        let bytes = overdue.iter().map(|(_, it, _)| it.payload.byte_len());
        self.bytes -= bytes.sum::<usize>();
        overdue
    }
}

impl Search {
    /// Adds an address, and returns whether it was new and there was room.
    fn learn(&mut self, address: Address, source: Scope) -> bool {
        let known = self.tried.len() + self.candidates.len();
        let news = known < MAX_CANDIDATES
            && !self.tried.contains(&address)
            && !self.candidates.iter().any(|(have, _)| *have == address);
        if news {
            self.candidates.push_back((address, source));
        }
        news
    }
}
