//! Hubs that relay the same messages in turn: what each spends per message, and whether all arrived.

use std::time::Instant;

use bytes::Bytes;

use super::crowd::Crowd;
use super::harness::median;
use super::hub::{Hub, Kind, Spent};
use super::stream::{self, Form};

/// Measured rounds; one warm-up round precedes them.
pub(crate) const ROUNDS: usize = 15;
/// The default number of messages remembered.
pub(crate) const CAPACITY: usize = 1 << 19;

/// A hub with its peers: the first feeds it, all others listen.
pub(crate) struct Contender {
    pub(crate) kind: Kind,
    pub(crate) form: Form,
    hub: Hub,
    crowd: Crowd,
    /// Nanoseconds per message, for each round.
    costs: Vec<f64>,
    rates: Vec<f64>,
    user: u64,
    system: u64,
    /// Frames that its peers should have received.
    pub(crate) expected: u64,
}

/// The result of a contest for one hub.
pub(crate) struct Outcome {
    pub(crate) kind: Kind,
    pub(crate) form: Form,
    /// CPU nanoseconds per message: the median.
    pub(crate) cost: f64,
    /// The ratio to the first contender: the median of all rounds.
    pub(crate) ratio: f64,
    /// User share of the CPU time in percent; NaN where the system does not report it.
    pub(crate) user: f64,
    /// Messages per second.
    pub(crate) rate: f64,
    /// Frames that the peers received, and should have received.
    pub(crate) delivered: u64,
    pub(crate) expected: u64,
}

impl Contender {
    pub(crate) fn new(kind: Kind, form: Form, peers: usize, capacity: usize) -> Contender {
        let hub = Hub::start(kind, capacity);
        Contender {
            crowd: Crowd::join(hub.addr, peers, kind.methods()),
            kind,
            form,
            hub,
            costs: Vec::new(),
            rates: Vec::new(),
            user: 0,
            system: 0,
            expected: 0,
        }
    }

    /// Relays what the first peers send, until that many frames are received; returns what the hub spent.
    pub(crate) fn relay(&mut self, feeds: &[Bytes], expected: u64) -> Spent {
        self.expected += expected;
        let before = self.hub.spent();
        self.crowd.feed(feeds, expected);
        let after = self.hub.spent();
        Spent {
            total: after.total - before.total,
            user: after.user - before.user,
            system: after.system - before.system,
        }
    }

    /// Relays messages of the first peer to all others; returns the nanoseconds of CPU time per message.
    pub(crate) fn round(&mut self, messages: &Bytes, count: usize) -> f64 {
        let sinks = self.crowd.len() as u64 - 1;
        let start = Instant::now();
        let spent = self.relay(std::slice::from_ref(messages), count as u64 * sinks);
        self.rates
            .push(count as f64 / start.elapsed().as_secs_f64());
        let cost = spent.total.as_secs_f64() * 1e9 / count as f64;
        self.costs.push(cost);
        self.user += spent.user;
        self.system += spent.system;
        cost
    }

    /// Returns the number of frames received by all; fails if it is not the expected number.
    pub(crate) fn delivered(&mut self) -> u64 {
        let delivered = self.crowd.heard();
        assert_eq!(delivered, self.expected, "each is heard exactly once");
        delivered
    }

    /// Discards the results of earlier rounds.
    fn begin(&mut self) {
        (self.user, self.system) = (0, 0);
        self.costs.clear();
        self.rates.clear();
    }

    fn outcome(&mut self, ratio: f64) -> Outcome {
        let delivered = self.delivered();
        Outcome {
            kind: self.kind,
            form: self.form,
            cost: median(&mut self.costs),
            ratio,
            user: 100.0 * self.user as f64 / (self.user + self.system) as f64,
            rate: median(&mut self.rates),
            delivered,
            expected: self.expected,
        }
    }
}

/// Returns as many messages of that size as take some ten milliseconds.
pub(crate) fn count_of(size: usize) -> usize {
    (8_000_000 / (size + 170)).clamp(30, 30_000)
}

/// Runs all contenders in turn, round by round, each with messages of its form.
pub(crate) fn contest(mut contenders: Vec<Contender>, size: usize, count: usize) -> Vec<Outcome> {
    for round in 0..=ROUNDS {
        let mut composed: Vec<(Form, Bytes)> = Vec::new();
        for contender in &mut contenders {
            let form = contender.form;
            if !composed.iter().any(|(of, _)| *of == form) {
                composed.push((form, stream::messages(form, size, count)));
            }
            let (_, messages) = composed.iter().find(|(of, _)| *of == form).unwrap();
            contender.round(messages, count);
            if round == 0 {
                contender.begin();
            }
        }
    }
    let first = contenders[0].costs.clone();
    let ratio = |contender: &Contender| {
        let pairs = contender.costs.iter().zip(&first);
        median(&mut pairs.map(|(cost, first)| cost / first).collect::<Vec<_>>())
    };
    let ratios: Vec<f64> = contenders.iter().map(ratio).collect();
    let outcomes = contenders.iter_mut().zip(ratios);
    outcomes
        .map(|(contender, ratio)| contender.outcome(ratio))
        .collect()
}
