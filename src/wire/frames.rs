//! Outbound bytes: whole frames ready to be written, shared by all who write them.

use std::{any::Any, fmt, sync::Arc};

use bytes::Bytes;

use super::{
    compression::{Deflater, Method},
    layout::{PREFIX, prefix},
};

/// Keeps something alive, such as a permit of a budget, as long as the bytes it stands for.
#[derive(Clone, Default)]
pub struct Hold(Option<Arc<dyn Any + Send + Sync>>);

impl Hold {
    /// Holds nothing.
    pub fn none() -> Hold {
        Hold(None)
    }

    /// Holds this until the last clone is dropped.
    pub fn new(held: impl Any + Send + Sync) -> Hold {
        Hold(Some(Arc::new(held)))
    }
}

impl fmt::Debug for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Hold(..)" } else { "Hold" })
    }
}

/// A body below this many bytes is not worth compressing: ids are half of it and hardly shrink.
const COMPRESSIBLE: usize = 128;

/// Whether a single frame of that length, prefix included, is worth compressing.
pub(super) fn is_compressible(frame_len: usize) -> bool {
    frame_len >= PREFIX + COMPRESSIBLE
}

/// One or more whole frames, length prefixes included. Clones share the bytes.
#[derive(Clone, Debug)]
pub struct Frames {
    /// The frames in plain form, which every peer reads.
    pub plain: Bytes,
    /// How many they are.
    pub count: u32,
    /// The same single frame in that method's form, as it was received or once made.
    pub compressed: Option<(Method, Bytes)>,
    /// A single frame for which [`Frames::deflate`] is worth trying.
    pub compressible: bool,
    /// What must live as long as the bytes.
    pub hold: Hold,
}

impl Frames {
    /// A single plain frame of ours.
    pub(crate) fn single(plain: Vec<u8>) -> Frames {
        Frames {
            compressible: is_compressible(plain.len()),
            plain: Bytes::from(plain),
            count: 1,
            compressed: None,
            hold: Hold::none(),
        }
    }

    /// The bytes for a peer who reads that method: compressed if they are at hand in it, else plain.
    pub fn wire_form(&self, method: Option<Method>) -> &Bytes {
        match &self.compressed {
            Some((have, bytes)) if Some(*have) == method => bytes,
            _ => &self.plain,
        }
    }

    /// A single frame in that method's form, length prefix included; `None` unless it saves at least an eighth, or where
    /// there is more than one frame or no such method in this build.
    pub fn deflate(&self, deflater: &mut Deflater, method: Method) -> Option<Bytes> {
        let body = self.plain.get(PREFIX..).filter(|_| self.count == 1)?;
        let limit = body.len() - body.len().div_ceil(8);
        let mut out = Vec::with_capacity(PREFIX + body.len() / 2 + 64);
        out.extend_from_slice(&[0; PREFIX]);
        deflater.append(method, body, limit, &mut out)?;
        let length = prefix(out.len() - PREFIX);
        out[..PREFIX].copy_from_slice(&length);
        out.shrink_to_fit();
        Some(Bytes::from(out))
    }
}
