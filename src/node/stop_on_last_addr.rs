//! Stops an actor once its last address is dropped: no one can use it any more.

use std::pin::Pin;
use std::task::{self, Poll};

use actix::{Actor, ActorContext as _, ActorFuture, Context};

/// Stops its actor when no address of it is left; otherwise the actor's other futures would keep it alive.
///
/// Polled whenever the actor wakes up, and dropping the last address wakes it up.
pub(crate) struct StopOnLastAddr;

impl<A: Actor<Context = Context<A>>> ActorFuture<A> for StopOnLastAddr {
    type Output = ();

    fn poll(
        self: Pin<&mut Self>,
        _: &mut A,
        ctx: &mut Context<A>,
        _: &mut task::Context<'_>,
    ) -> Poll<()> {
        if ctx.connected() {
            return Poll::Pending;
        }
        ctx.stop();
        Poll::Ready(())
    }
}

#[cfg(test)]
mod tests {
    use actix::AsyncContext as _;
    use tokio::sync::oneshot;

    use super::*;

    struct Busy(Option<oneshot::Sender<()>>);

    impl Actor for Busy {
        type Context = Context<Self>;

        fn started(&mut self, ctx: &mut Context<Self>) {
            ctx.spawn(actix::fut::wrap_future(std::future::pending()));
            ctx.spawn(StopOnLastAddr);
        }

        fn stopped(&mut self, _: &mut Context<Self>) {
            let _ = self.0.take().unwrap().send(());
        }
    }

    #[actix::test]
    async fn an_actor_with_pending_futures_ends_with_its_last_address() {
        let (tx, mut stopped) = oneshot::channel();
        let address = Busy(Some(tx)).start();
        let other = address.clone();
        drop(address);
        tokio::task::yield_now().await;
        assert!(stopped.try_recv().is_err());
        drop(other);
        stopped.await.unwrap();
    }
}
