//! One frame of a batch: a view of its packets in the chunk.

use std::borrow::Cow;

use bytes::{Buf as _, Bytes, BytesMut};
use sha2::{Digest as _, Sha256};

use crate::wire::{
    compression::Method,
    flags::{Flag, SubFlag},
    generation::Generation,
    id::{MessageId, NodeId},
    layout::{Layout, Piece, message_pack},
    message::{Message, Part},
    packet::{self, Packet, Packets},
    sha384::stamped::{self, Stamped},
    value::{self, Form},
};

/// A decoded frame. Its sender and id have the shape of ids and its time is a number; nothing else is proven before
/// [`Frame::verify`].
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    pub(crate) generation: Generation,
    /// The whole body.
    pub(crate) body: &'a [u8],
    /// All packets as found by the layout, without gaps.
    pub(crate) bytes: &'a [u8],
    /// The end of each packet; at least as many as the header has packets.
    pub(crate) ends: &'a [u32],
    pub(crate) time: u64,
    pub(crate) compression: Option<Method>,
    pub(crate) wire_len: usize,
}

/// An iterator over the packets of a payload.
#[derive(Clone, Debug)]
pub struct PacketIter<'a> {
    layout: Layout,
    bytes: &'a [u8],
    ends: std::slice::Iter<'a, u32>,
    at: u32,
}

impl<'a> PacketIter<'a> {
    /// Returns the next packet as found by the layout.
    #[inline]
    fn next_raw(&mut self) -> Option<&'a [u8]> {
        let end = *self.ends.next()?;
        let packet = range(self.bytes, self.at, end);
        self.at = end;
        Some(packet)
    }
}

impl<'a> Iterator for PacketIter<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        let raw = self.next_raw()?;
        Some(self.layout.contents(raw))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.ends.size_hint()
    }
}

impl ExactSizeIterator for PacketIter<'_> {}

/// Whether every packet is valid UTF-8.
fn is_text<'a>(whole: &[u8], mut packets: impl Iterator<Item = &'a [u8]>) -> bool {
    whole.is_ascii() || packets.all(|packet| std::str::from_utf8(packet).is_ok())
}

#[inline]
fn range(bytes: &[u8], start: u32, end: u32) -> &[u8] {
    bytes.get(start as usize..end as usize).unwrap_or_default()
}

impl<'a> Frame<'a> {
    #[inline]
    fn layout(&self) -> Layout {
        self.generation.profile().layout
    }

    /// Returns a packet as found by the layout.
    #[inline]
    fn packet(&self, index: usize) -> &'a [u8] {
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        range(self.bytes, start, self.ends[index])
    }

    /// Returns the contents of a packet and all bytes after them.
    #[inline]
    fn tail(&self, index: usize) -> &'a [u8] {
        let start = self.ends[index - 1] as usize;
        let skip = self.layout().piece(self.packet(index)).skip;
        self.bytes.get(start + skip..).unwrap_or_default()
    }

    fn flag_number(&self) -> Option<u8> {
        self.layout().flag(self.packet(0))
    }

    /// Returns the bytes whose hash is the id, in layouts that hash the body.
    pub(crate) fn hashed_body(&self) -> &'a [u8] {
        self.body.get(message_pack::ID..).unwrap_or_default()
    }

    /// Whether the message has the flag of a relayed broadcast.
    pub(in crate::wire) fn is_relay(&self) -> bool {
        self.generation.profile().flags.is_relay(self.flag_number())
    }

    /// Returns the main flag: how the message travels.
    pub fn flag(&self) -> Flag {
        let contents = self.layout().contents(self.packet(0));
        Flag::of_number(self.flag_number(), contents, self.generation)
    }

    /// Whether the message is a broadcast, relayed or not.
    pub fn is_broadcast(&self) -> bool {
        self.generation
            .profile()
            .flags
            .is_broadcast(self.flag_number())
    }

    /// Returns the claimed author: 1 to 128 base58 characters.
    pub fn sender(&self) -> &'a [u8] {
        self.layout().contents(self.packet(1))
    }

    /// Returns the claimed id: 1 to 128 base58 characters, or from generation 0.6 on the 32 bytes of a hash.
    pub fn id(&self) -> &'a [u8] {
        match self.layout() {
            Layout::MessagePack => self.body.get(..message_pack::ID).unwrap_or_default(),
            layout => layout.contents(self.packet(2)),
        }
    }

    /// Returns the id that identifies the message here: that of the frame with its sender as text. Reference peers
    /// write a sender as text or as binary, with different ids; a bridged message is written by this crate, as text.
    pub(crate) fn known_id(&self) -> Cow<'a, [u8]> {
        let raw = self.packet(1);
        if !self.layout().begins_with_digest() || self.layout().piece(raw).form != Form::Binary {
            return Cow::Borrowed(self.id());
        }
        let packed = self.hashed_body();
        let before = packed.len() - self.bytes.len() + self.packet(0).len();
        let mut sender = Vec::with_capacity(raw.len());
        value::write_text(self.sender(), &mut sender);
        let mut hash = Sha256::new();
        hash.update(packed.get(..before).unwrap_or_default());
        hash.update(sender);
        hash.update(packed.get(before + raw.len()..).unwrap_or_default());
        Cow::Owned(hash.finalize().to_vec())
    }

    /// Returns the claimed id, from generation 0.6 on in hexadecimal.
    #[inline]
    pub fn message_id(&self) -> MessageId {
        match self.layout() {
            Layout::MessagePack => MessageId::of_digest(self.id()),
            Layout::SizesFirst | Layout::Interleaved => {
                MessageId::checked(self.tail(2), self.id().len())
            }
        }
    }

    /// Returns the claimed time, in Unix seconds. Any `u64`.
    pub fn time(&self) -> u64 {
        self.time
    }

    /// Iterates over the packets of the payload, the sub-flag first.
    pub fn payload(&self) -> PacketIter<'a> {
        let header = self.layout().header();
        PacketIter {
            layout: self.layout(),
            bytes: self.bytes,
            ends: self.ends[header..].iter(),
            at: self.ends[header - 1],
        }
    }

    /// Returns the sub-flag at the start of the payload, if it is one of the protocol's.
    pub(crate) fn sub_flag(&self) -> Option<SubFlag> {
        let raw = self.payload().next_raw()?;
        SubFlag::of_number(self.layout().flag(raw)?, self.generation)
    }

    /// Returns the type of a packet of the payload, where the generation has types.
    pub(crate) fn form(&self, index: usize) -> Option<Form> {
        let mut raws = self.payload();
        for _ in 0..index {
            raws.next_raw()?;
        }
        Some(self.layout().piece(raws.next_raw()?).form)
    }

    /// Returns the first packet of the payload.
    pub fn kind(&self) -> Option<&'a [u8]> {
        self.payload().next()
    }

    /// Returns the payload's packets as found by the layout, without gaps.
    fn whole_payload(&self) -> &'a [u8] {
        let start = self.ends[self.layout().header() - 1];
        let end = self.ends.last().copied().unwrap_or(start);
        range(self.bytes, start, end)
    }

    /// Returns what the id by the rule of bytes is hashed over.
    pub(crate) fn stamped(&self) -> Stamped<impl stamped::Packets<'a>> {
        let mut packets = self.payload();
        if let Layout::SizesFirst = self.layout() {
            // Takes all packets as one.
            packets.ends = self.ends[self.ends.len() - 1..].iter();
        }
        Stamped {
            packets,
            time: self.time,
        }
    }

    /// Whether every packet of the payload is valid UTF-8, or the generation does not require it.
    pub fn is_text(&self) -> bool {
        !self.generation.profile().text_only || is_text(self.whole_payload(), self.payload())
    }

    /// Returns the compression method of the frame as received.
    pub fn compression(&self) -> Option<Method> {
        self.compression
    }

    /// Returns the number of bytes that the frame took from the stream.
    pub fn wire_len(&self) -> usize {
        self.wire_len
    }

    /// Returns the length of each packet of the payload.
    pub(in crate::wire) fn lengths(&self) -> impl Iterator<Item = usize> + 'a {
        self.payload().map(<[u8]>::len)
    }

    /// Copies the message, so that it does not keep the chunk alive. `from` is the peer that sent it.
    pub fn message(&self, from: &NodeId, copies: &mut Copies) -> Message {
        let mut part = self.part();
        self.copy_payload(copies, &mut part.packets);
        Message::alone(from.clone(), part)
    }

    /// Returns the message without its payload.
    #[inline]
    pub(in crate::wire) fn part(&self) -> Part {
        Part {
            id: self.message_id(),
            sender: NodeId::checked(self.tail(1), self.sender().len()),
            flag: self.flag().told(),
            time: self.time,
            packets: Packets::default(),
        }
    }

    /// Copies the payload to its final place: moving it there later takes longer than the copy.
    #[inline]
    pub(in crate::wire) fn copy_payload(&self, copies: &mut Copies, to: &mut Packets) {
        let mut rest = copies.of(self.whole_payload(), self.wire_len);
        // A packet of one byte, like most sub-flags, takes nothing from the copy; the last packet takes what is left.
        let (layout, mut raws) = (self.layout(), self.payload());
        while let Some(raw) = raws.next_raw() {
            let Piece { skip, form } = layout.piece(raw);
            let skip = skip.min(raw.len());
            rest.advance(skip);
            to.push(match &raw[skip..] {
                [number] if form == Form::Plain => {
                    rest.advance(1);
                    Packet::number(*number)
                }
                packet => Packet::of_form(rest.split_to(packet.len()), form),
            });
        }
    }
}

/// Copies of the payloads that are delivered. Consecutive short copies share a block, which saves allocations; each
/// keeps at most 2 KiB of the others alive.
#[derive(Debug)]
pub struct Copies {
    block: BytesMut,
    /// Bytes on the wire whose payload may still have to be copied.
    expected: usize,
}

impl Copies {
    pub(in crate::wire) const BLOCK: usize = 2048;

    /// Expects payloads that took about this many bytes on the wire.
    pub fn new(expected: usize) -> Copies {
        Copies {
            block: BytesMut::new(),
            expected,
        }
    }

    /// Returns how many frames like this one, itself included, may still arrive and share a block; 0 if it is not
    /// short.
    pub(in crate::wire) fn like_it(&self, frame: &Frame<'_>) -> usize {
        let len = frame.whole_payload().len();
        let is_long = len > Self::BLOCK / 4;
        // A long list of packets or a flag of several bytes is allocated, and would be kept along with the rest.
        if is_long || frame.payload().len() > packet::IN_PLACE || frame.packet(0).len() > 1 {
            return 0;
        }
        let to_come = self.expected.div_ceil(frame.wire_len.max(1));
        to_come.clamp(1, Self::BLOCK / len.max(1))
    }

    /// Copies a payload that took `wire_len` bytes on the wire.
    fn of(&mut self, payload: &[u8], wire_len: usize) -> Bytes {
        self.expected = self.expected.saturating_sub(wire_len);
        if payload.len() > Self::BLOCK / 4 {
            return Bytes::copy_from_slice(payload);
        }
        if self.block.capacity() < payload.len() {
            let size = (payload.len() + self.expected).min(Self::BLOCK);
            self.block = BytesMut::with_capacity(size);
        }
        self.block.extend_from_slice(payload);
        self.block.split().freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_copied_alone_or_last_takes_no_more_than_it_needs() {
        let mut copies = Copies::new(300);
        assert_eq!(copies.of(&[1; 100], 300), [1; 100][..]);
        assert_eq!(copies.block.capacity(), 0);
    }

    #[test]
    fn short_copies_share_blocks_of_2_kib_at_most() {
        let mut copies = Copies::new(64 * 1024);
        let made: Vec<Bytes> = (0..100).map(|n| copies.of(&[n; 100], 300)).collect();
        for (n, copy) in (0..).zip(&made) {
            assert_eq!(copy, &[n; 100][..]);
        }
        let follows = |pair: &&[Bytes]| pair[0].as_ptr_range().end == pair[1].as_ptr();
        // A block holds 20.
        assert!(
            made.chunks(20)
                .all(|block| block.windows(2).all(|pair| follows(&pair)))
        );
        assert_eq!(copies.block.capacity(), Copies::BLOCK - 20 * 100);
    }

    #[test]
    fn a_long_copy_has_memory_of_its_own() {
        let mut copies = Copies::new(64 * 1024);
        copies.of(&[1; 100], 300);
        let left = copies.block.capacity();
        assert_eq!(copies.of(&[2; 600], 800), [2; 600][..]);
        assert_eq!(copies.block.capacity(), left);
    }
}
