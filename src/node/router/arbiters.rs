//! The threads that connections run on.
//!
//! Owns their start and end. The caller chooses the thread of a connection.

use std::io;

use actix::Arbiter;

/// Threads that end when this is dropped.
#[derive(Debug)]
pub(crate) struct Threads(Vec<Arbiter>);

impl Threads {
    /// Starts this many threads; if one fails to start, stops those that have started.
    pub(crate) fn start(count: usize) -> io::Result<Self> {
        Self::each(count, Arbiter::try_new)
    }

    fn each(count: usize, start: impl Fn() -> io::Result<Arbiter>) -> io::Result<Self> {
        let mut threads = Self(Vec::new());
        for _ in 0..count {
            threads.0.push(start()?);
        }
        Ok(threads)
    }

    /// Returns the thread for a number, round robin; `None` if there are none.
    pub(crate) fn turn(&self, number: u64) -> Option<&Arbiter> {
        let turn = usize::try_from(number).unwrap_or_default();
        self.0.get(turn.checked_rem(self.0.len())?)
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.0.iter().for_each(|thread| {
            thread.stop();
        });
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use super::*;

    #[actix::test]
    async fn if_one_cannot_be_started_none_are_left() {
        let (left, handles) = (Cell::new(2), RefCell::new(Vec::new()));
        let start = || {
            if left.replace(left.get() - 1) == 0 {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            let thread = Arbiter::try_new()?;
            handles.borrow_mut().push(thread.handle());
            Ok(thread)
        };
        let why = Threads::each(3, start).unwrap_err();
        assert_eq!(why.kind(), io::ErrorKind::WouldBlock);
        assert_eq!(handles.borrow().len(), 2);
        for handle in handles.take() {
            while handle.spawn(async {}) {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        }
    }
}
