//! Requests and answers between nodes, as bytes.
//!
//! Owns the form of a typed payload ([`envelope`]), the table of this node's pending requests ([`pending`]) and the
//! requests of others ([`answering`]). Knows no type and no format: the asker brings a function that takes the answer,
//! and the answering side brings an [`Answerer`](answering::Answerer).
//!
//! | bound | |
//! |---|---|
//! | this node's pending requests | 4,096; one more is refused |
//! | answers kept for one request to all | 1,024, or 4 MiB, one for each author |
//! | queued requests of a kind | 1,024, or 4 MiB; from one neighbour 256, or 1 MiB, or a single larger one |
//! | requests of a kind being answered | 64, each for 60 s at most |

pub(crate) mod answering;
pub(crate) mod envelope;
pub(crate) mod exchange;
pub(crate) mod pending;
