//! Clock skew: whose clock differs so much that messages are lost, and whether it is ours that moved.
//!
//! Owns how a difference is found: a peer says its time in its handshake, and in its answer to a question for a sign of
//! life. The stamp of a message alone accuses nobody: it may have waited on its way, or we may have stood still.

use std::time::Duration;

use crate::mesh::Mesh;
use crate::mesh::effect::{Effect, Effects};
use crate::mesh::event::Event;
use crate::mesh::input::{ConnId, Now};
use crate::wire::{Control, Frame, NodeId};

/// Clocks this far apart are told to the user, in seconds.
const SKEW: u64 = 5;

/// An answer that took longer says nothing of the other's clock.
const PROMPT: Duration = Duration::from_secs(5);

/// For its time a peer is asked once in this time.
const ASK_AGAIN: Duration = Duration::from_secs(10);

/// After a step of our own clock, so many peers are asked for their time.
const ASKED: usize = 8;

impl Mesh {
    /// A peer said its time in a message that took no longer than a moment.
    pub(in crate::mesh) fn report_skew(
        &mut self,
        now: Now,
        peer: &NodeId,
        time: u64,
        out: &mut Effects,
    ) {
        let entry = self.routing.conn_of(peer);
        let Some(entry) = entry.and_then(|conn| self.routing.get_mut(conn)) else {
            return;
        };
        let seconds = difference(time, now.unix);
        if seconds.unsigned_abs() <= SKEW {
            entry.skew = 0;
            return;
        }
        let told = i32::try_from(seconds).unwrap_or(if seconds < 0 { i32::MIN } else { i32::MAX });
        if u64::from(told.abs_diff(entry.skew)) <= SKEW {
            return;
        }
        entry.skew = told;
        self.problems.note(
            now.unix,
            format!("the clock of {peer} is {seconds} s off ours"),
        );
        out.push(Effect::Notify(Event::ClockSkew {
            peer: peer.clone(),
            seconds,
        }));
    }

    /// A peer answered our question for a sign of life, and said its time.
    pub(in crate::mesh) fn on_pong(
        &mut self,
        now: Now,
        conn: ConnId,
        time: u64,
        out: &mut Effects,
    ) {
        self.on_sign_of_life(now, conn, out);
        if let Some(entry) = self.routing.get(conn)
            && now.monotonic <= entry.pinged_at + PROMPT
        {
            let peer = entry.id.clone();
            self.report_skew(now, &peer, time, out);
        }
    }

    /// Whether a frame of a peer answers our last question for a sign of life.
    pub(in crate::mesh) fn is_pong(&self, conn: ConnId, control: &Control) -> bool {
        let Control::Response { request, .. } = control else {
            return false;
        };
        let ping = self.routing.get(conn).and_then(|entry| entry.ping);
        ping.is_some_and(|ping| ping.get() == self.key.digest(request.as_bytes()))
    }

    /// A broadcast was dropped as expired or premature. If a neighbour wrote it, that one is asked for its time.
    pub(in crate::mesh) fn on_untimely(
        &mut self,
        now: Now,
        conn: ConnId,
        frame: &Frame<'_>,
        out: &mut Effects,
    ) {
        let Some(entry) = self.routing.get(conn) else {
            return;
        };
        if entry.id.as_bytes() != frame.sender() {
            return;
        }
        let due = entry.ping.is_none() || entry.pinged_at + ASK_AGAIN <= now.monotonic;
        if let Some(Ok(control)) = Control::read(frame, self.params.generation)
            && self.is_pong(conn, &control)
            && frame.verify().is_ok()
        {
            self.on_pong(now, conn, frame.time(), out);
        } else if due {
            self.ask_for_sign_of_life(now, conn, out);
        }
    }

    /// Compares our two clocks.
    pub(in crate::mesh) fn watch_clock(&mut self, now: Now, out: &mut Effects) {
        let Some(before) = self.last_tick.replace(now) else {
            return;
        };
        let passed = now.monotonic.saturating_sub(before.monotonic).as_secs();
        let seconds = difference(now.unix, before.unix.saturating_add(passed));
        if seconds.unsigned_abs() <= SKEW {
            return;
        }
        self.stats.clock_steps += 1;
        self.problems
            .note(now.unix, format!("our clock moved by {seconds} s"));
        out.push(Effect::Notify(Event::ClockStepped { seconds }));
        let asked: Vec<ConnId> = self.routing.conns().into_iter().take(ASKED).collect();
        for conn in asked {
            self.ask_for_sign_of_life(now, conn, out);
        }
    }
}

/// One time minus the other, in seconds.
fn difference(time: u64, other: u64) -> i64 {
    let seconds = i128::from(time) - i128::from(other);
    i64::try_from(seconds).unwrap_or(i64::MAX)
}
