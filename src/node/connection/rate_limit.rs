//! The inbound rate limit of a connection: token buckets for messages, bytes, and inflated bytes.
//!
//! Owns the rates and the tokens. A connection over its rate is not read for a while: nothing is lost, and TCP slows
//! the peer down.

use std::num::NonZeroU32;
use std::time::Duration;

use tokio::time::Instant;

/// A frame may inflate to this many times its size free of charge, as text does.
const RATIO: usize = 16;
/// Bytes a second beyond that ratio, with a burst of four seconds: a bomb costs far more than its size.
const INFLATED: u32 = 8 * 1024 * 1024;

/// The average rates per second at which a peer may send; `None`: unlimited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rates {
    pub(crate) messages: Option<NonZeroU32>,
    pub(crate) bytes: Option<NonZeroU32>,
}

/// A token bucket: `rate` tokens a second, at most `burst` seconds of them.
#[derive(Debug)]
struct Bucket {
    rate: f64,
    burst: f64,
    /// A negative value is a debt.
    tokens: f64,
}

impl Bucket {
    fn new(rate: f64, burst: f64) -> Self {
        Self {
            rate,
            burst,
            tokens: rate * burst,
        }
    }

    fn fill(&mut self, passed: Duration) {
        self.tokens = (self.tokens + passed.as_secs_f64() * self.rate).min(self.rate * self.burst);
    }

    /// Takes tokens for what was already used; returns how long until the debt is paid.
    fn take(&mut self, amount: f64) -> Duration {
        self.tokens -= amount;
        Duration::try_from_secs_f64(-self.tokens / self.rate).unwrap_or_default()
    }
}

#[derive(Debug)]
struct Buckets {
    messages: Option<Bucket>,
    bytes: Option<Bucket>,
    inflated: Bucket,
    filled: Instant,
}

impl Buckets {
    /// Creates full buckets.
    fn new(rates: Rates) -> Self {
        let bucket = |rate: NonZeroU32| Bucket::new(f64::from(rate.get()), 1.0);
        Self {
            messages: rates.messages.map(bucket),
            bytes: rates.bytes.map(bucket),
            inflated: Bucket::new(f64::from(INFLATED), 4.0),
            filled: Instant::now(),
        }
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct RateLimit {
    /// Created on first use.
    buckets: Option<Box<Buckets>>,
}

impl RateLimit {
    /// Charges what was read; returns how long to pause reading. The rates must be the same in each call.
    pub(crate) fn wait(
        &mut self,
        rates: Rates,
        messages: usize,
        wire: usize,
        whole: usize,
    ) -> Duration {
        let inflated = (whole - wire.min(whole)).saturating_sub(wire.saturating_mul(RATIO));
        if rates == Rates::default() && inflated == 0 {
            return Duration::ZERO;
        }
        let buckets = self
            .buckets
            .get_or_insert_with(|| Box::new(Buckets::new(rates)));
        let now = Instant::now();
        let passed = now.saturating_duration_since(buckets.filled);
        buckets.filled = now;
        let paid = |bucket: Option<&mut Bucket>, amount: usize| {
            bucket.map_or(Duration::ZERO, |bucket| {
                bucket.fill(passed);
                bucket.take(amount as f64)
            })
        };
        paid(buckets.messages.as_mut(), messages)
            .max(paid(buckets.bytes.as_mut(), whole))
            .max(paid(Some(&mut buckets.inflated), inflated))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[actix::test]
    async fn beyond_a_burst_each_message_has_to_be_paid_for() {
        tokio::time::pause();
        let mut rate_limit = RateLimit::default();
        let rates = Rates {
            messages: NonZeroU32::new(10),
            bytes: None,
        };
        assert_eq!(rate_limit.wait(rates, 10, 1000, 1000), Duration::ZERO);
        assert_eq!(rate_limit.wait(rates, 5, 500, 500), SECOND / 2);
        tokio::time::advance(SECOND).await;
        assert_eq!(rate_limit.wait(rates, 5, 500, 500), Duration::ZERO);
        assert_eq!(rate_limit.wait(rates, 10, 500, 500), SECOND);
    }

    #[actix::test]
    async fn bytes_are_counted_as_they_are_inflated() {
        tokio::time::pause();
        let mut rate_limit = RateLimit::default();
        let rates = Rates {
            messages: None,
            bytes: NonZeroU32::new(1000),
        };
        assert_eq!(rate_limit.wait(rates, 1, 100, 1000), Duration::ZERO);
        assert_eq!(rate_limit.wait(rates, 1, 100, 1000), SECOND);
    }

    #[actix::test]
    async fn only_bombs_are_paced_unless_asked_for() {
        tokio::time::pause();
        let mut rate_limit = RateLimit::default();
        let rates = Rates::default();
        for _ in 0..10_000 {
            assert_eq!(
                rate_limit.wait(rates, 100, 64 * 1024, 512 * 1024),
                Duration::ZERO
            );
        }
        let waits = (0..100).map(|_| rate_limit.wait(rates, 1, 200, 4 << 20));
        assert!(waits.max().unwrap() > SECOND * 40);
    }
}
