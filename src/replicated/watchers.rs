//! Whoever is told of changes.
//!
//! Owns that nobody is waited for: who is behind misses some, and asks for the whole.

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
