//! The histograms that the Router records, besides the core's counters.
//!
//! Owns four histograms. They cost one addition per message.

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
    /// Records the delay of delivered messages.
    pub(crate) fn delivered(&mut self, now: u64, messages: &[Message]) {
        for message in messages {
            // The time window bounds it; a stamp in the future counts as no delay.
            let delay = u32::try_from(now.saturating_sub(message.time())).unwrap_or(u32::MAX);
            self.delivery_delay.observe(f64::from(delay));
        }
    }

    /// Records the fan-out of own messages that were sent.
    pub(crate) fn sent(&mut self, sent: &[Result<Sent, SendError>]) {
        for sent in sent.iter().flatten() {
            let peers = u32::try_from(sent.handed_to.len()).unwrap_or(u32::MAX);
            self.fan_out.observe(f64::from(peers));
        }
    }

    /// Records the time until an answer.
    pub(crate) fn answered(&mut self, took: Duration) {
        self.request_time.observe(took.as_secs_f64());
    }

    /// Records the time of a finished whisper.
    pub(crate) fn whispered(&mut self, took: Duration) {
        self.whisper_time.observe(took.as_secs_f64());
    }
}
