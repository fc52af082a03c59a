//! The awaiting list: dials, and connections whose handshake has not been accepted.
//!
//! Owns the purpose and deadline of each. Nothing in here is a peer yet: it is in no peers list, and is sent nothing
//! but our handshake.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use crate::mesh::effect::{Answer, Effect, Effects};
use crate::mesh::error::ConnectError;
use crate::mesh::event::{CloseReason, Direction};
use crate::mesh::input::{ConnId, Ticket};
use crate::wire::{Address, NodeId};

/// A connection before its handshake, as reported to users.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Awaiting {
    /// Its number.
    #[serde(skip)]
    pub conn: ConnId,
    /// Where it leads, or comes from.
    pub address: Address,
    /// Who dialled.
    pub direction: Direction,
    /// The peer expected there, if a particular one is.
    pub expect: Option<NodeId>,
    /// Whether it is connected; otherwise it is being dialled.
    pub connected: bool,
}

/// The reason for a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::mesh) enum Purpose {
    /// A stranger connected to us.
    Accepted,
    /// A user asked for it. `Some`: for this very peer, no other will do.
    Asked(Option<NodeId>),
    /// A peers list named it.
    Listed(NodeId),
    /// A whisper waits for this peer.
    Wanted(NodeId),
    /// The user's names or the local network say that a node is there.
    Met,
    /// A peer that was there was lost.
    Lost,
}

impl Purpose {
    /// Returns the peer expected at the other end.
    pub(in crate::mesh) fn expect(&self) -> Option<&NodeId> {
        match self {
            Self::Accepted | Self::Met | Self::Lost => None,
            Self::Asked(expect) => expect.as_ref(),
            Self::Listed(id) | Self::Wanted(id) => Some(id),
        }
    }

    /// Whether any other peer would have done as well.
    pub(in crate::mesh) fn is_loose(&self) -> bool {
        matches!(self, Self::Listed(_) | Self::Met)
    }

    pub(in crate::mesh) fn direction(&self) -> Direction {
        match self {
            Self::Accepted => Direction::Incoming,
            _ => Direction::Outgoing,
        }
    }
}

/// One entry of the list.
#[derive(Clone, Debug)]
pub(in crate::mesh) struct Pending {
    pub(in crate::mesh) address: Address,
    /// The address the dial reached, or an accepted connection came from.
    pub(in crate::mesh) reached: Option<Address>,
    /// The id proven by the other end's key, where keys prove ids.
    pub(in crate::mesh) proven: Option<Box<NodeId>>,
    pub(in crate::mesh) purpose: Purpose,
    /// The requests that wait for it, and the peer each expects.
    pub(in crate::mesh) waiting: Vec<(Ticket, Option<NodeId>)>,
    /// The deadline of its handshake.
    pub(in crate::mesh) until: Duration,
}

impl Pending {
    /// Answers the requests that waited for this connection with the peer it led to.
    pub(in crate::mesh) fn succeed(&self, id: &NodeId, out: &mut Effects) {
        for (ticket, expect) in &self.waiting {
            let result = match expect {
                Some(expected) if expected != id => Err(ConnectError::Closed {
                    addr: self.address.clone(),
                    reason: CloseReason::WrongId {
                        expected: Box::new(expected.clone()),
                        found: Box::new(id.clone()),
                    },
                }),
                _ => Ok(id.clone()),
            };
            out.push(Effect::Answer {
                ticket: *ticket,
                answer: Answer::Connect(result),
            });
        }
    }

    /// Answers the requests that waited for this connection with an error.
    pub(in crate::mesh) fn fail(&self, error: &ConnectError, out: &mut Effects) {
        for (ticket, _) in &self.waiting {
            let answer = Answer::Connect(Err(error.clone()));
            out.push(Effect::Answer {
                ticket: *ticket,
                answer,
            });
        }
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(in crate::mesh) struct AwaitingList(BTreeMap<ConnId, Pending>);

impl AwaitingList {
    pub(in crate::mesh) fn insert(&mut self, conn: ConnId, pending: Pending) {
        self.0.insert(conn, pending);
    }

    pub(in crate::mesh) fn remove(&mut self, conn: ConnId) -> Option<Pending> {
        self.0.remove(&conn)
    }

    pub(in crate::mesh) fn get(&self, conn: ConnId) -> Option<&Pending> {
        self.0.get(&conn)
    }

    pub(in crate::mesh) fn get_mut(&mut self, conn: ConnId) -> Option<&mut Pending> {
        self.0.get_mut(&conn)
    }

    pub(in crate::mesh) fn len(&self) -> usize {
        self.0.len()
    }

    pub(in crate::mesh) fn iter(&self) -> impl Iterator<Item = (ConnId, &Pending)> {
        self.0.iter().map(|(conn, pending)| (*conn, pending))
    }

    /// Whether this peer is being dialled.
    pub(in crate::mesh) fn expects(&self, id: &NodeId) -> bool {
        self.0
            .values()
            .any(|pending| pending.purpose.expect() == Some(id))
    }

    /// Returns the dial of this address that is in progress.
    pub(in crate::mesh) fn dial_of(&mut self, address: &Address) -> Option<&mut Pending> {
        self.0.values_mut().find(|pending| {
            pending.purpose.direction() == Direction::Outgoing && pending.address == *address
        })
    }

    /// Whether this address is being dialled.
    pub(in crate::mesh) fn dials(&self, address: &Address) -> bool {
        self.0.values().any(|pending| {
            pending.purpose.direction() == Direction::Outgoing && pending.address == *address
        })
    }

    /// Returns the number of pending strangers.
    pub(in crate::mesh) fn strangers(&self) -> usize {
        self.0
            .values()
            .filter(|pending| pending.purpose == Purpose::Accepted)
            .count()
    }

    /// Returns the longest pending stranger of the host with the most of them. Strangers that have proven their id are
    /// chosen last.
    pub(in crate::mesh) fn oldest_of_largest_crowd(&self) -> Option<ConnId> {
        let unproven = self.oldest_among(|pending| pending.proven.is_none());
        unproven.or_else(|| self.oldest_among(|_| true))
    }

    fn oldest_among(&self, which: impl Fn(&Pending) -> bool) -> Option<ConnId> {
        let mut crowds: BTreeMap<&str, (usize, ConnId)> = BTreeMap::new();
        for (conn, pending) in self.iter() {
            if pending.purpose == Purpose::Accepted && which(pending) {
                // Connection ids ascend in order of arrival, and so does the list.
                crowds.entry(&pending.address.host).or_insert((0, conn)).0 += 1;
            }
        }
        crowds
            .into_values()
            .max_by_key(|(count, _)| *count)
            .map(|(_, oldest)| oldest)
    }

    /// Whether any connection in the list leads to, or comes from, this host.
    pub(in crate::mesh) fn reaches(&self, host: &str) -> bool {
        let mut reached = self
            .0
            .values()
            .filter_map(|pending| pending.reached.as_ref());
        reached.any(|address| address.host == host)
    }

    /// Returns the number of dials and outgoing connections, for any purpose.
    pub(in crate::mesh) fn outgoing(&self) -> usize {
        let outgoing = |pending: &&Pending| pending.purpose.direction() == Direction::Outgoing;
        self.0.values().filter(outgoing).count()
    }

    /// Returns the number of dials and outgoing connections that peers lists led to.
    pub(in crate::mesh) fn listed(&self) -> usize {
        self.0
            .values()
            .filter(|pending| matches!(pending.purpose, Purpose::Listed(_)))
            .count()
    }

    /// Returns the connections whose deadline has passed.
    pub(in crate::mesh) fn overdue(&self, now: Duration) -> Vec<ConnId> {
        self.iter()
            .filter(|(_, pending)| pending.until <= now)
            .map(|(conn, _)| conn)
            .collect()
    }
}
