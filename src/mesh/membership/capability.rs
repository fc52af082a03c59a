//! The door for everything that only our own nodes say to each other: verbs under the sub-flag `mesh+`.
//!
//! Owns the announcement, the table of verbs and their bounds. A peer that has not announced itself in the handshake
//! of its connection is never sent one, and is not obeyed if it sends one. What a verb does is decided in the file of
//! its noun.

use std::time::Duration;

use bytes::Bytes;

use crate::mesh::Mesh;
use crate::mesh::effect::{Effect, Effects, Targets};
use crate::mesh::input::{ConnId, Now};
use crate::mesh::messaging::renegotiate::Kept;
use crate::mesh::token_bucket::TokenBucket;
use crate::wire::{Control, Extension, Flag};

/// What our own nodes say to each other beyond the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::mesh) enum Verb {
    /// Who are your neighbours?
    AskTopology,
    /// These are.
    Topology,
    /// By which way did this message come to you?
    AskRoute,
    /// By this one.
    Route,
    /// A whisper for an author further along.
    Along,
    /// What became of it.
    Receipt,
    /// Is another connection under your id yours too? Repeat this on it.
    Bind,
    /// What was asked on the other connection, repeated.
    Echo,
    /// Who dialled my other connections to you.
    Bound,
    /// I say nothing more on this connection.
    Moved,
    /// I have links enough: can you do without this one?
    Spare,
    /// I can, and say nothing more on it.
    Leaving,
    /// I have these messages.
    Have,
    /// Send me these.
    Want,
    /// I hear this author sooner from others: keep it for me instead of sending it.
    Prune,
    /// So much I have of what you keep.
    Summary,
    /// Send me this author again.
    Graft,
}

/// The row of a verb: its name on the wire, and what a peer may say with it.
struct Terms {
    name: &'static str,
    /// So many at once.
    burst: u32,
    /// So many a second for long.
    per_second: f64,
    /// Bytes of all arguments together.
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

    /// Whether it settles which of two connections is kept: it counts also where all else is held back.
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

/// How much of what it may say a peer has left, by the verbs it has said: few, mostly.
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
    /// Whether a peer has announced that it understands extensions, and we do.
    pub(in crate::mesh) fn is_extended(&self, conn: ConnId) -> bool {
        let entry = self.routing.get(conn);
        self.params.extensions && entry.is_some_and(|entry| entry.extended)
    }

    /// Says something to a peer that has announced itself; false, and nothing is said, if it has not.
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

    /// Says one and the same to several peers that have announced themselves.
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
                .note(now.unix, format!("could not answer: {error}")),
        }
    }

    /// A peer said something.
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
            // A later version knows more.
            self.stats.unknown_verbs += 1;
            return;
        };
        let arguments = extension.arguments;
        let bytes: usize = arguments.iter().map(Bytes::len).sum();
        if bytes > verb.terms().bytes {
            return self.malformed(now, conn, "an extension that is too long", out);
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

    /// The rows of the page of extensions, as the code has them.
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
