//! Searches: whispers to peers we are not connected to.
//!
//! Owns the queued whispers. For each, the node asks the mesh where the peer is, dials the answers, checks the id in
//! the handshake, and sends the whisper; or it fails at its deadline with a reason.

pub(in crate::mesh) mod authors;
pub(in crate::mesh) mod reply_path;
pub(in crate::mesh) mod searches;

use std::time::Duration;

use crate::mesh::Mesh;
use crate::mesh::effect::{Answer, Effect, Effects, Targets, Whispered};
use crate::mesh::error::{SendError, WhisperError};
use crate::mesh::event::Event;
use crate::mesh::input::{ConnId, Now, Ticket};
use crate::mesh::messaging::whisper::searches::Waiting;
use crate::mesh::trace;
use crate::wire::{Flag, Frames, Hold, MessageId, NodeId, Packet, Packets};

/// A whisper queued for its peer. It lives as long as its bytes, so that unwritten whispers can be reported.
#[derive(Clone, Debug)]
#[cfg_attr(
    not(feature = "node"),
    expect(dead_code, reason = "read by the actors")
)]
pub(crate) struct QueuedWhisper {
    to: NodeId,
    id: MessageId,
    /// Its share of a budget.
    _hold: Hold,
}

impl QueuedWhisper {
    /// Returns a copy that holds a share of another budget.
    #[cfg(feature = "node")]
    pub(crate) fn moved_to(&self, room: Hold) -> Self {
        Self {
            _hold: room,
            ..self.clone()
        }
    }
}

/// A whisper to send.
#[derive(Clone, Debug)]
pub struct OutgoingWhisper {
    /// The name its answer comes under.
    pub ticket: Ticket,
    /// The recipient.
    pub to: NodeId,
    /// Packet 0; `None`: the mesh's own for a whisper.
    pub kind: Option<Packet>,
    /// The other packets.
    pub packets: Packets,
    /// How long a peer that is not connected is searched for.
    pub within: Duration,
    /// What lives as long as the bytes.
    pub hold: Hold,
}

impl OutgoingWhisper {
    /// Returns a whisper of the mesh's own kind that holds nothing.
    pub fn new(ticket: Ticket, to: NodeId, packets: impl Into<Packets>, within: Duration) -> Self {
        Self {
            ticket,
            to,
            kind: None,
            packets: packets.into(),
            within,
            hold: Hold::none(),
        }
    }
}

/// Unwritten whispers reported one by one when a connection ends; the rest are only counted.
#[cfg(feature = "node")]
const NAMED: usize = 64;

impl Mesh {
    /// Sends a message to one peer, wherever it is. Ends in [`Answer::Whisper`] under its ticket: at once if the peer
    /// is connected, otherwise when it was found or the deadline has passed.
    pub fn whisper(&mut self, now: Now, whisper: OutgoingWhisper, out: &mut Effects) {
        let OutgoingWhisper {
            ticket,
            to,
            kind,
            packets,
            within,
            hold,
        } = whisper;
        let payload = match self.payload(kind, &Flag::Whisper, packets) {
            Ok((payload, _)) => payload,
            Err(error) => {
                return out.push(Effect::Answer {
                    ticket,
                    answer: Answer::Whisper(Err(error.into())),
                });
            }
        };
        let waiting = Waiting {
            ticket,
            author: None,
            payload,
            hold,
            within,
            until: now.monotonic.saturating_add(within),
        };
        self.send_or_search(now, to, waiting, out);
    }

    /// Sends a whisper whose payload was checked, or queues it until its peer is found.
    pub(in crate::mesh) fn send_or_search(
        &mut self,
        now: Now,
        to: NodeId,
        mut waiting: Waiting,
        out: &mut Effects,
    ) {
        let refusal = if to == *self.me() {
            SendError::Oneself.into()
        } else {
            match self.routing.conn_of(&to) {
                Some(conn) => return self.hand_over(now, conn, &to, waiting, false, out),
                None => match self.search(now, &to, waiting.payload.byte_len(), out) {
                    Ok(()) => {
                        // Queued whispers have their own limits, and use up no other budget of ours.
                        waiting.hold = Hold::none();
                        return self.searches.wait(to, waiting);
                    }
                    Err(error) => error,
                },
            }
        };
        out.push(Effect::Answer {
            ticket: waiting.ticket,
            answer: Answer::Whisper(Err(refusal)),
        });
    }

    /// Sends a whisper on an open connection.
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
            _ => self.compose_whisper(now, &waiting).map(|composed| {
                let queued = QueuedWhisper {
                    to: to.clone(),
                    id: composed.head.id.clone(),
                    _hold: waiting.hold,
                };
                let frames = Frames {
                    hold: Hold::new(queued),
                    ..composed.frames
                };
                self.note_whisper(conn, &frames);
                self.stats.sent += 1;
                if trace::is_on() {
                    trace::sent(self.me(), &composed.head.id, &waiting.payload, 1);
                }
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
        &self,
        now: Now,
        waiting: &Waiting,
    ) -> Result<crate::wire::Composed, WhisperError> {
        let author = waiting.author.as_ref().unwrap_or(self.composer.me());
        let composed = self
            .composer
            .compose_as(author, &Flag::Whisper, &waiting.payload, now.unix);
        composed.map_err(|error| SendError::from(error).into())
    }

    /// Sends the queued whispers to a peer that has joined.
    pub(in crate::mesh) fn on_reachable(&mut self, now: Now, id: &NodeId, out: &mut Effects) {
        let Some(conn) = self.routing.conn_of(id) else {
            return;
        };
        for waiting in self.searches.end(id) {
            self.hand_over(now, conn, id, waiting, true, out);
        }
    }

    /// Fails the whispers whose deadline has passed.
    pub(in crate::mesh) fn expire_whispers(&mut self, now: Now, out: &mut Effects) {
        for (id, waiting, last) in self.searches.overdue(now.monotonic) {
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

    /// Fails every queued whisper.
    pub(in crate::mesh) fn abandon_whispers(&mut self, now: Now, out: &mut Effects) {
        self.abandon_passages(now, out);
        let wanted = self.searches.wanted();
        for id in wanted {
            for waiting in self.searches.end(&id) {
                let error = SendError::ShuttingDown.into();
                self.give_up(now, &id, waiting.ticket, error, out);
            }
        }
    }

    pub(in crate::mesh) fn give_up(
        &mut self,
        now: Now,
        to: &NodeId,
        ticket: Ticket,
        error: WhisperError,
        out: &mut Effects,
    ) {
        self.stats.undeliverable += 1;
        self.problems.note(now.unix, format!("whisper: {error}"));
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

    /// Reports whispers that were answered as sent but still queued when their connection ended.
    #[cfg(feature = "node")]
    pub(crate) fn on_unwritten_whispers(
        &mut self,
        now: Now,
        whispers: Vec<QueuedWhisper>,
        out: &mut Effects,
    ) {
        let count = whispers.len();
        self.stats.undeliverable += count as u64;
        if let Some(QueuedWhisper { to, .. }) = whispers.first() {
            // One note for all: a peer that reads nothing must not push other problems off the list.
            let what =
                format!("whispers to {to}: its connection ended before {count} were written");
            self.problems.note(now.unix, what);
        }
        for QueuedWhisper { to, id, .. } in whispers.into_iter().take(NAMED) {
            let reason = format!("its connection ended before message {id} was written");
            out.push(Effect::Notify(Event::Undeliverable { to, reason }));
        }
    }

    /// The number of whispers waiting for their peer to be found.
    pub fn waiting_whispers(&self) -> usize {
        self.searches.waiting()
    }
}
