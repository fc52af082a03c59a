//! Log lines for messages as they pass: received, delivered, relayed, sent.
//!
//! Owns their target, level and fields: [`TARGET`] at debug, with the message's whole id in `message_id`, so that one
//! search joins the logs of several nodes. (`message` is what `tracing` calls the text of a line.) Never logs more of a
//! payload than its kind. Without the feature `tracing`, or without a subscriber that wants these lines, nothing is
//! formatted.

#[cfg(feature = "node")]
use crate::wire::Message;
use crate::wire::{Frame, MessageId, NodeId, Packets};

/// The target of these lines.
#[cfg(feature = "tracing")]
const TARGET: &str = "actix_mesh::message";

/// Maximum characters of a kind in a line.
#[cfg(feature = "tracing")]
const MAX_KIND: usize = 32;

/// Returns whether anybody wants these lines. Ask once for each batch.
#[cfg(feature = "tracing")]
pub(crate) fn is_on() -> bool {
    tracing::enabled!(target: TARGET, tracing::Level::DEBUG)
}

/// Always false: without `tracing` nobody can want these lines.
#[cfg(not(feature = "tracing"))]
pub(crate) const fn is_on() -> bool {
    false
}

/// Logs a message that was verified and is not a duplicate.
pub(in crate::mesh) fn received(node: &NodeId, peer: &NodeId, frame: &Frame<'_>) {
    #[cfg(feature = "tracing")]
    tracing::debug!(
        target: TARGET,
        %node,
        message_id = %frame.message_id(),
        %peer,
        sender = %text(frame.sender(), 96),
        kind = %text(frame.kind().unwrap_or_default(), MAX_KIND),
        bytes = frame.wire_len(),
        "received"
    );
    #[cfg(not(feature = "tracing"))]
    let _ = (node, peer, frame);
}

/// Logs a message relayed to this many peers.
pub(in crate::mesh) fn relayed(node: &NodeId, frame: &Frame<'_>, peers: usize) {
    #[cfg(feature = "tracing")]
    tracing::debug!(
        target: TARGET,
        %node,
        message_id = %frame.message_id(),
        peers,
        "relayed"
    );
    #[cfg(not(feature = "tracing"))]
    let _ = (node, frame, peers);
}

/// Logs a message of this node that was sent to this many peers.
pub(in crate::mesh) fn sent(node: &NodeId, message: &MessageId, payload: &Packets, peers: usize) {
    #[cfg(feature = "tracing")]
    tracing::debug!(
        target: TARGET,
        %node,
        message_id = %message,
        kind = %text(payload.iter().next().map_or(&[][..], |kind| kind.as_bytes()), MAX_KIND),
        peers,
        "sent"
    );
    #[cfg(not(feature = "tracing"))]
    let _ = (node, message, payload, peers);
}

/// Logs messages delivered to this application.
#[cfg(feature = "node")]
pub(crate) fn delivered(node: &NodeId, messages: &[Message]) {
    #[cfg(feature = "tracing")]
    for message in messages {
        tracing::debug!(
            target: TARGET,
            %node,
            message_id = %message.id(),
            peer = %message.from(),
            "delivered"
        );
    }
    #[cfg(not(feature = "tracing"))]
    let _ = (node, messages);
}

/// Makes a peer's bytes safe for a log.
#[cfg(feature = "tracing")]
fn text(bytes: &[u8], max: usize) -> String {
    super::printable(&String::from_utf8_lossy(bytes), max)
}
