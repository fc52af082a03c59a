//! Where the Router has addresses from, besides its peers: the names a user gave it, the book of an earlier run, the local
//! network.
//!
//! Each hands them to the core, which decides whom to dial.

#[cfg(feature = "mdns")]
pub(crate) mod lan;
pub(crate) mod peer_book_file;
pub(crate) mod seeds;
