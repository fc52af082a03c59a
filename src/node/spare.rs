//! The read buffers of a thread, used again as soon as what was read into them is gone.
//!
//! Owns no bytes that anybody still needs: a buffer is given back while the frames read into it are on their
//! way, and reused once the last of them has been written, delivered or dropped. Freeing and allocating
//! 64 KiB for each read costs more than the read's frames, and makes the allocator tidy up every time.

use std::cell::RefCell;
use std::collections::VecDeque;

use bytes::BytesMut;

/// Kept by each thread at most, so an idle node holds 256 KiB of them.
const MOST: usize = 4;

thread_local! {
    /// Given back the longest ago first: that one is the likeliest to be free.
    static SPARE: RefCell<VecDeque<BytesMut>> = const { RefCell::new(VecDeque::new()) };
}

/// An empty buffer with room for this many bytes.
pub(super) fn take(room: usize) -> BytesMut {
    let mut buffer = SPARE
        .with_borrow_mut(VecDeque::pop_front)
        .unwrap_or_default();
    // Without allocating, if nobody shares it any more.
    buffer.reserve(room);
    buffer
}

/// Takes back what was [`take`]n, whoever still shares it.
pub(super) fn give_back(mut buffer: BytesMut) {
    buffer.clear();
    SPARE.with_borrow_mut(|spare| {
        if spare.len() < MOST {
            spare.push_back(buffer);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_used_again_once_what_was_read_into_it_is_gone() {
        let mut buffer = take(1000);
        buffer.extend_from_slice(&[7; 1000]);
        let frames = buffer.split();
        let place = frames.as_ptr();
        give_back(buffer);
        drop(frames);
        assert_eq!(take(1000).as_ptr(), place);
    }

    #[test]
    fn a_buffer_that_is_shared_stays_as_it_is() {
        let mut buffer = take(1000);
        buffer.extend_from_slice(&[7; 1000]);
        let frames = buffer.split();
        give_back(buffer);
        let mut other = take(1000);
        other.extend_from_slice(&[8; 1000]);
        assert_eq!(&frames[..], [7; 1000]);
    }
}
