//! Answers that are not known yet when a message is handled.
//!
//! Owns the way from a handler to whoever asked. Unlike a future in the Router's context, a promise
//! costs nothing while it waits, so thousands may.

use std::cell::Cell;
use std::fmt;
use std::rc::Rc;

use actix::dev::{MessageResponse, OneshotSender};
use actix::{Actor, Message};

type Asker<T> = Rc<Cell<Option<OneshotSender<T>>>>;

/// What is owed to whoever asked. Dropped without an answer, it tells them that there will be none.
pub(super) struct Promise<T>(Asker<T>);

impl<T> Promise<T> {
    /// Answers; gives the answer back if whoever asked has stopped waiting.
    pub(super) fn keep(self, answer: T) -> Result<(), T> {
        match self.0.take() {
            Some(asker) => asker.send(answer),
            None => Err(answer),
        }
    }

    /// Whether nobody waits for the answer any more.
    pub(super) fn is_forgotten(&self) -> bool {
        let asker = self.0.take();
        let forgotten = asker.as_ref().is_none_or(OneshotSender::is_closed);
        self.0.set(asker);
        forgotten
    }
}

impl<T> Drop for Promise<T> {
    fn drop(&mut self) {
        // The reply may be a second owner that outlives us.
        self.0.take();
    }
}

impl<T> fmt::Debug for Promise<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Promise")
    }
}

/// What the [`Router`](super::Router) answers a message with: at once, or when it is known.
pub struct Reply<T>(Inner<T>);

enum Inner<T> {
    Now(T),
    Later(Asker<T>),
}

impl<T> Reply<T> {
    pub(super) fn now(answer: T) -> Self {
        Self(Inner::Now(answer))
    }

    pub(super) fn later() -> (Promise<T>, Self) {
        let asker = Asker::default();
        (Promise(Rc::clone(&asker)), Self(Inner::Later(asker)))
    }
}

impl<T> fmt::Debug for Reply<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Inner::Now(_) => "Reply::Now",
            Inner::Later(_) => "Reply::Later",
        })
    }
}

impl<A, M> MessageResponse<A, M> for Reply<M::Result>
where
    A: Actor,
    M: Message,
{
    fn handle(self, _: &mut A::Context, asker: Option<OneshotSender<M::Result>>) {
        match self.0 {
            Inner::Now(answer) => {
                if let Some(asker) = asker {
                    // Whoever asked may have stopped waiting.
                    let _ = asker.send(answer);
                }
            }
            Inner::Later(promise) => promise.set(asker),
        }
    }
}
