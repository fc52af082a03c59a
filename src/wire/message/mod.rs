//! A message as a user meets it.

pub(in crate::wire) mod builder;

use std::sync::Arc;

use serde::{Serialize, Serializer, ser::SerializeStruct as _};

use crate::wire::{
    flags::Flag,
    id::{MessageId, NodeId},
    packet::{self, Packet, Packets},
};

/// A message that was delivered. Clones share it.
///
/// Short ones that came together share their memory, so that one that is kept keeps up to seven others, 8 KiB at most.
/// What is to be kept for long, of few messages among many, is better copied.
///
/// Its JSON is `{"id", "sender", "from", "flag", "type", "packets", "time"}`. `type` is packet 0, and `packets` is the
/// payload behind it, as [`Message::body`]; [`Message::packets`] includes packet 0, as `message.packets` does in the reference
/// peers.
#[derive(Clone, Debug)]
pub struct Message {
    group: Arc<Group>,
    place: usize,
    missed: u64,
}

/// Messages that share their memory: they came one behind the other from one peer.
#[derive(Debug)]
struct Group {
    from: NodeId,
    parts: Vec<Part>,
}

/// What there is to say of a message by itself.
#[derive(Clone, Debug)]
pub(in crate::wire) struct Part {
    pub(in crate::wire) id: MessageId,
    pub(in crate::wire) sender: NodeId,
    pub(in crate::wire) flag: Flag,
    pub(in crate::wire) time: u64,
    pub(in crate::wire) packets: Packets,
}

impl Part {
    /// Bytes it takes, about.
    pub(in crate::wire) fn memory(&self) -> usize {
        /// Its ids and counters, and its place in a queue.
        const REST: usize = 320;
        let flag = match &self.flag {
            Flag::Other(bytes) => bytes.len(),
            _ => 0,
        };
        self.packets.byte_len() + size_of_val::<[Packet]>(&self.packets) + flag + REST
    }
}

impl Message {
    /// A message with these parts: for tests of code that receives messages. `packets` is the payload, packet 0 included.
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

    /// Messages that share their memory.
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

    /// The id: the hash of payload and time.
    pub fn id(&self) -> &MessageId {
        &self.part().id
    }

    /// Who wrote the message, by its own word: on plaintext nobody can tell.
    pub fn sender(&self) -> &NodeId {
        &self.part().sender
    }

    /// The peer from whose connection it came: for a relayed message another than the sender.
    pub fn from(&self) -> &NodeId {
        &self.group.from
    }

    /// How it travelled. A relayed broadcast (0.4: waterfall) is told as a broadcast.
    pub fn flag(&self) -> &Flag {
        &self.part().flag
    }

    /// When it was written by the sender's clock, in unix seconds.
    pub fn time(&self) -> u64 {
        self.part().time
    }

    /// Packet 0: what kind of message it is. Empty for a message without payload.
    pub fn kind(&self) -> &Packet {
        self.part().packets.first().unwrap_or(&packet::EMPTY)
    }

    /// The whole payload, packet 0 included.
    pub fn packets(&self) -> &[Packet] {
        &self.part().packets
    }

    /// The first packet of the [body](Self::body), if it has any: a message may be empty.
    pub fn first(&self) -> Option<&Packet> {
        self.body().first()
    }

    /// A packet of the [body](Self::body), if there are so many.
    pub fn get(&self, index: usize) -> Option<&Packet> {
        self.body().get(index)
    }

    /// The payload without packet 0: what the sender's user gave.
    pub fn body(&self) -> &[Packet] {
        self.part().packets.get(1..).unwrap_or_default()
    }

    /// The body as text, packets joined by a space, what is not UTF-8 replaced: for logs and examples.
    pub fn text(&self) -> String {
        let texts: Vec<_> = self
            .body()
            .iter()
            .map(|packet| String::from_utf8_lossy(packet.as_bytes()))
            .collect();
        texts.join(" ")
    }

    /// How many messages this subscriber missed just before this one.
    pub fn missed(&self) -> u64 {
        self.missed
    }

    /// The same message, told to a subscriber who missed that many before it.
    #[must_use]
    pub fn with_missed(mut self, missed: u64) -> Message {
        self.missed = missed;
        self
    }

    /// The bytes of the payload.
    pub fn byte_len(&self) -> usize {
        self.part().packets.byte_len()
    }

    /// Bytes that it takes in memory, about.
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
