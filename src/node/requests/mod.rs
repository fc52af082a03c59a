//! Questions and answers between nodes, as bytes: who waits for what, and who answers.
//!
//! Owns the form of a typed payload ([`envelope`]), the table of questions of ours that wait ([`pending`]) and
//! those that others ask ([`answering`]). Knows no type and no format: whoever asks brings a function that takes
//! the answer, and whoever answers brings an [`Answerer`](answering::Answerer).
//!
//! | bound | |
//! |---|---|
//! | questions of ours that wait | 4,096; one more is refused |
//! | answers kept for one question to all | 1,024, or 4 MiB, one for each author |
//! | questions of a kind that wait for their answerer | 1,024, or 4 MiB; of one neighbour a quarter |
//! | questions of a kind that are being answered | 64, each for 60 s at most |

pub(crate) mod answering;
pub(crate) mod envelope;
pub(crate) mod exchange;
pub(crate) mod pending;
