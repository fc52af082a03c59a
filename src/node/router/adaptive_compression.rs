//! Adaptive compression of outbound frames: tried where it has recently paid.
//!
//! Owns how often it is tried. Ids are half of a short frame and hardly shrink, and a try costs more than everything
//! else done for such a frame. So where frames of about the same length do not shrink, only some are tried.

use bytes::Bytes;

use crate::wire::{Deflater, Frames, Method};

/// Failed tries in a row before fewer are tried.
const MAX_VAIN_TRIES: u32 = 16;
/// Then one in this many is tried, so that a change is noticed.
const SELDOM: u32 = 16;
/// Size classes: lengths with the same number of binary digits share one.
const CLASSES: usize = 33;

/// The statistics of frames of about one length.
#[derive(Clone, Copy, Debug, Default)]
struct Class {
    /// Failed tries since the last frame that shrank.
    vain: u32,
    /// Frames skipped since the last try.
    passed: u32,
}

impl Class {
    fn is_due(&mut self) -> bool {
        let due = self.vain < MAX_VAIN_TRIES || self.passed + 1 >= SELDOM;
        self.passed = if due { 0 } else { self.passed + 1 };
        due
    }

    fn note(&mut self, shrank: bool) {
        self.vain = if shrank {
            0
        } else {
            self.vain.saturating_add(1)
        };
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct AdaptiveCompression {
    deflater: Deflater,
    classes: [Class; CLASSES],
}

impl AdaptiveCompression {
    pub(crate) fn new() -> Self {
        Self {
            deflater: Deflater::new(),
            classes: [Class::default(); CLASSES],
        }
    }

    /// Compresses a single frame; `None` where it is not tried or does not pay.
    pub(crate) fn compression(&mut self, frames: &Frames, method: Method) -> Option<Bytes> {
        let digits = usize::BITS - frames.plain.len().leading_zeros();
        let class = &mut self.classes[(digits as usize).min(CLASSES - 1)];
        if frames.is_ambiguous() {
            return frames.deflate(&mut self.deflater, method);
        }
        if !class.is_due() {
            return None;
        }
        let pressed = frames.deflate(&mut self.deflater, method);
        class.note(pressed.is_some());
        pressed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Composer, Flag, Generation, Limits, NodeId, Packet};

    fn frames(text: &str) -> Frames {
        let me = NodeId::parse("A").unwrap();
        Composer::new(Generation::V0_4, Limits::default(), me)
            .compose(&Flag::Broadcast, &[Packet::from(text)], 1)
            .unwrap()
            .frames
    }

    /// Returns text of this length that does not shrink by an eighth.
    fn noise(len: u32) -> String {
        let letter = |n: u32| char::from(b'0' + (n.wrapping_mul(2_654_435_761) >> 25) as u8 % 75);
        (0..len).map(letter).collect()
    }

    fn shrinks(compression: &mut AdaptiveCompression, text: &str) -> bool {
        compression
            .compression(&frames(text), Method::Zlib)
            .is_some()
    }

    #[test]
    fn what_never_shrinks_is_tried_seldom_and_a_change_is_noticed() {
        let mut compression = AdaptiveCompression::new();
        for _ in 0..100 {
            assert!(!shrinks(&mut compression, &noise(200)));
        }
        let plain = "a".repeat(200);
        let first = (0..)
            .take_while(|_| !shrinks(&mut compression, &plain))
            .count();
        assert!((1..SELDOM as usize).contains(&first), "{first}");
        assert!(shrinks(&mut compression, &plain), "it pays again");
    }

    #[test]
    fn frames_of_other_lengths_are_another_matter() {
        let mut compression = AdaptiveCompression::new();
        for _ in 0..100 {
            assert!(!shrinks(&mut compression, &noise(200)));
            assert!(shrinks(&mut compression, &"a".repeat(2000)));
        }
    }
}
