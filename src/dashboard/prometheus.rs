//! A node's metrics as Prometheus text.
//!
//! Owns only the format: [`METRICS`] has the metrics.

use std::fmt::Write as _;

use crate::metrics::{METRICS, MetricKind, PEER_METRICS, Reading};
use crate::node::messages::{Histogram, Peer, StatusReport};

/// The media type of the text.
pub(crate) const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Returns all metrics, with the series of each of these peers.
pub(crate) fn text(report: &StatusReport, peers: &[Peer]) -> String {
    let mut text = String::with_capacity(8 << 10);
    let node = label(report.id.as_str());
    head(&mut text, "actix_mesh_info", "gauge", "What the node is.");
    let _ = writeln!(
        text,
        "actix_mesh_info{{node=\"{node}\",version=\"{}\",subnet=\"{}\",encryption=\"{}\",wire=\"{}\"}} 1",
        env!("CARGO_PKG_VERSION"),
        label(&report.subnet.name),
        label(&report.subnet.encryption),
        report.wire,
    );
    for metric in METRICS {
        let kind = match metric.kind {
            MetricKind::Counter => "counter",
            MetricKind::Gauge => "gauge",
            MetricKind::Histogram => "histogram",
        };
        head(&mut text, metric.name, kind, metric.help);
        match metric.read(report) {
            Reading::Number(value) => {
                let _ = writeln!(text, "{}{{node=\"{node}\"}} {value}", metric.name);
            }
            Reading::Distribution(values) => buckets(&mut text, metric.name, &node, values),
        }
    }
    if !peers.is_empty() {
        series(&mut text, &node, peers);
    }
    text
}

fn head(text: &mut String, name: &str, kind: &str, help: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

fn buckets(text: &mut String, name: &str, node: &str, values: &Histogram) {
    let mut below = 0;
    let bounds = values.bounds.iter().map(f64::to_string);
    for (bound, count) in bounds.chain([String::from("+Inf")]).zip(values.counts()) {
        below += count;
        let _ = writeln!(
            text,
            "{name}_bucket{{node=\"{node}\",le=\"{bound}\"}} {below}"
        );
    }
    let _ = writeln!(text, "{name}_sum{{node=\"{node}\"}} {}", values.sum);
    let _ = writeln!(text, "{name}_count{{node=\"{node}\"}} {below}");
}

fn series(text: &mut String, node: &str, peers: &[Peer]) {
    let values: [fn(&Peer) -> u64; 4] = [
        |peer| peer.received.messages,
        |peer| peer.received.bytes,
        |peer| peer.sent.messages,
        |peer| peer.sent.bytes,
    ];
    for ((name, _, help), value) in PEER_METRICS.iter().zip(values) {
        head(text, name, "counter", help);
        for peer in peers {
            let id = label(peer.id.as_str());
            let _ = writeln!(
                text,
                "{name}{{node=\"{node}\",peer=\"{id}\"}} {}",
                value(peer)
            );
        }
    }
}

/// Escapes text for a label.
fn label(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => escaped.push_str("\\\\"),
            '"' => escaped.push_str("\\\""),
            '\n' => escaped.push_str("\\n"),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_end_where_they_should() {
        assert_eq!(label("a\"b\\c\nd"), "a\\\"b\\\\c\\nd");
    }
}
