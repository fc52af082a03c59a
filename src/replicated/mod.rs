//! State that every node has a copy of: [`Sync`], a shared dictionary, and [`Presence`], who is here.
//!
//! Each is an actor that is composed on the [`Router`](crate::Router) from outside, of messages that any program has.
//! Neither is a database: a node that was away learns from its next neighbour what it missed, and of two values written
//! at the same time one is kept, the same everywhere.

mod presence;
mod sync;
mod watchers;

pub use presence::{
    Announce, Here, Presence, PresenceChanged, PresenceReport, PresenceStatus, Present,
    WatchPresence,
};
pub use sync::{
    Changed, Entries, Entry, Get, Set, Sync, SyncError, SyncReport, SyncStatus, WatchSync,
};
