//! The byte layouts of a frame's body, one file each. A layout says where packets begin and end, not what they mean.

mod sizes_first;

use super::{error::DecodeError, packet::Packet};

/// Bytes of the length that precedes each frame.
pub(crate) const PREFIX: usize = 4;

/// How the packets of a message are laid out.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Layout {
    /// All lengths, then all packets (0.4).
    SizesFirst,
}

/// Where the packets of one frame are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    /// Where in the body the first packet begins; the others follow it without gaps.
    pub(crate) start: u32,
    /// How many there are.
    pub(crate) count: u32,
}

impl Layout {
    /// Finds the packets of a body and appends their ends, counted from the first packet, to `ends`, which is left as it was
    /// if they cannot be found. Looks at no more than `max` packets and never allocates for what is only announced.
    #[inline]
    pub(crate) fn split(
        self,
        body: &[u8],
        max: usize,
        ends: &mut Vec<u32>,
    ) -> Result<Found, DecodeError> {
        match self {
            Layout::SizesFirst => sizes_first::split(body, max, ends),
        }
    }

    /// The size of the body that these packets make.
    pub(crate) fn body_len(self, header: &[&[u8]; 4], payload: &[Packet]) -> usize {
        match self {
            Layout::SizesFirst => sizes_first::body_len(header, payload),
        }
    }

    /// Appends the body that these packets make.
    pub(crate) fn write(self, header: &[&[u8]; 4], payload: &[Packet], out: &mut Vec<u8>) {
        match self {
            Layout::SizesFirst => sizes_first::write(header, payload, out),
        }
    }
}

/// The length prefix of a body. Bodies are held to the limits before, so a longer one cannot come here.
pub(crate) fn prefix(body_len: usize) -> [u8; PREFIX] {
    u32::try_from(body_len).unwrap_or(u32::MAX).to_be_bytes()
}
