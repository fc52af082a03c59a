//! Who is let in, under which id, and on which connection.

mod admission;
mod contest;
mod degree;
mod handshake;
mod links;
