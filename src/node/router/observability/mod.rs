//! What an operator sees of a Router besides its events and counters: log lines, spans, distributions.

pub(crate) mod distributions;
pub(crate) mod log;
pub(crate) mod spans;
