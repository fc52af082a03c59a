//! The nodes that this node knows: its peers, and the authors of recent messages.
//!
//! Owns how `reply` finds an author and how a prefix of an id is resolved.

use std::collections::{BTreeSet, HashMap, VecDeque};

use actix_mesh::{Event, Message, MessageId, NodeId};

use crate::command_error::CommandError;

/// Messages whose authors are remembered; the oldest are evicted.
const REMEMBERED: usize = 4096;

/// The author of the messages with one id.
#[derive(Debug)]
struct Author {
    /// The first author heard: a copy under another author's id does not replace it.
    first: NodeId,
    /// Whether a second author was heard under this id.
    is_ambiguous: bool,
}

/// The known nodes: see the module.
#[derive(Debug, Default)]
pub(crate) struct Directory {
    peers: BTreeSet<NodeId>,
    authors: HashMap<MessageId, Author>,
    /// The ids in order of arrival.
    order: VecDeque<MessageId>,
}

impl Directory {
    /// Records a message. If two authors have sent one id, the id is ambiguous and resolves to neither.
    pub(crate) fn heard(&mut self, message: &Message) {
        if let Some(author) = self.authors.get_mut(message.id()) {
            author.is_ambiguous |= author.first != *message.sender();
            return;
        }
        let author = Author {
            first: message.sender().clone(),
            is_ambiguous: false,
        };
        self.authors.insert(message.id().clone(), author);
        self.order.push_back(message.id().clone());
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.authors.remove(&oldest);
        }
    }

    /// Records an event.
    pub(crate) fn told(&mut self, event: &Event) {
        match event {
            Event::PeerJoined { peer, .. } => {
                self.peers.insert(peer.clone());
            }
            Event::PeerLeft { peer, .. } => {
                self.peers.remove(peer);
            }
            _ => {}
        }
    }

    /// Whether any peer is connected.
    pub(crate) fn has_peers(&self) -> bool {
        !self.peers.is_empty()
    }

    /// Returns the author of a message.
    pub(crate) fn author(&self, id: &MessageId) -> Result<NodeId, CommandError> {
        match self.authors.get(id) {
            Some(author) if author.is_ambiguous => {
                let why = format!(
                    "several authors have sent a message {id}: whisper to the author you mean"
                );
                Err(CommandError::new("ambiguous_message", why))
            }
            Some(author) => Ok(author.first.clone()),
            None => {
                let why = format!(
                    "message {id} is not among the last {REMEMBERED} received: whisper to its sender"
                );
                Err(CommandError::new("unknown_message", why))
            }
        }
    }

    /// Returns the ids of all known nodes with this prefix.
    pub(crate) fn ids(&self, start: &str) -> BTreeSet<&NodeId> {
        let authors = self.authors.values().map(|author| &author.first);
        let everybody = self.peers.iter().chain(authors);
        everybody
            .filter(|id| id.as_str().starts_with(start))
            .collect()
    }

    /// Returns the node whose id has this prefix; an unknown id in full stands for itself.
    pub(crate) fn named(&self, start: &str) -> Result<NodeId, String> {
        let meant = self.ids(start);
        match (meant.len(), meant.first()) {
            (1, Some(id)) => Ok((*id).clone()),
            (0, _) => start.parse().map_err(|why| format!("{start}: {why}")),
            _ if meant.iter().any(|id| id.as_str() == start) => {
                start.parse().map_err(|why| format!("{start}: {why}"))
            }
            (several, _) => Err(format!(
                "{several} nodes have ids that begin with {start}: give more of it"
            )),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use actix_mesh::{Direction, Flag};

    use super::*;

    pub(crate) fn message(id: &str, sender: &str) -> Message {
        let from = "B".parse().unwrap();
        Message::new(
            id.parse().unwrap(),
            sender.parse().unwrap(),
            from,
            Flag::Broadcast,
            7,
            ["\0", "hi"],
        )
    }

    fn joined(peer: &str) -> Event {
        let addr = "127.0.0.1:4444".parse().unwrap();
        Event::PeerJoined {
            peer: peer.parse().unwrap(),
            addr,
            direction: Direction::Incoming,
        }
    }

    #[test]
    fn only_so_many_authors_are_remembered() {
        let mut directory = Directory::default();
        let id = |number: usize| format!("M{}", number.to_string().replace('0', "x"));
        for number in 0..=REMEMBERED {
            directory.heard(&message(&id(number), "A"));
        }
        assert_eq!(
            directory.author(&id(0).parse().unwrap()).unwrap_err().code,
            "unknown_message"
        );
        assert_eq!(
            directory.author(&id(1).parse().unwrap()).unwrap().as_str(),
            "A"
        );
        assert_eq!(
            (directory.authors.len(), directory.order.len()),
            (REMEMBERED, REMEMBERED)
        );
    }

    #[test]
    fn an_id_that_two_authors_have_sent_means_neither() {
        let mut directory = Directory::default();
        directory.heard(&message("M", "A"));
        directory.heard(&message("M", "A"));
        assert_eq!(
            directory.author(&"M".parse().unwrap()).unwrap().as_str(),
            "A"
        );
        directory.heard(&message("M", "C"));
        let ambiguous = directory.author(&"M".parse().unwrap()).unwrap_err();
        assert_eq!(ambiguous.code, "ambiguous_message");
        assert_eq!(directory.order.len(), 1);
    }

    #[test]
    fn the_beginning_of_an_id_names_a_node_if_it_is_the_only_one() {
        let mut directory = Directory::default();
        ["abc", "abd", "ab"]
            .iter()
            .for_each(|peer| directory.told(&joined(peer)));
        directory.heard(&message("M", "xyz"));
        for (start, id) in [("abc", "abc"), ("ab", "ab"), ("xy", "xyz"), ("qq", "qq")] {
            assert_eq!(directory.named(start).unwrap().as_str(), id);
        }
        assert!(directory.named("a").is_err());
        assert!(directory.named("0").is_err(), "no base58");
    }
}
