//! The wire layer: bytes and messages, pure.
//!
//! Owns the wire format of the p2p.today mesh protocol: base58, ids, packets, frames, compression, control messages. It
//! reads no clock, draws no random number, opens no socket and knows no actor: the caller passes in time, salts and
//! keys.
//!
//! | generation | byte layout | flags |
//! |---|---|---|
//! | 0.4 | all sizes, then all packets | a relayed broadcast is a `waterfall` |
//! | 0.5 | each packet after its size | a relayed broadcast stays a `broadcast` |
//! | 0.6, 0.7 | an id of 32 bytes, then a MessagePack array | a relayed broadcast stays a `broadcast` |
//!
//! Inbound: [`Codec`] cuts a stream into [`Batch`]es of [`Frame`]s, which are ranges of the bytes that were read.
//! Outbound: [`Composer`] makes [`Frames`], bytes ready to be written.

mod address;
pub mod base58;
mod compression;
mod control;
mod decode;
mod encode;
mod error;
mod flags;
mod generation;
pub mod hex;
mod host_port;
mod id;
mod layout;
mod limits;
mod message;
mod message_id;
mod packet;
mod sha384;
mod simd;
mod subnet;
mod value;

pub use address::{Address, AddressError};
pub(crate) use compression::Methods;
pub use compression::{Deflater, Inflated, Inflater, Method};
pub(crate) use control::is_extension;
pub use control::{Control, Dialect, Extension, PeerEntry};
pub use decode::{
    batch::Batch,
    fingerprint::{Fingerprint, FingerprintKey, Fingerprints},
    frame::{Copies, Frame, PacketIter},
    stream::{Codec, Cut},
};
#[cfg(feature = "node")]
pub(crate) use encode::encoded::frames_beyond;
pub use encode::{
    composer::{Composed, Composer, Draft, Head, Together},
    encoded::{Frames, Hold},
};
pub use error::{ControlError, DecodeError, EncodeError, StreamError};
pub use flags::{Flag, SubFlag};
pub use generation::{Generation, UnknownGeneration};
pub use host_port::{BadAddress, HostPort};
pub use id::{IdError, MessageId, NodeId, RequestId, SubnetId};
pub use limits::Limits;
pub use message::{Message, builder::Messages};
pub use message_id::IdRule;
pub use packet::{Packet, Packets};
pub use subnet::Subnet;
pub use value::Form;
