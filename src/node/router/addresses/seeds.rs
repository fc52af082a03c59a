//! Configured names: all addresses behind them, looked up repeatedly.
//!
//! Owns when names are looked up. The core decides which addresses are dialled.

use std::net::SocketAddr;
use std::time::Duration;

use actix::{AsyncContext as _, Context, Handler};
use tokio::net::lookup_host;

use crate::node::Router;
use crate::wire::Address;

/// How often a name is looked up while more connections are wanted: the nodes behind it change.
const LOOK_AGAIN: Duration = Duration::from_secs(30);
/// The most addresses used of a name.
const MAX_ADDRESSES: usize = 64;

/// The configured names.
#[derive(Debug, Default)]
pub(crate) struct Seeds {
    names: Vec<Address>,
    next: Duration,
}

impl Seeds {
    /// Keeps the names among these addresses.
    pub(crate) fn among(addresses: &[Address]) -> Self {
        let is_name = |address: &&Address| address.host.parse::<std::net::IpAddr>().is_err();
        Self {
            names: addresses.iter().filter(is_name).cloned().collect(),
            next: Duration::ZERO,
        }
    }
}

/// Reports addresses where nodes of this mesh may be.
#[derive(Debug, actix::Message)]
#[rtype(result = "()")]
pub(crate) struct MayBeAt(pub(crate) Vec<SocketAddr>);

impl Handler<MayBeAt> for Router {
    type Result = ();

    fn handle(&mut self, found: MayBeAt, ctx: &mut Context<Self>) {
        self.step(ctx, |mesh, now, out| {
            mesh.meet(now, found.0.into_iter().map(Address::from), out)
        });
    }
}

impl Router {
    /// Looks up the names, if the interval has passed and more connections are wanted.
    pub(in crate::node::router) fn look_up_seeds(&mut self, ctx: &mut Context<Self>) {
        let now = self.clock.now().monotonic;
        if self.seeds.names.is_empty() || now < self.seeds.next || !self.mesh.wants_more() {
            return;
        }
        self.seeds.next = now + LOOK_AGAIN;
        for name in &self.seeds.names {
            let (name, router) = (name.clone(), ctx.address().downgrade());
            actix_rt::spawn(async move {
                // Dialling the name reports the failure.
                let Ok(found) = lookup_host((name.host.as_str(), name.port)).await else {
                    return;
                };
                let found = found.take(MAX_ADDRESSES).collect();
                if let Some(router) = router.upgrade() {
                    // The Router may have stopped.
                    let _ = router.send(MayBeAt(found)).await;
                }
            });
        }
    }
}
