//! Searches: whispers to peers we are not connected to.
//!
//! Owns the whispers that wait: each asks the mesh where its peer is, dials what is answered, makes
//! sure by the handshake that it is the right one, is sent, or fails at its deadline with a reason.

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

/// A whisper that is queued for its peer: lives as long as its bytes, so that those never written can be named.
#[derive(Clone, Debug)]
#[cfg_attr(
    not(feature = "node"),
    expect(dead_code, reason = "read by the actors")
)]
pub(crate) struct QueuedWhisper {
    to: NodeId,
    id: MessageId,
    /// Its room in a budget.
    _hold: Hold,
}

impl QueuedWhisper {
    /// The same, with room in another budget.
    #[cfg(feature = "node")]
    pub(crate) fn moved_to(&self, room: Hold) -> Self {
        Self {
            _hold: room,
            ..self.clone()
        }
    }
}

/// Whispers that are named when a connection ends before they were written; more are only counted.
#[cfg(feature = "node")]
const NAMED: usize = 64;

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
        self.whisper_of_kind(now, ticket, to, None, packets, within, hold, out);
    }

    /// As [`whisper`](Self::whisper), with another packet 0 than the mesh's own.
    #[expect(
        clippy::too_many_arguments,
        reason = "a command carries all it is about"
    )]
    pub fn whisper_of_kind(
        &mut self,
        now: Now,
        ticket: Ticket,
        to: NodeId,
        kind: Option<Packet>,
        packets: Packets,
        within: Duration,
        hold: Hold,
        out: &mut Effects,
    ) {
        match self.payload(kind, &Flag::Whisper, packets) {
            Ok((payload, _)) => {
                self.whisper_as(now, ticket, to, None, payload, within, hold, out);
            }
            Err(error) => out.push(Effect::Answer {
                ticket,
                answer: Answer::Whisper(Err(error.into())),
            }),
        }
    }

    /// Sends a whisper whose payload was judged, under this name or under ours.
    #[expect(
        clippy::too_many_arguments,
        reason = "a command carries all it is about"
    )]
    pub(in crate::mesh) fn whisper_as(
        &mut self,
        now: Now,
        ticket: Ticket,
        to: NodeId,
        author: Option<NodeId>,
        payload: Packets,
        within: Duration,
        hold: Hold,
        out: &mut Effects,
    ) {
        let until = now.monotonic.saturating_add(within);
        let mut waiting = Waiting {
            ticket,
            author,
            payload,
            hold,
            within,
            until,
        };
        let refusal = if to == *self.me() {
            SendError::Oneself.into()
        } else {
            match self.routing.conn_of(&to) {
                Some(conn) => return self.hand_over(now, conn, &to, waiting, false, out),
                None => match self.search(now, &to, waiting.payload.byte_len(), out) {
                    Ok(()) => {
                        // What waits for its peer has bounds of its own, and holds back nothing else of ours.
                        waiting.hold = Hold::none();
                        return self.searches.wait(to, waiting);
                    }
                    Err(error) => error,
                },
            }
        };
        out.push(Effect::Answer {
            ticket,
            answer: Answer::Whisper(Err(refusal)),
        });
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
        &mut self,
        now: Now,
        waiting: &Waiting,
    ) -> Result<crate::wire::Composed, WhisperError> {
        let author = waiting.author.as_ref().unwrap_or(self.composer.me());
        let composed = self
            .composer
            .compose_as(author, &Flag::Whisper, &waiting.payload, now.unix);
        composed.map_err(|error| SendError::from(error).into())
    }

    /// A peer joined: whatever waits for it is sent.
    pub(in crate::mesh) fn on_reachable(&mut self, now: Now, id: &NodeId, out: &mut Effects) {
        let Some(conn) = self.routing.conn_of(id) else {
            return;
        };
        for waiting in self.searches.end(id) {
            self.hand_over(now, conn, id, waiting, true, out);
        }
    }

    /// Whispers whose time is up.
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

    /// Ends every whisper that waits.
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

    /// A connection has ended, and these were still queued for it although their senders have their answer.
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
            // One trouble for all of them: a peer that reads nothing must not push the others out of the list.
            let what =
                format!("whispers to {to}: its connection ended before {count} were written");
            self.problems.note(now.unix, what);
        }
        for QueuedWhisper { to, id, .. } in whispers.into_iter().take(NAMED) {
            let reason = format!("its connection ended before message {id} was written");
            out.push(Effect::Notify(Event::Undeliverable { to, reason }));
        }
    }

    /// Whispers that wait for their peer to be found.
    pub fn waiting_whispers(&self) -> usize {
        self.searches.waiting()
    }
}
