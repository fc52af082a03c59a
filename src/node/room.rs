//! Room for what comes in: each connection's own budget, and what all connections share for the rare large.
//!
//! Owns the accounting of bytes that are held, one permit a byte. Whoever waits here waits for room of its
//! own first, then for that of large frames, then for that of inflating, and gives back in any order: so
//! nobody waits in a circle. Knows neither sockets nor frames.

use std::sync::Arc;

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

/// Room for what is inflated, taken before anything is known of it. A frame that inflates to more waits until
/// everything else of its connection is done with.
pub(super) const NEAR: usize = 256 * 1024;
/// What a batch costs besides its bytes: an envelope in the Router's mailbox and the batch's own lists.
const OVERHEAD: usize = 256;
/// Frames of the largest size, beyond what their connections have room for, that may come in at once; and
/// that may be inflated at once.
const LARGE: usize = 2;

/// What all connections of a node share.
#[derive(Clone, Debug)]
pub(super) struct Commons {
    large: Arc<Semaphore>,
    inflating: Arc<Semaphore>,
    /// The largest frame.
    frame: u32,
    /// For what waits for peers that take next to nothing.
    pub(super) slow: Arc<Semaphore>,
}

impl Commons {
    pub(super) fn new(frame: usize, slow: u32) -> Self {
        let frame = permits(frame);
        let several = || Arc::new(Semaphore::new(frame as usize * LARGE));
        Self {
            large: several(),
            inflating: several(),
            frame,
            slow: Arc::new(Semaphore::new(slow as usize)),
        }
    }
}

/// The room of one connection.
#[derive(Clone, Debug)]
pub(super) struct Account {
    budget: Arc<Semaphore>,
    size: u32,
    commons: Commons,
}

/// The connection is to be read no further.
#[derive(Debug)]
pub(super) struct Closed;

impl From<AcquireError> for Closed {
    fn from(_: AcquireError) -> Self {
        Closed
    }
}

impl Account {
    pub(super) fn new(size: u32, commons: Commons) -> Self {
        Self {
            budget: Arc::new(Semaphore::new(size as usize)),
            size,
            commons,
        }
    }

    /// Whoever waits for room is told that there will be none.
    pub(super) fn close(&self) {
        self.budget.close();
    }

    /// For frames of this many bytes together that are there.
    pub(super) async fn for_bytes(&self, bytes: usize) -> Result<Room, Closed> {
        let own = permits(bytes + NEAR + OVERHEAD).min(self.size);
        Ok(Room {
            own: Arc::clone(&self.budget).acquire_many_owned(own).await?,
            shared: [None, None],
        })
    }

    /// For one frame of this many bytes that is still coming in.
    pub(super) async fn for_frame(&self, bytes: usize) -> Result<Room, Closed> {
        let mut room = self.for_bytes(bytes).await?;
        let beyond = permits(bytes).saturating_sub(self.size);
        if beyond > 0 {
            let large = Arc::clone(&self.commons.large);
            let beyond = beyond.min(self.commons.frame);
            room.shared[0] = Some(large.acquire_many_owned(beyond).await?);
        }
        Ok(room)
    }

    /// For whatever a frame may inflate to.
    pub(super) async fn widen(&self, room: &mut Room) -> Result<(), Closed> {
        let rest = self.size.saturating_sub(permits(room.own.num_permits()));
        let rest = Arc::clone(&self.budget).acquire_many_owned(rest).await?;
        room.own.merge(rest);
        let inflating = Arc::clone(&self.commons.inflating);
        room.shared[1] = Some(inflating.acquire_many_owned(self.commons.frame).await?);
        Ok(())
    }
}

/// Room that was taken: given back when dropped.
#[derive(Debug)]
pub(super) struct Room {
    own: OwnedSemaphorePermit,
    /// Of large frames, and of inflating.
    shared: [Option<OwnedSemaphorePermit>; 2],
}

impl Room {
    /// Gives back what this many bytes do not need.
    pub(super) fn shrink_to(&mut self, bytes: usize) {
        let mut left = bytes.saturating_add(OVERHEAD);
        left = left.saturating_sub(keep(&mut self.own, left));
        for shared in &mut self.shared {
            if let Some(permit) = shared {
                left = left.saturating_sub(keep(permit, left));
            }
            shared.take_if(|permit| permit.num_permits() == 0);
        }
    }
}

/// Keeps at most that many; how many were kept.
fn keep(permit: &mut OwnedSemaphorePermit, most: usize) -> usize {
    drop(permit.split(permit.num_permits().saturating_sub(most)));
    permit.num_permits()
}

/// More than can be counted is as good as the most that can.
fn permits(bytes: usize) -> u32 {
    /// A semaphore has no more.
    const MOST: usize = u32::MAX as usize >> 3;
    u32::try_from(bytes.min(MOST)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    const MIB: usize = 1 << 20;

    fn account() -> Account {
        Account::new(permits(MIB), Commons::new(4 * MIB, 0))
    }

    fn free(account: &Account) -> [usize; 3] {
        let Commons {
            large, inflating, ..
        } = &account.commons;
        [&account.budget, large, inflating].map(|semaphore| semaphore.available_permits())
    }

    #[actix::test]
    async fn what_is_not_needed_is_given_back_at_once_and_the_rest_at_the_end() {
        let account = account();
        let mut room = account.for_bytes(1000).await.unwrap();
        room.shrink_to(1000);
        assert_eq!(free(&account), [MIB - 1000 - OVERHEAD, 8 * MIB, 8 * MIB]);
        drop(room);
        assert_eq!(free(&account), [MIB, 8 * MIB, 8 * MIB]);
    }

    #[actix::test]
    async fn a_large_frame_takes_what_all_share_beyond_its_own_room() {
        let account = account();
        let mut room = account.for_frame(4 * MIB).await.unwrap();
        assert_eq!(free(&account), [0, 5 * MIB, 8 * MIB]);
        account.widen(&mut room).await.unwrap();
        assert_eq!(free(&account), [0, 5 * MIB, 4 * MIB]);
        room.shrink_to(5 * MIB);
        assert_eq!(free(&account), [0, 5 * MIB, 7 * MIB - OVERHEAD]);
        room.shrink_to(10);
        assert_eq!(free(&account), [MIB - 10 - OVERHEAD, 8 * MIB, 8 * MIB]);
    }

    #[actix::test]
    async fn who_waits_for_room_is_told_when_there_will_be_none() {
        let account = account();
        let held = account.for_frame(MIB).await.unwrap();
        let other = account.clone();
        let waiting = actix::spawn(async move { other.for_bytes(1).await.is_err() });
        assert!(
            timeout(Duration::from_millis(5), account.for_bytes(1))
                .await
                .is_err()
        );
        account.close();
        assert!(waiting.await.unwrap());
        drop(held);
    }
}
