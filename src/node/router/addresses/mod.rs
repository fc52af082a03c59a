//! Sources of addresses besides peers: configured names, the address book of an earlier run, the local network.
//!
//! Each hands its addresses to the core, which decides which to dial.

#[cfg(feature = "mdns")]
pub(crate) mod lan;
pub(crate) mod peer_book_file;
pub(crate) mod seeds;
