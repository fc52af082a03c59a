//! Names: what a message is called in announcements.
//!
//! Owns what tells messages apart by name alone. Knows nothing of the peers that offer them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use crate::wire::Frame;

/// Characters of an author's id.
const MAX_ID: usize = 128;

/// Bytes taken from the id, and from the hash of the packet lengths.
const ID: usize = 24;
const LENGTHS: usize = 12;

/// A message's name in announcements: the beginning of its id, its author, and a hash of its packet lengths, which the
/// id does not cover.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Name {
    id: String,
    pub(super) author: String,
    lengths: String,
}

impl Name {
    pub(super) fn of(frame: &Frame<'_>) -> Self {
        let id = frame.known_id();
        let mut lengths = Sha256::new();
        for packet in frame.payload() {
            lengths.update((packet.len() as u64).to_be_bytes());
        }
        let begin = |bytes: &[u8], count: usize| {
            URL_SAFE_NO_PAD.encode(bytes.get(..count).unwrap_or(bytes))
        };
        Self {
            id: begin(&id, ID),
            author: String::from_utf8_lossy(frame.sender()).into_owned(),
            lengths: begin(&lengths.finalize(), LENGTHS),
        }
    }

    pub(super) fn text(&self) -> String {
        format!("{}.{}.{}", self.id, self.author, self.lengths)
    }

    /// Parses a name. Names are stored, so each part has a maximum length.
    pub(super) fn read(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, '.');
        let mut part = |longest: usize| {
            let part = parts.next().filter(|part| part.len() <= longest);
            part.map(str::to_owned)
        };
        Some(Self {
            id: part(ID * 4 / 3)?,
            author: part(MAX_ID)?,
            lengths: part(LENGTHS * 4 / 3)?,
        })
    }
}

/// A message to be offered: its name and size.
pub(in crate::mesh) struct Large {
    pub(super) name: String,
    pub(super) size: usize,
}

impl Large {
    pub(in crate::mesh) fn of(frame: &Frame<'_>) -> Self {
        Self {
            name: Name::of(frame).text(),
            size: frame.body.len(),
        }
    }
}
