//! Names for messages: what keeps two equal values apart, and what an answer is recognised by.
//!
//! A message's id on the wire covers its payload and the second it was written in, so an equal payload within a
//! second would be taken for a repetition. The tag that travels beside a value differs each time.

use std::cell::Cell;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;

/// The characters of a tag: those of base64 in addresses.
const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
/// Digits of a name: 64 bits and two to spare.
const LEN: usize = 11;

thread_local! {
    /// The last name given on this thread. It begins anywhere, so that threads and programs do not meet.
    static LAST: Cell<u64> = Cell::new(RandomState::new().hash_one(0));
}

/// `word:name`, with a name that no other message has.
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

/// Steps by an odd number far from small ones, so that neighbours in time share no digits.
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
