//! The awaiting list: dials, and connections whose handshake has not been accepted.
//!
//! Owns why each was begun and until when it may last. Nothing in here is a peer yet: it is in no
//! peers list, and nothing but our own handshake is ever sent to it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use crate::mesh::effect::{Answer, Effect, Effects};
use crate::mesh::error::ConnectError;
use crate::mesh::event::{CloseReason, Direction};
use crate::mesh::input::{ConnId, Ticket};
use crate::wire::{Address, NodeId};

/// A connection without a handshake, as told to users.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Awaiting {
    /// Its name.
    #[serde(skip)]
    pub conn: ConnId,
    /// Where it leads, or comes from.
    pub address: Address,
    /// Who dialled.
    pub direction: Direction,
    /// Whom we expect there, if anyone in particular.
    pub expect: Option<NodeId>,
    /// Whether the connection stands already: otherwise it is being dialled.
    pub connected: bool,
}

/// Why a connection was begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::mesh) enum Purpose {
    /// A stranger came to us.
    Accepted,
    /// A user asked for it. `Some`: for this very peer, no other will do.
    Asked(Option<NodeId>),
    /// A peers list named it.
    Listed(NodeId),
    /// A whisper waits for this peer.
    Wanted(NodeId),
    /// A name of the user's, or the local network, says that somebody is there.
    Met,
    /// A peer that was there is lost.
    Lost,
}

impl Purpose {
    /// Whom we expect at the other end.
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
    /// Where the dial led, once it is connected; for an accepted one, where it came from.
    pub(in crate::mesh) reached: Option<Address>,
    /// The id that the key of the other end stands for, where keys prove ids.
    pub(in crate::mesh) proven: Option<Box<NodeId>>,
    pub(in crate::mesh) purpose: Purpose,
    /// Who waits for it, and whom they expect.
    pub(in crate::mesh) waiting: Vec<(Ticket, Option<NodeId>)>,
    /// When it must have handed in its handshake.
    pub(in crate::mesh) until: Duration,
}

impl Pending {
    /// Tells those who waited for a connection whom it led to.
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

    /// Tells those who waited for a connection that there is none.
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

    /// The dial of this address that is under way.
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

    /// How many strangers wait.
    pub(in crate::mesh) fn strangers(&self) -> usize {
        self.0
            .values()
            .filter(|pending| pending.purpose == Purpose::Accepted)
            .count()
    }

    /// Of the host from which the most strangers wait, the one that waits longest. Whoever has proven its id gives way last.
    pub(in crate::mesh) fn oldest_of_largest_crowd(&self) -> Option<ConnId> {
        let unproven = self.oldest_among(|pending| pending.proven.is_none());
        unproven.or_else(|| self.oldest_among(|_| true))
    }

    fn oldest_among(&self, which: impl Fn(&Pending) -> bool) -> Option<ConnId> {
        let mut crowds: BTreeMap<&str, (usize, ConnId)> = BTreeMap::new();
        for (conn, pending) in self.iter() {
            if pending.purpose == Purpose::Accepted && which(pending) {
                // Names are given in the order of arrival, and the list is sorted by them.
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

    /// Dials and outgoing connections, whatever for.
    pub(in crate::mesh) fn outgoing(&self) -> usize {
        let outgoing = |pending: &&Pending| pending.purpose.direction() == Direction::Outgoing;
        self.0.values().filter(outgoing).count()
    }

    /// Dials and outgoing connections begun because of peers lists.
    pub(in crate::mesh) fn listed(&self) -> usize {
        self.0
            .values()
            .filter(|pending| matches!(pending.purpose, Purpose::Listed(_)))
            .count()
    }

    /// Those whose time is up.
    pub(in crate::mesh) fn overdue(&self, now: Duration) -> Vec<ConnId> {
        self.iter()
            .filter(|(_, pending)| pending.until <= now)
            .map(|(conn, _)| conn)
            .collect()
    }
}
