//! The text of an id, stored in place: a clone copies its bytes, and the ids of a message need no allocation.
//!
//! Knows nothing of base58; the caller checks the text.

use std::{
    cmp::Ordering,
    hash::{Hash, Hasher},
};

use crate::wire::base58;

/// The most characters stored in place: the length of a digest, and so of every derived id.
const IN_PLACE: usize = base58::DIGEST_LEN;

/// Equality, order and hash are those of the bytes of the text.
#[derive(Clone)]
pub(super) enum Text {
    InPlace { len: u8, bytes: [u8; IN_PLACE] },
    Long(Box<[u8]>),
}

impl Text {
    #[inline]
    pub(super) fn new(text: &[u8]) -> Text {
        Text::begins(text, text.len())
    }

    /// Takes the first `len` bytes as the text. If there are enough bytes, it copies a fixed number of them, those
    /// after the text included, which takes a fraction of the time.
    #[inline]
    pub(super) fn begins(bytes: &[u8], len: usize) -> Text {
        match (bytes.first_chunk(), u8::try_from(len)) {
            (Some(start), Ok(short)) if len <= IN_PLACE => Text::InPlace {
                len: short,
                bytes: *start,
            },
            _ => Text::copied(&bytes[..len]),
        }
    }

    fn copied(text: &[u8]) -> Text {
        let mut bytes = [0; IN_PLACE];
        match (u8::try_from(text.len()), bytes.get_mut(..text.len())) {
            (Ok(len), Some(start)) => {
                start.copy_from_slice(text);
                Text::InPlace { len, bytes }
            }
            _ => Text::Long(text.into()),
        }
    }

    #[inline]
    pub(super) fn as_bytes(&self) -> &[u8] {
        match self {
            Text::InPlace { len, bytes } => &bytes[..usize::from(*len)],
            Text::Long(bytes) => bytes,
        }
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Text) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Text {}

impl PartialOrd for Text {
    fn partial_cmp(&self, other: &Text) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Text {
    fn cmp(&self, other: &Text) -> Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}

impl Hash for Text {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

#[cfg(test)]
mod tests {
    use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};

    use super::*;

    fn hash(value: impl Hash) -> u64 {
        BuildHasherDefault::<DefaultHasher>::default().hash_one(value)
    }

    /// Texts around the length above which a text is allocated.
    fn texts() -> impl Iterator<Item = Vec<u8>> {
        let lengths = [1, 2, IN_PLACE - 1, IN_PLACE, IN_PLACE + 1, 128];
        lengths
            .into_iter()
            .flat_map(|len| [vec![b'1'; len], vec![b'z'; len]])
    }

    #[test]
    fn a_text_is_told_by_its_bytes_wherever_they_are() {
        for ours in texts() {
            let text = Text::new(&ours);
            assert_eq!(text.as_bytes(), ours);
            assert_eq!(text.clone().as_bytes(), ours);
            assert_eq!(hash(&text), hash(&ours[..]));
            assert_eq!(matches!(text, Text::InPlace { .. }), ours.len() <= IN_PLACE);
            for theirs in texts() {
                let other = Text::new(&theirs);
                assert_eq!(text == other, ours == theirs);
                assert_eq!(text.cmp(&other), ours.cmp(&theirs));
            }
        }
    }

    #[test]
    fn bytes_behind_the_text_do_not_count() {
        let mut bytes = [b'x'; IN_PLACE];
        bytes[0] = b'a';
        let text = Text::InPlace { len: 1, bytes };
        assert!(text == Text::new(b"a"));
        assert_eq!(hash(&text), hash(&b"a"[..]));
        assert_eq!(text.cmp(&Text::new(b"b")), Ordering::Less);
    }
}
