//! Nicknames, shown beside the beginnings of ids.
//!
//! Owns the names and their bound. A nickname proves nothing and anybody may take any, so an id is always shown beside
//! it and no command accepts a nickname.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use actix_mesh::mesh::printable;
use actix_mesh::{Message, NodeId};

/// Packet 0 of a message that announces a nickname. The packet after it is the name.
pub(super) const KIND: &str = "nick";

/// Nodes whose nicknames are remembered; the one first named the longest ago is evicted.
const REMEMBERED: usize = 1024;

/// The most characters of a nickname.
const MAX_CHARACTERS: usize = 24;

/// Characters of an id shown where that is enough to recognise it.
const SHORT: usize = 10;

/// After this time the own nickname is announced again before a message, for nodes that joined since.
const AGAIN: Duration = Duration::from_secs(60);

/// The nicknames of all nodes: see the module.
#[derive(Debug, Default)]
pub(super) struct Nicknames {
    /// This node's own nickname.
    own: Option<String>,
    /// When it was last announced.
    told: Option<Instant>,
    names: HashMap<NodeId, String>,
    /// The named nodes, in the order they were first named.
    order: VecDeque<NodeId>,
}

impl Nicknames {
    /// Sets the own nickname.
    pub(super) fn take(&mut self, name: &str) -> Result<(), String> {
        if !is_name(name) {
            return Err(format!(
                "a nickname has 1 to {MAX_CHARACTERS} visible characters, none of them a space, < or >"
            ));
        }
        self.own = Some(name.to_owned());
        self.told = Some(Instant::now());
        Ok(())
    }

    /// Returns the own nickname.
    pub(super) fn own(&self) -> Option<&str> {
        self.own.as_deref()
    }

    /// Returns the own nickname if it is time to announce it again.
    pub(super) fn due(&mut self) -> Option<&str> {
        let is_due = self.told.is_some_and(|told| told.elapsed() >= AGAIN);
        if !is_due {
            return None;
        }
        self.told = Some(Instant::now());
        self.own()
    }

    /// Reads a message that may announce its author's nickname.
    pub(super) fn heard(&mut self, message: &Message) -> Heard {
        let name = match (message.kind().as_bytes(), message.body()) {
            (kind, [name]) if kind == KIND.as_bytes() => std::str::from_utf8(name.as_bytes()).ok(),
            _ => None,
        };
        let Some(name) = name.filter(|name| is_name(name)) else {
            return Heard::NoName;
        };
        match self.names.insert(message.sender().clone(), name.to_owned()) {
            Some(before) if before == name => return Heard::Directory,
            Some(_) => {}
            None => self.order.push_back(message.sender().clone()),
        }
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.names.remove(&oldest);
        }
        Heard::New
    }

    /// Formats a node: its nickname, if it has one, and the beginning of its id.
    pub(super) fn who(&self, id: &NodeId) -> String {
        match self.names.get(id) {
            Some(name) => format!("{name} {}", short(id)),
            None => short(id).to_owned(),
        }
    }
}

/// The result of [`Nicknames::heard`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// A new or changed nickname.
    New,
    /// The nickname its author already had.
    Directory,
    /// Any other message.
    NoName,
}

/// Returns the beginning of an id.
pub(super) fn short(id: &NodeId) -> &str {
    id.as_str().get(..SHORT).unwrap_or(id.as_str())
}

fn is_name(name: &str) -> bool {
    let length = name.chars().count();
    let visible = printable(name, name.len()) == name;
    let plain = |c: char| !c.is_whitespace() && !matches!(c, '<' | '>');
    (1..=MAX_CHARACTERS).contains(&length) && visible && name.chars().all(plain)
}

#[cfg(test)]
mod tests {
    use actix_mesh::{Flag, Packets};

    use super::*;

    fn message(sender: &str, packets: impl Into<Packets>) -> Message {
        let (id, from) = ("M".parse().unwrap(), "B".parse().unwrap());
        let sender = sender.parse().unwrap();
        Message::new(id, sender, from, Flag::Broadcast, 7, packets)
    }

    fn id(text: &str) -> NodeId {
        text.parse().unwrap()
    }

    #[test]
    fn a_name_stands_beside_the_id_and_is_told_of_once() {
        let mut names = Nicknames::default();
        assert_eq!(names.who(&id("abcdefghijkmn")), "abcdefghij");
        let named = |name: &str| message("abcdefghijkmn", [KIND, name]);
        assert_eq!(names.heard(&named("Änne")), Heard::New);
        assert_eq!(names.who(&id("abcdefghijkmn")), "Änne abcdefghij");
        assert_eq!(names.heard(&named("Änne")), Heard::Directory);
        assert_eq!(names.heard(&named("Ann")), Heard::New);
        assert_eq!(names.who(&id("abcdefghijkmn")), "Ann abcdefghij");
    }

    #[test]
    fn what_could_deceive_is_no_name() {
        let mut names = Nicknames::default();
        let long = "x".repeat(MAX_CHARACTERS + 1);
        let bad = [
            "",
            "a b",
            "a>b",
            "<",
            "a\u{202e}b",
            "\u{1b}[2J",
            "\u{200b}",
            &long,
        ];
        for name in bad {
            assert_eq!(names.heard(&message("A", [KIND, name])), Heard::NoName);
            assert!(names.take(name).is_err(), "{name:?}");
        }
        for packets in [&[KIND][..], &[KIND, "a", "b"], &["\0", "a"]] {
            let packets = packets.iter().copied().collect::<Packets>();
            assert_eq!(names.heard(&message("A", packets)), Heard::NoName);
        }
        assert!(names.own().is_none() && names.due().is_none());
        assert!(names.take(&"x".repeat(MAX_CHARACTERS)).is_ok());
        assert!(names.due().is_none(), "everybody has just been told");
    }

    #[test]
    fn only_so_many_are_remembered() {
        let mut names = Nicknames::default();
        let sender = |number: usize| format!("A{}", number.to_string().replace('0', "x"));
        for number in 0..=REMEMBERED {
            names.heard(&message(&sender(number), [KIND, "n"]));
        }
        assert_eq!(
            (names.names.len(), names.order.len()),
            (REMEMBERED, REMEMBERED)
        );
        assert_eq!(names.who(&id(&sender(0))), sender(0));
        assert_eq!(names.who(&id(&sender(1))), format!("n {}", sender(1)));
    }
}
