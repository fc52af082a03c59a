//! Observability of a Router besides its events and counters: log lines, spans, histograms.

pub(crate) mod distributions;
pub(crate) mod log;
pub(crate) mod spans;
