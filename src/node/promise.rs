//! Answers that are not known yet when a message is handled.
//!
//! Owns the way from a handler to whoever asked. Unlike a future in the Router's context, a promise
//! costs nothing while it waits, so thousands may.

use std::cell::Cell;
use std::fmt;
use std::rc::Rc;

use actix::dev::{MessageResponse, OneshotSender};
use actix::{Actor, Message};

/// What a promise and its reply share.
enum State<T> {
    /// Whoever asked is still in the handler.
    Open,
    /// Whoever asked waits.
    Waiting(OneshotSender<T>),
    /// Answered before the handler returned.
    Answered(T),
    /// Answered, or nobody will.
    Over,
}

type Shared<T> = Rc<Cell<State<T>>>;

/// What is owed to whoever asked. Dropped without an answer, it tells them that there will be none.
pub(super) struct Promise<T>(Shared<T>);

impl<T> Promise<T> {
    /// Answers; gives the answer back if whoever asked has stopped waiting.
    pub(super) fn keep(self, answer: T) -> Result<(), T> {
        match self.0.replace(State::Over) {
            State::Waiting(asker) => asker.send(answer),
            State::Open => {
                self.0.set(State::Answered(answer));
                Ok(())
            }
            State::Answered(_) | State::Over => Err(answer),
        }
    }

    /// Whether nobody waits for the answer any more.
    pub(super) fn is_forgotten(&self) -> bool {
        let state = self.0.replace(State::Over);
        let forgotten = match &state {
            State::Waiting(asker) => asker.is_closed(),
            State::Open => false,
            State::Answered(_) | State::Over => true,
        };
        self.0.set(state);
        forgotten
    }
}

impl<T> Drop for Promise<T> {
    fn drop(&mut self) {
        if let answered @ State::Answered(_) = self.0.replace(State::Over) {
            self.0.set(answered);
        }
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
    Later(Shared<T>),
}

impl<T> Reply<T> {
    pub(super) fn now(answer: T) -> Self {
        Self(Inner::Now(answer))
    }

    pub(super) fn later() -> (Promise<T>, Self) {
        let shared = Rc::new(Cell::new(State::Open));
        (Promise(Rc::clone(&shared)), Self(Inner::Later(shared)))
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
            Inner::Now(answer) => tell(asker, answer),
            Inner::Later(shared) => match (shared.replace(State::Over), asker) {
                (State::Answered(answer), asker) => tell(asker, answer),
                (State::Open, Some(asker)) => shared.set(State::Waiting(asker)),
                _ => {}
            },
        }
    }
}

fn tell<T>(asker: Option<OneshotSender<T>>, answer: T) {
    if let Some(asker) = asker {
        // Whoever asked may have stopped waiting.
        let _ = asker.send(answer);
    }
}
