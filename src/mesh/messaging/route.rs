//! Routes: the path a message took, reported by the nodes that share their topology.
//!
//! Owns the record of recent messages, the question for the route of one, and the answers. What other nodes report is
//! hearsay. Message contents are not kept.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use smallvec::SmallVec;

use crate::mesh::Mesh;
use crate::mesh::effect::Effects;
use crate::mesh::event_text::printable;
use crate::mesh::input::{ConnId, Now};
use crate::mesh::membership::capability::Verb;
use crate::wire::{Frame, MessageId, NodeId, Packets, SubFlag};

/// Maximum number of recorded broadcasts.
const MAX_KEPT: usize = 1024;

/// Maximum characters of a kind shown.
const MAX_KIND: usize = 32;

/// A neighbour is asked about another message after this time; its rate limit allows that.
const ASK_AFTER: Duration = Duration::from_millis(500);

/// A broadcast that passed through this node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PassedMessage {
    /// Its id.
    pub id: MessageId,
    /// Its author, as claimed.
    pub sender: NodeId,
    /// Its kind, at most 32 characters that are safe to show.
    pub kind: String,
    /// The neighbour it first came from; `None` if it was sent here.
    pub from: Option<NodeId>,
    /// How long ago, in milliseconds.
    pub ago: u64,
}

/// The path a message took, as far as it is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Route {
    /// The message.
    pub id: MessageId,
    /// The nodes it reached, the earliest first.
    pub hops: Vec<Hop>,
    /// Neighbours that were asked and do not know it, or no longer do.
    pub unknown: Vec<NodeId>,
}

/// A node that a message reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Hop {
    /// The node.
    pub node: NodeId,
    /// The node it first heard the message from; `None` if it is the author.
    pub from: Option<NodeId>,
    /// How long ago, in milliseconds. For other nodes the error is up to half the round trip.
    pub ago: u64,
    /// Whether this node recorded it. Everything else is hearsay.
    pub own: bool,
}

/// The record of a broadcast.
#[derive(Debug)]
struct Passed {
    id: MessageId,
    sender: NodeId,
    kind: SmallVec<[u8; MAX_KIND]>,
    from: Option<NodeId>,
    at: Duration,
}

/// The last broadcasts that passed.
#[derive(Debug, Default)]
pub(in crate::mesh) struct PassedMessages(VecDeque<Passed>);

impl PassedMessages {
    fn note(&mut self, passed: Passed) {
        if self.0.len() == MAX_KEPT {
            self.0.pop_front();
        }
        self.0.push_back(passed);
    }

    fn get(&self, id: &MessageId) -> Option<&Passed> {
        self.0.iter().rev().find(|passed| passed.id == *id)
    }
}

/// The last question to a neighbour, and its answer.
#[derive(Debug)]
pub(in crate::mesh) struct RouteState {
    id: MessageId,
    asked: Duration,
    said: Option<Said>,
}

#[derive(Debug)]
enum Said {
    Unknown,
    Passed { from: Option<NodeId>, at: Duration },
}

/// Maximum steps used to order hops: reports may form a cycle.
const MAX_STEPS: usize = 64;

/// Sorts each hop after the one it heard the message from, even where the times contradict that: a round trip is as
/// long as a hop takes. Then by time.
fn in_order(mut hops: Vec<Hop>) -> Vec<Hop> {
    let from = hops.iter().map(|hop| (hop.node.clone(), hop.from.clone()));
    let from: BTreeMap<NodeId, Option<NodeId>> = from.collect();
    let steps = |hop: &Hop| {
        let way = std::iter::successors(hop.from.as_ref(), |node| from.get(*node)?.as_ref());
        way.take(MAX_STEPS).count()
    };
    hops.sort_by_cached_key(|hop| (steps(hop), std::cmp::Reverse(hop.ago)));
    hops
}

impl Mesh {
    /// Whether broadcasts that pass are recorded.
    pub(in crate::mesh) fn keeps_passed(&self) -> bool {
        self.params.share_topology
    }

    /// Records a broadcast of another node, verified and new.
    pub(in crate::mesh) fn note_heard(&mut self, now: Now, conn: ConnId, frame: &Frame<'_>) {
        let from = self.routing.get(conn).map(|entry| entry.id.clone());
        let (Ok(sender), Some(kind)) = (NodeId::parse(frame.sender()), frame.kind()) else {
            return;
        };
        self.note_passed(now, frame.message_id(), sender, kind, from);
    }

    /// Records a broadcast that this node put into the mesh.
    pub(in crate::mesh) fn note_sent(
        &mut self,
        now: Now,
        id: &MessageId,
        author: &NodeId,
        payload: &Packets,
    ) {
        if let Some(kind) = payload.iter().next() {
            self.note_passed(now, id.clone(), author.clone(), kind.as_bytes(), None);
        }
    }

    fn note_passed(
        &mut self,
        now: Now,
        id: MessageId,
        sender: NodeId,
        kind: &[u8],
        from: Option<NodeId>,
    ) {
        let kind = match SubFlag::read(kind, self.params.generation) {
            Some(flag) if flag.is_control() => return,
            Some(SubFlag::Broadcast) => b"broadcast",
            _ => kind,
        };
        self.passed.note(Passed {
            id,
            sender,
            kind: kind.iter().copied().take(MAX_KIND).collect(),
            from,
            at: now.monotonic,
        });
    }

    /// Returns the last broadcasts that passed, newest first: at most `most` of the 1,024 on record.
    pub fn passed_messages(&self, now: Now, most: usize) -> Vec<PassedMessage> {
        let newest = self.passed.0.iter().rev().take(most);
        let told = newest.map(|passed| PassedMessage {
            id: passed.id.clone(),
            sender: passed.sender.clone(),
            kind: printable(&String::from_utf8_lossy(&passed.kind), MAX_KIND),
            from: passed.from.clone(),
            ago: millis(now.monotonic.saturating_sub(passed.at)),
        });
        told.collect()
    }

    /// Asks our peers that take part how a message reached them; returns how many were asked. Each is asked once per
    /// message, again if it did not know it, and about another message after half a second. Answers show in
    /// [`route`](Self::route).
    pub fn ask_route(&mut self, now: Now, id: &MessageId, out: &mut Effects) -> usize {
        if !self.params.share_topology {
            return 0;
        }
        let mut asked = 0;
        for conn in self.routing.conns() {
            let Some(entry) = self.routing.get_mut(conn).filter(|entry| entry.extended) else {
                continue;
            };
            let route = &mut entry.limits().route;
            let again = route.as_deref();
            // A peer that did not know it may have heard it since.
            let is_settled =
                |it: &RouteState| it.id == *id && !matches!(it.said, Some(Said::Unknown));
            if again.is_some_and(|it| is_settled(it) || now.monotonic < it.asked + ASK_AFTER) {
                continue;
            }
            *route = Some(Box::new(RouteState {
                id: id.clone(),
                asked: now.monotonic,
                said: None,
            }));
            let id = vec![Bytes::copy_from_slice(id.as_bytes())];
            asked += usize::from(self.extend(now, conn, Verb::AskRoute, id, out));
        }
        asked
    }

    /// Returns the path a message took, as far as we and the peers we asked know.
    pub fn route(&self, now: Now, id: &MessageId) -> Route {
        let (mut hops, mut unknown) = (Vec::new(), Vec::new());
        let ago = |at| millis(now.monotonic.saturating_sub(at));
        if let Some(passed) = self.passed.get(id) {
            hops.push(Hop {
                node: self.me().clone(),
                from: passed.from.clone(),
                ago: ago(passed.at),
                own: true,
            });
        }
        for entry in self.routing.iter() {
            let state = entry.limits.as_ref().and_then(|it| it.route.as_deref());
            match state
                .filter(|it| it.id == *id)
                .and_then(|it| it.said.as_ref())
            {
                Some(Said::Passed { from, at }) => hops.push(Hop {
                    node: entry.id.clone(),
                    from: from.clone(),
                    ago: ago(*at),
                    own: false,
                }),
                Some(Said::Unknown) => unknown.push(entry.id.clone()),
                None => {}
            }
        }
        let hops = in_order(hops);
        Route {
            id: id.clone(),
            hops,
            unknown,
        }
    }

    pub(in crate::mesh) fn answer_route(
        &mut self,
        now: Now,
        conn: ConnId,
        arguments: &[Bytes],
        out: &mut Effects,
    ) {
        let asked = arguments.first().map(MessageId::parse);
        let Some(Ok(id)) = asked else {
            return self.malformed(now, conn, "message id", out);
        };
        if !self.params.share_topology {
            return;
        }
        let mut answer = vec![Bytes::copy_from_slice(id.as_bytes())];
        if let Some(passed) = self.passed.get(&id) {
            let from = passed.from.as_ref().map_or(&[][..], NodeId::as_bytes);
            answer.push(Bytes::copy_from_slice(from));
            let ago = millis(now.monotonic.saturating_sub(passed.at));
            answer.push(Bytes::from(ago.to_string()));
        }
        self.extend(now, conn, Verb::Route, answer, out);
    }

    pub(in crate::mesh) fn on_route(
        &mut self,
        now: Now,
        conn: ConnId,
        arguments: &[Bytes],
        out: &mut Effects,
    ) {
        let Some((id, said)) = read_answer(arguments) else {
            return self.malformed(now, conn, "route", out);
        };
        let Some(entry) = self.routing.get_mut(conn) else {
            return;
        };
        match entry.limits().route.as_deref_mut() {
            None => self.misplaced(now, conn, out),
            // The answer to an earlier question no longer counts.
            Some(state) if state.id != id || state.said.is_some() => {}
            Some(state) => {
                // The answer is half a round trip old.
                let back = now.monotonic.saturating_sub(state.asked) / 2;
                let said_at = now.monotonic.saturating_sub(back);
                state.said = Some(match said {
                    Some((from, ago)) => Said::Passed {
                        from,
                        at: said_at.saturating_sub(ago),
                    },
                    None => Said::Unknown,
                });
            }
        }
    }
}

type Answer = (MessageId, Option<(Option<NodeId>, Duration)>);

fn read_answer(arguments: &[Bytes]) -> Option<Answer> {
    let id = MessageId::parse(arguments.first()?).ok()?;
    match &arguments[1..] {
        [] => Some((id, None)),
        [from, ago] => {
            let from = match from.is_empty() {
                true => None,
                false => Some(NodeId::parse(from).ok()?),
            };
            let ago: u32 = std::str::from_utf8(ago).ok()?.parse().ok()?;
            Some((id, Some((from, Duration::from_millis(ago.into())))))
        }
        _ => None,
    }
}

fn millis(time: Duration) -> u64 {
    u64::from(u32::try_from(time.as_millis()).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_takes_what_the_page_of_limits_says() {
        let kept = MAX_KEPT * size_of::<Passed>();
        assert!((250 << 10..350 << 10).contains(&kept), "{kept}");
    }

    #[test]
    fn a_hop_stands_behind_the_one_before_it_whatever_the_times() {
        let id = |name: &str| name.repeat(40).parse::<NodeId>().unwrap();
        let hop = |node: &str, from: Option<&str>, ago| Hop {
            node: id(node),
            from: from.map(id),
            ago,
            own: false,
        };
        let hops = vec![
            hop("m", Some("w"), 9),
            hop("w", Some("a"), 8),
            hop("z", Some("w"), 7),
            hop("a", None, 6),
            hop("x", Some("y"), 5),
            hop("y", Some("x"), 4),
        ];
        let ago: Vec<u64> = in_order(hops).iter().map(|hop| hop.ago).collect();
        assert_eq!(ago, [6, 8, 9, 7, 5, 4]);
    }
}
