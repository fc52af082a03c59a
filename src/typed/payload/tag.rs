//! Tags of messages: they tell equal values apart and match an answer to its question.
//!
//! A message's id on the wire covers its payload and the second it was written in, so an equal payload within the same
//! second would be dropped as a duplicate. The tag beside a value is different each time.

use std::cell::Cell;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;

/// The characters of a tag: URL-safe base64.
const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
/// Characters of a tag: 64 bits, and two to spare.
const LEN: usize = 11;

thread_local! {
    /// The last number used on this thread. It starts at random, so that threads and processes do not collide.
    static LAST: Cell<u64> = Cell::new(RandomState::new().hash_one(0));
}

/// Returns `word:name`, with a name that no other message has.
pub(in crate::typed) fn fresh(word: &str) -> String {
    let mut tag = String::with_capacity(word.len() + 1 + LEN);
    tag.push_str(word);
    tag.push(':');
    let mut number = next();
    for _ in 0..LEN {
        let digit = usize::try_from(number & 63).unwrap_or_default();
        tag.push(char::from(DIGITS[digit]));
        number >>= 6;
    }
    tag
}

/// Steps by a large odd number, so that consecutive tags share no digits.
fn next() -> u64 {
    LAST.with(|last| {
        let next = last.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        last.set(next);
        next
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn tags_are_short_readable_and_differ() {
        let tags: HashSet<String> = (0..100_000).map(|_| fresh("id")).collect();
        assert_eq!(tags.len(), 100_000);
        assert!(tags.iter().all(|tag| {
            let name = tag.strip_prefix("id:").unwrap();
            name.len() == LEN && name.bytes().all(|digit| DIGITS.contains(&digit))
        }));
    }

    #[test]
    fn threads_do_not_meet() {
        let other = std::thread::spawn(|| fresh("id")).join().unwrap();
        assert_ne!(fresh("id"), other);
    }
}
