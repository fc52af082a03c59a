//! Keepalive: a silent peer is probed, and dropped if it does not answer.
//!
//! Owns when a peer is probed, and with which message. It does not know what the end of a connection leads to.

use std::num::NonZeroU64;

use crate::mesh::Mesh;
use crate::mesh::effect::{Effect, Effects};
use crate::mesh::event::CloseReason;
use crate::mesh::input::{ConnId, Now};
use crate::wire::{Control, Flag, RequestId};

impl Mesh {
    /// Probes peers that were silent for `keepalive_interval`, and closes those that did not answer a probe.
    pub(in crate::mesh) fn keep_alive(&mut self, now: Now, out: &mut Effects) {
        let silence = self.params.keepalive_interval;
        if silence.is_zero() {
            return;
        }
        let quiet = self.routing.all().filter(|entry| !entry.probed);
        let quiet = quiet.filter(|entry| entry.heard + silence <= now.monotonic);
        let quiet: Vec<ConnId> = quiet.map(|entry| entry.conn).collect();
        for conn in quiet {
            self.ping(now, conn, out);
        }
        let silent = self.routing.all().filter(|entry| entry.probed);
        let silent = silent.filter(|entry| entry.heard <= now.monotonic);
        let silent: Vec<ConnId> = silent.map(|entry| entry.conn).collect();
        for conn in silent {
            self.close(now, conn, CloseReason::Unresponsive, out);
        }
    }

    /// Probes a peer. No ping is answered by every peer, but each answers a request for a peer it has, and it has us.
    /// One short frame each way, where `request *` would fetch the whole list.
    fn ping(&mut self, now: Now, conn: ConnId, out: &mut Effects) {
        let patience = self.params.keepalive_interval / 2;
        if let Some(entry) = self.routing.get_mut(conn) {
            (entry.heard, entry.probed) = (now.monotonic + patience, true);
            self.ask_for_sign_of_life(now, conn, out);
            out.push(Effect::Watch { conn });
        }
    }

    /// The peer is reading what is queued for it. Our probe may be queued behind that, so it counts as alive.
    pub(in crate::mesh) fn on_taking(&mut self, now: Now, conn: ConnId) {
        let Some(entry) = self.routing.get_mut(conn) else {
            return;
        };
        entry.note_alive();
        (entry.heard, entry.probed) = (now.monotonic, false);
    }

    /// Sends the probe only: the caller decides how long the answer may take.
    pub(in crate::mesh) fn ask_for_sign_of_life(
        &mut self,
        now: Now,
        conn: ConnId,
        out: &mut Effects,
    ) {
        let salt: [u8; 16] = rand::RngExt::random(&mut self.rng);
        let Some(entry) = self.routing.get_mut(conn) else {
            return;
        };
        let wanted = self.composer.me().clone();
        let request = RequestId::derive(&wanted, now.unix, &salt);
        entry.pinged_at = now.monotonic;
        entry.ping = NonZeroU64::new(self.key.digest(request.as_bytes()));
        let ping = Control::Request { request, wanted };
        self.say(now, conn, &Flag::Whisper, &ping, out);
    }
}
