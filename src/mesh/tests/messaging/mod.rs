//! What peers say to each other once they are connected.

mod announce;
mod broadcast;
mod prune;
mod renegotiate;
mod reply_path;
mod validation;
mod whisper;
