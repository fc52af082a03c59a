//! The program `actix-mesh` in meshes with real py2p 0.4.516 nodes, and against peers that send odd bytes.
//!
//! Every case starts fresh processes on free loopback ports and drives them by JSON lines. The cases
//! live in `live/`, one protocol noun a file; so do the parts they are made of. They must know the
//! crate only as its program: nothing here may lean on the code it checks.

mod live;
