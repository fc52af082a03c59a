//! Step tables of the core: given a state and an input, these effects and no others.

mod admission;
mod along;
mod announce;
mod broadcast;
mod clock_skew;
mod contest;
mod degree;
mod extensions;
mod handshake;
mod keepalive;
mod links;
mod peers;
mod prune;
mod renegotiate;
mod rig;
mod validation;
mod whisper;
