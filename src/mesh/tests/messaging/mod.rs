//! Messages between connected peers.

mod announce;
mod broadcast;
mod prune;
mod renegotiate;
mod reply_path;
mod validation;
mod whisper;
