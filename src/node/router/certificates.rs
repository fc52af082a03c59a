//! Certificates while the node runs: renewed files, changed trust, and the expiry of the node's own.
//!
//! Owns when each is checked. [`tls`](crate::tls) judges the certificates.

use std::time::Duration;

use actix::fut::wrap_future;
use actix::{ActorFutureExt as _, AsyncContext as _, Context};

use crate::mesh::{Event, Now};
use crate::node::Router;
use crate::tls::{Expiry, Tls, unix_now};

/// How often connections are rechecked although the trust did not change: certificates expire.
const RECHECK: Duration = Duration::from_secs(60);

/// See the module.
#[derive(Debug)]
pub(crate) struct Certificates {
    tls: Tls,
    expiry: Expiry,
    /// The state of the trust that all connections were last checked against.
    changes: u64,
    rechecked: Duration,
    looked: Duration,
    looking: bool,
}

impl Certificates {
    pub(crate) fn new(tls: Tls, now: Now) -> Self {
        Self {
            changes: tls.changes(),
            tls,
            expiry: Expiry::default(),
            rechecked: now.monotonic,
            looked: now.monotonic,
            looking: false,
        }
    }

    /// Returns whether all connections must be rechecked.
    fn is_recheck_due(&mut self, now: Duration) -> bool {
        let changes = self.tls.changes();
        let due = changes != self.changes || now.saturating_sub(self.rechecked) >= RECHECK;
        if due {
            (self.changes, self.rechecked) = (changes, now);
        }
        due
    }

    /// Returns whether the files must be checked.
    fn is_look_due(&mut self, now: Duration) -> bool {
        let every = self.tls.look_every();
        let due =
            !self.looking && every.is_some_and(|every| now.saturating_sub(self.looked) >= every);
        if due {
            (self.looked, self.looking) = (now, true);
        }
        due
    }
}

impl Router {
    /// Checks certificates. Called about once a second.
    pub(super) fn mind_certificates(&mut self, ctx: &mut Context<Self>) {
        let now = self.clock.now().monotonic;
        let Some(certificates) = &mut self.certificates else {
            return;
        };
        if certificates.is_recheck_due(now) {
            self.links.recheck();
        }
        let not_after = certificates.tls.identity().not_after();
        let days = certificates.expiry.due(not_after, unix_now());
        if certificates.is_look_due(now) {
            let tls = certificates.tls.clone();
            // File access may block.
            let looking = actix_rt::task::spawn_blocking(move || tls.look_at_files());
            ctx.spawn(wrap_future::<_, Self>(looking).map(|looked, router, _| {
                if let Some(certificates) = &mut router.certificates {
                    certificates.looking = false;
                }
                if let Ok(Err(error)) = looked {
                    let reason = error.to_string();
                    router.notify(Event::CertificatesUnreadable { reason });
                }
            }));
        }
        if let Some(days) = days {
            self.notify(Event::CertificateExpires { days });
        }
    }
}
