//! Extensions: everything that only nodes of this crate say to each other, as verbs under the sub-flag `mesh+`.
//!
//! Owns the capability announcement, the table of verbs, and their limits. A peer that has not announced support in the
//! handshake of its connection is sent none, and is blamed if it sends one. What a verb does is decided in its own
//! file.

use std::time::Duration;

use bytes::Bytes;

use crate::mesh::Mesh;
use crate::mesh::effect::{Effect, Effects, Targets};
use crate::mesh::input::{ConnId, Now};
use crate::mesh::messaging::renegotiate::Kept;
use crate::mesh::token_bucket::TokenBucket;
use crate::wire::{Control, Extension, Flag};

/// A message between nodes of this crate, beyond the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::mesh) enum Verb {
    /// Who are your neighbours?
    AskTopology,
    /// These are my neighbours.
    Topology,
    /// How did this message reach you?
    AskRoute,
    /// This way.
    Route,
    /// A whisper to forward to an author.
    Along,
    /// What became of that whisper.
    Receipt,
    /// Is another connection under your id yours too? Repeat this token there.
    Bind,
    /// The token from the other connection, repeated.
    Echo,
    /// Which side dialled my other connections to you.
    Bound,
    /// I send nothing more on this connection.
    Moved,
    /// I have enough connections: can you do without this one?
    Spare,
    /// I can, and send nothing more on it.
    Leaving,
    /// I have these messages.
    Have,
    /// Send me these.
    Want,
    /// I hear this author sooner from others: store its messages for me instead of sending them.
    Prune,
    /// This is how much I have of what you store.
    Summary,
    /// Send me this author's messages again.
    Graft,
}

/// A verb's name on the wire, and its limits for a peer.
struct Terms {
    name: &'static str,
    /// Messages at once.
    burst: u32,
    /// Sustained messages a second.
    per_second: f64,
    /// Maximum bytes of all arguments together.
    bytes: usize,
}

const VERBS: [Verb; 17] = [
    Verb::AskTopology,
    Verb::Topology,
    Verb::AskRoute,
    Verb::Route,
    Verb::Along,
    Verb::Receipt,
    Verb::Bind,
    Verb::Echo,
    Verb::Bound,
    Verb::Moved,
    Verb::Spare,
    Verb::Leaving,
    Verb::Have,
    Verb::Want,
    Verb::Prune,
    Verb::Summary,
    Verb::Graft,
];

impl Verb {
    const fn terms(self) -> Terms {
        let (name, burst, per_second, bytes) = match self {
            Self::AskTopology => ("topology?", 2, 0.5, 0),
            Self::Topology => ("topology", 2, 0.5, 32 << 10),
            Self::AskRoute => ("route?", 8, 4.0, 128),
            Self::Route => ("route", 8, 4.0, 512),
            Self::Along => ("along", 32, 16.0, 96 << 10),
            Self::Receipt => ("receipt", 64, 32.0, 64),
            Self::Bind => ("bind", 8, 1.0, 64),
            Self::Echo => ("echo", 16, 4.0, 64),
            Self::Bound => ("bound", 16, 4.0, 256),
            Self::Moved => ("moved", 4, 1.0, 0),
            Self::Spare => ("spare", 4, 0.5, 0),
            Self::Leaving => ("leaving", 2, 0.1, 0),
            Self::Have => ("have", 2048, 2048.0, 4096),
            Self::Want => ("want", 2048, 2048.0, 4096),
            Self::Prune => ("prune", 2048, 2048.0, 4096),
            Self::Summary => ("summary", 2048, 2048.0, 4096),
            Self::Graft => ("graft", 2048, 2048.0, 4096),
        };
        Terms {
            name,
            burst,
            per_second,
            bytes,
        }
    }

    /// Whether it settles which of two connections is kept: such verbs are handled even on a held connection.
    pub(in crate::mesh) fn settles(name: &str) -> bool {
        let verb = Self::named(name);
        matches!(
            verb,
            Some(Self::Bind | Self::Echo | Self::Bound | Self::Moved)
        )
    }

    fn named(name: &str) -> Option<Self> {
        VERBS.into_iter().find(|verb| verb.terms().name == name)
    }
}

/// A peer's remaining rate limits, for the verbs it has used: usually few.
#[derive(Debug, Default)]
pub(in crate::mesh) struct Allowance(Vec<(Verb, TokenBucket)>);

impl Allowance {
    fn spend(&mut self, verb: Verb, now: Duration) -> bool {
        if let Some((_, left)) = self.0.iter_mut().find(|(said, _)| *said == verb) {
            return left.spend(now);
        }
        let Terms {
            burst, per_second, ..
        } = verb.terms();
        let mut left = TokenBucket::new(f64::from(burst), per_second);
        let may = left.spend(now);
        self.0.push((verb, left));
        may
    }
}

impl Mesh {
    /// Whether a peer and this node both support extensions.
    pub(in crate::mesh) fn is_extended(&self, conn: ConnId) -> bool {
        let entry = self.routing.get(conn);
        self.params.extensions && entry.is_some_and(|entry| entry.extended)
    }

    /// Sends a verb to a peer; returns false, and sends nothing, if it does not support extensions.
    pub(in crate::mesh) fn extend(
        &mut self,
        now: Now,
        conn: ConnId,
        verb: Verb,
        arguments: Vec<Bytes>,
        out: &mut Effects,
    ) -> bool {
        if !self.is_extended(conn) {
            return false;
        }
        self.extend_all(now, Targets::from_elem(conn, 1), verb, arguments, out);
        true
    }

    /// Sends the same verb to several peers that support extensions.
    pub(in crate::mesh) fn extend_all(
        &mut self,
        now: Now,
        to: Targets,
        verb: Verb,
        arguments: Vec<Bytes>,
        out: &mut Effects,
    ) {
        let extension = Control::Extension(Extension {
            verb: verb.terms().name.to_owned(),
            arguments,
        });
        let packets = extension.packets(self.params.generation);
        match self.composer.compose(&Flag::Whisper, &packets, now.unix) {
            Ok(composed) => {
                let frames = composed.frames;
                to.iter().for_each(|conn| self.note(*conn, Kept::Nothing));
                out.push(Effect::Transmit { to, frames });
            }
            Err(error) => self
                .problems
                .note(now.unix, format!("could not send an extension: {error}")),
        }
    }

    /// Handles an extension from a peer.
    pub(in crate::mesh) fn on_extension(
        &mut self,
        now: Now,
        conn: ConnId,
        extension: Extension,
        out: &mut Effects,
    ) {
        if !self.is_extended(conn) {
            return self.misplaced(now, conn, out);
        }
        let Some(verb) = Verb::named(&extension.verb) else {
            // A later version may have more verbs.
            self.stats.unknown_verbs += 1;
            return;
        };
        let arguments = extension.arguments;
        let bytes: usize = arguments.iter().map(Bytes::len).sum();
        if bytes > verb.terms().bytes {
            return self.malformed(now, conn, "extension that is too long", out);
        }
        let Some(entry) = self.routing.get_mut(conn) else {
            return;
        };
        let allowance = &mut entry.limits().extensions;
        if !allowance.spend(verb, now.monotonic) {
            return self.over_budget(now, conn, out);
        }
        match verb {
            Verb::AskTopology => self.answer_topology(now, conn, out),
            Verb::Topology => self.on_topology(now, conn, &arguments, out),
            Verb::AskRoute => self.answer_route(now, conn, &arguments, out),
            Verb::Route => self.on_route(now, conn, &arguments, out),
            Verb::Along => self.on_along(now, conn, &arguments, out),
            Verb::Receipt => self.on_receipt(now, conn, &arguments, out),
            Verb::Bind => self.on_bind(now, conn, &arguments, out),
            Verb::Echo => self.on_echo(now, conn, &arguments, out),
            Verb::Bound => self.on_bound(now, conn, &arguments, out),
            Verb::Moved => self.on_moved(now, conn, out),
            Verb::Spare => self.on_spare(now, conn, out),
            Verb::Leaving => self.on_leaving(now, conn, out),
            Verb::Have => self.on_have(now, conn, &arguments, out),
            Verb::Want => self.on_want(conn, &arguments, out),
            Verb::Prune => self.on_prune(now, conn, &arguments, out),
            Verb::Summary => self.on_summary(now, conn, &arguments, out),
            Verb::Graft => self.on_graft(now, conn, &arguments, out),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table in `docs/extensions.md` matches the code.
    #[test]
    fn the_page_of_extensions_has_a_row_for_each_verb_as_it_is() {
        let page = include_str!("../../../docs/extensions.md");
        for verb in VERBS {
            let terms = verb.terms();
            let row = format!(
                "| `{}` | {} | {} | {} |",
                terms.name, terms.burst, terms.per_second, terms.bytes
            );
            assert!(page.contains(&row), "docs/extensions.md lacks {row}");
        }
        let rows = page.lines().filter(|line| line.starts_with("| `"));
        assert_eq!(rows.count(), VERBS.len());
    }

    #[test]
    fn a_verb_is_spent_by_itself() {
        let mut allowance = Allowance::default();
        let now = Duration::from_secs(9);
        assert!(allowance.spend(Verb::AskTopology, now));
        assert!(allowance.spend(Verb::AskTopology, now));
        assert!(!allowance.spend(Verb::AskTopology, now));
        assert!(allowance.spend(Verb::Topology, now));
    }
}
