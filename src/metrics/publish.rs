//! Publishes a node's counters to the `metrics` facade once a second.
//!
//! Owns the sampling. The application chooses the recorder, and must install it first.

use std::collections::HashMap;
use std::time::Duration;

use actix::Addr;
use metrics::{
    Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};

use super::{METRICS, MetricKind, MetricUnit, PEER_METRICS, Reading};
use crate::node::Router;
use crate::node::messages::{Peers, Status, StatusReport};

/// Default sampling interval.
const EVERY: Duration = Duration::from_secs(1);

/// Settings for publishing a node's metrics.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Publish {
    /// The sampling interval. Default 1 s.
    pub every: Duration,
    /// Whether each peer has its own series. Default no: peers come and go, and each stays a label for ever.
    pub peer_series: bool,
}

impl Default for Publish {
    fn default() -> Self {
        Self {
            every: EVERY,
            peer_series: false,
        }
    }
}

impl Publish {
    /// Creates the default settings: once a second, without series for each peer.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the sampling interval.
    #[must_use]
    pub fn every(mut self, every: Duration) -> Self {
        self.every = every;
        self
    }

    /// Sets whether each peer has its own series.
    #[must_use]
    pub fn peer_series(mut self, on: bool) -> Self {
        self.peer_series = on;
        self
    }

    /// Publishes until the node ends. Each series has the node's id as label `node`.
    ///
    /// # Panics
    /// Outside of an actix system.
    pub fn start(self, router: Addr<Router>) {
        describe();
        actix_rt::spawn(async move {
            let mut told = Told::default();
            while let Ok(report) = router.send(Status).await {
                told.publish(&report);
                if self.peer_series
                    && let Ok(peers) = router.send(Peers).await
                {
                    for peer in peers {
                        let labels = [
                            ("node", report.id.to_string()),
                            ("peer", peer.id.to_string()),
                        ];
                        let values = [
                            peer.received.messages,
                            peer.received.bytes,
                            peer.sent.messages,
                            peer.sent.bytes,
                        ];
                        for ((name, _, _), value) in PEER_METRICS.iter().zip(values) {
                            counter!(*name, &labels).absolute(value);
                        }
                    }
                }
                tokio::time::sleep(self.every).await;
            }
        });
    }
}

/// Publishes a node's metrics through the [`metrics`](https://docs.rs/metrics) facade until the node ends:
/// [`Publish`] with its defaults.
///
/// # Panics
/// Outside of an actix system.
pub fn publish(router: Addr<Router>) {
    Publish::new().start(router);
}

/// The counts already published for each distribution.
#[derive(Debug, Default)]
struct Told(HashMap<&'static str, Vec<u64>>);

impl Told {
    fn publish(&mut self, report: &StatusReport) {
        for metric in METRICS {
            let labels = [("node", report.id.to_string())];
            match metric.read(report) {
                Reading::Number(value) if metric.kind == MetricKind::Counter => {
                    counter!(metric.name, &labels).absolute(value);
                }
                Reading::Number(value) => {
                    #[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
                    gauge!(metric.name, &labels).set(value as f64);
                }
                Reading::Distribution(values) => {
                    let before = self.0.entry(metric.name).or_default();
                    before.resize(values.counts().len(), 0);
                    let last = values.bounds.last().copied().unwrap_or_default();
                    for (at, count) in values.counts().iter().enumerate() {
                        let new = usize::try_from(count - before[at]).unwrap_or(usize::MAX);
                        before[at] = *count;
                        if new > 0 {
                            // Each value is recorded as its bucket's upper bound.
                            let value = values.bounds.get(at).copied().unwrap_or(last * 2.0);
                            histogram!(metric.name, &labels).record_many(value, new);
                        }
                    }
                }
            }
        }
    }
}

fn describe() {
    for metric in METRICS {
        let unit = unit(metric.unit);
        match metric.kind {
            MetricKind::Counter => describe_counter!(metric.name, unit, metric.help),
            MetricKind::Gauge => describe_gauge!(metric.name, unit, metric.help),
            MetricKind::Histogram => describe_histogram!(metric.name, unit, metric.help),
        }
    }
    for (name, what, help) in PEER_METRICS {
        describe_counter!(*name, unit(*what), *help);
    }
}

fn unit(unit: MetricUnit) -> Unit {
    match unit {
        MetricUnit::Count => Unit::Count,
        MetricUnit::Bytes => Unit::Bytes,
        MetricUnit::Seconds => Unit::Seconds,
    }
}
