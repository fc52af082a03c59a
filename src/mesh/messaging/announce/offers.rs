//! Offers: large messages that peers have and we do not.
//!
//! Owns which of the offering peers is asked for a message, and which is asked next if that one does not send it.

use std::time::Duration;

use bytes::Bytes;
use smallvec::SmallVec;

use super::SMALLEST;
use super::name::Name;
use crate::mesh::Mesh;
use crate::mesh::connections::routing_table::Routing;
use crate::mesh::effect::Effects;
use crate::mesh::input::{ConnId, Now};
use crate::mesh::membership::capability::Verb;
use crate::wire::Frame;

/// Messages that one peer may have offered without having sent them.
const OFFERS_OF_ONE: usize = 1024;

/// A peer that was asked for a message has this time to send it, plus a second for each `BYTES_A_SECOND` of its size.
/// After three timeouts many peers have been asked, and others still keep the message.
const WANT_TIMEOUT: Duration = Duration::from_secs(2);
const BYTES_A_SECOND: u64 = 4 << 20;

/// A message that nobody sent is given up after this time.
const GIVEN_UP: Duration = Duration::from_secs(40);

/// A peer that broke this many promises is asked last, until it has broken none for `FORGIVEN`.
const BROKEN_PROMISES: u8 = 3;
const FORGIVEN: Duration = Duration::from_secs(600);

/// A message that was offered to us and has not come.
#[derive(Debug)]
pub(super) struct Offer {
    name: String,
    size: u64,
    /// The peers that offer it, in the order they are asked, and how many have been asked.
    pub(super) by: SmallVec<[ConnId; 4]>,
    asked: usize,
    /// The author is our peer, and sends it to us without being asked.
    awaits_author: bool,
    /// When the next peer is asked.
    pub(super) until: Duration,
    since: Duration,
}

impl Mesh {
    /// Notes which messages a peer offers: it sends them when asked.
    pub(in crate::mesh) fn on_have(
        &mut self,
        now: Now,
        conn: ConnId,
        offered: &[Bytes],
        out: &mut Effects,
    ) {
        for said in offered {
            let said = std::str::from_utf8(said).ok();
            let said = said.and_then(|said| said.rsplit_once('.'));
            let read = said.and_then(|(name, size)| Some((Name::read(name)?, size.parse().ok()?)));
            let Some((name, size)) = read else {
                return self.malformed(now, conn, "have", out);
            };
            self.on_offer(now, conn, &name, size, out);
        }
    }

    fn on_offer(&mut self, now: Now, conn: ConnId, name: &Name, size: u64, out: &mut Effects) {
        let text = name.text();
        let digest = self.key.digest(text.as_bytes());
        self.announcements.store.settle(digest, conn);
        let own = name.author.as_bytes() == self.me().as_bytes();
        let stays = self.routing.get(conn).is_some_and(|it| !it.duplicate);
        if own || !stays || self.announcements.knows(digest) {
            return;
        }
        let offer = self.announcements.offers.get(&digest);
        if offer.is_some_and(|offer| offer.by.contains(&conn)) {
            return;
        }
        let author = self.routing.conn_of_text(name.author.as_bytes());
        let author = author.filter(|author| *author != conn);
        let awaits_author = author.is_some_and(|author| self.is_reliable(now, author));
        let is_reliable = self.is_reliable(now, conn);
        let Some(limits) = self.announcement_limits(conn) else {
            return;
        };
        if limits.open >= OFFERS_OF_ONE {
            // Not the peer's fault: others may be keeping its messages from us.
            self.stats.over_budget += 1;
            return;
        }
        limits.open += 1;
        let largest = self.params.limits.frame as u64;
        let offer = self.announcements.offers.entry(digest);
        let offer = offer.or_insert_with(|| Offer {
            name: text,
            size: size.min(largest),
            by: SmallVec::new(),
            asked: 0,
            awaits_author,
            until: now.monotonic + WANT_TIMEOUT,
            since: now.monotonic,
        });
        // A peer that offers it last and understates its size cannot make the others wait.
        offer.size = offer.size.min(size);
        if is_reliable && offer.asked == 0 && !offer.awaits_author {
            offer.by.insert(0, conn);
            self.fetch(now, digest, out);
        } else {
            offer.by.push(conn);
        }
    }

    /// Whether a peer has sent what it offered, and its own messages, but for a few.
    fn is_reliable(&mut self, now: Now, conn: ConnId) -> bool {
        self.announcement_limits(conn).is_some_and(|limits| {
            limits.broken < BROKEN_PROMISES || limits.broken_at + FORGIVEN <= now.monotonic
        })
    }

    /// Asks the next peer that offers a message; false if none is left.
    fn fetch(&mut self, now: Now, name: u64, out: &mut Effects) -> bool {
        while let Some(offer) = self.announcements.offers.get_mut(&name) {
            let Some(conn) = offer.by.get(offer.asked).copied() else {
                return false;
            };
            offer.asked += 1;
            let takes = Duration::from_secs(offer.size / BYTES_A_SECOND);
            offer.until = now.monotonic + WANT_TIMEOUT + takes;
            let said = vec![Bytes::from(offer.name.clone())];
            let stays = self.routing.get(conn).is_some_and(|it| !it.duplicate);
            if stays && self.extend(now, conn, Verb::Want, said, out) {
                return true;
            }
        }
        false
    }

    pub(super) fn on_overdue(&mut self, now: Now, name: u64, out: &mut Effects) {
        let Some(offer) = self.announcements.offers.get(&name) else {
            return;
        };
        let since = offer.since;
        let last = offer.asked.checked_sub(1);
        let last = last.and_then(|at| offer.by.get(at)).copied();
        let is_over = since + GIVEN_UP <= now.monotonic;
        // Then two are asked, and then all: many of the peers may be malicious, and honest ones store the message only
        // briefly.
        let more = match offer.asked {
            0 | 1 => 1 + offer.asked,
            _ => usize::MAX,
        };
        // An author that does not send its own messages is not waited for much longer.
        let last = match offer.awaits_author && offer.asked == 0 {
            true => author_of(&self.routing, &offer.name),
            false => last,
        };
        let asked = (0..more).take_while(|_| self.fetch(now, name, out)).count();
        if asked > 0 || is_over {
            self.note_broken_promise(now, last);
        }
        if is_over {
            self.stats.unfetched += 1;
            self.drop_offer(name);
        } else if let Some(offer) = self.announcements.offers.get_mut(&name)
            && offer.until <= now.monotonic
        {
            // It may still be on its way, or another peer may offer it.
            offer.until = now.monotonic + WANT_TIMEOUT;
        }
    }

    fn note_broken_promise(&mut self, now: Now, by: Option<ConnId>) {
        let Some(limits) = by.and_then(|conn| self.announcement_limits(conn)) else {
            return;
        };
        limits.broken = match limits.broken_at + FORGIVEN <= now.monotonic {
            true => 1,
            false => limits.broken.saturating_add(1),
        };
        limits.broken_at = now.monotonic;
    }

    /// A connection has ended: asks other peers for what was asked for on it, and stores nothing for it any more.
    pub(in crate::mesh) fn end_announcements(&mut self, now: Now, conn: ConnId, out: &mut Effects) {
        self.announcements.store.settle_all(conn);
        let routing = &self.routing;
        let offers = self.announcements.offers.iter();
        let concerned = offers.filter(|(_, offer)| {
            offer.by.contains(&conn) || offer.awaits_author && !is_connected(routing, &offer.name)
        });
        for name in concerned.map(|(name, _)| *name).collect::<Vec<_>>() {
            let Some(offer) = self.announcements.offers.get_mut(&name) else {
                continue;
            };
            let place = offer.by.iter().position(|it| *it == conn);
            let was_asked = place.is_some_and(|place| place + 1 == offer.asked);
            if let Some(place) = place {
                offer.by.remove(place);
                offer.asked -= usize::from(place < offer.asked);
            }
            let author_left = offer.awaits_author && !is_connected(&self.routing, &offer.name);
            offer.awaits_author &= !author_left;
            if offer.by.is_empty() {
                // Other peers will offer it once they have it.
                self.drop_offer(name);
            } else if was_asked || author_left {
                self.fetch(now, name, out);
            }
        }
    }

    /// Drops the offer of a message that came but is not timely: no peer is blamed, and no other is asked for it.
    /// Untimely messages are dropped unverified, so this one is verified here.
    pub(in crate::mesh) fn note_untimely(&mut self, frame: &Frame<'_>) {
        if frame.body.len() < SMALLEST || self.announcements.offers.is_empty() {
            return;
        }
        let digest = self.key.digest(Name::of(frame).text().as_bytes());
        let is_offered = self.announcements.offers.contains_key(&digest);
        if is_offered && frame.is_text() && frame.verify().is_ok() {
            self.announcements.know(digest);
            self.drop_offer(digest);
        }
    }

    /// Drops the offers of messages that have come. Separate from noting them: relaying needs to know which peers
    /// offered them.
    pub(in crate::mesh) fn drop_fetched(&mut self) {
        for name in std::mem::take(&mut self.announcements.come) {
            self.drop_offer(name);
        }
    }

    fn drop_offer(&mut self, name: u64) {
        let Some(offer) = self.announcements.offers.remove(&name) else {
            return;
        };
        for conn in offer.by {
            if let Some(limits) = self.announcement_limits(conn) {
                limits.open = limits.open.saturating_sub(1);
            }
        }
    }
}

/// Returns the connection to the author in this message name, if it is a peer.
fn author_of(routing: &Routing, name: &str) -> Option<ConnId> {
    let author = Name::read(name)?.author;
    routing.conn_of_text(author.as_bytes())
}

fn is_connected(routing: &Routing, name: &str) -> bool {
    author_of(routing, name).is_some()
}
