//! Discovery: whispers to peers we are not connected to.
//!
//! Owns the whispers that wait: each asks the mesh where its peer is, dials what is answered, makes
//! sure by the handshake that it is the right one, is sent, or fails at its deadline with a reason.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::mesh::connections::awaiting::{Newcomer, Purpose};
use crate::mesh::effect::{Answer, Effect, Event, SendError, Targets, WhisperError, Whispered};
use crate::mesh::input::{ConnId, Now, Ticket};
use crate::mesh::machine::{Effects, Mesh};
use crate::wire::{Address, Control, Flag, Frames, Hold, NodeId, Packet, Packets, RequestId};

/// Addresses kept for one wanted peer: the first come, the rest is dropped.
const MAX_CANDIDATES: usize = 8;

/// A whisper that waits.
#[derive(Debug)]
struct Waiting {
    ticket: Ticket,
    payload: Packets,
    hold: Hold,
    within: Duration,
    until: Duration,
}

/// A peer that whispers wait for.
#[derive(Debug)]
struct Search {
    request: Option<RequestId>,
    waiting: Vec<Waiting>,
    /// Where it is said to be, in the order of the answers.
    candidates: VecDeque<Address>,
    tried: Vec<Address>,
    /// What went wrong last.
    last: Option<String>,
}

/// See the module.
#[derive(Debug, Default)]
pub(in crate::mesh) struct Discovery {
    searches: BTreeMap<NodeId, Search>,
    waiting: usize,
}

impl Mesh {
    /// Sends a message to one peer, wherever it is; ends in [`Answer::Whisper`] under `ticket`,
    /// at once if the peer is connected, else when it was found or `within` has passed.
    #[expect(
        clippy::too_many_arguments,
        reason = "a command carries all it is about"
    )]
    pub fn whisper(
        &mut self,
        now: Now,
        ticket: Ticket,
        to: NodeId,
        packets: Packets,
        within: Duration,
        hold: Hold,
        out: &mut Effects,
    ) {
        let refusal = match self.payload(None, &Flag::Whisper, packets) {
            Err(error) => error.into(),
            Ok(_) if to == *self.me() => SendError::Oneself.into(),
            Ok((payload, _)) => {
                let until = now.monotonic.saturating_add(within);
                let waiting = Waiting {
                    ticket,
                    payload,
                    hold,
                    within,
                    until,
                };
                match self.routing.conn_of(&to) {
                    Some(conn) => return self.hand_over(now, conn, &to, waiting, false, out),
                    None => match self.search(now, &to, out) {
                        Ok(()) => return self.discovery.wait(to, waiting),
                        Err(error) => error,
                    },
                }
            }
        };
        out.push(Effect::Answer {
            ticket,
            answer: Answer::Whisper(Err(refusal)),
        });
    }

    /// Makes sure that this peer is being looked for.
    fn search(&mut self, now: Now, to: &NodeId, out: &mut Effects) -> Result<(), WhisperError> {
        if self.discovery.waiting >= self.params.max_waiting_whispers {
            return Err(WhisperError::Busy(self.discovery.waiting));
        }
        if self.discovery.searches.contains_key(to) {
            return Ok(());
        }
        let request = self.ask_for(now, to, out);
        if request.is_none() && !self.awaiting.expects(to) {
            return Err(WhisperError::NoPeers(to.clone()));
        }
        self.discovery.begin(to.clone(), request);
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

    /// Sends a whisper on a connection that stands.
    fn hand_over(
        &mut self,
        now: Now,
        conn: ConnId,
        to: &NodeId,
        waiting: Waiting,
        discovered: bool,
        out: &mut Effects,
    ) {
        let fragile = self
            .routing
            .get(conn)
            .is_some_and(|entry| entry.hangs_on_binary);
        let result = match waiting
            .payload
            .iter()
            .position(|packet| packet.as_str().is_none())
        {
            Some(packet) if fragile => Err(SendError::NotText { packet }.into()),
            _ => self.compose_whisper(now, &waiting.payload).map(|composed| {
                let frames = Frames {
                    hold: waiting.hold,
                    ..composed.frames
                };
                self.note_whisper(conn, &frames);
                self.stats.sent += 1;
                out.push(Effect::Transmit {
                    to: Targets::from_elem(conn, 1),
                    frames,
                });
                Whispered {
                    id: composed.head.id,
                    to: to.clone(),
                    discovered,
                }
            }),
        };
        out.push(Effect::Answer {
            ticket: waiting.ticket,
            answer: Answer::Whisper(result),
        });
    }

    fn compose_whisper(
        &mut self,
        now: Now,
        payload: &[Packet],
    ) -> Result<crate::wire::Composed, WhisperError> {
        let composed = self.composer.compose(&Flag::Whisper, payload, now.unix);
        composed.map_err(|error| SendError::from(error).into())
    }

    /// Somebody says where a peer is.
    pub(in crate::mesh) fn on_response(
        &mut self,
        now: Now,
        request: &RequestId,
        id: &NodeId,
        address: Address,
        out: &mut Effects,
    ) {
        let Some(search) = self.discovery.searches.get_mut(id) else {
            return;
        };
        if search.request.as_ref() != Some(request) || address == self.params.address {
            return;
        }
        if search.learn(address) && !self.awaiting.expects(id) {
            self.try_next(now, id, out);
        }
    }

    /// Dials the next address a wanted peer is said to be at.
    fn try_next(&mut self, now: Now, id: &NodeId, out: &mut Effects) {
        let Some(search) = self.discovery.searches.get_mut(id) else {
            return;
        };
        if let Some(address) = search.candidates.pop_front() {
            search.tried.push(address.clone());
            if self
                .dial(now, address, Purpose::Wanted(id.clone()), out)
                .is_none()
            {
                self.troubles
                    .note(now.unix, format!("too many dials to look for {id}"));
            }
        }
    }

    /// A dial for some peer did not lead to it.
    pub(in crate::mesh) fn on_missed(
        &mut self,
        now: Now,
        newcomer: &Newcomer,
        why: String,
        out: &mut Effects,
    ) {
        let Some(id) = newcomer.purpose.expect() else {
            return;
        };
        if let Some(search) = self.discovery.searches.get_mut(id) {
            search.last = Some(format!("{}: {why}", newcomer.address));
            self.try_next(now, id, out);
        }
    }

    /// A peer joined: whatever waits for it is sent.
    pub(in crate::mesh) fn on_reachable(&mut self, now: Now, id: &NodeId, out: &mut Effects) {
        let Some(conn) = self.routing.conn_of(id) else {
            return;
        };
        for waiting in self.discovery.end(id) {
            self.hand_over(now, conn, id, waiting, true, out);
        }
    }

    /// Whispers whose time is up.
    pub(in crate::mesh) fn expire_whispers(&mut self, now: Now, out: &mut Effects) {
        for (id, waiting, last) in self.discovery.overdue(now.monotonic) {
            let error = match last {
                None => WhisperError::NotFound {
                    to: id.clone(),
                    within: waiting.within,
                },
                Some(last) => WhisperError::Unreachable {
                    to: id.clone(),
                    last,
                },
            };
            self.give_up(now, &id, waiting.ticket, error, out);
        }
    }

    /// Ends every whisper that waits.
    pub(in crate::mesh) fn abandon_whispers(&mut self, now: Now, out: &mut Effects) {
        let wanted: Vec<NodeId> = self.discovery.searches.keys().cloned().collect();
        for id in wanted {
            for waiting in self.discovery.end(&id) {
                let error = SendError::ShuttingDown.into();
                self.give_up(now, &id, waiting.ticket, error, out);
            }
        }
    }

    fn give_up(
        &mut self,
        now: Now,
        to: &NodeId,
        ticket: Ticket,
        error: WhisperError,
        out: &mut Effects,
    ) {
        self.stats.undeliverable += 1;
        self.troubles.note(now.unix, format!("whisper: {error}"));
        let reason = error.to_string();
        out.push(Effect::Notify(Event::Undeliverable {
            to: to.clone(),
            reason,
        }));
        out.push(Effect::Answer {
            ticket,
            answer: Answer::Whisper(Err(error)),
        });
    }

    /// Whispers that wait for their peer to be found.
    pub fn waiting_whispers(&self) -> usize {
        self.discovery.waiting
    }
}

impl Discovery {
    fn begin(&mut self, id: NodeId, request: Option<RequestId>) {
        let search = Search {
            request,
            waiting: Vec::new(),
            candidates: VecDeque::new(),
            tried: Vec::new(),
            last: None,
        };
        self.searches.insert(id, search);
    }

    fn wait(&mut self, id: NodeId, waiting: Waiting) {
        if let Some(search) = self.searches.get_mut(&id) {
            search.waiting.push(waiting);
            self.waiting += 1;
        }
    }

    fn end(&mut self, id: &NodeId) -> Vec<Waiting> {
        let waiting = self
            .searches
            .remove(id)
            .map(|search| search.waiting)
            .unwrap_or_default();
        self.waiting -= waiting.len();
        waiting
    }

    /// Takes out what waited too long, and the searches nobody waits for any more.
    fn overdue(&mut self, now: Duration) -> Vec<(NodeId, Waiting, Option<String>)> {
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
        overdue
    }
}

impl Search {
    /// Whether this address is news worth trying.
    fn learn(&mut self, address: Address) -> bool {
        let known = self.tried.len() + self.candidates.len();
        let news = known < MAX_CANDIDATES
            && !self.tried.contains(&address)
            && !self.candidates.contains(&address);
        if news {
            self.candidates.push_back(address);
        }
        news
    }
}
