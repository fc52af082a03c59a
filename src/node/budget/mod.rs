//! Memory accounting of a connection's input, until it is written, delivered or dropped.
//!
//! Owns the accounts. Each connection has its own budget; beyond that it may use a share of a pool that all connections
//! of the node have in common. The pool prevents deadlock in a mesh at its limit, where every node waits for others to
//! take what it relays: someone must have room to read on. A connection's share is a part of what is free, so none can
//! take the whole pool, and the more connections need it, the more of it is used. It also holds frames that are larger
//! than a connection's own budget, one after the other, and data queued for slow peers.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

/// A connection that has waited this long for room may use more of the pool.
const WAIT_FOR_MORE: Duration = Duration::from_millis(25);
/// A connection may use this part of the free pool.
const SHARE: usize = 8;
/// All slow peers together may use this part of the pool; beyond it they are closed.
const SLOW: usize = 3;
/// Large inbound frames together may use this part of the pool; a single one may use what it needs.
const LARGE_FRAMES: usize = 2;

/// The budget that all connections of a node share.
#[derive(Debug)]
pub(crate) struct Pool {
    used: AtomicUsize,
    /// The part of it used by data queued for slow peers.
    slow: AtomicUsize,
    /// The part of it used by large inbound frames.
    large: AtomicUsize,
    /// The number of connections; `behind` counts those whose peer is slow.
    links: AtomicUsize,
    behind: AtomicUsize,
    size: usize,
    freed: Notify,
}

impl Pool {
    pub(crate) fn new(size: usize) -> Arc<Self> {
        Arc::new(Self {
            used: AtomicUsize::new(0),
            slow: AtomicUsize::new(0),
            large: AtomicUsize::new(0),
            links: AtomicUsize::new(0),
            behind: AtomicUsize::new(0),
            size,
            freed: Notify::new(),
        })
    }

    /// Returns whether the node keeps up: at least half of the pool is free.
    pub(crate) fn is_calm(&self) -> bool {
        self.used.load(Ordering::Relaxed) <= self.size / 2
    }

    /// Waits until at least half of the pool is free.
    pub(crate) async fn calm(&self) {
        loop {
            let mut freed = pin!(self.freed.notified());
            // Registered before the check, so that no wake-up is missed.
            freed.as_mut().enable();
            if self.is_calm() {
                return;
            }
            freed.await;
        }
    }

    /// Returns the number of connections that have an account.
    pub(crate) fn links(&self) -> usize {
        self.links.load(Ordering::Relaxed)
    }

    fn free(&self) -> usize {
        self.size.saturating_sub(self.used.load(Ordering::Relaxed))
    }

    fn share(&self) -> usize {
        self.free() / SHARE
    }

    /// Returns whether the pool has room for an inflated frame, or only large inbound frames use it: those may be
    /// waiting for this room themselves.
    fn has(&self, bytes: usize) -> bool {
        let used = self.used.load(Ordering::Relaxed);
        used + bytes <= self.size || used <= self.large.load(Ordering::Relaxed)
    }

    fn release(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
        self.freed.notify_waiters();
    }

    /// Reserves room for data queued for a slow peer; `None` if slow peers have used up their part.
    pub(crate) fn for_slow(self: &Arc<Self>, bytes: usize) -> Option<Slow> {
        take(&self.slow, bytes, self.size / SLOW, false)?;
        self.used.fetch_add(bytes, Ordering::Relaxed);
        Some(Slow {
            pool: Arc::clone(self),
            bytes,
        })
    }

    /// Counts a slow peer until the guard is dropped.
    pub(crate) fn one_behind(self: &Arc<Self>) -> Backlogged {
        self.behind.fetch_add(1, Ordering::Relaxed);
        Backlogged(Arc::clone(self))
    }

    /// Returns whether at most half of the peers are slow, so that the fault is theirs. If most are, the whole mesh is
    /// at its limit, and this node with it.
    pub(crate) fn few_are_behind(&self) -> bool {
        let links = self.links();
        self.behind.load(Ordering::Relaxed) * 2 <= links
    }
}

/// Adds `bytes` to `taken` unless the sum exceeds `most`; with `alone`, the only holder may exceed it.
fn take(taken: &AtomicUsize, bytes: usize, most: usize, alone: bool) -> Option<usize> {
    let more = |taken: usize| {
        let sum = taken + bytes;
        (bytes == 0 || sum <= most || (alone && taken == 0)).then_some(sum)
    };
    taken
        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more)
        .ok()
}

/// Room taken by data queued for a slow peer, until dropped.
#[derive(Debug)]
pub(crate) struct Slow {
    pool: Arc<Pool>,
    bytes: usize,
}

impl Drop for Slow {
    fn drop(&mut self) {
        self.pool.slow.fetch_sub(self.bytes, Ordering::Relaxed);
        self.pool.release(self.bytes);
    }
}

/// Counts one slow peer, until dropped.
#[derive(Debug)]
pub(crate) struct Backlogged(Arc<Pool>);

impl Drop for Backlogged {
    fn drop(&mut self) {
        self.0.behind.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The connection must not be read any further.
#[derive(Debug)]
pub(crate) struct Closed;

/// The memory account of one connection.
#[derive(Debug)]
pub(crate) struct Account {
    used: AtomicUsize,
    own: usize,
    pool: Arc<Pool>,
    freed: Notify,
    /// The number of turns taken.
    turns: AtomicU32,
    closed: AtomicBool,
}

impl Account {
    /// Creates an account with this many bytes of its own.
    pub(crate) fn new(own: usize, pool: Arc<Pool>) -> Arc<Self> {
        pool.links.fetch_add(1, Ordering::Relaxed);
        Arc::new(Self {
            used: AtomicUsize::new(0),
            own,
            pool,
            freed: Notify::new(),
            turns: AtomicU32::new(0),
            closed: AtomicBool::new(false),
        })
    }

    /// Fails all waiting and later requests for room.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
        self.freed.notify_waiters();
    }

    /// Waits until there is room to read. The cost is charged after the read, so an account can be overdrawn by one
    /// batch.
    pub(crate) async fn room(&self) -> Result<(), Closed> {
        if self.has_room_now()? {
            return Ok(());
        }
        let room = self.until(|| self.has_room(false).then_some(()));
        if let Ok(room) = tokio::time::timeout(WAIT_FOR_MORE, room).await {
            return room;
        }
        self.until(|| self.has_room(true).then_some(())).await
    }

    /// Returns whether there is room to read without waiting.
    pub(crate) fn has_room_now(&self) -> Result<bool, Closed> {
        let room = self.attempt(&|| self.has_room(false).then_some(()))?;
        Ok(room.is_some())
    }

    /// Waits until fewer than `most` turns are taken, and takes one.
    pub(crate) async fn turn(self: &Arc<Self>, most: u32) -> Result<BatchSlot, Closed> {
        let next = |taken: u32| (taken < most).then_some(taken + 1);
        let taken = || {
            self.turns
                .fetch_update(Ordering::Acquire, Ordering::Relaxed, next)
                .ok()
        };
        self.until(taken).await.map(|_| BatchSlot(Arc::clone(self)))
    }

    /// Waits for room for an inbound frame of this many bytes, and charges it.
    pub(crate) async fn for_frame(self: &Arc<Self>, bytes: usize) -> Result<FramePermit, Closed> {
        self.until(|| self.is_used_by(0, bytes)).await?;
        let shared = bytes.saturating_sub(self.own);
        let most = self.pool.size / LARGE_FRAMES;
        self.until(|| take(&self.pool.large, shared, most, true))
            .await?;
        Ok(FramePermit {
            charge: self.charge(bytes),
            bytes,
            shared,
        })
    }

    /// Waits for room to inflate a frame to this many bytes, and charges them; `large`: the permit of a large inbound
    /// frame.
    pub(crate) async fn to_inflate(
        self: &Arc<Self>,
        bytes: usize,
        large: Option<&FramePermit>,
    ) -> Result<Arc<MemoryPermit>, Closed> {
        let held = large.map_or(0, |large| large.bytes);
        self.until(|| self.is_used_by(held, bytes)).await?;
        let shared = (held + bytes).saturating_sub(self.own.max(held));
        self.until(|| (shared == 0 || self.pool.has(shared)).then_some(()))
            .await?;
        Ok(self.charge(bytes))
    }

    /// Returns `Some` if `bytes` fit the connection's own budget, or nothing but `held` is charged to it.
    fn is_used_by(&self, held: usize, bytes: usize) -> Option<()> {
        let used = self.used.load(Ordering::Relaxed);
        (used <= held || used + bytes <= self.own).then_some(())
    }

    async fn until<T>(&self, attempt: impl Fn() -> Option<T>) -> Result<T, Closed> {
        loop {
            if let Some(room) = self.attempt(&attempt)? {
                return Ok(room);
            }
            let mut own = pin!(self.freed.notified());
            let mut shared = pin!(self.pool.freed.notified());
            // Registered before the check, so that no wake-up is missed.
            own.as_mut().enable();
            shared.as_mut().enable();
            if let Some(room) = self.attempt(&attempt)? {
                return Ok(room);
            }
            tokio::select! {
                () = own => {}
                () = shared => {}
            }
        }
    }

    fn attempt<T>(&self, attempt: &impl Fn() -> Option<T>) -> Result<Option<T>, Closed> {
        if self.closed.load(Ordering::Relaxed) {
            return Err(Closed);
        }
        Ok(attempt())
    }

    /// Returns the free bytes of its own budget.
    pub(crate) fn left(&self) -> usize {
        self.own.saturating_sub(self.used.load(Ordering::Relaxed))
    }

    /// Returns whether there is room to read. After waiting, a connection may use the whole free pool: in a cycle of
    /// nodes that wait for each other, what one reads makes room at its neighbour.
    fn has_room(&self, waited: bool) -> bool {
        let used = self.used.load(Ordering::Relaxed);
        let share = if waited {
            self.pool.free()
        } else {
            self.pool.share()
        };
        used < self.own || used - self.own < share
    }

    /// Charges bytes that were read.
    pub(crate) fn charge(self: &Arc<Self>, bytes: usize) -> Arc<MemoryPermit> {
        let before = self.used.fetch_add(bytes, Ordering::Relaxed);
        let borrowed = self.borrowed(before + bytes) - self.borrowed(before);
        self.pool.used.fetch_add(borrowed, Ordering::Relaxed);
        Arc::new(MemoryPermit {
            account: Arc::clone(self),
            bytes: AtomicUsize::new(bytes),
        })
    }

    /// Returns the part of `used` that exceeds the account's own budget.
    fn borrowed(&self, used: usize) -> usize {
        used.saturating_sub(self.own)
    }

    fn release(&self, bytes: usize) {
        let before = self.used.fetch_sub(bytes, Ordering::Relaxed);
        let returned = self.borrowed(before) - self.borrowed(before - bytes);
        if returned > 0 {
            self.pool.release(returned);
        }
        self.freed.notify_waiters();
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.pool.links.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One of the connection's turns, until dropped.
#[derive(Debug)]
pub(crate) struct BatchSlot(Arc<Account>);

impl Drop for BatchSlot {
    fn drop(&mut self) {
        self.0.turns.fetch_sub(1, Ordering::Release);
        self.0.freed.notify_waiters();
    }
}

/// The charge for one batch, until dropped.
#[derive(Debug)]
pub(crate) struct MemoryPermit {
    account: Arc<Account>,
    bytes: AtomicUsize,
}

impl MemoryPermit {
    /// Reduces the charge to these bytes: the rest of the batch was duplicates.
    pub(crate) fn shrink(&self, bytes: usize) {
        let before = self.bytes.fetch_min(bytes, Ordering::Relaxed);
        if before > bytes {
            self.account.release(before - bytes);
        }
    }
}

impl Drop for MemoryPermit {
    fn drop(&mut self) {
        self.account.release(*self.bytes.get_mut());
    }
}

/// The charge for a large inbound frame, until dropped.
#[derive(Debug)]
pub(crate) struct FramePermit {
    charge: Arc<MemoryPermit>,
    bytes: usize,
    /// The part of it beyond the connection's own budget.
    shared: usize,
}

impl Drop for FramePermit {
    fn drop(&mut self) {
        let pool = &self.charge.account.pool;
        pool.large.fetch_sub(self.shared, Ordering::Relaxed);
        pool.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn may_read(account: &Account) -> bool {
        account.room().now_or_never().is_some()
    }

    #[actix::test]
    async fn a_turn_is_taken_again_once_it_was_given_back() {
        let account = Account::new(100, Pool::new(800));
        let one = account.turn(2).await.unwrap();
        let _other = account.turn(2).await.unwrap();
        let mut third = pin!(account.turn(2));
        assert!(third.as_mut().now_or_never().is_none());
        drop(one);
        assert!(third.as_mut().now_or_never().unwrap().is_ok());
        account.close();
        assert!(account.turn(9).await.is_err());
    }

    #[actix::test]
    async fn an_account_has_its_own_bytes_and_a_share_of_what_is_free() {
        let pool = Pool::new(800);
        let (one, other) = (
            Account::new(100, pool.clone()),
            Account::new(100, pool.clone()),
        );
        let own = one.charge(100);
        assert!(may_read(&one));
        let shared = one.charge(95);
        assert!(
            !may_read(&one),
            "705 of the pool are free, and an eighth is 88"
        );
        let others = other.charge(160);
        assert!(may_read(&other), "645 are free, and an eighth is 80");
        drop(own);
        assert!(may_read(&one));
        drop((shared, others));
        assert_eq!(pool.used.load(Ordering::Relaxed), 0);
    }

    #[actix::test]
    async fn what_is_shrunk_or_dropped_comes_back_once() {
        let pool = Pool::new(0);
        let account = Account::new(100, pool.clone());
        let charge = account.charge(150);
        assert!(!may_read(&account));
        charge.shrink(90);
        charge.shrink(95);
        assert!(may_read(&account));
        assert_eq!(account.used.load(Ordering::Relaxed), 90);
        drop(charge);
        assert_eq!(account.used.load(Ordering::Relaxed), 0);
        assert_eq!(pool.used.load(Ordering::Relaxed), 0);
    }

    #[actix::test]
    async fn who_waits_is_woken_by_room_of_its_own_in_the_pool_or_by_the_end() {
        let pool = Pool::new(80);
        let (one, other) = (
            Account::new(10, pool.clone()),
            Account::new(10, pool.clone()),
        );
        let (mine, others) = (one.charge(15), other.charge(90));
        assert!(!pool.is_calm());
        let waiting = |account: &Arc<Account>| {
            let account = account.clone();
            actix::spawn(async move { account.room().await })
        };
        let woken = waiting(&one);
        tokio::task::yield_now().await;
        assert!(!woken.is_finished());
        drop(others);
        woken.await.unwrap().unwrap();
        pool.calm().await;

        let full = one.charge(90);
        let woken = waiting(&one);
        tokio::task::yield_now().await;
        drop(full);
        woken.await.unwrap().unwrap();

        let _full = one.charge(90);
        let woken = waiting(&one);
        tokio::task::yield_now().await;
        one.close();
        assert!(woken.await.unwrap().is_err());
        drop(mine);
    }

    #[actix::test]
    async fn slow_peers_have_a_third_of_the_pool_together() {
        let pool = Pool::new(900);
        let first = pool.for_slow(200).unwrap();
        assert!(pool.for_slow(101).is_none());
        let second = pool.for_slow(100).unwrap();
        assert_eq!(pool.share(), 600 / 8);
        drop((first, second));
        assert!(pool.for_slow(300).is_some());
        assert_eq!(pool.used.load(Ordering::Relaxed), 0);
    }

    #[actix::test]
    async fn large_frames_come_in_within_half_of_the_pool_or_one_by_one() {
        let pool = Pool::new(1000);
        let accounts: Vec<_> = (0..4).map(|_| Account::new(100, pool.clone())).collect();
        let large = |n: usize, bytes| accounts[n].for_frame(bytes).now_or_never();
        let huge = large(0, 5000).unwrap();
        assert!(large(1, 101).is_none());
        assert!(large(1, 100).is_some(), "it needs nothing but its own");
        drop(huge);
        let first = large(0, 400).unwrap();
        let second = large(1, 300).unwrap();
        assert!(large(2, 101).is_none());
        drop(first);
        assert!(large(2, 400).is_some());
        drop(second);
        assert_eq!(pool.large.load(Ordering::Relaxed), 0);
        assert_eq!(pool.used.load(Ordering::Relaxed), 0);
    }

    #[actix::test]
    async fn who_inflates_waits_for_all_else_of_its_own_and_for_room_in_the_pool() {
        let pool = Pool::new(1000);
        let (account, other) = (
            Account::new(100, pool.clone()),
            Account::new(100, pool.clone()),
        );
        let inflate = |bytes| account.to_inflate(bytes, None).now_or_never();
        let before = account.charge(50);
        assert!(inflate(40).is_some(), "it fits beside the rest");
        assert!(inflate(500).is_none());
        drop(before);
        let inflated = inflate(500).unwrap().unwrap();
        assert!(other.to_inflate(900, None).now_or_never().is_none());
        inflated.shrink(100);
        assert!(other.to_inflate(900, None).now_or_never().is_some());
        drop(inflated);
        assert!(inflate(5000).is_some(), "nobody else needs any");
        account.close();
        assert!(inflate(1).unwrap().is_err());
    }

    #[actix::test]
    async fn large_frames_that_came_in_do_not_wait_on_each_other_to_inflate() {
        let pool = Pool::new(300);
        let accounts = [100, 100].map(|own| Account::new(own, pool.clone()));
        let frames = accounts
            .each_ref()
            .map(|account| account.for_frame(175).now_or_never().unwrap().unwrap());
        for (account, frame) in accounts.iter().zip(&frames) {
            let inflated = account.to_inflate(1000, Some(frame)).now_or_never();
            assert!(inflated.unwrap().is_ok());
        }
    }
}
