//! What the protocol's nouns have to say to each other: one file each.

mod broadcast;
mod compression;
mod discovery;
mod extensions;
mod handshake;
mod relay;
mod renegotiate;
mod ssl;
mod subnet;
mod typed;
mod whisper;
