//! The byte layouts of a frame's body, one file each. A layout says where packets begin and end, not what they mean.

mod interleaved;
pub(crate) mod message_pack;
mod sizes_first;

use super::{
    error::DecodeError,
    packet::Packet,
    value::{self, Form},
};

/// Bytes of the length that precedes each frame.
pub(crate) const PREFIX: usize = 4;

/// How the packets of a message are laid out.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Layout {
    /// All lengths, then all packets (0.4).
    SizesFirst,
    /// Each packet behind its length (0.5).
    Interleaved,
    /// The id, then a MessagePack array (0.6 and 0.7).
    MessagePack,
}

/// Bytes of a packet's length.
const SIZE: usize = 4;

/// What of a packet, as it is split, stands before its contents, and what those are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Piece {
    pub(crate) skip: usize,
    pub(crate) form: Form,
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
            Layout::Interleaved => interleaved::split(body, max, ends),
            Layout::MessagePack => message_pack::split(body, max, ends),
        }
    }

    /// Packets before the payload: main flag, sender, time, and where it is among them the id.
    #[inline]
    pub(crate) fn header(self) -> usize {
        match self {
            Layout::SizesFirst | Layout::Interleaved => 4,
            Layout::MessagePack => 3,
        }
    }

    /// How a packet that was split is to be looked at.
    #[inline]
    pub(crate) fn piece(self, raw: &[u8]) -> Piece {
        match self {
            Layout::SizesFirst => Piece {
                skip: 0,
                form: Form::Plain,
            },
            Layout::Interleaved => Piece {
                skip: SIZE,
                form: Form::Plain,
            },
            Layout::MessagePack => message_pack::piece(raw),
        }
    }

    /// The contents of a packet that was split.
    #[inline]
    pub(crate) fn contents(self, raw: &[u8]) -> &[u8] {
        raw.get(self.piece(raw).skip..).unwrap_or_default()
    }

    /// The number that a packet which was split is, if it can be a flag.
    #[inline]
    pub(crate) fn flag(self, raw: &[u8]) -> Option<u8> {
        match (self, raw) {
            (Layout::SizesFirst, &[number]) | (Layout::Interleaved, &[_, _, _, _, number]) => {
                Some(number)
            }
            (Layout::MessagePack, _) => u8::try_from(value::whole_number(raw)?).ok(),
            _ => None,
        }
    }

    /// The size of the body that these packets make, where the id is one of them.
    pub(crate) fn body_len(self, header: &[&[u8]; 4], payload: &[Packet]) -> usize {
        match self {
            Layout::SizesFirst => sizes_first::body_len(header, payload),
            Layout::Interleaved | Layout::MessagePack => interleaved::body_len(header, payload),
        }
    }

    /// Appends the body that these packets make, where the id is one of them.
    pub(crate) fn write(self, header: &[&[u8]; 4], payload: &[Packet], out: &mut Vec<u8>) {
        match self {
            Layout::SizesFirst => sizes_first::write(header, payload, out),
            Layout::Interleaved | Layout::MessagePack => interleaved::write(header, payload, out),
        }
    }
}

/// The length prefix of a body. Bodies are held to the limits before, so a longer one cannot come here.
pub(crate) fn prefix(body_len: usize) -> [u8; PREFIX] {
    u32::try_from(body_len).unwrap_or(u32::MAX).to_be_bytes()
}
