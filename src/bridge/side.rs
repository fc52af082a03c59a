//! One side of a bridge: its node, what may leave or enter its mesh, and which side each author belongs to.
//!
//! Owns a side's configuration. Does not know how messages are carried.

use std::collections::{HashMap, VecDeque};

use actix::{Addr, MailboxError};

use super::BridgeError;
use crate::config::Config;
use crate::node::Router;
use crate::start::Node;
use crate::wire::{Generation, NodeId, Packet};

/// Authors whose side is remembered. Beyond it the author first heard the longest ago is evicted.
const MAX_AUTHORS: usize = 65_536;

/// One mesh joined by a [`Bridge`](super::Bridge). By default every message may leave it and enter it.
#[derive(Clone, Debug)]
pub struct Side {
    pub(super) name: String,
    pub(super) router: Addr<Router>,
    /// The node's generation, read when the bridge starts.
    pub(super) wire: Generation,
    kinds: Vec<Packet>,
    leaves: bool,
    enters: bool,
    pub(super) guests: Option<Config>,
}

impl Side {
    /// Joins the mesh of this node. The name is used in reports and errors.
    pub fn new(name: impl Into<String>, node: &Node) -> Self {
        Self::of(name, node.router.clone())
    }

    /// Joins the mesh of the node with this address.
    pub fn of(name: impl Into<String>, router: Addr<Router>) -> Self {
        Self {
            name: name.into(),
            router,
            wire: Generation::default(),
            kinds: Vec::new(),
            leaves: true,
            enters: true,
            guests: None,
        }
    }

    /// Carries only messages whose kind (packet 0) begins with one of these, in both directions. Default: all. The kind
    /// of an ordinary broadcast is `"\0"`.
    #[must_use]
    pub fn kinds(mut self, prefixes: impl IntoIterator<Item = impl Into<Packet>>) -> Self {
        self.kinds = prefixes.into_iter().map(Into::into).collect();
        self
    }

    /// Lets messages only out of this mesh: none from the others enters it.
    #[must_use]
    pub fn source_only(mut self) -> Self {
        (self.leaves, self.enters) = (true, false);
        self
    }

    /// Lets messages only into this mesh: none of its own leaves it.
    #[must_use]
    pub fn sink_only(mut self) -> Self {
        (self.leaves, self.enters) = (false, true);
        self
    }

    /// Sets the configuration of guests: nodes in this mesh that stand for peers of the others, so that these can be
    /// whispered to. Default: none, and whispers do not cross.
    ///
    /// Set the subnet of this mesh and a listen host that its peers can reach; each guest picks its own port. A js2p
    /// from 0.5 on dials no host it is already connected to, so let guests listen on another address of this machine
    /// than the node.
    #[must_use]
    pub fn guests(mut self, config: Config) -> Self {
        self.guests = Some(config.max_outgoing(0));
        self
    }

    /// Whether a message of this kind may be carried from this side.
    pub(super) fn lets_out(&self, kind: &[u8]) -> bool {
        self.leaves && self.wants(kind)
    }

    /// Whether a message of this kind may be carried to this side.
    pub(super) fn lets_in(&self, kind: &[u8]) -> bool {
        self.enters && self.wants(kind)
    }

    /// Whether a whisper of this kind may be carried from this side. A whisper without a kind replies to a carried
    /// message, so it passes whatever the kinds.
    pub(super) fn lets_out_whisper(&self, kind: &[u8]) -> bool {
        self.leaves && (is_ordinary(kind) || self.wants(kind))
    }

    /// Whether a whisper of this kind may be carried to this side.
    pub(super) fn lets_in_whisper(&self, kind: &[u8]) -> bool {
        self.enters && (is_ordinary(kind) || self.wants(kind))
    }

    fn wants(&self, kind: &[u8]) -> bool {
        self.kinds.is_empty()
            || self
                .kinds
                .iter()
                .any(|prefix| kind.starts_with(prefix.as_bytes()))
    }

    pub(super) fn gone(&self) -> impl Fn(MailboxError) -> BridgeError {
        let side = self.name.clone();
        move |source| BridgeError::Gone {
            side: side.clone(),
            source,
        }
    }
}

/// The mesh's own kinds are single bytes below the space character.
fn is_ordinary(kind: &[u8]) -> bool {
    matches!(kind, [byte] if *byte < b' ')
}

/// The side each author was first heard on; bounded.
#[derive(Debug, Default)]
pub(super) struct Authors {
    sides: HashMap<NodeId, usize>,
    order: VecDeque<NodeId>,
}

impl Authors {
    /// Returns the side of an author just heard on `side`. An author stays on the side where it was first heard, so no
    /// peer can take another's whispers by claiming its id on another side.
    pub(super) fn heard(&mut self, author: &NodeId, side: usize) -> usize {
        if let Some(known) = self.sides.get(author) {
            return *known;
        }
        while self.order.len() >= MAX_AUTHORS {
            if let Some(oldest) = self.order.pop_front() {
                self.sides.remove(&oldest);
            }
        }
        self.order.push_back(author.clone());
        self.sides.insert(author.clone(), side);
        side
    }

    pub(super) fn side_of(&self, author: &NodeId) -> Option<usize> {
        self.sides.get(author).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: usize) -> NodeId {
        NodeId::derive(
            &number.to_string(),
            &crate::wire::Subnet::default().id(Default::default()),
            &[0; 16],
        )
    }

    #[test]
    fn an_author_stays_where_it_was_heard_first() {
        let mut authors = Authors::default();
        assert_eq!(authors.heard(&id(1), 0), 0);
        assert_eq!(authors.heard(&id(1), 1), 0);
        assert_eq!(authors.side_of(&id(1)), Some(0));
        assert_eq!(authors.side_of(&id(2)), None);
    }

    #[test]
    fn authors_are_bounded() {
        let mut authors = Authors::default();
        for number in 0..MAX_AUTHORS + 10 {
            authors.heard(&id(number), 0);
        }
        assert_eq!(authors.sides.len(), MAX_AUTHORS);
        assert_eq!(authors.order.len(), MAX_AUTHORS);
        assert_eq!(authors.side_of(&id(0)), None);
    }
}
