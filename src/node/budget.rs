//! What a connection's input may cost while it waits to be written, delivered or dropped.
//!
//! Owns the accounts. Each connection has bytes of its own; beyond them it may have a share of a pool that
//! all connections of the node have in common. The pool is there for meshes at their limit: where every
//! node waits for others to take what it relays, somebody must have room to read on, or all would wait in a
//! circle. Nobody can have all of it: a connection's share is a part of what is free, so the more are short
//! of room, the more of it is used. It also takes in the rare frame that is larger than a connection's own
//! bytes, one after the other, and what waits for peers that take next to nothing.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

/// Who has waited this long for room may use more of the pool.
const PATIENCE: Duration = Duration::from_millis(25);
/// A connection may use this part of what is free of the pool.
const SHARE: usize = 8;
/// All slow peers together may use this part of the pool: then they are closed.
const SLOW: usize = 3;
/// Large frames that may be coming in at once, and that may be inflated at once.
const LARGE: usize = 2;

/// What all connections of a node have in common.
#[derive(Debug)]
pub(super) struct Pool {
    used: AtomicUsize,
    /// Of that, what waits for slow peers.
    slow: AtomicUsize,
    /// Connections, and those of them whose peer takes next to nothing.
    links: AtomicUsize,
    behind: AtomicUsize,
    size: usize,
    /// Large frames that are coming in, and that are being inflated.
    large: [AtomicUsize; 2],
    freed: Notify,
}

impl Pool {
    pub(super) fn new(size: usize) -> Arc<Self> {
        Arc::new(Self {
            used: AtomicUsize::new(0),
            slow: AtomicUsize::new(0),
            links: AtomicUsize::new(0),
            behind: AtomicUsize::new(0),
            size,
            large: Default::default(),
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

    fn free(&self) -> usize {
        self.size.saturating_sub(self.used.load(Ordering::Relaxed))
    }

    fn share(&self) -> usize {
        self.free() / SHARE
    }

    /// Whether a large frame may go on: there is room for it, or it is the only one.
    fn has_room_for_large(&self, which: usize, bytes: usize) -> bool {
        bytes <= self.free() || self.large[which].load(Ordering::Relaxed) == 1
    }

    fn release(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
        self.freed.notify_waiters();
    }

    /// Room for what waits for a slow peer, if they have not used up theirs.
    pub(super) fn for_slow(self: &Arc<Self>, bytes: usize) -> Option<Slow> {
        let most = self.size / SLOW;
        let more = |slow: usize| slow.checked_add(bytes).filter(|slow| *slow <= most);
        self.slow
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more)
            .ok()?;
        self.used.fetch_add(bytes, Ordering::Relaxed);
        Some(Slow {
            pool: Arc::clone(self),
            bytes,
        })
    }

    /// A peer takes next to nothing, until this is dropped.
    pub(super) fn one_behind(self: &Arc<Self>) -> Behind {
        self.behind.fetch_add(1, Ordering::Relaxed);
        Behind(Arc::clone(self))
    }

    /// Whether peers that take next to nothing are the exception: then the fault is theirs. Where most do,
    /// the whole mesh is at its limit, and this node as well.
    pub(super) fn few_are_behind(&self) -> bool {
        let links = self.links.load(Ordering::Relaxed);
        self.behind.load(Ordering::Relaxed) * 2 <= links
    }

    fn gate(self: &Arc<Self>, which: usize) -> Option<Gate> {
        let more = |open: usize| Some(open + 1).filter(|open| *open <= LARGE);
        self.large[which]
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more)
            .ok()?;
        Some(Gate {
            pool: Arc::clone(self),
            which,
        })
    }
}

/// Room taken by what waits for a slow peer, until it is dropped.
#[derive(Debug)]
pub(super) struct Slow {
    pool: Arc<Pool>,
    bytes: usize,
}

impl Drop for Slow {
    fn drop(&mut self) {
        self.pool.slow.fetch_sub(self.bytes, Ordering::Relaxed);
        self.pool.release(self.bytes);
    }
}

/// A peer that takes next to nothing.
#[derive(Debug)]
pub(super) struct Behind(Arc<Pool>);

impl Drop for Behind {
    fn drop(&mut self) {
        self.0.behind.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The turn of a large frame, until it is dropped.
#[derive(Debug)]
pub(super) struct Gate {
    pool: Arc<Pool>,
    which: usize,
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.pool.large[self.which].fetch_sub(1, Ordering::Relaxed);
        self.pool.freed.notify_waiters();
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
    /// With this many bytes of its own.
    pub(super) fn new(own: usize, pool: Arc<Pool>) -> Arc<Self> {
        pool.links.fetch_add(1, Ordering::Relaxed);
        Arc::new(Self {
            used: AtomicUsize::new(0),
            own,
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
        if let Some(room) = self.attempt(&|| self.has_room(false).then_some(()))? {
            return Ok(room);
        }
        let room = self.until(|| self.has_room(false).then_some(()));
        if let Ok(room) = tokio::time::timeout(PATIENCE, room).await {
            return room;
        }
        self.until(|| self.has_room(true).then_some(())).await
    }

    /// Waits until a frame of this many bytes may come in, and charges it.
    pub(super) async fn for_frame(self: &Arc<Self>, bytes: usize) -> Result<Coming, Closed> {
        let gate = self.for_large(0, bytes, 0).await?;
        Ok(Coming {
            bytes,
            _charge: self.charge(bytes),
            _gate: gate,
        })
    }

    /// Waits until a frame may be inflated to this many bytes; `coming`: what is charged for it already. What
    /// it really takes is charged afterwards, and the gate dropped then.
    pub(super) async fn to_inflate(
        &self,
        bytes: usize,
        coming: Option<&Coming>,
    ) -> Result<Option<Gate>, Closed> {
        self.for_large(1, bytes, coming.map_or(0, |coming| coming.bytes))
            .await
    }

    /// Waits for everything else of the connection to be done with, then for a turn, then for room in the
    /// pool, which the one whose turn it is alone does not need: so nobody waits in a circle.
    async fn for_large(
        &self,
        which: usize,
        bytes: usize,
        held: usize,
    ) -> Result<Option<Gate>, Closed> {
        let used = || self.used.load(Ordering::Relaxed);
        let fits = || used() + bytes <= self.own;
        self.until(|| (fits() || used() <= held).then_some(()))
            .await?;
        if fits() {
            return Ok(None);
        }
        let gate = self.until(|| self.pool.gate(which)).await?;
        let beyond = bytes.saturating_sub(self.own);
        self.until(|| self.pool.has_room_for_large(which, beyond).then_some(()))
            .await?;
        Ok(Some(gate))
    }

    async fn until<T>(&self, attempt: impl Fn() -> Option<T>) -> Result<T, Closed> {
        loop {
            if let Some(room) = self.attempt(&attempt)? {
                return Ok(room);
            }
            let mut own = pin!(self.freed.notified());
            let mut shared = pin!(self.pool.freed.notified());
            // Listening before looking, so that nothing is missed in between.
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

    /// Who has waited for long may use as much of the pool as is free: in a circle of nodes that wait on each
    /// other, what one reads makes room at its neighbour.
    fn has_room(&self, waited: bool) -> bool {
        let used = self.used.load(Ordering::Relaxed);
        let share = if waited {
            self.pool.free()
        } else {
            self.pool.share()
        };
        used < self.own || used - self.own < share
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

/// A large frame that is coming in: its charge and its turn, until it is dropped.
#[derive(Debug)]
pub(super) struct Coming {
    bytes: usize,
    _charge: Arc<Charge>,
    _gate: Option<Gate>,
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn may_read(account: &Account) -> bool {
        account.room().now_or_never().is_some()
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
    async fn large_frames_come_in_two_at_a_time_and_within_the_pool() {
        let pool = Pool::new(1000);
        let accounts: Vec<_> = (0..4).map(|_| Account::new(100, pool.clone())).collect();
        let coming = |n: usize, bytes| accounts[n].for_frame(bytes).now_or_never();
        let small = coming(0, 100).unwrap();
        let first = coming(1, 5000).unwrap();
        assert!(coming(2, 200).is_none(), "the first took all of the pool");
        drop(first);
        let first = coming(1, 500).unwrap();
        let second = coming(2, 600).unwrap();
        assert!(coming(3, 101).is_none(), "it is the third");
        assert!(coming(3, 100).is_some(), "it needs nothing but its own");
        drop((small, first));
        assert!(coming(3, 200).is_some());
        drop(second);
        assert_eq!(pool.used.load(Ordering::Relaxed), 0);
    }

    #[actix::test]
    async fn who_inflates_waits_for_all_else_of_its_own() {
        let account = Account::new(100, Pool::new(0));
        let before = account.charge(50);
        let inflate = |bytes, coming| account.to_inflate(bytes, coming).now_or_never();
        assert!(inflate(40, None).unwrap().unwrap().is_none());
        assert!(inflate(500, None).is_none());
        drop(before);
        assert!(inflate(500, None).unwrap().unwrap().is_some());
        let coming = account.for_frame(300).now_or_never().unwrap().unwrap();
        assert!(inflate(500, None).is_none());
        assert!(inflate(500, Some(&coming)).unwrap().unwrap().is_some());
        account.close();
        assert!(inflate(500, Some(&coming)).unwrap().is_err());
    }
}
