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
    /// Each packet after its length (0.5).
    Interleaved,
    /// The id, then a MessagePack array (0.6 and 0.7).
    MessagePack,
}

/// Bytes of a packet's length.
const SIZE: usize = 4;

/// The length of the head that precedes a packet's contents, and the form of those contents.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Piece {
    pub(crate) skip: usize,
    pub(crate) form: Form,
}

/// The position of the packets of one frame.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    /// Where in the body the first packet begins; the others follow it without gaps.
    pub(crate) start: u32,
    /// The number of packets.
    pub(crate) count: u32,
}

impl Layout {
    /// Whether a body begins with its id as 32 raw bytes; otherwise the id is a packet of base58.
    #[inline]
    pub(crate) const fn begins_with_digest(self) -> bool {
        match self {
            Layout::SizesFirst | Layout::Interleaved => false,
            Layout::MessagePack => true,
        }
    }

    /// Finds the packets of a body and appends their ends, counted from the first packet, to `ends`; on an error `ends`
    /// is unchanged. Reads at most `max` packets and allocates nothing for packets that are only announced.
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

    /// Returns the number of packets before the payload: main flag, sender, time, and the id in layouts that have it as
    /// a packet.
    #[inline]
    pub(crate) fn header(self) -> usize {
        match self {
            Layout::SizesFirst | Layout::Interleaved => 4,
            Layout::MessagePack => 3,
        }
    }

    /// Says how to read a packet found by `split`.
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

    /// Returns the contents of a packet found by `split`.
    #[inline]
    pub(crate) fn contents(self, raw: &[u8]) -> &[u8] {
        raw.get(self.piece(raw).skip..).unwrap_or_default()
    }

    /// Returns the number in a packet found by `split`, if it can be a flag.
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

    /// Returns the length of the body that these packets make, in layouts that have the id as a packet.
    pub(crate) fn body_len(self, header: &[&[u8]; 4], payload: &[Packet]) -> usize {
        match self {
            Layout::SizesFirst => sizes_first::body_len(header, payload),
            Layout::Interleaved | Layout::MessagePack => interleaved::body_len(header, payload),
        }
    }

    /// Appends the body that these packets make, in layouts that have the id as a packet.
    pub(crate) fn write(self, header: &[&[u8]; 4], payload: &[Packet], out: &mut Vec<u8>) {
        match self {
            Layout::SizesFirst => sizes_first::write(header, payload, out),
            Layout::Interleaved | Layout::MessagePack => interleaved::write(header, payload, out),
        }
    }
}

/// Encodes the length prefix of a body. Bodies are checked against the limits before, so a longer one cannot get here.
pub(crate) fn prefix(body_len: usize) -> [u8; PREFIX] {
    u32::try_from(body_len).unwrap_or(u32::MAX).to_be_bytes()
}
