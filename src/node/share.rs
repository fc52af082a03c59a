//! One answer to several things that were asked together.
//!
//! Owns what has been answered of them so far: whoever asked is told once all of it has. Knows nothing of what was
//! asked.

use std::cell::RefCell;
use std::fmt;
use std::mem;
use std::rc::Rc;

use super::promise::Promise;

/// What is owed for one thing: to whoever asked for it alone, or as a share in the answer to several.
pub(super) enum Owed<T> {
    Alone(Promise<T>),
    Share(Share<T>),
}

impl<T> Owed<T> {
    /// Answers.
    pub(super) fn keep(self, answer: T) {
        match self {
            // Whoever asked may have stopped waiting.
            Self::Alone(promise) => drop(promise.keep(answer)),
            Self::Share(share) => share.keep(answer),
        }
    }
}

impl<T> fmt::Debug for Owed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Alone(_) => "Owed::Alone",
            Self::Share(_) => "Owed::Share",
        })
    }
}

/// One place in an answer. The whole is given when all shares are gone; if one of them was dropped unanswered, it
/// never is, and whoever asked is told that there will be none.
pub(super) struct Share<T> {
    at: usize,
    whole: Rc<Whole<T>>,
}

struct Whole<T> {
    promise: Option<Promise<Vec<T>>>,
    answers: RefCell<Vec<Option<T>>>,
}

impl<T> Share<T> {
    /// So many shares, in order, in the answer that is promised.
    pub(super) fn of(promise: Promise<Vec<T>>, count: usize) -> impl Iterator<Item = Self> {
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
            // Whoever asked may have stopped waiting.
            drop(promise.keep(answers));
        }
    }
}
