//! Limits on what one peer can make the wire layer hold at a time.

use serde::Serialize;

/// Limits on frames read from a peer and on frames composed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Limits {
    /// Largest frame before the handshake, in bytes after the length prefix. Default 8 KiB.
    pub frame_before_handshake: usize,
    /// Largest frame after the handshake, in bytes: on the wire, and again when inflated. Default 4 MiB.
    pub frame: usize,
    /// Most packets of a message after its kind, which is what a user can send. Default 1024. The kind and the header
    /// do not count.
    pub packets: usize,
}

/// Packets of a frame that are not the user's: main flag, sender, id, time and kind.
const OWN: usize = 5;

impl Limits {
    /// Returns the most packets of a frame, header and kind included.
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
