//! Serving: what peers have asked not to be sent.
//!
//! Owns the effect of their requests, and that they are sent what they do not confirm. Nothing they say is trusted: a
//! peer that errs or lies is sent everything.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;

use super::NO_COPIES;
use super::stream::Sum;
use crate::mesh::Mesh;
use crate::mesh::effect::{Effect, Effects, Targets};
use crate::mesh::input::{ConnId, Now};
use crate::wire::NodeId;

impl Mesh {
    /// Handles a request not to send these authors' messages, which the peer gets sooner from others.
    pub(in crate::mesh) fn on_prune(
        &mut self,
        now: Now,
        conn: ConnId,
        asked: &[Bytes],
        out: &mut Effects,
    ) {
        for said in asked {
            let read = parts(said).and_then(|[handle, key, digest, author]| {
                let link = (handle.parse().ok()?, number(key)?);
                Some((link, number(digest)?, author))
            });
            let Some((link, digest, author)) = read else {
                return self.malformed(now, conn, "prune with a malformed argument", out);
            };
            let author = self.key.digest(author.as_bytes());
            self.prune_author(now, conn, link, (author, digest), out);
        }
    }

    fn prune_author(
        &mut self,
        now: Now,
        conn: ConnId,
        (handle, key): (u32, u64),
        (author, digest): (u64, u64),
        out: &mut Effects,
    ) {
        let key_of = |id: &NodeId| self.key.digest(id.as_bytes());
        let entry = self.routing.get(conn);
        // An author is not sent its own messages.
        let stays = entry.is_some_and(|it| !it.duplicate && key_of(&it.id) != author);
        if !self.prunes() || !stays || self.streams.handles.contains_key(&(conn, handle)) {
            return;
        }
        self.streams.counts_until = Some(now.monotonic + NO_COPIES);
        self.send_stored(now, author, conn, false, out);
        let Some(stream) = self.streams.by_author.get_mut(&author) else {
            return;
        };
        // A refused peer gets duplicates from this author, and asks again.
        if !stream.refuses(conn, now.monotonic)
            && let Some(base) = stream.after(digest)
        {
            stream.prune(conn, handle, key, base, now.monotonic);
            self.streams.handles.insert((conn, handle), author);
        }
    }

    /// Handles a peer's report of what it has.
    pub(in crate::mesh) fn on_summary(
        &mut self,
        now: Now,
        conn: ConnId,
        told: &[Bytes],
        out: &mut Effects,
    ) {
        for said in told {
            let read = parts(said).and_then(|[handle, count, sum]| {
                let (count, sum) = (count.parse().ok()?, number(sum)?);
                Some((handle.parse().ok()?, Sum { count, sum }))
            });
            let Some((handle, says)) = read else {
                return self.malformed(now, conn, "summary", out);
            };
            let author = self.streams.handles.get(&(conn, handle));
            if let Some(stream) = author.and_then(|it| self.streams.by_author.get_mut(it)) {
                stream.confirm(conn, handle, says);
            }
        }
    }

    /// Handles a request to send an author's messages again: the peer has lost its other way.
    pub(in crate::mesh) fn on_graft(
        &mut self,
        now: Now,
        conn: ConnId,
        handles: &[Bytes],
        out: &mut Effects,
    ) {
        for said in handles {
            let read = parts(said).and_then(|[handle]| handle.parse().ok());
            let Some(handle) = read else {
                return self.malformed(now, conn, "graft with a malformed handle", out);
            };
            if let Some(author) = self.streams.handles.get(&(conn, handle)).copied() {
                self.send_stored(now, author, conn, false, out);
                self.graft_if_way(now, author, conn, out);
            }
        }
    }

    /// Sends a peer an author's messages again, starting with those it has not confirmed. `refused`: it should have
    /// confirmed them, and is not spared for a while.
    pub(super) fn send_stored(
        &mut self,
        now: Now,
        author: u64,
        conn: ConnId,
        refused: bool,
        out: &mut Effects,
    ) {
        let Some(stream) = self.streams.by_author.get_mut(&author) else {
            return;
        };
        let Some((handle, missing)) = stream.graft(conn) else {
            return;
        };
        if refused {
            stream.refuse(conn, now.monotonic);
        }
        self.streams.handles.remove(&(conn, handle));
        for frames in missing {
            self.stats.spared_in_vain += u64::from(frames.count);
            let to = Targets::from_elem(conn, 1);
            out.push(Effect::Transmit { to, frames });
        }
    }

    pub(super) fn send_all_stored(&mut self, now: Now, author: u64, out: &mut Effects) {
        let stream = self.streams.by_author.get(&author);
        let pruned = stream.into_iter().flat_map(|stream| stream.pruned.iter());
        let pruned: Targets = pruned.map(|it| it.conn).collect();
        for conn in pruned {
            self.send_stored(now, author, conn, false, out);
        }
    }
}

/// Splits into exactly `N` parts; only the last may contain a dot.
fn parts<const N: usize>(said: &Bytes) -> Option<[&str; N]> {
    let said = std::str::from_utf8(said).ok()?;
    let parts: Vec<&str> = said.splitn(N, '.').collect();
    parts.try_into().ok()
}

/// Decodes a digest, key or sum from the wire.
fn number(text: &str) -> Option<u64> {
    let mut bytes = [0; 8];
    let length = URL_SAFE_NO_PAD.decode_slice(text, &mut bytes).ok()?;
    (length == bytes.len()).then(|| u64::from_be_bytes(bytes))
}
