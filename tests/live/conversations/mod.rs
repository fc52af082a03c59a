//! Conversations with py2p, one file for each subject of the protocol.

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
