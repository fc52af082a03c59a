//! The dispatch: passes each input to the file of its protocol noun.
//!
//! Owns the order of work in a tick, and the events for problems that are otherwise only counted. Makes no protocol
//! decision: those are in the files beside it, one noun each.

use std::time::Duration;

use super::Mesh;
use super::effect::{Effect, Effects, Targets};
use super::event::{CloseReason, Event};
use super::input::{ConnId, Input, Now};
use super::messaging::renegotiate::Kept;
use crate::wire::{Control, Flag};

/// How often a counter of dropped messages is reported.
const DROPPED_AGAIN: Duration = Duration::from_secs(10);

impl Mesh {
    /// Handles one input.
    pub fn handle(&mut self, now: Now, input: Input, out: &mut Effects) {
        match input {
            Input::Accepted { conn, addr } => self.on_accepted(now, conn, addr, out),
            Input::Dialed { conn, addr } => self.on_dialed(now, conn, addr, out),
            Input::DialFailed { conn, why } => self.on_dial_failed(now, conn, why, out),
            Input::Proven { conn, id } => self.on_proven(conn, id),
            Input::Received { conn, batch } => self.on_received(now, conn, batch, out),
            Input::Closed { conn, why } => self.on_closed(now, conn, why, out),
            Input::Taking { conn } => self.on_taking(now, conn),
            Input::AcceptFailed { why } => self.on_accept_failed(now, why, out),
            Input::Tick => self.on_tick(now, out),
        }
    }

    fn on_accept_failed(&mut self, now: Now, why: String, out: &mut Effects) {
        self.stats.accepts_failed += 1;
        self.problems
            .note(now.unix, format!("accepting is paused: {why}"));
        out.push(Effect::Notify(Event::ListenerFailed { reason: why }));
    }

    fn on_tick(&mut self, now: Now, out: &mut Effects) {
        for conn in self.awaiting.overdue(now.monotonic) {
            self.close(now, conn, CloseReason::HandshakeTimeout, out);
        }
        self.watch_clock(now, out);
        self.keep_alive(now, out);
        self.end_contests(now, out);
        self.reconnect(now, out);
        self.bound_degree(now, out);
        self.seek_links(now, out);
        self.end_fruitless_searches(now, out);
        self.expire_whispers(now, out);
        self.expire_passages(now, out);
        self.mind_announcements(now, out);
        self.mind_streams(now, out);
        self.waterfall.forget(now.unix);
        self.report_crowded(now, out);
        self.report_dropped(now, out);
        self.report_undecided(out);
    }

    /// Reports what is otherwise only counted, at a bounded rate.
    fn report_dropped(&mut self, now: Now, out: &mut Effects) {
        let counters = self.stats.dropped();
        let (told, at) = &mut self.dropped_told;
        let due = *at == Duration::ZERO || *at + DROPPED_AGAIN <= now.monotonic;
        if !due || counters.iter().map(|(_, count)| count).eq(told.iter()) {
            return;
        }
        *at = now.monotonic;
        for ((counter, count), told) in counters.into_iter().zip(told) {
            let count = count - std::mem::replace(told, count);
            if count > 0 {
                self.problems
                    .note(now.unix, format!("dropped {count}: {counter}"));
                out.push(Effect::Notify(Event::Dropped { counter, count }));
            }
        }
    }

    /// Reports a full waterfall cache, at most once a second.
    fn report_crowded(&mut self, now: Now, out: &mut Effects) {
        if !std::mem::take(&mut self.crowded) {
            return;
        }
        let dropped = self.stats.waterfall_closed;
        self.problems.note(
            now.unix,
            String::from("the cache of seen broadcasts is full: some were dropped"),
        );
        out.push(Effect::Notify(Event::WaterfallFull { dropped }));
    }

    /// Sends a control message of this node to one connection, as a whisper or a renegotiation.
    pub(super) fn say(
        &mut self,
        now: Now,
        conn: ConnId,
        flag: &Flag,
        control: &Control,
        out: &mut Effects,
    ) {
        let packets = control.packets(self.params.generation);
        match self.composer.compose(flag, &packets, now.unix) {
            Ok(composed) => {
                match control {
                    Control::Peers { .. } => self.note(conn, Kept::PeersList),
                    Control::Request { .. } => self.note(conn, Kept::Nothing),
                    _ if *flag == Flag::Whisper => self.note_whisper(conn, &composed.frames),
                    _ => {}
                }
                let to = Targets::from_elem(conn, 1);
                out.push(Effect::Transmit {
                    to,
                    frames: composed.frames,
                });
            }
            Err(error) => self
                .problems
                .note(now.unix, format!("could not answer: {error}")),
        }
    }
}
