//! Broadcasts: sending our own.
//!
//! Owns the choice of targets and the second each message is stamped with. Relaying others' broadcasts is not done
//! here.

use crate::mesh::Mesh;
use crate::mesh::effect::{Effect, Effects, Sent, Skipped, Targets};
use crate::mesh::error::SendError;
use crate::mesh::event::SkipReason;
use crate::mesh::input::{ConnId, Now};
use crate::mesh::messaging::waterfall::Seen;
use crate::mesh::trace;
use crate::wire::{
    Composed, Control, Fingerprint, Flag, Frames, Head, Hold, Packet, Packets, SubFlag,
    is_extension,
};

/// A user's message for every peer.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// The packets after packet 0.
    pub packets: Packets,
    /// [`Flag::Broadcast`] for all nodes, [`Flag::Whisper`] for our peers only.
    pub flag: Flag,
    /// Packet 0; `None`: the default for the flag.
    pub kind: Option<Packet>,
    /// Whether sending to no peer is allowed.
    pub allow_empty: bool,
}

/// A checked message that may be sent.
pub(in crate::mesh) struct Admitted {
    pub(in crate::mesh) flag: Flag,
    pub(in crate::mesh) payload: Packets,
    /// Whether every packet is valid UTF-8.
    pub(in crate::mesh) text: bool,
}

impl Mesh {
    /// Whether a payload that is not text may be sent: the generation carries it, or the user has allowed it.
    pub(in crate::mesh) fn may_send_binary(&self) -> bool {
        self.params.allow_binary || !self.params.generation.is_text_only()
    }

    /// Sends a message to every peer.
    ///
    /// # Errors
    ///
    /// Returns a [`SendError`]; nothing was sent.
    pub fn send(
        &mut self,
        now: Now,
        what: Outgoing,
        hold: Hold,
        out: &mut Effects,
    ) -> Result<Sent, SendError> {
        let admitted = self.admit(what)?;
        let composed = self.stamp(now, &admitted.flag, &admitted.payload)?;
        let frames = Frames {
            hold,
            ..composed.frames
        };
        Ok(self.post(now, &admitted, composed.head, frames, out))
    }

    /// Checks a message, and prepares its payload.
    pub(in crate::mesh) fn admit(&self, what: Outgoing) -> Result<Admitted, SendError> {
        let Outgoing {
            packets,
            flag,
            kind,
            allow_empty,
        } = what;
        if !matches!(flag, Flag::Broadcast | Flag::Whisper) {
            return Err(SendError::ReservedFlag(format!("{flag:?}")));
        }
        let (payload, text) = self.payload(kind, &flag, packets)?;
        if self.routing.is_empty() && !allow_empty {
            return Err(SendError::NoPeers);
        }
        Ok(Admitted {
            flag,
            payload,
            text,
        })
    }

    /// Sends a composed message to every peer it cannot hang.
    pub(in crate::mesh) fn post(
        &mut self,
        now: Now,
        what: &Admitted,
        head: Head,
        frames: Frames,
        out: &mut Effects,
    ) -> Sent {
        self.stats.sent += 1;
        let fragile = if what.text {
            Targets::new()
        } else {
            self.routing.fragile()
        };
        let mut to = self.routing.conns();
        to.retain(|conn| !fragile.contains(conn));
        let sent = Sent {
            id: head.id,
            time: head.time,
            handed_to: self.routing.ids(&to).collect(),
            skipped: self.skipped(&fragile),
        };
        self.stats.relay_skipped += fragile.len() as u64;
        if trace::is_on() {
            trace::sent(self.me(), &sent.id, &what.payload, to.len());
        }
        if what.flag == Flag::Broadcast {
            if self.keeps_passed() {
                let me = self.me().clone();
                self.note_sent(now, &sent.id, &me, &what.payload);
            }
            self.note_broadcast(&frames);
        } else {
            to.iter().for_each(|conn| self.note_whisper(*conn, &frames));
        }
        if !to.is_empty() {
            out.push(Effect::Transmit { to, frames });
        }
        sent
    }

    /// Returns packet 0 followed by the others, and whether all are valid UTF-8, if they may be sent.
    pub(in crate::mesh) fn payload(
        &self,
        kind: Option<Packet>,
        flag: &Flag,
        packets: Packets,
    ) -> Result<(Packets, bool), SendError> {
        if self.closing {
            return Err(SendError::ShuttingDown);
        }
        let generation = self.params.generation;
        let kind = kind.unwrap_or_else(|| {
            let kind = if *flag == Flag::Broadcast {
                SubFlag::Broadcast
            } else {
                SubFlag::Whisper
            };
            kind.packet(generation)
        });
        let control = SubFlag::read(kind.as_bytes(), generation).is_some_and(SubFlag::is_control);
        if control || is_extension(kind.as_bytes()) {
            return Err(SendError::ReservedKind);
        }
        let payload = packets.led_by(kind);
        let binary = payload.iter().position(|packet| packet.as_str().is_none());
        match binary {
            Some(packet) if !self.may_send_binary() => Err(SendError::NotText { packet }),
            _ => Ok((payload, binary.is_none())),
        }
    }

    /// Composes with the first second in which the payload's id is still free, and claims the id: the id covers only
    /// payload and second, and receivers drop ids they have seen.
    ///
    /// If others have taken the id in every one of these seconds, uses the first second we have not used ourselves:
    /// nobody can keep us from sending a payload by sending it first.
    pub(in crate::mesh) fn stamp(
        &mut self,
        now: Now,
        flag: &Flag,
        payload: &[Packet],
    ) -> Result<Composed, SendError> {
        self.waterfall.make_room(now.unix);
        let mut shared = None;
        for ahead in 0..=self.params.seconds_ahead {
            let time = now.unix.saturating_add(ahead);
            // Our clock was set back. What we have sent in that second is forgotten.
            if self.waterfall.closed(time) {
                continue;
            }
            let composed = self.composer.compose(flag, payload, time)?;
            match self.waterfall.look(time, composed.fingerprint(&self.key)) {
                Seen::Fresh => return Ok(self.claimed(time, composed)),
                Seen::Twin => shared = shared.or(Some((time, composed))),
                Seen::Same => {}
            }
        }
        match shared {
            Some((time, composed)) => Ok(self.claimed(time, composed)),
            None => Err(SendError::TooOften(self.params.seconds_ahead)),
        }
    }

    fn claimed(&mut self, time: u64, composed: Composed) -> Composed {
        self.take_id(time, composed.fingerprint(&self.key));
        composed
    }

    /// Claims the id of one of our messages; false if it is taken.
    pub(in crate::mesh) fn take_id(&mut self, time: u64, fingerprint: Fingerprint) -> bool {
        self.waterfall.remember(time, fingerprint) == Seen::Fresh
    }

    /// Composes a broadcast control message of our own, and remembers it like any broadcast.
    pub(in crate::mesh) fn compose_control(
        &mut self,
        now: Now,
        control: &Control,
    ) -> Option<Frames> {
        let payload = control.packets(self.params.generation);
        match self.stamp(now, &Flag::Broadcast, &payload) {
            Ok(composed) => Some(composed.frames),
            Err(error) => {
                self.problems.note(
                    now.unix,
                    format!("could not send a control message: {error}"),
                );
                None
            }
        }
    }

    pub(in crate::mesh) fn skipped(&self, conns: &[ConnId]) -> Vec<Skipped> {
        let skipped = |peer| Skipped {
            peer,
            reason: SkipReason::BinaryHangsIt,
        };
        self.routing.ids(conns).map(skipped).collect()
    }
}
