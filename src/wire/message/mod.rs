//! A message as the user receives it.

pub(in crate::wire) mod builder;

use std::sync::Arc;

use serde::{Serialize, Serializer, ser::SerializeStruct as _};

use crate::wire::{
    flags::Flag,
    id::{MessageId, NodeId},
    packet::{self, Packet, Packets},
};

/// A delivered message. Clones share it.
///
/// Short messages that arrived together share memory, so that one that is kept alive keeps up to seven others, at most
/// 8 KiB. To keep a few of many messages for long, copy what you need.
///
/// Its JSON is `{"id", "sender", "from", "flag", "type", "packets", "time"}`. `type` is packet 0, and `packets` is the
/// payload after it, as in [`Message::body`]; [`Message::packets`] includes packet 0, as `message.packets` does in the
/// reference peers.
#[derive(Clone, Debug)]
pub struct Message {
    group: Arc<Group>,
    place: usize,
    missed: u64,
}

/// Messages that share memory: consecutive messages from one peer.
#[derive(Debug)]
struct Group {
    from: NodeId,
    parts: Vec<Part>,
}

/// The contents of one message.
#[derive(Clone, Debug)]
pub(in crate::wire) struct Part {
    pub(in crate::wire) id: MessageId,
    pub(in crate::wire) sender: NodeId,
    pub(in crate::wire) flag: Flag,
    pub(in crate::wire) time: u64,
    pub(in crate::wire) packets: Packets,
}

impl Part {
    /// Returns about how many bytes it takes.
    pub(in crate::wire) fn memory(&self) -> usize {
        /// Its ids and counters, and its slot in a queue.
        const REST: usize = 320;
        let flag = match &self.flag {
            Flag::Other(bytes) => bytes.len(),
            _ => 0,
        };
        self.packets.byte_len() + size_of_val::<[Packet]>(&self.packets) + flag + REST
    }
}

impl Message {
    /// Makes a message from these parts, for tests of code that receives messages. `packets` is the payload, packet 0
    /// included.
    pub fn new(
        id: MessageId,
        sender: NodeId,
        from: NodeId,
        flag: Flag,
        time: u64,
        packets: impl Into<Packets>,
    ) -> Message {
        let part = Part {
            id,
            sender,
            flag: flag.told(),
            time,
            packets: packets.into(),
        };
        Message::alone(from, part)
    }

    pub(in crate::wire) fn alone(from: NodeId, part: Part) -> Message {
        let parts = vec![part];
        Message::of(Arc::new(Group { from, parts }), 0)
    }

    /// Makes messages that share memory.
    pub(in crate::wire) fn group(from: NodeId, parts: Vec<Part>) -> impl Iterator<Item = Message> {
        let places = 0..parts.len();
        let group = Arc::new(Group { from, parts });
        places.map(move |place| Message::of(Arc::clone(&group), place))
    }

    fn of(group: Arc<Group>, place: usize) -> Message {
        Message {
            group,
            place,
            missed: 0,
        }
    }

    #[cfg(test)]
    pub(in crate::wire) fn shares_memory(&self, other: &Message) -> bool {
        Arc::ptr_eq(&self.group, &other.group)
    }

    fn part(&self) -> &Part {
        &self.group.parts[self.place]
    }

    /// Returns the id: the hash of payload and time.
    pub fn id(&self) -> &MessageId {
        &self.part().id
    }

    /// Returns the author, by its own word: on plaintext nobody can verify it.
    pub fn sender(&self) -> &NodeId {
        &self.part().sender
    }

    /// Returns the peer that sent it on its connection; for a relayed message not the author.
    pub fn from(&self) -> &NodeId {
        &self.group.from
    }

    /// Returns how it travelled. A relayed broadcast (0.4: waterfall) is reported as a broadcast.
    pub fn flag(&self) -> &Flag {
        &self.part().flag
    }

    /// Returns when it was written, by the author's clock, in Unix seconds.
    pub fn time(&self) -> u64 {
        self.part().time
    }

    /// Returns packet 0: the kind of the message. Empty for a message without payload.
    pub fn kind(&self) -> &Packet {
        self.part().packets.first().unwrap_or(&packet::EMPTY)
    }

    /// Returns the whole payload, packet 0 included.
    pub fn packets(&self) -> &[Packet] {
        &self.part().packets
    }

    /// Returns the first packet of the [body](Self::body), if it has any: a message may be empty.
    pub fn first(&self) -> Option<&Packet> {
        self.body().first()
    }

    /// Returns a packet of the [body](Self::body), if it has that many.
    pub fn get(&self, index: usize) -> Option<&Packet> {
        self.body().get(index)
    }

    /// Returns the payload without packet 0: what the author's user sent.
    pub fn body(&self) -> &[Packet] {
        self.part().packets.get(1..).unwrap_or_default()
    }

    /// Returns the body as text, packets joined by spaces and invalid UTF-8 replaced: for logs and examples.
    pub fn text(&self) -> String {
        let texts: Vec<_> = self
            .body()
            .iter()
            .map(|packet| String::from_utf8_lossy(packet.as_bytes()))
            .collect();
        texts.join(" ")
    }

    /// Returns how many messages this subscriber missed just before this one.
    pub fn missed(&self) -> u64 {
        self.missed
    }

    /// Returns the same message for a subscriber that missed that many before it.
    #[must_use]
    pub fn with_missed(mut self, missed: u64) -> Message {
        self.missed = missed;
        self
    }

    /// Returns the number of bytes of the payload.
    pub fn byte_len(&self) -> usize {
        self.part().packets.byte_len()
    }

    /// Returns about how many bytes of memory it takes.
    pub fn memory(&self) -> usize {
        self.part().memory()
    }
}

impl Serialize for Message {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Message", 7)?;
        fields.serialize_field("id", self.id())?;
        fields.serialize_field("sender", self.sender())?;
        fields.serialize_field("from", self.from())?;
        fields.serialize_field("flag", self.flag())?;
        fields.serialize_field("type", self.kind())?;
        fields.serialize_field("packets", self.body())?;
        fields.serialize_field("time", &self.time())?;
        fields.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(flag: Flag, packets: impl Into<Packets>) -> Message {
        let node = |text| NodeId::parse(text).unwrap();
        Message::new(
            MessageId::parse("D").unwrap(),
            node("A"),
            node("B"),
            flag,
            7,
            packets,
        )
    }

    #[test]
    fn json_has_packet_0_as_the_type() {
        let json = serde_json::to_string(&message(Flag::Waterfall, ("\0", [0xff_u8]))).unwrap();
        let expected = concat!(
            r#"{"id":"D","sender":"A","from":"B","flag":"broadcast","type":"\u0000","#,
            r#""packets":[{"hex":"ff"}],"time":7}"#
        );
        assert_eq!(json, expected);
    }

    #[test]
    fn the_body_is_the_payload_without_packet_0() {
        let message = message(Flag::Whisper, ("\x02", "a", "b"));
        assert_eq!(message.kind(), &Packet::from("\x02"));
        assert_eq!(message.packets().len(), 3);
        assert_eq!(message.text(), "a b");
        assert_eq!(message.byte_len(), 3);
        assert_eq!(message.with_missed(2).missed(), 2);
    }

    #[test]
    fn whatever_a_peer_makes_long_counts_as_memory() {
        let memory = |flag, packets| message(flag, packets).memory();
        let short = memory(Flag::Whisper, vec!["a"]);
        let long = "a".repeat(10_000);
        assert!(memory(Flag::Whisper, vec![&*long]) >= short + 9_999);
        assert!(memory(Flag::Whisper, vec![""; 1000]) >= short + 1000 * size_of::<Packet>() / 2);
        assert!(memory(Flag::Other(long.clone().into()), vec!["a"]) >= short + 10_000);
    }

    #[test]
    fn a_message_without_payload_is_empty_everywhere() {
        let message = message(Flag::Whisper, Packets::default());
        assert_eq!(message.kind(), &Packet::default());
        assert!(message.body().is_empty());
    }
}
