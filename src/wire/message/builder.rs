//! Messages on their way to the user.
//!
//! Owns which messages share memory: allocating for each is a large part of what a short message costs. Knows nothing
//! of the subscribers.

use std::mem;

use crate::wire::{
    decode::frame::{Copies, Frame},
    id::NodeId,
    message::{Message, Part},
};

/// Messages in order of delivery.
#[derive(Clone, Debug, Default)]
pub struct Messages {
    whole: Vec<Message>,
    /// The messages of the last group, which more may join.
    open: Vec<Part>,
    /// The peer that sent them.
    from: Option<NodeId>,
}

/// The most messages in a group that shares memory. With more, one kept message would keep too much alive.
const GROUP: usize = 8;

impl Messages {
    /// Appends the message of a frame from this peer, in a copy that does not keep the frame's bytes alive.
    pub fn push(&mut self, frame: &Frame<'_>, from: &NodeId, copies: &mut Copies) {
        let like_it = copies.like_it(frame);
        let has_room = self.open.len() < self.open.capacity();
        if like_it == 0 || !has_room || self.from.as_ref() != Some(from) {
            self.close();
            self.open = Vec::with_capacity(like_it.clamp(1, GROUP));
            self.from = Some(from.clone());
        }
        self.open.push(frame.part());
        if let Some(part) = self.open.last_mut() {
            frame.copy_payload(copies, &mut part.packets);
        }
    }

    /// Holds a single message.
    pub(crate) fn one(message: Message) -> Self {
        Self {
            whole: vec![message],
            ..Self::default()
        }
    }

    /// Turns the last group into messages.
    fn close(&mut self) {
        let parts = mem::take(&mut self.open);
        if let Some(from) = self.from.take() {
            self.whole.extend(Message::group(from, parts));
        }
    }

    /// Returns the number of messages.
    pub fn len(&self) -> usize {
        self.whole.len() + self.open.len()
    }

    /// Whether there are no messages.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns about how many bytes of memory they take.
    pub fn memory(&self) -> usize {
        let whole = self.whole.iter().map(Message::memory);
        whole.chain(self.open.iter().map(Part::memory)).sum()
    }

    /// Returns the messages.
    pub fn into_vec(mut self) -> Vec<Message> {
        self.close();
        self.whole
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Batch, Composer, Flag, Generation, Limits, Packet};

    /// A batch of messages with bodies of these lengths.
    fn batch(lengths: &[usize]) -> Batch {
        let me = NodeId::parse("A").unwrap();
        let composer = Composer::new(Generation::V0_4, Limits::default(), me);
        let frames = lengths.iter().zip(0..).map(|(length, time)| {
            let payload = [Packet::from("\0"), Packet::from("x".repeat(*length))];
            let composed = composer.compose(&Flag::Broadcast, &payload, time).unwrap();
            composed.frames.plain
        });
        let bytes = frames.collect::<Vec<_>>().concat();
        Batch::from_frames(Generation::V0_4, Limits::default(), &bytes).unwrap()
    }

    /// Returns the size of each group of messages that share memory.
    fn groups(lengths: &[usize], peers: &[&str]) -> Vec<usize> {
        let batch = batch(lengths);
        let mut copies = Copies::new(batch.wire_len());
        let mut messages = Messages::default();
        for (frame, peer) in batch.iter().zip(peers.iter().cycle()) {
            let peer = NodeId::parse(peer).unwrap();
            messages.push(&frame.unwrap(), &peer, &mut copies);
        }
        assert_eq!(messages.len(), lengths.len());
        let memory = messages.memory();
        let messages = messages.into_vec();
        assert_eq!(memory, messages.iter().map(Message::memory).sum::<usize>());
        for ((message, length), time) in messages.iter().zip(lengths).zip(0..) {
            let told = (message.time(), message.byte_len(), message.missed());
            assert_eq!(told, (time, 1 + length, 0));
        }
        let together = messages.chunk_by(Message::shares_memory);
        together.map(<[Message]>::len).collect()
    }

    #[test]
    fn short_ones_share_memory_in_groups_of_eight_at_most() {
        assert_eq!(groups(&[100; 20], &["B"]), [8, 8, 4]);
        assert_eq!(groups(&[0; 9], &["B"]), [8, 1]);
        assert_eq!(groups(&[100], &["B"]), [1]);
    }

    #[test]
    fn what_a_group_holds_of_payload_is_bounded() {
        assert_eq!(groups(&[500; 9], &["B"]), [4, 4, 1]);
    }

    /// The documented bound is 8 KiB. A sender of more than 66 characters has its own allocation; a proven id never
    /// does.
    #[test]
    fn what_one_keeps_of_others_is_bounded() {
        let parts = GROUP * (size_of::<Part>() + crate::wire::id::MAX_LEN);
        let payload = 2 * Copies::BLOCK; // it may begin in one block and end in the next
        let from = size_of::<NodeId>() + crate::wire::id::MAX_LEN;
        assert!(
            parts + payload + from <= 8 * 1024,
            "{parts}, {payload}, {from}"
        );
    }

    #[test]
    fn a_long_one_shares_with_none() {
        let lengths = [100, 100, 600, 100, 100];
        assert_eq!(groups(&lengths, &["B"]), [2, 1, 2]);
        assert_eq!(groups(&[600; 3], &["B"]), [1, 1, 1]);
    }

    #[test]
    fn what_takes_memory_of_its_own_shares_with_none() {
        let me = NodeId::parse("A").unwrap();
        let composer = Composer::new(Generation::V0_4, Limits::default(), me.clone());
        let many = vec![Packet::from(""); 100];
        let few = [Packet::from("\0"), Packet::from("x")];
        let flag = Flag::Other("a flag".into());
        for (flag, payload) in [(&Flag::Broadcast, &many[..]), (&flag, &few)] {
            let frame = composer.compose(flag, payload, 1).unwrap().frames.plain;
            let batch = Batch::from_frames(Generation::V0_4, Limits::default(), &frame.repeat(2));
            let batch = batch.unwrap();
            let mut copies = Copies::new(batch.wire_len());
            let mut messages = Messages::default();
            for frame in batch.iter() {
                messages.push(&frame.unwrap(), &me, &mut copies);
            }
            let messages = messages.into_vec();
            assert!(!messages[0].shares_memory(&messages[1]));
        }
    }

    #[test]
    fn what_came_from_different_peers_is_apart() {
        assert_eq!(groups(&[100; 4], &["B", "B", "C", "C"]), [2, 2]);
    }
}
