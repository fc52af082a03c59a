//! Tracing spans of connections: from dial or accept to the end, around all work caused by one connection.
//!
//! Owns their target, name and fields. Without a subscriber they cost a lookup in an empty table. Log lines belong to
//! [`log`](super::log) and the core.

#[cfg(feature = "tracing")]
mod kept {
    use std::collections::HashMap;
    use std::fmt;

    use tracing::Span;
    use tracing::field::{Empty, display};
    use tracing::span::EnteredSpan;

    use crate::mesh::{ConnId, Direction, printable};
    use crate::wire::NodeId;

    /// One span per connection and dial that began while spans were enabled.
    #[derive(Debug, Default)]
    pub(crate) struct Spans(HashMap<ConnId, Span>);

    impl Spans {
        /// Opens the span of a connection.
        pub(crate) fn open(
            &mut self,
            node: &NodeId,
            conn: ConnId,
            addr: &dyn fmt::Display,
            direction: Direction,
        ) {
            const TARGET: &str = "actix_mesh::connection";
            if !tracing::span_enabled!(target: TARGET, tracing::Level::DEBUG) {
                return;
            }
            let direction = match direction {
                Direction::Incoming => "incoming",
                Direction::Outgoing => "outgoing",
            };
            let addr = printable(&addr.to_string(), 270);
            let span = tracing::debug_span!(
                target: TARGET,
                parent: None,
                "connection",
                %node,
                conn = conn.0,
                addr,
                direction,
                peer = Empty
            );
            self.0.insert(conn, span);
        }

        /// Records the peer's id.
        pub(crate) fn establish(&self, conn: ConnId, peer: &NodeId) {
            if let Some(span) = self.0.get(&conn) {
                span.record("peer", display(peer));
            }
        }

        /// Enters the span of a connection, until the returned guard is dropped.
        pub(crate) fn enter(&self, conn: ConnId) -> Option<EnteredSpan> {
            match self.0.is_empty() {
                true => None,
                false => self.0.get(&conn).cloned().map(Span::entered),
            }
        }

        /// Closes the span of a connection.
        pub(crate) fn close(&mut self, conn: ConnId) {
            self.0.remove(&conn);
        }
    }
}

#[cfg(not(feature = "tracing"))]
mod kept {
    use std::fmt;

    use crate::mesh::{ConnId, Direction};
    use crate::wire::NodeId;

    /// Without the feature `tracing` there are no spans.
    #[derive(Debug, Default)]
    pub(crate) struct Spans {}

    /// A guard of no span.
    pub(crate) struct Nowhere;

    #[expect(clippy::unused_self, reason = "as with the feature")]
    impl Spans {
        pub(crate) const fn open(
            &mut self,
            _: &NodeId,
            _: ConnId,
            _: &dyn fmt::Display,
            _: Direction,
        ) {
        }

        pub(crate) const fn establish(&self, _: ConnId, _: &NodeId) {}

        pub(crate) const fn enter(&self, _: ConnId) -> Nowhere {
            Nowhere
        }

        pub(crate) const fn close(&mut self, _: ConnId) {}
    }
}

pub(crate) use kept::Spans;
