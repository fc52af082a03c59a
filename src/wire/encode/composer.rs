//! Composes messages: payload, flag and time become a frame with its id, encoded once for all connections.

use std::ops::Deref;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use smallvec::SmallVec;

use crate::wire::{
    base58::{self, Digits},
    decode::fingerprint::{Fingerprint, FingerprintKey, Fingerprints},
    encode::encoded::Frames,
    error::EncodeError,
    flags::Flag,
    generation::Generation,
    id::{MessageId, NodeId},
    layout::{Layout, PREFIX, message_pack, prefix},
    limits::Limits,
    message_id,
    packet::Packet,
    value::{self, Form},
};

/// The largest body that a length prefix can announce.
const MAX_BODY_BYTES: usize = u32::MAX as usize;

/// Composes the messages of one node.
#[derive(Clone, Debug)]
pub struct Composer {
    generation: Generation,
    limits: Limits,
    me: NodeId,
}

/// A message to compose.
#[derive(Clone, Copy, Debug)]
pub struct Draft<'a> {
    /// How it travels.
    pub flag: &'a Flag,
    /// Its payload, the sub-flag first.
    pub payload: &'a [Packet],
    /// Its time, in Unix seconds.
    pub time: u64,
}

/// The properties of a composed message.
#[derive(Clone, Debug)]
pub struct Head {
    /// Its id.
    pub id: MessageId,
    /// Its time, in Unix seconds.
    pub time: u64,
    /// The length of its frame.
    pub len: usize,
    lengths: SmallVec<[usize; 2]>,
    /// The payload, if it is not text, so that its bytes identify the message.
    binary: Option<Box<[Packet]>>,
    /// The id on the wire, where that is the digest itself.
    digest: Option<[u8; message_pack::ID]>,
}

impl Head {
    /// Returns the fingerprint of the frame when a peer relays it back to this sender.
    pub fn fingerprint<'a>(
        &self,
        fingerprints: &mut Fingerprints<'a>,
        sender: &'a NodeId,
    ) -> Fingerprint {
        if let Some(payload) = &self.binary {
            let payload = payload.iter().map(Packet::as_bytes);
            return fingerprints.of_bytes(sender.as_bytes(), self.time, payload);
        }
        fingerprints.fingerprint(
            sender.as_bytes(),
            self.digest
                .as_ref()
                .map_or(self.id.as_bytes(), |digest| &digest[..]),
            self.lengths.iter().copied(),
        )
    }
}

/// A message ready to be sent.
#[derive(Clone, Debug)]
pub struct Composed {
    /// Its properties.
    pub head: Head,
    /// Its bytes: a single plain frame.
    pub frames: Frames,
    sender: NodeId,
}

impl Deref for Composed {
    type Target = Head;

    fn deref(&self) -> &Head {
        &self.head
    }
}

/// Messages composed together.
#[derive(Debug)]
pub struct Together {
    /// Each message, or why it cannot be composed.
    pub messages: Vec<Result<Head, EncodeError>>,
    /// The frames of all messages, one after the other.
    pub whole: Bytes,
}

impl Composed {
    /// Returns the fingerprint of the frame when it comes back.
    pub fn fingerprint(&self, key: &FingerprintKey) -> Fingerprint {
        self.head
            .fingerprint(&mut Fingerprints::new(key), &self.sender)
    }
}

impl Composer {
    /// Makes a composer for the node with that id.
    pub fn new(generation: Generation, limits: Limits, me: NodeId) -> Composer {
        Composer {
            generation,
            limits,
            me,
        }
    }

    /// Returns the id of the node.
    pub fn me(&self) -> &NodeId {
        &self.me
    }

    /// Returns the generation of the messages.
    pub fn generation(&self) -> Generation {
        self.generation
    }

    /// Composes a message from this node. `payload` begins with the sub-flag; `time` is in Unix seconds.
    pub fn compose(
        &self,
        flag: &Flag,
        payload: &[Packet],
        time: u64,
    ) -> Result<Composed, EncodeError> {
        self.compose_as(&self.me, flag, payload, time)
    }

    /// Composes a message from any sender.
    pub fn compose_as(
        &self,
        sender: &NodeId,
        flag: &Flag,
        payload: &[Packet],
        time: u64,
    ) -> Result<Composed, EncodeError> {
        if self.is_packed() {
            let mut plain = Vec::new();
            let head = self.pack_into(&mut plain, sender, flag, payload, time)?;
            return Ok(Composed {
                head,
                frames: Frames::single(Bytes::from(plain)),
                sender: sender.clone(),
            });
        }
        self.compose_under(self.message_id(payload, time), sender, flag, payload, time)
    }

    /// Whether a message is a MessagePack array with the hash of its bytes as the id.
    fn is_packed(&self) -> bool {
        matches!(self.generation.profile().layout, Layout::MessagePack)
    }

    /// Appends the frame of a message: writes it first, then hashes it.
    fn pack_into(
        &self,
        frames: &mut Vec<u8>,
        sender: &NodeId,
        flag: &Flag,
        payload: &[Packet],
        time: u64,
    ) -> Result<Head, EncodeError> {
        let header = self.generation.profile().layout.header();
        self.check_count(payload)?;
        let at = frames.len();
        frames.reserve(self.about(&Draft {
            flag,
            payload,
            time,
        }));
        frames.extend_from_slice(&[0; PREFIX + message_pack::ID]);
        value::write_array(header + payload.len(), frames);
        flag.packet(self.generation).write_value(frames);
        value::write_text(sender.as_bytes(), frames);
        value::write_number(time, frames);
        for (index, packet) in payload.iter().enumerate() {
            match packet.as_bytes() {
                // An untyped sub-flag.
                [number @ 0..48] if index == 0 && packet.form() == Form::Plain => {
                    frames.push(*number);
                }
                _ => packet.write_value(frames),
            }
        }
        let size = frames.len() - at - PREFIX;
        if let Err(error) = self.check_size(size) {
            frames.truncate(at);
            return Err(error);
        }
        let (framing, packed) = frames[at..].split_at_mut(PREFIX + message_pack::ID);
        let digest: [u8; message_pack::ID] = Sha256::digest(packed).into();
        framing[..PREFIX].copy_from_slice(&prefix(size));
        framing[PREFIX..].copy_from_slice(&digest);
        Ok(Head {
            id: MessageId::of_digest(&digest),
            time,
            len: PREFIX + size,
            lengths: lengths(payload),
            binary: None,
            digest: Some(digest),
        })
    }

    /// Composes messages from this node and hashes their ids together: several times as fast as one by one on a
    /// processor with wide vectors.
    pub fn compose_many(&self, drafts: &[Draft<'_>]) -> Together {
        if self.is_packed() {
            let mut whole = Vec::new();
            let pack = |draft: &Draft<'_>| {
                self.pack_into(&mut whole, &self.me, draft.flag, draft.payload, draft.time)
            };
            let messages = drafts.iter().map(pack).collect();
            return Together {
                messages,
                whole: Bytes::from(whole),
            };
        }
        let ids = message_id::ids(drafts.iter().map(|draft| (draft.payload, draft.time)));
        let mut whole = Vec::with_capacity(drafts.iter().map(|draft| self.about(draft)).sum());
        let compose = |(id, draft): (Digits, &Draft<'_>)| {
            let id = MessageId::from(id);
            self.compose_into(
                &mut whole,
                id,
                &self.me,
                draft.flag,
                draft.payload,
                draft.time,
            )
        };
        let messages = ids.into_iter().zip(drafts).map(compose).collect();
        Together {
            messages,
            whole: Bytes::from(whole),
        }
    }

    /// Estimates the length of a frame, or a little more.
    fn about(&self, draft: &Draft<'_>) -> usize {
        const REST: usize = 64;
        let packets = draft
            .payload
            .iter()
            .map(|packet| packet.as_bytes().len() + PREFIX);
        2 * self.me.as_bytes().len() + packets.sum::<usize>() + REST
    }

    /// Composes a message made elsewhere, under its original id: js2p has another rule for a payload that is not text.
    /// Does not check that the id belongs to the payload.
    pub fn compose_under(
        &self,
        id: MessageId,
        sender: &NodeId,
        flag: &Flag,
        payload: &[Packet],
        time: u64,
    ) -> Result<Composed, EncodeError> {
        let mut plain = Vec::new();
        let head = self.compose_into(&mut plain, id, sender, flag, payload, time)?;
        Ok(Composed {
            head,
            frames: Frames::single(Bytes::from(plain)),
            sender: sender.clone(),
        })
    }

    /// Appends the frame of a message.
    fn compose_into(
        &self,
        frames: &mut Vec<u8>,
        id: MessageId,
        sender: &NodeId,
        flag: &Flag,
        payload: &[Packet],
        time: u64,
    ) -> Result<Head, EncodeError> {
        let has_type = |(at, packet): (usize, &Packet)| match packet.form() {
            Form::Value => true,
            Form::Number => at > 0,
            _ => false,
        };
        if let Some(packet) = payload.iter().enumerate().position(has_type) {
            return Err(EncodeError::NeedsTypes { packet });
        }
        let flag = flag.packet(self.generation);
        let time58 = base58::encode_u64(time);
        let header = [flag.as_bytes(), sender.as_bytes(), id.as_bytes(), &time58];
        let len = self.encode(&header, payload, frames)?;
        Ok(Head {
            id,
            time,
            len,
            lengths: lengths(payload),
            binary: (!is_text(payload)).then(|| payload.into()),
            digest: None,
        })
    }

    /// Returns the id of that payload at that time, for any sender: base58 of SHA-384 over both.
    pub fn message_id(&self, payload: &[Packet], time: u64) -> MessageId {
        MessageId::from(message_id::id(payload, time))
    }

    fn check_count(&self, payload: &[Packet]) -> Result<(), EncodeError> {
        let (count, limit) = (payload.len().saturating_sub(1), self.limits.packets);
        match count <= limit {
            true => Ok(()),
            false => Err(EncodeError::TooManyPackets { count, limit }),
        }
    }

    fn check_size(&self, size: usize) -> Result<(), EncodeError> {
        let limit = self.limits.frame.min(MAX_BODY_BYTES);
        match size <= limit {
            true => Ok(()),
            false => Err(EncodeError::TooLarge { size, limit }),
        }
    }

    /// Appends a frame; returns its length.
    fn encode(
        &self,
        header: &[&[u8]; 4],
        payload: &[Packet],
        frames: &mut Vec<u8>,
    ) -> Result<usize, EncodeError> {
        self.check_count(payload)?;
        let layout = self.generation.profile().layout;
        let size = layout.body_len(header, payload);
        self.check_size(size)?;
        frames.reserve(PREFIX + size);
        frames.extend_from_slice(&prefix(size));
        layout.write(header, payload, frames);
        Ok(PREFIX + size)
    }
}

fn is_text(payload: &[Packet]) -> bool {
    payload.iter().all(|packet| packet.as_str().is_some())
}

fn lengths(payload: &[Packet]) -> SmallVec<[usize; 2]> {
    payload
        .iter()
        .map(|packet| packet.as_bytes().len())
        .collect()
}
