//! What a connection's input may cost while it waits to be written, delivered or dropped.
//!
//! Owns the accounts. Each connection has a budget of its own, and reads no further while it is used up.
//!
//! That alone would not do in a mesh at its limit: where each node waits for others to take what it relays,
//! all wait in a circle, for ever. So there is a pool that all connections have in common. A connection may
//! have a small part of what is free of it at once, and who has waited for a while may read on a little at a
//! time until it has as much as it leaves free. What one node reads makes room at its neighbour, who can then
//! read on in turn; every message goes around until each has seen it, and while much of the pool is in use
//! the node starts no new ones.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

/// Who has waited this long for room may read on at the expense of the pool.
const PATIENCE: Duration = Duration::from_millis(25);
/// Who has not may have this part of what is free of the pool.
const AT_ONCE: usize = 8;
/// The node keeps up as long as no more than this part of the pool is in use.
const CALM: usize = 2;

/// What all connections of a node have in common.
#[derive(Debug)]
pub(super) struct Pool {
    used: AtomicUsize,
    size: usize,
    freed: Notify,
}

impl Pool {
    pub(super) fn new(size: usize) -> Arc<Self> {
        Arc::new(Self {
            used: AtomicUsize::new(0),
            size,
            freed: Notify::new(),
        })
    }

    /// Whether the node keeps up: hardly anybody had to wait for long.
    pub(super) fn is_calm(&self) -> bool {
        self.used.load(Ordering::Relaxed) <= self.size / CALM
    }

    /// Waits until the node keeps up.
    pub(super) async fn calm(&self) {
        loop {
            let mut freed = pin!(self.freed.notified());
            // Listening before looking, so that nothing is missed in between.
            freed.as_mut().enable();
            if self.is_calm() {
                return;
            }
            freed.await;
        }
    }

    fn free(&self) -> usize {
        let used = self.used.load(Ordering::Relaxed);
        self.size.saturating_sub(used)
    }
}

/// The connection is to be read no further.
#[derive(Debug)]
pub(super) struct Closed;

/// One connection's account.
#[derive(Debug)]
pub(super) struct Account {
    used: AtomicUsize,
    own: usize,
    pool: Arc<Pool>,
    freed: Notify,
    closed: AtomicBool,
}

impl Account {
    /// With a budget of its own.
    pub(super) fn new(budget: usize, pool: Arc<Pool>) -> Arc<Self> {
        Arc::new(Self {
            used: AtomicUsize::new(0),
            own: budget,
            pool,
            freed: Notify::new(),
            closed: AtomicBool::new(false),
        })
    }

    /// From now on there is no room.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
        self.freed.notify_waiters();
    }

    /// Waits until something may be read. What it then costs is charged afterwards, so an account can be
    /// overdrawn by one batch.
    pub(super) async fn room(&self) -> Result<(), Closed> {
        if self.has_room(false)? {
            return Ok(());
        }
        let mut waited = pin!(tokio::time::sleep(PATIENCE));
        loop {
            let mut own = pin!(self.freed.notified());
            let mut shared = pin!(self.pool.freed.notified());
            // Listening before looking, so that nothing is missed in between.
            own.as_mut().enable();
            shared.as_mut().enable();
            if self.has_room(waited.is_elapsed())? {
                return Ok(());
            }
            tokio::select! {
                () = own => {}
                () = shared => {}
                () = waited.as_mut(), if !waited.is_elapsed() => {}
            }
        }
    }

    fn has_room(&self, waited: bool) -> Result<bool, Closed> {
        if self.closed.load(Ordering::Relaxed) {
            return Err(Closed);
        }
        let used = self.used.load(Ordering::Relaxed);
        let shared = self.pool.free() / if waited { 1 } else { AT_ONCE };
        Ok(used < self.own || used - self.own < shared)
    }

    /// Charges what was read.
    pub(super) fn charge(self: &Arc<Self>, bytes: usize) -> Arc<Charge> {
        let before = self.used.fetch_add(bytes, Ordering::Relaxed);
        let borrowed = self.borrowed(before + bytes) - self.borrowed(before);
        self.pool.used.fetch_add(borrowed, Ordering::Relaxed);
        Arc::new(Charge {
            account: Arc::clone(self),
            bytes: AtomicUsize::new(bytes),
        })
    }

    /// How much of a use is beyond the account's own bytes.
    fn borrowed(&self, used: usize) -> usize {
        used.saturating_sub(self.own)
    }

    fn release(&self, bytes: usize) {
        let before = self.used.fetch_sub(bytes, Ordering::Relaxed);
        let returned = self.borrowed(before) - self.borrowed(before - bytes);
        if returned > 0 {
            self.pool.used.fetch_sub(returned, Ordering::Relaxed);
            self.pool.freed.notify_waiters();
        }
        self.freed.notify_waiters();
    }
}

/// What one batch costs, until it is dropped.
#[derive(Debug)]
pub(super) struct Charge {
    account: Arc<Account>,
    bytes: AtomicUsize,
}

impl Charge {
    /// Gives back what is beyond these bytes: the rest of the batch was nothing new.
    pub(super) fn shrink(&self, bytes: usize) {
        let before = self.bytes.fetch_min(bytes, Ordering::Relaxed);
        if before > bytes {
            self.account.release(before - bytes);
        }
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.account.release(*self.bytes.get_mut());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn may_read(account: &Account, waited: bool) -> bool {
        account.has_room(waited).unwrap()
    }

    #[test]
    fn who_has_waited_may_have_as_much_of_the_pool_as_it_leaves_free() {
        let pool = Pool::new(800);
        let (one, other) = (
            Account::new(100, pool.clone()),
            Account::new(100, pool.clone()),
        );
        let own = one.charge(150);
        assert!(
            may_read(&one, false),
            "50 are used by it, and an eighth of 750 is 93"
        );
        let shared = one.charge(350);
        assert!(!may_read(&one, false));
        assert!(!may_read(&one, true), "400 are used by it and 400 free");
        let others = other.charge(290);
        assert!(!may_read(&other, false));
        assert!(may_read(&other, true), "190 are used by it and 210 free");
        drop(own);
        assert!(!may_read(&one, false));
        assert!(may_read(&one, true), "250 are used by it and 360 free");
        drop((shared, others));
        assert_eq!(pool.used.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn what_is_shrunk_or_dropped_comes_back_once() {
        let pool = Pool::new(0);
        let account = Account::new(100, pool.clone());
        let charge = account.charge(150);
        assert!(!may_read(&account, true));
        charge.shrink(90);
        charge.shrink(95);
        assert!(may_read(&account, false));
        assert_eq!(account.used.load(Ordering::Relaxed), 90);
        drop(charge);
        assert_eq!(account.used.load(Ordering::Relaxed), 0);
        assert_eq!(pool.used.load(Ordering::Relaxed), 0);
    }

    #[actix::test]
    async fn an_empty_pool_is_of_no_use_to_who_has_waited() {
        tokio::time::pause();
        let (one, pool) = (Account::new(100, Pool::new(0)), Pool::new(101));
        let other = Account::new(100, pool);
        let _charges = (one.charge(100), other.charge(150));
        other.room().await.unwrap();
        let never = tokio::time::timeout(PATIENCE * 100, one.room());
        assert!(never.await.is_err());
    }

    #[actix::test]
    async fn who_waits_is_woken_by_room_or_by_the_end() {
        tokio::time::pause();
        let pool = Pool::new(80);
        let (one, other) = (
            Account::new(10, pool.clone()),
            Account::new(10, pool.clone()),
        );
        let waiting = |account: &Arc<Account>| {
            let account = account.clone();
            actix::spawn(async move { account.room().await })
        };
        let (first, second) = (one.charge(20), other.charge(80));
        assert!(!pool.is_calm());
        let woken = waiting(&one);
        tokio::time::sleep(PATIENCE * 10).await;
        assert!(
            !woken.is_finished(),
            "it has 10 of the pool and none is free"
        );
        drop(second);
        woken.await.unwrap().unwrap();
        drop(first);
        pool.calm().await;

        let full = one.charge(90);
        let woken = waiting(&one);
        tokio::time::sleep(PATIENCE * 10).await;
        assert!(!woken.is_finished());
        drop(full);
        woken.await.unwrap().unwrap();

        let _full = one.charge(90);
        let woken = waiting(&one);
        tokio::task::yield_now().await;
        one.close();
        assert!(woken.await.unwrap().is_err());
    }
}
