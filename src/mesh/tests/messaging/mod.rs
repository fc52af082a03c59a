//! What peers say to each other once they are connected.

mod along;
mod announce;
mod broadcast;
mod prune;
mod renegotiate;
mod validation;
mod whisper;
