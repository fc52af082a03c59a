//! What a connection's input may cost while it waits to be written, delivered or dropped.
//!
//! Owns the accounts. A connection may use half of its budget at once; beyond that it may have a share of a
//! pool that all connections of the node have in common. Nobody can have all of the pool: the share is a part
//! of what is free, so the more are short of room, the more of it is used.
//!
//! That alone would not do in a mesh at its limit: where each node waits for others to take what it relays,
//! all wait in a circle. So the other half of the budget is given out a batch at a time to whoever has waited
//! for a while. What a node reads makes room at its neighbour, who can then read on in turn; every message
//! goes around until each has seen it, and new ones wait at their source meanwhile.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

/// Who has waited this long for room is given some beyond it.
const PATIENCE: Duration = Duration::from_millis(100);
/// A connection may use this part of what is free of the pool.
const SHARE: usize = 8;

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

    /// Whether the node keeps up: at least half of the pool is free.
    pub(super) fn is_calm(&self) -> bool {
        self.used.load(Ordering::Relaxed) <= self.size / 2
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

    fn share(&self) -> usize {
        let free = self.size.saturating_sub(self.used.load(Ordering::Relaxed));
        free / SHARE
    }
}

/// The connection is to be read no further.
#[derive(Debug)]
pub(super) struct Closed;

/// One connection's account.
#[derive(Debug)]
pub(super) struct Account {
    used: AtomicUsize,
    /// Half of the budget.
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
            own: budget.div_ceil(2),
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
        if self.has_room(0)? {
            return Ok(());
        }
        let mut waited = pin!(tokio::time::sleep(PATIENCE));
        loop {
            let mut own = pin!(self.freed.notified());
            let mut shared = pin!(self.pool.freed.notified());
            // Listening before looking, so that nothing is missed in between.
            own.as_mut().enable();
            shared.as_mut().enable();
            let beyond = if waited.is_elapsed() { self.own } else { 0 };
            if self.has_room(beyond)? {
                return Ok(());
            }
            tokio::select! {
                () = own => {}
                () = shared => {}
                () = waited.as_mut(), if !waited.is_elapsed() => {}
            }
        }
    }

    fn has_room(&self, beyond: usize) -> Result<bool, Closed> {
        if self.closed.load(Ordering::Relaxed) {
            return Err(Closed);
        }
        let used = self.used.load(Ordering::Relaxed);
        Ok(used < self.own || used - self.own < self.pool.share() + beyond)
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

    fn may_read(account: &Account) -> bool {
        account.has_room(0).unwrap()
    }

    #[test]
    fn an_account_has_half_its_budget_and_a_share_of_what_is_free() {
        let pool = Pool::new(800);
        let (one, other) = (
            Account::new(200, pool.clone()),
            Account::new(200, pool.clone()),
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

    #[test]
    fn what_is_shrunk_or_dropped_comes_back_once() {
        let pool = Pool::new(0);
        let account = Account::new(200, pool.clone());
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
    async fn who_has_waited_may_use_the_rest_of_its_budget_and_no_more() {
        tokio::time::pause();
        let account = Account::new(200, Pool::new(0));
        let _first = account.charge(150);
        account.room().await.unwrap();
        let _second = account.charge(50);
        let never = tokio::time::timeout(PATIENCE * 100, account.room());
        assert!(never.await.is_err());
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
}
