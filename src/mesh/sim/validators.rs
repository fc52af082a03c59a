//! Validators of virtual nodes: a rule, and how long it takes to decide.
//!
//! Owns a node's verdicts. The core, not this file, holds messages back until then.

use std::time::Duration;

use rand::RngExt as _;

use super::queue::Transit;
use super::{Network, Node};
use crate::mesh::{Acceptance, ProposalId, ValidationRule};
use crate::wire::{Message, Packet};

/// A validator's rule; `None`: it does not decide.
pub type Judge = fn(&Message) -> Option<Acceptance>;

impl Network {
    /// Validates a node's messages of this kind. Each verdict takes a random time up to `at_most`.
    pub fn validate(
        &mut self,
        node: Node,
        kind: impl Into<Packet>,
        open: bool,
        judge: Judge,
        at_most: Duration,
    ) {
        let host = &mut self.hosts[node.0];
        host.judge = Some((judge, at_most));
        host.mesh.validate(ValidationRule {
            validator: 1,
            kinds: vec![kind.into()],
            prefixes: Vec::new(),
            open,
        });
    }

    pub(super) fn on_proposal(&mut self, node: Node, proposal: ProposalId, message: &Message) {
        let host = &self.hosts[node.0];
        let life = host.life;
        let Some((judge, at_most)) = host.judge else {
            return;
        };
        let verdict = judge(message);
        let thinks = match at_most.is_zero() {
            true => Duration::ZERO,
            false => self.rng.random_range(Duration::ZERO..at_most),
        };
        let at = self.now + thinks;
        let transit = Transit::Verdict {
            node,
            life,
            proposal,
            verdict,
        };
        self.queue.post(at, transit);
    }

    pub(super) fn on_verdict(
        &mut self,
        (node, life): (Node, u32),
        proposal: ProposalId,
        verdict: Option<Acceptance>,
    ) {
        if self.hosts[node.0].up && self.hosts[node.0].life == life {
            self.command(node, |mesh, now, out| {
                mesh.judge(now, proposal, verdict, out)
            });
        }
    }
}
