//! State replicated to every node: [`Sync`], a shared dictionary, and [`Presence`], the list of nodes.
//!
//! Each is an actor that uses the [`Router`](crate::Router) only through public messages. Neither is a database: a node
//! that was away gets what it missed from a neighbour, and of two values written at the same time all nodes keep the
//! same one.

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
