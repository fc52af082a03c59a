//! Clock skew: which peers' clocks differ so much that messages are dropped, and whether our own clock has moved.
//!
//! Owns the measurement: a peer states its time in its handshake and in its answer to a probe. The stamp of a message
//! alone proves nothing: the message may have been delayed, or this node suspended.

use std::time::Duration;

use crate::mesh::Mesh;
use crate::mesh::effect::{Effect, Effects};
use crate::mesh::event::Event;
use crate::mesh::input::{ConnId, Now};
use crate::wire::{Control, Frame, NodeId};

/// Clock differences above this are reported, in seconds.
const SKEW: u64 = 5;

/// A slower answer says nothing about the peer's clock.
const PROMPT: Duration = Duration::from_secs(5);

/// Minimum interval between time probes of a peer.
const ASK_AGAIN: Duration = Duration::from_secs(10);

/// Peers probed for their time after a step of our own clock.
const ASKED: usize = 8;

impl Mesh {
    /// Compares a peer's time with ours. `time` must come from a message without delay.
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

    /// Handles a peer's answer to our probe, which states its time.
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

    /// Whether a control message answers our last probe of this peer.
    pub(in crate::mesh) fn is_pong(&self, conn: ConnId, control: &Control) -> bool {
        let Control::Response { request, .. } = control else {
            return false;
        };
        let ping = self.routing.get(conn).and_then(|entry| entry.ping);
        ping.is_some_and(|ping| ping.get() == self.key.digest(request.as_bytes()))
    }

    /// Handles a broadcast dropped as expired or premature: probes the neighbour for its time if it is the author.
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

    /// Compares our wall clock with the monotonic clock.
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

/// Returns one time minus the other, in seconds.
fn difference(time: u64, other: u64) -> i64 {
    let seconds = i128::from(time) - i128::from(other);
    i64::try_from(seconds).unwrap_or(i64::MAX)
}
