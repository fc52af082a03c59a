//! Step tables of the core: for a state and an input, exactly these effects.

mod connections;
mod membership;
mod messaging;
mod rig;
