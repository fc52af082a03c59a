//! Relays the frames of a batch: the bytes as received, with the main flag of a relay.

use bytes::Bytes;
use smallvec::SmallVec;

use crate::wire::{
    compression::is_ambiguous,
    decode::batch::{Batch, Content, Entry, Source},
    encode::encoded::{Frames, Hold, is_compressible},
    layout::PREFIX,
};

/// A frame to relay.
#[derive(Clone, Copy)]
struct Pick {
    entry: Entry,
    content: Content,
    /// Whether it arrived with the flag of a relay, so that it stays unchanged.
    unchanged: bool,
    /// Whether it arrived plain but could be taken for a compressed frame.
    ambiguous: bool,
}

impl Pick {
    /// Whether it may be joined with its neighbours.
    fn is_bulk(&self) -> bool {
        !self.ambiguous && matches!(self.content.source, Source::Plain)
    }
}

impl Batch {
    /// Copies the picked frames for relaying, for peers that get a selection of their own.
    ///
    /// Consecutive plain frames become one [`Frames`]; a frame that arrived compressed, or could be taken for a
    /// compressed one, becomes a separate one. Bytes and order stay the same, except that the main flag becomes that of
    /// a relay. `picked` must name broadcasts, each once; anything else is left out.
    pub fn relay_some(&self, picked: &[usize]) -> SmallVec<[Frames; 1]> {
        let picks = self.picks(picked);
        self.pass_on(&picks, |index| self.inflated(index).to_vec())
    }

    /// Converts the picked frames for relaying: without a copy if they are the whole chunk, else with one copy.
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

    /// Whether these are all frames, each once and in order, plain, and broadcasts.
    fn is_whole(&self, picked: &[usize]) -> bool {
        picked.len() == self.entries.len()
            && picked.iter().enumerate().all(|(at, &index)| at == index)
            && self.iter().all(|frame| {
                frame.is_ok_and(|frame| {
                    frame.compression().is_none()
                        && frame.is_broadcast()
                        && !is_ambiguous(frame.body)
                })
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
                ambiguous: frame.compression().is_none() && is_ambiguous(frame.body),
            })
        };
        picked.iter().filter_map(pick).collect()
    }

    /// `body` returns the inflated body with that index, after its prefix.
    fn pass_on(
        &self,
        picks: &[Pick],
        mut body: impl FnMut(u32) -> Vec<u8>,
    ) -> SmallVec<[Frames; 1]> {
        let runs = picks.chunk_by(|one, next| one.is_bulk() && next.is_bulk());
        runs.map(|run| match run {
            [pick] if !pick.is_bulk() => {
                let framed = match pick.content.source {
                    Source::Inflated { index, .. } => body(index),
                    Source::Plain => pick.entry.of(&self.chunk).to_vec(),
                };
                self.single_frame(pick, framed)
            }
            plain => self.copy_plain(plain),
        })
        .collect()
    }

    fn copy_plain(&self, picks: &[Pick]) -> Frames {
        let size = picks.iter().map(|pick| pick.entry.len as usize).sum();
        let mut bytes = Vec::with_capacity(size);
        for pick in picks {
            let at = bytes.len();
            bytes.extend_from_slice(pick.entry.of(&self.chunk));
            mark(&mut bytes[at..], &pick.content, self.relay_flag());
        }
        plain(Bytes::from(bytes), picks.len(), self.hold.clone())
    }

    fn single_frame(&self, pick: &Pick, mut body: Vec<u8>) -> Frames {
        mark(&mut body, &pick.content, self.relay_flag());
        let compressed = match pick.content.source {
            // js2p refuses a frame with bytes after the compressed stream, so such a frame is not relayed as received.
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
            compressible: compressed.is_none() && is_compressible(&body),
            plain: Bytes::from(body),
            count: 1,
            compressed,
            hold: self.hold.clone(),
        }
    }

    /// Returns the flag of a relay; `None` if a relay keeps the flag of the original.
    fn relay_flag(&self) -> Option<u8> {
        let flags = &self.generation.profile().flags;
        flags.marks_relays().then_some(flags.relay)
    }
}

/// Overwrites the main flag of a broadcast with that of a relay: a single byte, which the id does not cover.
#[inline]
fn mark(framed: &mut [u8], content: &Content, relay: Option<u8>) {
    if let Some(relay) = relay
        && let Some(flag) = framed.get_mut(PREFIX + content.start as usize)
    {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Composer, Deflater, Flag, Generation, Limits, Method, NodeId, Packet};

    fn frame(flag: &Flag, text: &str, method: Option<Method>) -> Vec<u8> {
        let me = NodeId::parse("A").unwrap();
        let payload = [Packet::from("\0"), Packet::from(text)];
        let plain = Composer::new(Generation::V0_4, Limits::default(), me)
            .compose(flag, &payload, 1)
            .unwrap()
            .frames
            .plain;
        let Some(method) = method else {
            return plain.to_vec();
        };
        let deflated = Deflater::new().deflate(method, &plain[PREFIX..]).unwrap();
        framed(&deflated)
    }

    fn framed(body: &[u8]) -> Vec<u8> {
        [&crate::wire::layout::prefix(body.len()), body].concat()
    }

    fn batch(bytes: &[u8]) -> Batch {
        Batch::from_frames(Generation::V0_4, Limits::default(), bytes).unwrap()
    }

    #[test]
    fn a_compressed_relay_is_passed_on_as_it_came() {
        let came = frame(&Flag::Waterfall, "a", Some(Method::Zlib));
        let frames = batch(&came).into_relay(&[0]);
        assert_eq!(frames[0].wire_form(Some(Method::Zlib)), &came);
        assert_eq!(
            frames[0].wire_form(None),
            &frame(&Flag::Waterfall, "a", None)
        );
        assert_eq!(
            frames[0].wire_form(Some(Method::Gzip)),
            frames[0].wire_form(None)
        );
    }

    #[test]
    fn a_compressed_original_is_inflated_to_change_its_flag() {
        let text = "a".repeat(200);
        let came = frame(&Flag::Broadcast, &text, Some(Method::Gzip));
        let frames = batch(&came).into_relay(&[0]);
        assert_eq!(frames[0].compressed, None);
        assert!(frames[0].compressible);
        assert_eq!(frames[0].plain, frame(&Flag::Waterfall, &text, None));
    }

    #[test]
    fn bytes_after_the_compressed_stream_are_not_passed_on() {
        let came = frame(&Flag::Waterfall, "a", Some(Method::Gzip));
        let trailing = framed(&[&came[PREFIX..], b"xyz"].concat());
        let frames = batch(&trailing).into_relay(&[0]);
        assert_eq!(frames[0].compressed, None);
    }

    #[test]
    fn plain_frames_are_passed_on_together() {
        let plain = |text| frame(&Flag::Broadcast, text, None);
        let stream = [
            plain("a"),
            plain("b"),
            plain("c"),
            frame(&Flag::Waterfall, "d", Some(Method::Zlib)),
        ]
        .concat();
        let frames = batch(&stream).into_relay(&[0, 2, 3]);
        let counts: Vec<_> = frames.iter().map(|frames| frames.count).collect();
        assert_eq!(counts, [2, 1]);
        let relay = |text| frame(&Flag::Waterfall, text, None);
        assert_eq!(frames[0].plain, [relay("a"), relay("c")].concat());
    }

    #[test]
    fn a_frame_that_could_be_taken_for_a_compressed_one_is_made_clear_and_keeps_its_place() {
        let me = NodeId::parse("A").unwrap();
        let composer = Composer::new(Generation::V0_7, Limits::default(), me);
        let compose = |n: u32| {
            let payload = [Packet::from("\0"), Packet::from(n.to_string())];
            let composed = composer.compose(&Flag::Broadcast, &payload, 1);
            composed.unwrap().frames.plain
        };
        let all: Vec<_> = (0..100_000).map(compose).collect();
        let (ambiguous, clear): (Vec<_>, Vec<_>) = all
            .into_iter()
            .partition(|frame| is_ambiguous(&frame[PREFIX..]));
        assert!((50..400).contains(&ambiguous.len()), "{}", ambiguous.len());
        for ambiguous in ambiguous {
            let stream = [&clear[0], &clear[1], &ambiguous, &clear[2]].map(|frame| &frame[..]);
            let batch = || {
                let bytes = stream.concat();
                Batch::from_frames(Generation::V0_7, Limits::default(), &bytes).unwrap()
            };
            for relayed in [
                batch().relay_some(&[0, 1, 2, 3]),
                batch().into_relay(&[0, 1, 2, 3]),
            ] {
                let counts: Vec<_> = relayed.iter().map(|frames| frames.count).collect();
                assert_eq!(counts, [2, 1, 1]);
                assert_eq!(relayed[1].plain, ambiguous);
                assert!(relayed[1].compressible);
                for &method in Method::available() {
                    let pressed = relayed[1].deflate(&mut Deflater::new(), method).unwrap();
                    let read = Batch::from_frames(Generation::V0_7, Limits::default(), &pressed);
                    assert_eq!(read.unwrap().get(0).unwrap().body, &ambiguous[PREFIX..]);
                }
            }
        }
    }

    #[test]
    fn what_is_no_broadcast_is_left_out() {
        let stream = [frame(&Flag::Whisper, "a", None), framed(b"garbage")].concat();
        assert!(batch(&stream).relay_some(&[0, 1, 2]).is_empty());
        assert!(batch(&stream).into_relay(&[0, 1]).is_empty());
        assert!(batch(&[]).into_relay(&[]).is_empty());
    }

    #[test]
    fn what_is_held_lives_as_long_as_the_bytes() {
        let permit = std::sync::Arc::new(());
        let mut batch = batch(&frame(&Flag::Broadcast, "a", None));
        batch.hold(Hold::new(permit.clone()));
        let frames = batch.into_relay(&[0]);
        assert_eq!(std::sync::Arc::strong_count(&permit), 2);
        drop(frames);
        assert_eq!(std::sync::Arc::strong_count(&permit), 1);
    }
}
