//! Passing on the frames of a batch: what came, byte for byte, under the main flag of a relay.

use bytes::Bytes;
use smallvec::SmallVec;

use super::{
    batch::{Batch, Content, Entry, Source},
    frames::{Frames, Hold, is_compressible},
    layout::PREFIX,
};

/// A frame to be passed on.
#[derive(Clone, Copy)]
struct Pick {
    entry: Entry,
    content: Content,
    /// It came with the flag of a relay, so nothing of it changes.
    unchanged: bool,
}

impl Batch {
    /// The frames picked, as they are to be relayed, in copies: for peers with a list of their own.
    ///
    /// Plain frames become one [`Frames`], each compressed frame one of its own after it. Everything stays byte for byte,
    /// but the main flag becomes that of a relay. What is picked must be broadcasts; all else is left out.
    pub fn relay_some(&self, picked: &[usize]) -> SmallVec<[Frames; 1]> {
        let picks = self.picks(picked);
        self.pass_on(&picks, |index| self.inflated(index).to_vec())
    }

    /// The frames picked, as they are to be relayed: without a copy where that is the whole chunk, else in one copy.
    pub fn into_relay(mut self, picked: &[usize]) -> SmallVec<[Frames; 1]> {
        if self.is_whole(picked) {
            return self.give_away();
        }
        let picks = self.picks(picked);
        let mut bodies = std::mem::take(&mut self.inflated);
        self.pass_on(&picks, |index| {
            bodies
                .get_mut(index as usize)
                .map(std::mem::take)
                .unwrap_or_default()
        })
    }

    /// Whether these are all frames, each once and in order, plain, and to be relayed.
    fn is_whole(&self, picked: &[usize]) -> bool {
        picked.len() == self.entries.len()
            && picked.iter().enumerate().all(|(at, &index)| at == index)
            && self.iter().all(|frame| {
                frame.is_ok_and(|frame| frame.compression().is_none() && frame.is_broadcast())
            })
    }

    fn give_away(mut self) -> SmallVec<[Frames; 1]> {
        let relay = self.relay_flag();
        for entry in &self.entries {
            if let Ok(content) = &entry.content {
                mark(entry.of_mut(&mut self.chunk), content, relay);
            }
        }
        let count = self.entries.len();
        match count {
            0 => SmallVec::new(),
            _ => SmallVec::from_elem(plain(self.chunk.freeze(), count, self.hold), 1),
        }
    }

    fn picks(&self, picked: &[usize]) -> SmallVec<[Pick; 8]> {
        let pick = |&index: &usize| {
            let entry = *self.entries.get(index)?;
            let content = entry.content.ok()?;
            let frame = self.frame(&entry, &content);
            frame.is_broadcast().then(|| Pick {
                entry,
                content,
                unchanged: frame.is_relay(),
            })
        };
        picked.iter().filter_map(pick).collect()
    }

    /// `body` gives the inflated body of that number behind its prefix.
    fn pass_on(
        &self,
        picks: &[Pick],
        mut body: impl FnMut(u32) -> Vec<u8>,
    ) -> SmallVec<[Frames; 1]> {
        let mut out = self.copy_plain(picks);
        for pick in picks {
            if let Source::Inflated { index, .. } = pick.content.source {
                out.push(self.inflated_frame(pick, body(index)));
            }
        }
        out
    }

    fn copy_plain(&self, picks: &[Pick]) -> SmallVec<[Frames; 1]> {
        let is_plain = |pick: &&Pick| matches!(pick.content.source, Source::Plain);
        let picks = || picks.iter().filter(is_plain);
        let size = picks().map(|pick| pick.entry.len as usize).sum();
        if size == 0 {
            return SmallVec::new();
        }
        let mut bytes = Vec::with_capacity(size);
        for pick in picks() {
            let at = bytes.len();
            bytes.extend_from_slice(pick.entry.of(&self.chunk));
            mark(&mut bytes[at..], &pick.content, self.relay_flag());
        }
        let frames = plain(Bytes::from(bytes), picks().count(), self.hold.clone());
        SmallVec::from_elem(frames, 1)
    }

    fn inflated_frame(&self, pick: &Pick, mut body: Vec<u8>) -> Frames {
        mark(&mut body, &pick.content, self.relay_flag());
        let compressed = match pick.content.source {
            // js2p refuses a frame with bytes after the compressed stream: such a one is not passed on as it is.
            Source::Inflated {
                method,
                exact: true,
                ..
            } if pick.unchanged => {
                Some((method, Bytes::copy_from_slice(pick.entry.of(&self.chunk))))
            }
            _ => None,
        };
        Frames {
            compressible: compressed.is_none() && is_compressible(body.len()),
            plain: Bytes::from(body),
            count: 1,
            compressed,
            hold: self.hold.clone(),
        }
    }

    fn relay_flag(&self) -> u8 {
        self.generation.profile().flags.relay
    }
}

/// Writes the main flag of a relay over that of a broadcast: a single byte, outside of what the id hashes.
#[inline]
fn mark(framed: &mut [u8], content: &Content, relay: u8) {
    if let Some(flag) = framed.get_mut(PREFIX + content.start as usize) {
        *flag = relay;
    }
}

fn plain(bytes: Bytes, count: usize, hold: Hold) -> Frames {
    Frames {
        plain: bytes,
        count: u32::try_from(count).unwrap_or(u32::MAX),
        compressed: None,
        compressible: false,
        hold,
    }
}
