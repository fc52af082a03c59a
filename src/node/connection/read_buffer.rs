//! The read buffers of a thread, reused once the frames in them are gone.
//!
//! Owns no bytes that are still needed: a buffer is given back while the frames read into it are in use, and reused
//! once the last of them has been written, delivered or dropped. Freeing and allocating 64 KiB or more for each read
//! costs more than handling its frames, and makes the allocator tidy up every time.

use std::cell::RefCell;
use std::collections::VecDeque;

use bytes::BytesMut;

/// The most buffers kept per thread, of the sizes last requested: 2 MiB after the longest reads.
const MAX_SPARE_BUFFERS: usize = 4;

/// A read buffer, and its requested size.
pub(crate) struct ReadBufferPool {
    pub(crate) bytes: BytesMut,
    room: usize,
}

thread_local! {
    /// Oldest first: it is the likeliest to be free.
    static SPARE: RefCell<VecDeque<ReadBufferPool>> = const { RefCell::new(VecDeque::new()) };
}

/// Returns an empty buffer with room for exactly this many bytes.
pub(crate) fn take(room: usize) -> ReadBufferPool {
    let mut bytes = SPARE.with_borrow_mut(|spares| {
        let place = spares.iter().position(|pool| pool.room == room);
        let pool = place.and_then(|place| spares.remove(place));
        pool.map_or_else(BytesMut::new, |pool| pool.bytes)
    });
    // Does not allocate unless frames still share it.
    bytes.reserve(room);
    ReadBufferPool { bytes, room }
}

/// Takes back a buffer from [`take`], whether or not frames still share it.
pub(crate) fn give_back(mut pool: ReadBufferPool) {
    pool.bytes.clear();
    SPARE.with_borrow_mut(|spares| {
        if spares.len() == MAX_SPARE_BUFFERS {
            spares.pop_front();
        }
        spares.push_back(pool);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads into a buffer that is given back at once.
    fn read(bytes: &[u8]) -> BytesMut {
        let mut pool = take(1000);
        pool.bytes.extend_from_slice(bytes);
        let frames = pool.bytes.split();
        give_back(pool);
        frames
    }

    #[test]
    fn a_buffer_is_used_again_once_what_was_read_into_it_is_gone() {
        let frames = read(&[7; 1000]);
        let place = frames.as_ptr();
        drop(frames);
        assert_eq!(take(1000).bytes.as_ptr(), place);
    }

    #[test]
    fn a_buffer_that_is_shared_stays_as_it_is() {
        let frames = read(&[7; 1000]);
        let mut other = take(1000);
        other.bytes.extend_from_slice(&[8; 1000]);
        assert_eq!(&frames[..], [7; 1000]);
    }

    #[test]
    fn a_buffer_has_the_room_that_is_asked_for_and_few_are_kept() {
        for room in [4000, 1000, 2000, 3000, 5000, 1000] {
            let pool = take(room);
            assert_eq!(pool.bytes.capacity(), room);
            give_back(pool);
        }
        let rooms =
            SPARE.with_borrow(|spares| spares.iter().map(|pool| pool.room).collect::<Vec<_>>());
        assert_eq!(rooms, [2000, 3000, 5000, 1000]);
    }
}
