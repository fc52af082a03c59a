//! What one peer may make this floor hold at a time.

use serde::Serialize;

/// Bounds on what is read from a peer and on what is composed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Limits {
    /// Largest frame, in bytes after the length prefix, before the handshake. Default 8 KiB.
    pub frame_before_handshake: usize,
    /// Largest frame after it, in bytes: on the wire, and again when inflated. Default 4 MiB.
    pub frame: usize,
    /// Most packets of a message behind its kind: what a user may give. Default 1024. The kind and the header are not counted.
    pub packets: usize,
}

/// Packets of a frame that are not the user's: main flag, sender, id, time and kind.
const OWN: usize = 5;

impl Limits {
    /// Most packets of a frame, header and kind included.
    pub(crate) fn frame_packets(&self) -> usize {
        self.packets.saturating_add(OWN)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            frame_before_handshake: 8 * 1024,
            frame: 4 * 1024 * 1024,
            packets: 1024,
        }
    }
}
