//! Asking: which peers need not send us what others send sooner.
//!
//! Owns when a peer is asked, and the reports of what we have. It does not know how the peer responds.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use rand::RngExt as _;

use super::stream::Sum;
use super::{NO_COPIES, digest};
use crate::mesh::Mesh;
use crate::mesh::effect::Effects;
use crate::mesh::input::{ConnId, Now};
use crate::mesh::membership::capability::Verb;
use crate::wire::Frame;

/// Bytes of arguments in one message: half of the maximum.
const ARGUMENTS: usize = 2048;

impl Mesh {
    /// Notes a duplicate, and asks the peer not to send this author's messages if they come sooner on another
    /// connection.
    pub(in crate::mesh) fn note_pruneable(
        &mut self,
        now: Now,
        conn: ConnId,
        author: u64,
        frame: &Frame<'_>,
    ) {
        self.streams.counts_until = Some(now.monotonic + NO_COPIES);
        let Some(stream) = self.streams.by_author.get(&author) else {
            return;
        };
        let asked = stream.asked.iter().find(|it| it.conn == conn);
        let was_asked = asked.is_some_and(|asked| asked.is_recent(now.monotonic));
        if was_asked || stream.way == conn || !self.is_counted(frame) {
            return;
        }
        let is_author =
            self.routing.get(conn).map(|entry| entry.id.as_bytes()) == Some(frame.sender());
        // No path is shorter than the one to the author itself.
        let spare = match self.streams.by_author.get_mut(&author) {
            Some(stream) if is_author => std::mem::replace(&mut stream.way, conn),
            _ => conn,
        };
        let name = Bytes::copy_from_slice(frame.sender());
        self.ask_to_spare(now, spare, author, digest(frame), &name);
    }

    /// Asks a peer, at the end of the batch, to send no more of an author after the message of this digest.
    pub(super) fn ask_to_spare(
        &mut self,
        now: Now,
        conn: ConnId,
        author: u64,
        digest: u64,
        name: &Bytes,
    ) {
        let at = now.monotonic;
        let stays = self.routing.get(conn);
        let stays = stays.is_some_and(|entry| entry.extended && !entry.duplicate);
        let way = self.streams.by_author.get(&author).map(|it| it.way);
        let way = way.and_then(|way| self.routing.get(way));
        if !stays || way.is_none_or(|way| way.duplicate || way.conn == conn) {
            return;
        }
        let Some(stream) = self.streams.by_author.get_mut(&author) else {
            return;
        };
        let mut asked = stream.asked.iter().filter(|it| it.conn == conn);
        let was_asked = asked.any(|asked| asked.is_recent(at));
        if was_asked || stream.reliability.is_unreliable(at) || stream.reliability.is_late(at) {
            return;
        }
        // Before the look-up, which costs more.
        if !self.streams.may_say.spend(at) {
            return;
        }
        let (Some(base), Ok(name)) = (stream.after(digest), std::str::from_utf8(name)) else {
            return;
        };
        self.streams.counts_until = Some(at + NO_COPIES);
        self.streams.last_handle = self.streams.last_handle.wrapping_add(1);
        let handle = self.streams.last_handle;
        let key = self.rng.random();
        stream.ask(conn, handle, key, base, at);
        let said = format!("{handle}.{}.{}.{name}", text(key), text(digest));
        self.streams.asking.push((conn, Bytes::from(said)));
    }

    /// Sends the requests of a batch.
    pub(in crate::mesh) fn ask_pruned(&mut self, now: Now, out: &mut Effects) {
        let asking = std::mem::take(&mut self.streams.asking);
        self.say_to_each(now, Verb::Prune, asking, out);
    }

    /// Sends each peer its arguments, in as few messages as possible.
    pub(super) fn say_to_each(
        &mut self,
        now: Now,
        verb: Verb,
        said: Vec<(ConnId, Bytes)>,
        out: &mut Effects,
    ) {
        let mut by_peer: BTreeMap<ConnId, Vec<Bytes>> = BTreeMap::new();
        for (conn, said) in said {
            by_peer.entry(conn).or_default().push(said);
        }
        for (conn, said) in by_peer {
            let mut message = Vec::new();
            let mut bytes = 0;
            for argument in said {
                bytes += argument.len();
                message.push(argument);
                if bytes >= ARGUMENTS {
                    self.extend(now, conn, verb, std::mem::take(&mut message), out);
                    bytes = 0;
                }
            }
            if !message.is_empty() {
                self.extend(now, conn, verb, message, out);
            }
        }
    }

    /// Asks every peer to send this author's messages again, if the connection they come on has lost its own source:
    /// its peer hears the author from someone other than us.
    pub(super) fn graft_if_way(&mut self, now: Now, author: u64, conn: ConnId, out: &mut Effects) {
        let stream = self.streams.by_author.get_mut(&author);
        let Some(stream) = stream.filter(|stream| stream.way == conn) else {
            return;
        };
        let asked = std::mem::take(&mut stream.asked).into_iter();
        let grafted = asked.map(|it| (it.conn, Bytes::from(it.handle.to_string())));
        self.say_to_each(now, Verb::Graft, grafted.collect(), out);
    }

    /// Reports to the peers that spare us what we have of the authors that have sent at least so many bytes since the
    /// last report.
    pub(super) fn tell(&mut self, now: Now, least: usize, out: &mut Effects) {
        let mut said = Vec::new();
        self.streams.untold = 0;
        let streams = self.streams.by_author.values_mut();
        for stream in streams.filter(|stream| stream.untold >= least) {
            stream.untold = 0;
            for asked in &mut stream.asked {
                let Sum { count, sum } = asked.have;
                if asked.told != count {
                    asked.told = count;
                    let line = format!("{}.{count}.{}", asked.handle, text(sum));
                    said.push((asked.conn, Bytes::from(line)));
                }
            }
        }
        self.say_to_each(now, Verb::Summary, said, out);
    }
}

/// Encodes a digest or sum for the wire.
fn text(number: u64) -> String {
    URL_SAFE_NO_PAD.encode(number.to_be_bytes())
}
