//! Log lines for messages as they pass: received, delivered, relayed, sent.
//!
//! Owns their target, level and fields: [`TARGET`] at debug, with the whole id of the message in `message_id`,
//! so that the logs of several nodes join with one search. (`message` is what `tracing` calls the text of a line.) Never says what a message carries beyond its
//! kind. Without the feature `tracing`, and without a subscriber that wants them, nothing is made ready.

#[cfg(feature = "node")]
use crate::wire::Message;
use crate::wire::{Frame, MessageId, NodeId, Packets};

/// The target of these lines.
#[cfg(feature = "tracing")]
const TARGET: &str = "actix_mesh::message";

/// Characters of a kind that a line has at most.
#[cfg(feature = "tracing")]
const MAX_KIND: usize = 32;

/// Whether anybody wants these lines. Ask once for a batch.
#[cfg(feature = "tracing")]
pub(crate) fn is_on() -> bool {
    tracing::enabled!(target: TARGET, tracing::Level::DEBUG)
}

/// Nobody can want them.
#[cfg(not(feature = "tracing"))]
pub(crate) const fn is_on() -> bool {
    false
}

/// A message was proven, is no repetition, and counts.
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

/// A message is passed on to this many peers.
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

/// A message of this node's own was handed to this many peers.
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

/// Messages are handed to this application.
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

/// A peer's own bytes, as they may stand in a log.
#[cfg(feature = "tracing")]
fn text(bytes: &[u8], max: usize) -> String {
    super::printable(&String::from_utf8_lossy(bytes), max)
}
