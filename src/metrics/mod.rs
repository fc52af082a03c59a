//! The metrics of a node: their names, kinds, units and descriptions, and the field each reads.
//!
//! Owns the table [`METRICS`], which both exports use: [`publish`] (feature `metrics`) feeds the
//! [`metrics`](https://docs.rs/metrics) facade, for the exporter of your choice; the dashboard's `/metrics` (feature
//! `dashboard`) writes Prometheus text. `docs/operating.md` says for each metric when to worry and what to do.

#[cfg(feature = "metrics")]
mod publish;

#[cfg(feature = "metrics")]
pub use publish::{Publish, publish};

use crate::node::messages::{Histogram, StatusReport};

/// The kind of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MetricKind {
    /// Only grows, until the node restarts.
    Counter,
    /// Goes up and down.
    Gauge,
    /// A distribution.
    Histogram,
}

/// The unit of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MetricUnit {
    /// A number of things.
    Count,
    /// Bytes.
    Bytes,
    /// Seconds.
    Seconds,
}

/// One metric.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Metric {
    /// Its name, which is stable.
    pub name: &'static str,
    /// Its kind.
    pub kind: MetricKind,
    /// Its unit.
    pub unit: MetricUnit,
    /// What it means, in a sentence.
    pub help: &'static str,
    /// The field of [`StatusReport`] or [`Stats`](crate::Stats) it reads.
    pub field: &'static str,
    read: Read,
}

#[derive(Clone, Copy, Debug)]
enum Read {
    Number(fn(&StatusReport) -> u64),
    Distribution(fn(&StatusReport) -> &Histogram),
}

/// The value of a metric.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reading<'a> {
    Number(u64),
    Distribution(&'a Histogram),
}

impl Metric {
    pub(crate) fn read<'a>(&self, report: &'a StatusReport) -> Reading<'a> {
        match self.read {
            Read::Number(read) => Reading::Number(read(report)),
            Read::Distribution(read) => Reading::Distribution(read(report)),
        }
    }

    const fn number(
        name: &'static str,
        kind: MetricKind,
        unit: MetricUnit,
        field: &'static str,
        help: &'static str,
        read: fn(&StatusReport) -> u64,
    ) -> Self {
        Self {
            name,
            kind,
            unit,
            help,
            field,
            read: Read::Number(read),
        }
    }

    const fn distribution(
        name: &'static str,
        unit: MetricUnit,
        field: &'static str,
        help: &'static str,
        read: fn(&StatusReport) -> &Histogram,
    ) -> Self {
        Self {
            name,
            kind: MetricKind::Histogram,
            unit,
            help,
            field,
            read: Read::Distribution(read),
        }
    }
}

macro_rules! counter {
    ($field:ident, $help:literal) => {
        Metric::number(
            concat!("actix_mesh_", stringify!($field), "_total"),
            MetricKind::Counter,
            MetricUnit::Count,
            stringify!($field),
            $help,
            |report| report.stats.$field,
        )
    };
}

macro_rules! request {
    ($kind:ident, $field:ident, $name:literal, $help:literal) => {
        Metric::number(
            $name,
            MetricKind::$kind,
            MetricUnit::Count,
            concat!("requests.", stringify!($field)),
            $help,
            |report| report.requests.$field as u64,
        )
    };
}

/// Every metric of a node.
pub const METRICS: &[Metric] = &[
    Metric::number(
        "actix_mesh_peers",
        MetricKind::Gauge,
        MetricUnit::Count,
        "peers",
        "Peers connected.",
        |report| report.peers as u64,
    ),
    Metric::number(
        "actix_mesh_awaiting",
        MetricKind::Gauge,
        MetricUnit::Count,
        "awaiting",
        "Dials, and connections whose handshake has not been accepted.",
        |report| report.awaiting as u64,
    ),
    Metric::number(
        "actix_mesh_sending_bytes",
        MetricKind::Gauge,
        MetricUnit::Bytes,
        "sending",
        "Bytes of own messages that wait to be written.",
        |report| report.sending as u64,
    ),
    Metric::number(
        "actix_mesh_waiting",
        MetricKind::Gauge,
        MetricUnit::Count,
        "waiting",
        "Own messages that wait for room in the send budget.",
        |report| report.waiting as u64,
    ),
    Metric::number(
        "actix_mesh_turned_away_total",
        MetricKind::Counter,
        MetricUnit::Count,
        "turned_away",
        "Own messages refused as busy.",
        |report| report.turned_away,
    ),
    request!(
        Gauge,
        pending,
        "actix_mesh_requests_pending",
        "Questions of this application that wait for an answer."
    ),
    request!(
        Gauge,
        answering,
        "actix_mesh_requests_answering",
        "Questions of others that are being answered."
    ),
    request!(
        Counter,
        answered,
        "actix_mesh_requests_answered_total",
        "Questions of others that were answered."
    ),
    request!(
        Counter,
        declined,
        "actix_mesh_requests_declined_total",
        "Questions of others for which no answerer is registered."
    ),
    request!(
        Counter,
        turned_away,
        "actix_mesh_requests_turned_away_total",
        "Questions of others refused because the queue was full."
    ),
    request!(
        Counter,
        late,
        "actix_mesh_requests_late_total",
        "Answers after their question's deadline."
    ),
    request!(
        Counter,
        stray,
        "actix_mesh_requests_stray_total",
        "Answers without an open question."
    ),
    request!(
        Counter,
        unreadable,
        "actix_mesh_requests_unreadable_total",
        "Values that could not be decoded as their kind."
    ),
    Metric::number(
        "actix_mesh_start_time_seconds",
        MetricKind::Gauge,
        MetricUnit::Seconds,
        "since",
        "When the node was started, in unix seconds.",
        |report| report.since,
    ),
    Metric::number(
        "actix_mesh_waterfall_entries",
        MetricKind::Gauge,
        MetricUnit::Count,
        "waterfall_entries",
        "Broadcasts remembered as seen.",
        |report| report.stats.waterfall_entries,
    ),
    counter!(received, "Messages received, of any kind."),
    counter!(delivered, "Messages handed to the application."),
    counter!(sent, "Own messages sent, broadcasts and whispers."),
    counter!(relayed, "Broadcasts of others passed on."),
    counter!(duplicates, "Duplicate broadcasts: dropped."),
    counter!(echoes, "Own broadcasts that came back: dropped."),
    counter!(
        id_twins,
        "Messages under an id that another message took first: delivered all the same."
    ),
    counter!(
        expired,
        "Broadcasts stamped more than 60 seconds ago: dropped."
    ),
    counter!(
        premature,
        "Broadcasts stamped more than 60 seconds ahead: dropped."
    ),
    counter!(
        misplaced,
        "Control messages under a flag with which they are never sent: dropped."
    ),
    counter!(
        waterfall_closed,
        "Broadcasts of a second that was forgotten before its time, or stamped too far ahead: dropped."
    ),
    counter!(
        unknown_verbs,
        "Extensions of newer actix-mesh nodes unknown to this version: dropped."
    ),
    counter!(
        malformed,
        "Control messages whose arguments make no sense: dropped."
    ),
    counter!(
        bad_frames,
        "Frames that do not decode, or whose id does not fit their contents: the peer was closed."
    ),
    counter!(
        over_budget,
        "Requests beyond a peer's rate limit: not served."
    ),
    counter!(
        relay_skipped,
        "Times a relay skipped a peer that the payload would harm."
    ),
    counter!(
        announced,
        "Large broadcasts of others that were offered to peers instead of sent, each offer."
    ),
    counter!(
        unfetched,
        "Large broadcasts that peers offered, and that none of them sent in time."
    ),
    counter!(
        spared,
        "Small broadcasts of others not sent to a peer that gets them sooner from others; each peer counts."
    ),
    counter!(
        spared_in_vain,
        "Of those that were spared, how many were sent after all."
    ),
    counter!(
        links_spared,
        "Connections closed because both ends can do without them."
    ),
    counter!(
        slow_peers,
        "Peers closed because they read too little for too long."
    ),
    counter!(bans, "Hosts banned for a while."),
    counter!(rejected, "Messages that a validator rejected."),
    counter!(
        ignored,
        "Messages that a validator ignored, or that a fail-closed one did not decide about."
    ),
    counter!(
        undecided,
        "Times a validator did not decide about a message."
    ),
    counter!(
        refused,
        "Connections that ended before their handshake was accepted."
    ),
    counter!(
        id_conflicts,
        "Claims to the id of a peer that is connected: refused."
    ),
    counter!(
        clock_steps,
        "Times this machine's clock moved against the time that passed."
    ),
    counter!(listed, "Nodes that peers lists named, however often."),
    counter!(dials_failed, "Dials that failed."),
    counter!(
        accepts_failed,
        "Times accepting was paused because the operating system refused."
    ),
    counter!(undeliverable, "Whispers that did not reach their peer."),
    counter!(
        waterfall_evicted,
        "Remembered broadcasts forgotten early because the waterfall cache was full."
    ),
    Metric::distribution(
        "actix_mesh_delivery_delay_seconds",
        MetricUnit::Seconds,
        "delivery_delay",
        "Seconds between the stamps of messages and their delivery here; stamps are whole seconds.",
        |report| &report.delivery_delay,
    ),
    Metric::distribution(
        "actix_mesh_whisper_seconds",
        MetricUnit::Seconds,
        "whisper_time",
        "Seconds until whispers were handed to their peer, or failed.",
        |report| &report.whisper_time,
    ),
    Metric::distribution(
        "actix_mesh_request_seconds",
        MetricUnit::Seconds,
        "request_time",
        "Seconds until questions of this node were answered.",
        |report| &report.request_time,
    ),
    Metric::distribution(
        "actix_mesh_fan_out_peers",
        MetricUnit::Count,
        "fan_out",
        "Peers that own messages were handed to.",
        |report| &report.fan_out,
    ),
];

/// Series for each peer, if enabled: name, unit, description.
pub const PEER_METRICS: &[(&str, MetricUnit, &str)] = &[
    (
        "actix_mesh_peer_received_total",
        MetricUnit::Count,
        "Messages received from the peer.",
    ),
    (
        "actix_mesh_peer_received_bytes_total",
        MetricUnit::Bytes,
        "Bytes received from the peer.",
    ),
    (
        "actix_mesh_peer_sent_total",
        MetricUnit::Count,
        "Messages handed to the peer's connection.",
    ),
    (
        "actix_mesh_peer_sent_bytes_total",
        MetricUnit::Bytes,
        "Bytes handed to the peer's connection.",
    ),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::mesh::Stats;

    /// A new counter needs a name, and a row in docs/operating.md.
    #[test]
    fn each_counter_is_a_metric() {
        let stats = serde_json::to_value(Stats::default()).expect("JSON");
        let fields: BTreeSet<&str> = METRICS.iter().map(|metric| metric.field).collect();
        for field in stats.as_object().expect("a map").keys() {
            assert!(
                fields.contains(field.as_str()),
                "Stats::{field} is in no metric"
            );
        }
    }

    #[test]
    fn names_keep_to_the_rules_of_prometheus() {
        let mut names = BTreeSet::new();
        for metric in METRICS {
            assert!(names.insert(metric.name), "{} twice", metric.name);
            assert!(
                metric
                    .name
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte == b'_')
            );
            let counts = metric.name.ends_with("_total");
            assert_eq!(
                counts,
                metric.kind == MetricKind::Counter,
                "{}",
                metric.name
            );
            assert!(metric.help.ends_with('.'), "{}", metric.name);
        }
    }

    /// Returns the names of all metrics, including the series for each peer and the node's info.
    fn names() -> BTreeSet<&'static str> {
        let own = METRICS.iter().map(|metric| metric.name);
        let peers = PEER_METRICS.iter().map(|(name, _, _)| *name);
        own.chain(peers).chain(["actix_mesh_info"]).collect()
    }

    #[test]
    fn the_operators_page_has_a_row_for_each_metric() {
        let page = include_str!("../../docs/operating.md");
        let rows = page
            .lines()
            .filter(|line| line.starts_with("| `actix_mesh_"));
        let rows: BTreeSet<&str> = rows.filter_map(|row| row.split('`').nth(1)).collect();
        assert_eq!(rows, names());
    }

    #[test]
    fn the_grafana_dashboard_asks_for_what_there_is() {
        let text = include_str!("../../docs/grafana.json");
        let dashboard: serde_json::Value = serde_json::from_str(text).expect("JSON");
        let names = names();
        let mut asked = 0;
        for panel in dashboard["panels"].as_array().expect("panels") {
            for target in panel["targets"].as_array().expect("targets") {
                let expr = target["expr"].as_str().expect("an expression");
                let words = expr.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
                for word in words.filter(|word| word.starts_with("actix_mesh_")) {
                    let name = ["_bucket", "_sum", "_count"]
                        .iter()
                        .find_map(|end| word.strip_suffix(end))
                        .unwrap_or(word);
                    assert!(names.contains(name), "{word} in {expr}");
                    asked += 1;
                }
            }
        }
        assert!(asked > 20);
    }
}
