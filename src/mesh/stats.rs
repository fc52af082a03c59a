//! What the core counts and remembers of what went wrong.
//!
//! Owns the counters and a bounded list of troubles. Decides nothing.

use std::collections::VecDeque;

use serde::Serialize;

/// RecentProblems remembered; older ones are dropped first.
const TROUBLES: usize = 64;

/// What came in or went out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Traffic {
    /// Whole messages.
    pub messages: u64,
    /// Bytes as they are on the wire.
    pub bytes: u64,
}

impl Traffic {
    /// What is left of it without that.
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

/// Counters since the node was started. Messages are counted each time they are heard.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Stats {
    /// Messages received, of any kind.
    pub received: u64,
    /// Messages handed to the user.
    pub delivered: u64,
    /// Messages of the user's that were accepted and queued for at least one peer, broadcasts and whispers. What of it was
    /// never written is in `StatusReport::unwritten`.
    pub sent: u64,
    /// Broadcasts of others that were passed on.
    pub relayed: u64,
    /// Broadcasts heard again within their time: dropped.
    pub duplicates: u64,
    /// Our own broadcasts that came back: dropped.
    pub echoes: u64,
    /// Messages under an id that another message took first: delivered all the same.
    pub id_twins: u64,
    /// Broadcasts stamped more than 60 seconds ago: dropped.
    pub expired: u64,
    /// Broadcasts stamped more than 60 seconds ahead: dropped.
    pub premature: u64,
    /// Control messages under a main flag with which they are never sent: dropped.
    pub misplaced: u64,
    /// Extensions with a verb that this version does not know: dropped.
    pub unknown_verbs: u64,
    /// Control messages whose arguments make no sense: dropped.
    pub malformed: u64,
    /// Messages that a validator rejected: dropped.
    pub rejected: u64,
    /// Messages that a validator had ignored, or did not decide about and is closed: dropped.
    pub ignored: u64,
    /// Times that a validator did not decide about a message.
    pub undecided: u64,
    /// Frames that do not decode, or whose id does not fit their contents: the peer was closed.
    pub bad_frames: u64,
    /// Things a peer asked for more often than it may: not done.
    pub over_budget: u64,
    /// Times a relay passed over a peer that its payload would hang.
    pub relay_skipped: u64,
    /// Large broadcasts of others that were offered to peers instead of sent, each offer.
    pub announced: u64,
    /// Large broadcasts that peers offered, and that none of them sent in time.
    pub unfetched: u64,
    /// Small broadcasts of others that were not sent to peers which hear them sooner from others, each time.
    pub spared: u64,
    /// Of those, how many were sent after all, because the peer did not say in time that it had them.
    pub spared_in_vain: u64,
    /// Links that both ends agreed to do without.
    pub links_spared: u64,
    /// Peers that were closed because they took too little for too long.
    pub slow_peers: u64,
    /// Hosts that were banned for a while.
    pub bans: u64,
    /// Connections that ended before their handshake was accepted.
    pub refused: u64,
    /// Times that this machine's clock was set, or the machine slept.
    pub clock_steps: u64,
    /// Claims to the id of a peer that is connected: refused.
    pub id_conflicts: u64,
    /// Nodes but ourselves that peers lists named, however often, those we know included.
    pub listed: u64,
    /// Dials that came to nothing.
    pub dials_failed: u64,
    /// Times that accepting was paused because the operating system refused: it is out of descriptors, say.
    pub accepts_failed: u64,
    /// Whispers that did not reach their peer.
    pub undeliverable: u64,
    /// Seen broadcasts forgotten before their time because the cache was full.
    pub waterfall_evicted: u64,
    /// Broadcasts of a second that was forgotten before its time, or stamped ahead when such stamps had used up their share:
    /// dropped.
    pub waterfall_closed: u64,
    /// Seen broadcasts remembered now.
    pub waterfall_entries: u64,
}

/// What tells of each counter of [`Stats`]: an event, by its code, or why there is none.
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
    /// Counters of what was dropped and is told by nothing else.
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

/// How many counters those are.
pub(super) const DROPPED: usize = 7;

/// Something that went wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Trouble {
    /// Unix seconds.
    pub time: u64,
    /// What, in a sentence.
    pub what: String,
}

/// The last troubles, oldest first.
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
