//! Step tables of the core: given a state and an input, these effects and no others.

mod connections;
mod membership;
mod messaging;
mod rig;
