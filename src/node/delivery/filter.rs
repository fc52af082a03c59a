//! A [`Filter`] compiled for a generation.

use crate::node::messages::subscribe::{Filter, KindFilter};
use crate::node::requests::envelope::{Envelope, Role};
use crate::wire::{Flag, Generation, Message, NodeId, Packet, SubFlag};

/// See the module.
#[derive(Debug)]
pub(crate) struct CompiledFilter {
    flag: Option<Flag>,
    /// The kinds that pass; `None`: all.
    kinds: Option<Vec<Packet>>,
    /// Kinds with one of these prefixes pass too.
    prefixes: Vec<Packet>,
    /// Whether only typed values pass, in either form.
    values: bool,
    sender: Option<NodeId>,
}

impl CompiledFilter {
    pub(crate) fn new(filter: Filter, generation: Generation) -> Self {
        let user = || {
            [SubFlag::Broadcast, SubFlag::Whisper]
                .map(|flag| flag.packet(generation))
                .to_vec()
        };
        let kinds = match filter.kind {
            KindFilter::User => Some(user()),
            KindFilter::Any(kinds) => Some(kinds),
            KindFilter::All => None,
        };
        let flag = filter.flag.map(Flag::told);
        Self {
            flag,
            kinds,
            prefixes: filter.prefixes,
            values: filter.values,
            sender: filter.sender,
        }
    }

    pub(crate) fn passes(&self, message: &Message) -> bool {
        self.flag.as_ref().is_none_or(|flag| flag == message.flag())
            && self.is_wanted(message)
            && self
                .sender
                .as_ref()
                .is_none_or(|sender| sender == message.sender())
    }

    fn is_wanted(&self, message: &Message) -> bool {
        if !self.values {
            return self.is_kind(message.kind());
        }
        Envelope::read(message).is_some_and(|it| self.is_kind(it.kind) && it.role == Role::Value)
    }

    fn is_kind(&self, kind: &Packet) -> bool {
        let begins = |prefix: &Packet| kind.as_bytes().starts_with(prefix.as_bytes());
        self.kinds.as_ref().is_none_or(|kinds| kinds.contains(kind))
            || self.prefixes.iter().any(begins)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{MessageId, Packets};

    fn message(flag: Flag, packets: impl Into<Packets>) -> Message {
        let id = NodeId::parse("abc").unwrap();
        Message::new(
            MessageId::parse("xyz").unwrap(),
            id.clone(),
            id,
            flag,
            0,
            packets,
        )
    }

    fn passes(filter: Filter, message: &Message) -> bool {
        CompiledFilter::new(filter, Generation::default()).passes(message)
    }

    #[test]
    fn by_default_what_the_references_queue_however_it_travelled() {
        for flag in [Flag::Broadcast, Flag::Waterfall, Flag::Whisper, Flag::Ping] {
            assert!(passes(
                Filter::new(),
                &message(flag.clone(), [vec![0u8], b"hi".to_vec()])
            ));
            assert!(passes(Filter::new(), &message(flag.clone(), [vec![2u8]])));
            assert!(!passes(
                Filter::new(),
                &message(flag.clone(), ["chat", "hi"])
            ));
            assert!(!passes(Filter::new(), &message(flag, Packets::default())));
        }
    }

    #[test]
    fn kinds_flags_and_senders_narrow_it() {
        let chat = message(Flag::Waterfall, ["chat", "hi"]);
        assert!(passes(Filter::new().kind("chat"), &chat));
        assert!(passes(Filter::new().kind("news").kind("chat"), &chat));
        assert!(!passes(Filter::new().kind("news"), &chat));
        assert!(passes(Filter::new().kind_prefix("ch"), &chat));
        assert!(passes(Filter::new().kind("news").kind_prefix("ch"), &chat));
        assert!(!passes(Filter::new().kind_prefix("cha/"), &chat));
        assert!(passes(Filter::new().any_kind(), &chat));
        assert!(passes(
            Filter::new().any_kind().flag(Flag::Broadcast),
            &chat
        ));
        assert!(passes(
            Filter::new().any_kind().flag(Flag::Waterfall),
            &chat
        ));
        assert!(!passes(Filter::new().any_kind().flag(Flag::Whisper), &chat));
        assert!(passes(
            Filter::new()
                .any_kind()
                .sender(NodeId::parse("abc").unwrap()),
            &chat
        ));
        assert!(!passes(
            Filter::new()
                .any_kind()
                .sender(NodeId::parse("abd").unwrap()),
            &chat
        ));
    }
}
