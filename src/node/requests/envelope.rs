//! The layout of a typed payload.
//!
//! Owns its parsing, from untrusted messages. Knows nothing of values: their decoding is left to code that knows the
//! type.
//!
//! ```text
//! packet 0   the kind, for example  invalidate/1
//! packet 1   the value              {"key":"user/7","version":3}
//! packet 2   the tag                id:3xJ0_mB2qRk      a value that was published or whispered
//!                                   ask:3xJ0_mB2qRk     a question; ask:3xJ0_mB2qRk:billing names an actor
//!                                   reply:3xJ0_mB2qRk   the answer to it (packets 0 and 1: the answer's)
//!                                   none:3xJ0_mB2qRk    nobody here answers that
//!                                   busy:3xJ0_mB2qRk    too many questions wait here
//!                                   bad:3xJ0_mB2qRk     the question cannot be read as what is expected here
//! ```
//!
//! A message without packet 2 is a value. In the plain form, for programs that can only set what follows packet 0, the
//! mesh's own sub-flag `broadcast` or `whisper` precedes these packets.

use crate::wire::{Message, Packet};

/// The maximum length of a correlation id, and of an actor name.
const MAX_NAME: usize = 64;

/// The role of a message with a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role<'a> {
    /// Published or whispered; expects no answer.
    Value,
    /// A request, optionally to a named actor.
    Ask { id: &'a str, name: &'a str },
    /// An answer.
    Reply(&'a str),
    /// A decline, and its reason.
    Declined(&'a str, Decline),
}

/// Why a request is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decline {
    /// No answerer takes it.
    None,
    /// The queue is full.
    Busy,
    /// It cannot be decoded.
    Bad,
}

impl Decline {
    /// Returns the tag for this reason.
    pub(crate) fn tag(self, id: &str) -> String {
        let word = match self {
            Self::None => "none",
            Self::Busy => "busy",
            Self::Bad => "bad",
        };
        format!("{word}:{id}")
    }
}

/// A message read as a typed payload.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Envelope<'a> {
    pub(crate) kind: &'a Packet,
    pub(crate) value: &'a Packet,
    pub(crate) role: Role<'a>,
    /// Whether packet 0 is the mesh's own sub-flag, followed by the kind.
    pub(crate) plain: bool,
}

impl<'a> Envelope<'a> {
    /// Parses a message; `None` if it has no value.
    pub(crate) fn read(message: &'a Message) -> Option<Self> {
        let packets = message.packets();
        let plain = packets.len() > 2 && is_sub_flag(packets.first()?);
        let packets = &packets[usize::from(plain)..];
        Some(Self {
            kind: packets.first()?,
            value: packets.get(1)?,
            role: packets.get(2).map_or(Role::Value, role),
            plain,
        })
    }

    /// Returns whether a message is a request or an answer; fast for all others.
    pub(crate) fn corresponds(message: &Message) -> bool {
        let packets = message.packets();
        (3..=4).contains(&packets.len())
            && packets.last().is_some_and(|tag| {
                matches!(tag.as_bytes().first(), Some(b'a' | b'b' | b'n' | b'r'))
                    && role(tag) != Role::Value
            })
    }
}

/// Returns whether a packet is a sub-flag: a single low byte in every generation, which no kind is.
fn is_sub_flag(packet: &Packet) -> bool {
    matches!(packet.as_bytes(), [byte] if *byte < b' ')
}

fn role(tag: &Packet) -> Role<'_> {
    let read = || {
        let (word, rest) = tag.as_str()?.split_once(':')?;
        let (id, name) = rest.split_once(':').unwrap_or((rest, ""));
        if !is_name(id) || (word != "ask" && rest.contains(':')) || name.len() > MAX_NAME {
            return None;
        }
        Some(match word {
            "ask" => Role::Ask { id, name },
            "reply" => Role::Reply(id),
            "none" => Role::Declined(id, Decline::None),
            "busy" => Role::Declined(id, Decline::Busy),
            "bad" => Role::Declined(id, Decline::Bad),
            _ => return None,
        })
    };
    read().unwrap_or(Role::Value)
}

/// Returns whether a text is 1 to 64 letters, digits, `-` or `_`.
fn is_name(text: &str) -> bool {
    (1..=MAX_NAME).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Flag, MessageId, NodeId, Packets};

    fn message(packets: impl Into<Packets>) -> Message {
        let id = NodeId::parse("abc").unwrap();
        let name = MessageId::parse("xyz").unwrap();
        Message::new(name, id.clone(), id, Flag::Whisper, 0, packets)
    }

    #[test]
    fn a_value_needs_no_tag_and_any_other_third_packet_is_none() {
        for packets in [
            vec!["k", "v"],
            vec!["k", "v", "id:abc"],
            vec!["k", "v", "ask:"],
            vec!["k", "v", "ask:a b"],
            vec!["k", "v", "reply:a:b"],
            vec!["k", "v", "rumour:a"],
            vec!["\u{2}", "k", "v"],
        ] {
            let message = message(packets);
            let envelope = Envelope::read(&message).unwrap();
            assert_eq!(envelope.role, Role::Value);
            assert_eq!(envelope.kind.as_str(), Some("k"));
            assert_eq!(envelope.value.as_str(), Some("v"));
            assert!(!Envelope::corresponds(&message));
        }
        assert!(Envelope::read(&message(["k"])).is_none());
        assert!(Envelope::read(&message(Packets::default())).is_none());
    }

    #[test]
    fn questions_and_answers_are_known_by_their_tag_in_both_forms() {
        let ask = |name| Role::Ask { id: "x-1_Z", name };
        for (tag, role) in [
            ("ask:x-1_Z", ask("")),
            ("ask:x-1_Z:billing/eu", ask("billing/eu")),
            ("reply:x-1_Z", Role::Reply("x-1_Z")),
            ("none:x-1_Z", Role::Declined("x-1_Z", Decline::None)),
            ("busy:x-1_Z", Role::Declined("x-1_Z", Decline::Busy)),
            ("bad:x-1_Z", Role::Declined("x-1_Z", Decline::Bad)),
        ] {
            let (message, plain) = (message(["k", "v", tag]), message(["\0", "k", "v", tag]));
            assert_eq!(Envelope::read(&message).unwrap().role, role);
            assert_eq!(Envelope::read(&plain).unwrap().role, role);
            assert!(Envelope::corresponds(&message) && Envelope::corresponds(&plain));
            assert!(Envelope::read(&plain).unwrap().plain);
        }
    }
}
