//! The actors told of changes.
//!
//! Owns that it never waits for one: a slow watcher misses changes, and asks for the whole state.

use actix::{Message, Recipient};

pub(super) struct Watchers<M>(Vec<Recipient<M>>)
where
    M: Message<Result = ()> + Clone + Send + 'static;

impl<M> Watchers<M>
where
    M: Message<Result = ()> + Clone + Send + 'static,
{
    pub(super) fn new() -> Self {
        Self(Vec::new())
    }

    pub(super) fn add(&mut self, watcher: Recipient<M>) {
        self.0.push(watcher);
    }

    pub(super) fn tell(&mut self, changed: &M) {
        self.0.retain(Recipient::connected);
        for watcher in &self.0 {
            let _ = watcher.try_send(changed.clone());
        }
    }
}
