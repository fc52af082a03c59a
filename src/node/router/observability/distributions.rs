//! What the Router measures by itself, beside what the core counts.
//!
//! Owns four distributions. They cost an addition for each message.

use std::time::Duration;

use crate::mesh::{SendError, Sent};
use crate::node::messages::Histogram;
use crate::wire::Message;

/// See the module.
#[derive(Debug)]
pub(crate) struct Observed {
    pub(crate) delivery_delay: Histogram,
    pub(crate) whisper_time: Histogram,
    pub(crate) request_time: Histogram,
    pub(crate) fan_out: Histogram,
}

impl Default for Observed {
    fn default() -> Self {
        Self {
            delivery_delay: Histogram::new(Histogram::DELAYS),
            whisper_time: Histogram::new(Histogram::TIMES),
            request_time: Histogram::new(Histogram::TIMES),
            fan_out: Histogram::new(Histogram::PEERS),
        }
    }
}

impl Observed {
    /// Messages are handed to this application.
    pub(crate) fn delivered(&mut self, now: u64, messages: &[Message]) {
        for message in messages {
            // The window bounds it; what is stamped ahead of us has no delay.
            let delay = u32::try_from(now.saturating_sub(message.time())).unwrap_or(u32::MAX);
            self.delivery_delay.observe(f64::from(delay));
        }
    }

    /// Own messages were sent, or refused.
    pub(crate) fn sent(&mut self, sent: &[Result<Sent, SendError>]) {
        for sent in sent.iter().flatten() {
            let peers = u32::try_from(sent.handed_to.len()).unwrap_or(u32::MAX);
            self.fan_out.observe(f64::from(peers));
        }
    }

    /// A question was answered.
    pub(crate) fn answered(&mut self, took: Duration) {
        self.request_time.observe(took.as_secs_f64());
    }

    /// A whisper has come to its end.
    pub(crate) fn whispered(&mut self, took: Duration) {
        self.whisper_time.observe(took.as_secs_f64());
    }
}
