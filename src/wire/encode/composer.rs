//! Composing: payload, flag and time become a frame with its id, encoded once for all connections.

use std::ops::Deref;

use bytes::Bytes;
use smallvec::SmallVec;

use crate::wire::{
    base58::{self, Digits},
    decode::fingerprint::{Claim, ClaimKey, Claims},
    decode::frame::HEADER,
    encode::encoded::Frames,
    error::EncodeError,
    flags::Flag,
    generation::Generation,
    id::{MessageId, NodeId},
    layout::{PREFIX, prefix},
    limits::Limits,
    message_id,
    packet::Packet,
};

/// What the length prefix can say.
const MOST: usize = u32::MAX as usize;

/// Makes the messages of one node.
#[derive(Clone, Debug)]
pub struct Composer {
    generation: Generation,
    limits: Limits,
    me: NodeId,
}

/// A message that is to be composed.
#[derive(Clone, Copy, Debug)]
pub struct Draft<'a> {
    /// How it is to travel.
    pub flag: &'a Flag,
    /// What it carries, the sub-flag first.
    pub payload: &'a [Packet],
    /// The time it is to bear, in unix seconds.
    pub time: u64,
}

/// What there is to say of a message that was composed.
#[derive(Clone, Debug)]
pub struct Head {
    /// Its id.
    pub id: MessageId,
    /// The time it bears, in unix seconds.
    pub time: u64,
    /// The length of its frame.
    pub len: usize,
    lengths: SmallVec<[usize; 2]>,
}

impl Head {
    /// The claim that the frame makes when it comes back from this sender's peers.
    pub fn claim<'a>(&self, claims: &mut Claims<'a>, sender: &'a NodeId) -> Claim {
        claims.claim(
            sender.as_bytes(),
            self.id.as_bytes(),
            self.lengths.iter().copied(),
        )
    }
}

/// A message ready to be sent.
#[derive(Clone, Debug)]
pub struct Composed {
    /// What there is to say of it.
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

/// Messages that were composed together.
#[derive(Debug)]
pub struct Together {
    /// Each of them, or why it cannot be.
    pub messages: Vec<Result<Head, EncodeError>>,
    /// The frames of all, one behind the other.
    pub whole: Bytes,
}

impl Composed {
    /// The claim that the frame makes when it comes back.
    pub fn claim(&self, key: &ClaimKey) -> Claim {
        self.head.claim(&mut Claims::new(key), &self.sender)
    }
}

impl Composer {
    /// A composer for the node of that id.
    pub fn new(generation: Generation, limits: Limits, me: NodeId) -> Composer {
        Composer {
            generation,
            limits,
            me,
        }
    }

    /// The node whose messages these are.
    pub fn me(&self) -> &NodeId {
        &self.me
    }

    /// The generation that is spoken.
    pub fn generation(&self) -> Generation {
        self.generation
    }

    /// A message from this node. `payload` begins with the sub-flag; `time` is in unix seconds.
    pub fn compose(
        &self,
        flag: &Flag,
        payload: &[Packet],
        time: u64,
    ) -> Result<Composed, EncodeError> {
        self.compose_as(&self.me, flag, payload, time)
    }

    /// A message from any sender.
    pub fn compose_as(
        &self,
        sender: &NodeId,
        flag: &Flag,
        payload: &[Packet],
        time: u64,
    ) -> Result<Composed, EncodeError> {
        self.compose_under(self.message_id(payload, time), sender, flag, payload, time)
    }

    /// Messages from this node, whose ids are hashed together: several times as fast as one by one where the processor has
    /// wide vectors.
    pub fn compose_many(&self, drafts: &[Draft<'_>]) -> Together {
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

    /// The length of a frame, or a little more.
    fn about(&self, draft: &Draft<'_>) -> usize {
        const REST: usize = 64;
        let packets = draft
            .payload
            .iter()
            .map(|packet| packet.as_bytes().len() + PREFIX);
        2 * self.me.as_bytes().len() + packets.sum::<usize>() + REST
    }

    /// A message as it was made elsewhere, under the id it had: js2p has another rule for payload that is not text.
    /// Whether it is an id of this payload is not checked.
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

    /// A message whose frame is appended to these bytes.
    fn compose_into(
        &self,
        frames: &mut Vec<u8>,
        id: MessageId,
        sender: &NodeId,
        flag: &Flag,
        payload: &[Packet],
        time: u64,
    ) -> Result<Head, EncodeError> {
        let flag = flag.packet(self.generation);
        let time58 = base58::encode_u64(time);
        let header = [flag.as_bytes(), sender.as_bytes(), id.as_bytes(), &time58];
        let len = self.encode(&header, payload, frames)?;
        Ok(Head {
            id,
            time,
            len,
            lengths: payload
                .iter()
                .map(|packet| packet.as_bytes().len())
                .collect(),
        })
    }

    /// The id of that payload at that time, whoever sends it: base58 of SHA-384 over both.
    pub fn message_id(&self, payload: &[Packet], time: u64) -> MessageId {
        MessageId::from(message_id::id(payload, time))
    }

    /// Appends a frame; its length.
    fn encode(
        &self,
        header: &[&[u8]; HEADER],
        payload: &[Packet],
        frames: &mut Vec<u8>,
    ) -> Result<usize, EncodeError> {
        let count = HEADER + payload.len();
        if count > self.limits.packets {
            return Err(EncodeError::TooManyPackets {
                count,
                limit: self.limits.packets,
            });
        }
        let layout = self.generation.profile().layout;
        let size = layout.body_len(header, payload);
        let limit = self.limits.frame.min(MOST);
        if size > limit {
            return Err(EncodeError::TooLarge { size, limit });
        }
        frames.reserve(PREFIX + size);
        frames.extend_from_slice(&prefix(size));
        layout.write(header, payload, frames);
        Ok(PREFIX + size)
    }
}
