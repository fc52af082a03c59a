//! A token bucket that limits how often something is done for a peer, on the core's own time.
//!
//! Owns a rate and the tokens left. Does not know what they are spent on.

use std::time::Duration;

/// Allows `burst` at once, then `per_second` each second.
#[derive(Clone, Debug)]
pub(crate) struct TokenBucket {
    tokens: f64,
    burst: f64,
    per_second: f64,
    filled: Duration,
}

impl TokenBucket {
    pub(crate) fn new(burst: f64, per_second: f64) -> Self {
        Self {
            tokens: burst,
            burst,
            per_second,
            filled: Duration::ZERO,
        }
    }

    /// Takes one token; returns false if there is none.
    pub(crate) fn spend(&mut self, now: Duration) -> bool {
        let gained = now.saturating_sub(self.filled).as_secs_f64() * self.per_second;
        self.tokens = (self.tokens + gained).min(self.burst);
        self.filled = self.filled.max(now);
        let enough = self.tokens >= 1.0;
        if enough {
            self.tokens -= 1.0;
        }
        enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_spent_and_fills_again() {
        let mut budget = TokenBucket::new(2.0, 1.0);
        let at = Duration::from_secs;
        assert!(budget.spend(at(10)) && budget.spend(at(10)) && !budget.spend(at(10)));
        assert!(budget.spend(at(11)) && !budget.spend(at(11)));
        assert!(budget.spend(at(100)) && budget.spend(at(100)) && !budget.spend(at(100)));
    }
}
