//! Answers that are not known yet when a handler returns, and one combined answer to several messages.
//!
//! Owns the path from a handler to the asker. Unlike a future in the Router's context, a waiting promise is never
//! polled, so there may be thousands. Knows nothing of the requests.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::mem;
use std::rc::Rc;

use actix::dev::{MessageResponse, OneshotSender};
use actix::{AsyncContext as _, Context, Message};

use crate::node::Router;

/// The state that a promise and its reply share.
enum State<T> {
    /// The handler has not returned yet.
    Open,
    /// The asker waits.
    Waiting(OneshotSender<T>),
    /// Answered before the handler returned.
    Answered(T),
    /// Answered, or dropped without an answer.
    Over,
}

type Shared<T> = Rc<Cell<State<T>>>;

/// An answer owed to an asker. Dropped unanswered, it tells the asker that there will be none.
pub(crate) struct Promise<T>(Shared<T>);

impl<T> Promise<T> {
    /// Answers; gives the answer back if the asker has stopped waiting.
    pub(crate) fn keep(self, answer: T) -> Result<(), T> {
        match self.0.replace(State::Over) {
            State::Waiting(asker) => asker.send(answer),
            State::Open => {
                self.0.set(State::Answered(answer));
                Ok(())
            }
            State::Answered(_) | State::Over => Err(answer),
        }
    }

    /// Returns whether the asker no longer waits for the answer.
    pub(crate) fn is_forgotten(&self) -> bool {
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

/// The [`Router`](crate::Router)'s answer to a message: known now, or later.
pub struct Reply<T>(Inner<T>);

enum Inner<T> {
    Now(T),
    Later(Shared<T>),
}

impl<T> Reply<T> {
    pub(crate) fn now(answer: T) -> Self {
        Self(Inner::Now(answer))
    }

    pub(crate) fn later() -> (Promise<T>, Self) {
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

/// An answer that must be reported if it is a refusal and nobody waits for it, as after `do_send`.
pub(crate) trait Answer {
    /// Returns why the request was refused; `None` if it was not.
    fn refusal(&self) -> Option<String>;
}

impl<T, E: fmt::Display> Answer for Result<T, E> {
    fn refusal(&self) -> Option<String> {
        self.as_ref().err().map(E::to_string)
    }
}

/// The first refusal of several answers.
impl<T: Answer> Answer for Vec<T> {
    fn refusal(&self) -> Option<String> {
        self.iter().find_map(T::refusal)
    }
}

impl Answer for crate::wire::Message {
    fn refusal(&self) -> Option<String> {
        None
    }
}

/// A refusal that nobody waited for.
#[derive(Debug, actix::Message)]
#[rtype(result = "()")]
pub(crate) struct Unheard(pub(crate) String);

impl<M> MessageResponse<Router, M> for Reply<M::Result>
where
    M: Message,
    M::Result: Answer + 'static,
{
    fn handle(self, ctx: &mut Context<Router>, asker: Option<OneshotSender<M::Result>>) {
        match self.0 {
            Inner::Now(answer) => tell(asker, answer, ctx),
            Inner::Later(shared) => match (shared.replace(State::Over), asker) {
                (State::Answered(answer), asker) => tell(asker, answer, ctx),
                (State::Open, Some(asker)) => shared.set(State::Waiting(asker)),
                (State::Open, None) => shared.set(State::Waiting(stand_in(ctx))),
                _ => {}
            },
        }
    }
}

/// Receives the answer in place of an asker that does not wait, and reports a refusal.
fn stand_in<T: Answer + 'static>(ctx: &Context<Router>) -> OneshotSender<T> {
    let (asker, answer) = tokio::sync::oneshot::channel::<T>();
    let router = ctx.address().downgrade();
    actix_rt::spawn(async move {
        if let Ok(answer) = answer.await
            && let Some(why) = answer.refusal()
            && let Some(router) = router.upgrade()
        {
            #[expect(
                clippy::disallowed_methods,
                reason = "once for each message that a user has put into this mailbox"
            )]
            router.do_send(Unheard(why));
        }
    });
    asker
}

fn tell<T: Answer>(asker: Option<OneshotSender<T>>, answer: T, ctx: &mut Context<Router>) {
    match asker {
        // The asker may have stopped waiting.
        Some(asker) => drop(asker.send(answer)),
        None => {
            if let Some(why) = answer.refusal() {
                #[expect(
                    clippy::disallowed_methods,
                    reason = "once for each message that a user has put into this mailbox"
                )]
                ctx.notify(Unheard(why));
            }
        }
    }
}

/// An owed answer: to a single request, or one share of the answer to several.
pub(crate) enum OwedReply<T> {
    Alone(Promise<T>),
    Share(Share<T>),
}

impl<T> OwedReply<T> {
    /// Answers.
    pub(crate) fn keep(self, answer: T) {
        match self {
            // The asker may have stopped waiting.
            Self::Alone(promise) => drop(promise.keep(answer)),
            Self::Share(share) => share.keep(answer),
        }
    }
}

impl<T> fmt::Debug for OwedReply<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Alone(_) => "OwedReply::Alone",
            Self::Share(_) => "OwedReply::Share",
        })
    }
}

/// One element of a combined answer, which is sent when all shares are gone. If one share was dropped unanswered, there
/// is none, and the asker is told so.
pub(crate) struct Share<T> {
    at: usize,
    whole: Rc<Whole<T>>,
}

struct Whole<T> {
    promise: Option<Promise<Vec<T>>>,
    answers: RefCell<Vec<Option<T>>>,
}

impl<T> Share<T> {
    /// Creates `count` shares, in order, of the promised answer.
    pub(crate) fn of(promise: Promise<Vec<T>>, count: usize) -> impl Iterator<Item = Self> {
        let whole = Rc::new(Whole {
            promise: Some(promise),
            answers: RefCell::new((0..count).map(|_| None).collect()),
        });
        (0..count).map(move |at| Self {
            at,
            whole: Rc::clone(&whole),
        })
    }

    fn keep(self, answer: T) {
        self.whole.answers.borrow_mut()[self.at] = Some(answer);
    }
}

impl<T> Drop for Whole<T> {
    fn drop(&mut self) {
        let answers = mem::take(self.answers.get_mut()).into_iter().collect();
        if let (Some(promise), Some(answers)) = (self.promise.take(), answers) {
            // The asker may have stopped waiting.
            drop(promise.keep(answers));
        }
    }
}
