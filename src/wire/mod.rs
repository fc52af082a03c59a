//! Floor 1: bytes and messages, pure.
//!
//! Owns what the bytes of the p2p.today mesh protocol mean: base58, ids, packets, frames, compression,
//! control messages. It reads no clock, draws no random number, opens no socket and knows no actor: time,
//! salts and keys are given to it.
//!
//! | generation | byte layout | flags | spoken |
//! |---|---|---|---|
//! | 0.4 | sizes first | own table, relays marked `waterfall` | yes |
//!
//! Inbound: [`Codec`] cuts a stream into [`Batch`]es of [`Frame`]s, which are ranges of the chunk that was read.
//! Outbound: [`Composer`] makes [`Frames`], bytes ready to be written.

mod address;
pub mod base58;
mod batch;
mod claim;
mod codec;
mod composer;
mod compression;
mod control;
mod error;
mod flags;
mod frame;
mod frames;
mod generation;
mod hashing;
pub mod hex;
mod id;
mod json;
mod layout;
mod limits;
mod message;
mod messages;
mod packet;
mod proof;
mod reading;
mod relay;
mod subnet;
#[cfg(target_arch = "x86_64")]
mod vectors;

pub use address::{Address, AddressError};
pub use batch::Batch;
pub use claim::{Claim, ClaimKey, Claims};
pub use codec::{Codec, Cut};
pub use composer::{Composed, Composer, Draft, Head, Together};
pub(crate) use compression::Methods;
pub use compression::{Deflater, Inflated, Inflater, Method};
pub use control::{Control, Dialect, PeerEntry};
pub use error::{ControlError, DecodeError, EncodeError, StreamError};
pub use flags::{Flag, SubFlag};
pub use frame::{Copies, Frame, PacketIter};
#[cfg(feature = "node")]
pub(crate) use frames::frames_beyond;
pub use frames::{Frames, Hold};
pub use generation::{Generation, UnknownGeneration};
pub use id::{IdError, MessageId, NodeId, RequestId, SubnetId};
pub use limits::Limits;
pub use message::Message;
pub use messages::Messages;
pub use packet::{Packet, Packets};
pub use proof::IdRule;
pub use subnet::Subnet;
