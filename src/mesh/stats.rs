//! What the core counts and remembers of what went wrong.
//!
//! Owns the counters and a bounded list of troubles. Decides nothing.

use std::collections::VecDeque;

use serde::Serialize;

/// RecentProblems remembered; older ones are dropped first.
const TROUBLES: usize = 64;

/// Counters since the node was started. Messages are counted each time they are heard.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Stats {
    /// Messages received, of any kind.
    pub received: u64,
    /// Messages handed to the user.
    pub delivered: u64,
    /// Messages of the user's that were sent, broadcasts and whispers.
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
    /// Frames that do not decode, or whose id does not fit their contents: the peer was closed.
    pub bad_frames: u64,
    /// Things a peer asked for more often than it may: not done.
    pub over_budget: u64,
    /// Times a relay passed over a peer that its payload would hang.
    pub relay_skipped: u64,
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
