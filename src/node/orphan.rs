//! An actor without a Router ends: when the last address of it is gone, nobody can use it any more.

use std::pin::Pin;
use std::task::{self, Poll};

use actix::{Actor, ActorContext as _, ActorFuture, Context};

/// Stops its actor when nobody holds an address of it: otherwise its other futures would keep it alive.
///
/// Polled whenever the actor wakes up, and dropping the last address wakes it up.
pub(super) struct Orphan;

impl<A: Actor<Context = Context<A>>> ActorFuture<A> for Orphan {
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
