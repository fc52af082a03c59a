//! Outbound bytes: whole frames ready to be written, shared by all connections that write them.

use std::{any::Any, fmt, sync::Arc};

use bytes::Bytes;

use crate::wire::{
    compression::{Deflater, Method, is_ambiguous},
    layout::{PREFIX, prefix},
};

/// Keeps something alive, such as a permit of a budget, as long as the bytes it belongs to.
#[derive(Clone, Default)]
pub struct Hold(Option<Arc<dyn Any + Send + Sync>>);

impl Hold {
    /// Holds nothing.
    pub fn none() -> Hold {
        Hold(None)
    }

    /// Holds `held` until the last clone is dropped.
    pub fn new(held: impl Any + Send + Sync) -> Hold {
        Hold(Some(Arc::new(held)))
    }

    /// Returns the held value, if it is of this type.
    #[cfg(feature = "node")]
    pub(crate) fn get<T: Any>(&self) -> Option<&T> {
        self.0.as_deref()?.downcast_ref()
    }

    /// Whether it is a clone of `other`.
    pub fn is(&self, other: &Hold) -> bool {
        match (&self.0, &other.0) {
            (Some(held), Some(other)) => Arc::ptr_eq(held, other),
            _ => false,
        }
    }
}

impl fmt::Debug for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Hold(..)" } else { "Hold" })
    }
}

/// A body below this many bytes is not worth compressing: half of it is ids, which hardly shrink.
const COMPRESSIBLE: usize = 128;

/// An ambiguous body up to this size is compressed even if that makes it longer. A larger body might then exceed a
/// limit that it just met.
const MADE_CLEAR: usize = 1024 * 1024;

/// Whether a single plain frame, prefix included, is worth compressing: it may shrink, or it is ambiguous.
pub(in crate::wire) fn is_compressible(frame: &[u8]) -> bool {
    let body = frame.get(PREFIX..).unwrap_or_default();
    body.len() >= COMPRESSIBLE || is_ambiguous(body)
}

/// One or more whole frames, length prefixes included. Clones share the bytes.
#[derive(Clone, Debug)]
pub struct Frames {
    /// The uncompressed frames, which every peer reads.
    pub plain: Bytes,
    /// The number of frames.
    pub count: u32,
    /// The same single frame compressed with that method, as received or as compressed before.
    pub compressed: Option<(Method, Bytes)>,
    /// Whether this is a single frame for which [`Frames::deflate`] is worth trying.
    pub compressible: bool,
    /// A value that must live as long as the bytes.
    pub hold: Hold,
}

impl Frames {
    /// Wraps a single plain frame.
    pub fn single(plain: Bytes) -> Frames {
        Frames {
            compressible: is_compressible(&plain),
            plain,
            count: 1,
            compressed: None,
            hold: Hold::none(),
        }
    }

    /// Replaces the hold.
    #[must_use]
    pub fn held(self, hold: &Hold) -> Frames {
        Frames {
            hold: hold.clone(),
            ..self
        }
    }

    /// Returns the bytes that all forms take.
    pub(crate) fn memory(&self) -> usize {
        let compressed = self.compressed.as_ref();
        self.plain.len() + compressed.map_or(0, |(_, bytes)| bytes.len())
    }

    /// Returns the bytes for a peer that reads that method: compressed if that form is available, else plain.
    pub fn wire_form(&self, method: Option<Method>) -> &Bytes {
        match &self.compressed {
            Some((have, bytes)) if Some(*have) == method => bytes,
            _ => &self.plain,
        }
    }

    /// Whether this is a single frame that a peer could take for a compressed one.
    pub fn is_ambiguous(&self) -> bool {
        self.count == 1 && self.plain.get(PREFIX..).is_some_and(is_ambiguous)
    }

    /// Compresses a single frame, length prefix included; `None` if that saves less than an eighth, if there is more
    /// than one frame, or if this build lacks the method. An [ambiguous](Frames::is_ambiguous) frame of up to 1 MiB is
    /// compressed whatever it saves.
    pub fn deflate(&self, deflater: &mut Deflater, method: Method) -> Option<Bytes> {
        let body = self.plain.get(PREFIX..).filter(|_| self.count == 1)?;
        let limit = if self.is_ambiguous() && body.len() <= MADE_CLEAR {
            usize::MAX
        } else {
            body.len() - body.len().div_ceil(8)
        };
        let mut out = Vec::with_capacity(PREFIX + body.len() / 2 + 64);
        out.extend_from_slice(&[0; PREFIX]);
        deflater.append(method, body, limit, &mut out)?;
        let length = prefix(out.len() - PREFIX);
        out[..PREFIX].copy_from_slice(&length);
        out.shrink_to_fit();
        Some(Bytes::from(out))
    }
}

/// Returns how many of these frames, prefixes included, end after the first `bytes` bytes.
#[cfg(any(feature = "node", test))]
pub(crate) fn frames_beyond(frames: &[u8], bytes: usize) -> u64 {
    let (mut end, mut beyond) = (0_usize, 0);
    while let Some(length) = frames.get(end..).and_then(|rest| rest.first_chunk()) {
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        end = end.saturating_add(PREFIX).saturating_add(length);
        beyond += u64::from(end > bytes);
    }
    beyond
}

#[cfg(test)]
mod tests {
    use sha2::Digest as _;

    use super::*;
    use crate::wire::{Composer, Flag, Generation, Limits, NodeId, Packet};

    fn frames(body: Vec<u8>) -> Frames {
        let me = NodeId::parse("A").unwrap();
        Composer::new(Generation::V0_4, Limits::default(), me)
            .compose(&Flag::Broadcast, &[Packet::from(body)], 1)
            .unwrap()
            .frames
    }

    #[test]
    fn a_frame_begun_counts_as_beyond() {
        let three = [&prefix(2)[..], b"ab", &prefix(0), &prefix(1), b"c"].concat();
        let beyond = [0, 1, 5, 6, 9, 10, 14, 15].map(|at| frames_beyond(&three, at));
        assert_eq!(beyond, [3, 3, 3, 2, 2, 1, 1, 0]);
        assert_eq!(frames_beyond(&[0xff; 4], 0), 1);
    }

    #[test]
    fn small_frames_are_not_worth_compressing() {
        let small = frames(Vec::new());
        assert!(!small.compressible);
        let fits = frames(vec![b'a'; PREFIX + COMPRESSIBLE - small.plain.len()]);
        assert_eq!(fits.plain.len(), PREFIX + COMPRESSIBLE);
        assert!(fits.compressible);
    }

    #[test]
    fn what_does_not_shrink_stays_plain() {
        let mut deflater = Deflater::new();
        let noise = (0..100_u8).flat_map(|seed| sha2::Sha256::digest([seed]));
        let noise = frames(noise.collect());
        let zeros = frames(vec![0; 4000]);
        for &method in Method::available() {
            assert_eq!(noise.deflate(&mut deflater, method), None, "{method}");
            let deflated = zeros.deflate(&mut deflater, method).unwrap();
            assert_eq!(deflated[..PREFIX], prefix(deflated.len() - PREFIX));
            assert!(deflated.len() < 400, "{method}");
        }
    }

    #[test]
    fn several_frames_are_never_compressed_together() {
        let two = Frames {
            count: 2,
            ..frames(vec![0; 4000])
        };
        assert_eq!(two.deflate(&mut Deflater::new(), Method::Zlib), None);
    }
}
