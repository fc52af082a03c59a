//! The core's counters and its recent problems.
//!
//! Owns the counters and a bounded list of problems. Decides nothing.

use std::collections::VecDeque;

use serde::Serialize;

/// Maximum problems kept; the oldest are dropped first.
const TROUBLES: usize = 64;

/// An amount of traffic, in messages and bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Traffic {
    /// Whole messages.
    pub messages: u64,
    /// Bytes on the wire.
    pub bytes: u64,
}

impl Traffic {
    /// Subtracts `other`, down to zero.
    #[cfg(feature = "node")]
    pub(crate) fn less(self, other: Self) -> Self {
        Self {
            messages: self.messages.saturating_sub(other.messages),
            bytes: self.bytes.saturating_sub(other.bytes),
        }
    }

    pub(crate) fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// Counters since the node started. Messages are counted each time they arrive.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Stats {
    /// Messages received, of any kind.
    pub received: u64,
    /// Messages handed to the user.
    pub delivered: u64,
    /// The user's messages, broadcasts and whispers, that were queued for at least one peer. What was never written is
    /// in `StatusReport::unwritten`.
    pub sent: u64,
    /// Broadcasts of others that were relayed.
    pub relayed: u64,
    /// Broadcasts received again while remembered: dropped.
    pub duplicates: u64,
    /// Our own broadcasts that came back: dropped.
    pub echoes: u64,
    /// Messages whose id another message had taken before: delivered all the same.
    pub id_twins: u64,
    /// Broadcasts stamped more than 60 seconds ago: dropped.
    pub expired: u64,
    /// Broadcasts stamped more than 60 seconds ahead: dropped.
    pub premature: u64,
    /// Control messages under a main flag with which they are never sent: dropped.
    pub misplaced: u64,
    /// Extensions with a verb unknown to this version: dropped.
    pub unknown_verbs: u64,
    /// Control messages with invalid arguments: dropped.
    pub malformed: u64,
    /// Messages that a validator rejected: dropped.
    pub rejected: u64,
    /// Messages that a validator ignored, or that a fail-closed one did not decide about: dropped.
    pub ignored: u64,
    /// Times a validator did not decide about a message.
    pub undecided: u64,
    /// Malformed frames, or frames whose id does not match their contents: the peer was closed.
    pub bad_frames: u64,
    /// Requests beyond a peer's rate limit: not served.
    pub over_budget: u64,
    /// Times a relay skipped a peer that the payload would hang.
    pub relay_skipped: u64,
    /// Offers of large broadcasts of others, made to peers instead of sending them; each offer counts.
    pub announced: u64,
    /// Large broadcasts that peers offered and none of them sent in time.
    pub unfetched: u64,
    /// Small broadcasts of others not sent to a peer that gets them sooner from others; each peer counts.
    pub spared: u64,
    /// Of those, the ones sent after all, because the peer did not confirm them in time.
    pub spared_in_vain: u64,
    /// Connections closed because both ends agreed they can do without them.
    pub links_spared: u64,
    /// Peers closed because they read too little for too long.
    pub slow_peers: u64,
    /// Hosts banned for a while.
    pub bans: u64,
    /// Connections that ended before their handshake was accepted.
    pub refused: u64,
    /// Times this machine's clock was set, or the machine slept.
    pub clock_steps: u64,
    /// Claims to the id of a connected peer: refused.
    pub id_conflicts: u64,
    /// Nodes named in peers lists, repeats and known nodes included, this node excluded.
    pub listed: u64,
    /// Dials that failed.
    pub dials_failed: u64,
    /// Times the listener paused because the operating system refused to accept, such as when out of descriptors.
    pub accepts_failed: u64,
    /// Whispers that did not reach their peer.
    pub undeliverable: u64,
    /// Remembered broadcasts forgotten early because the waterfall cache was full.
    pub waterfall_evicted: u64,
    /// Broadcasts dropped because their second was forgotten early, because their neighbour's stamps ahead of now had
    /// used up its share of the cache, or because the seconds under way filled it.
    pub waterfall_closed: u64,
    /// Broadcasts remembered now.
    pub waterfall_entries: u64,
}

/// For each counter of [`Stats`], the code of the event that reports it, or why there is none.
#[cfg(test)]
const TOLD_BY: [(&str, Result<&str, &str>); 35] = [
    ("received", Err("what is meant to happen")),
    ("delivered", Err("what is meant to happen")),
    ("sent", Err("what is meant to happen")),
    ("relayed", Err("what is meant to happen")),
    (
        "duplicates",
        Err("a flood brings each message several times"),
    ),
    ("echoes", Err("a py2p sends each message back once")),
    ("id_twins", Err("they are delivered all the same")),
    ("expired", Ok("dropped")),
    ("premature", Ok("dropped")),
    ("misplaced", Ok("dropped")),
    ("unknown_verbs", Ok("dropped")),
    ("malformed", Ok("dropped")),
    ("rejected", Ok("rejected")),
    ("ignored", Err("what their validator wants")),
    ("undecided", Ok("undecided")),
    ("bad_frames", Ok("peer_left")),
    ("over_budget", Ok("dropped")),
    ("relay_skipped", Ok("relay_skipped")),
    ("announced", Err("what is meant to happen")),
    ("unfetched", Ok("dropped")),
    ("spared", Err("what is meant to happen")),
    ("spared_in_vain", Err("they are sent all the same")),
    ("links_spared", Ok("peer_left")),
    ("slow_peers", Ok("peer_left")),
    ("bans", Ok("banned")),
    ("refused", Ok("refused")),
    ("clock_steps", Ok("clock_stepped")),
    ("id_conflicts", Ok("id_conflict")),
    ("listed", Err("what is meant to happen")),
    ("dials_failed", Ok("dial_failed")),
    ("accepts_failed", Ok("listener_failed")),
    ("undeliverable", Ok("undeliverable")),
    ("waterfall_evicted", Ok("waterfall_full")),
    ("waterfall_closed", Ok("waterfall_full")),
    ("waterfall_entries", Err("a gauge")),
];

impl Stats {
    /// Returns the counters of dropped messages that no other event reports.
    pub(super) fn dropped(&self) -> [(&'static str, u64); DROPPED] {
        [
            ("expired", self.expired),
            ("premature", self.premature),
            ("misplaced", self.misplaced),
            ("unknown_verbs", self.unknown_verbs),
            ("malformed", self.malformed),
            ("over_budget", self.over_budget),
            ("unfetched", self.unfetched),
        ]
    }
}

/// The number of those counters.
pub(super) const DROPPED: usize = 7;

/// A problem.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Trouble {
    /// Unix seconds.
    pub time: u64,
    /// The problem, in a sentence.
    pub what: String,
}

/// The most recent problems, oldest first.
#[derive(Debug, Default)]
pub(super) struct RecentProblems(VecDeque<Trouble>);

impl RecentProblems {
    pub(super) fn note(&mut self, unix: u64, what: String) {
        if self.0.len() == TROUBLES {
            self.0.pop_front();
        }
        self.0.push_back(Trouble { time: unix, what });
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Trouble> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mesh::Event;

    #[test]
    fn each_counter_has_an_event_or_a_reason_why_not() {
        let stats = serde_json::to_value(Stats::default()).expect("counters are JSON");
        let mut fields: Vec<&String> = stats.as_object().expect("an object").keys().collect();
        let mut told = TOLD_BY.map(|(field, _)| field);
        fields.sort();
        told.sort_unstable();
        assert_eq!(fields, told);
        let dropped = Stats::default().dropped().map(|(counter, _)| counter);
        for (field, by) in TOLD_BY {
            match by {
                Ok(code) => assert!(Event::CODES.contains(&code), "{field}: {code}"),
                Err(why) => assert!(!why.is_empty(), "{field}"),
            }
            assert_eq!(by == Ok("dropped"), dropped.contains(&field), "{field}");
        }
    }
}
