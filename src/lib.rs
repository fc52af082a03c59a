//! A peer-to-peer mesh under any actix system.

pub mod mesh;
pub mod wire;

#[cfg(feature = "node")]
mod config;
#[cfg(feature = "node")]
mod error;
#[cfg(feature = "node")]
mod node;

#[cfg(feature = "node")]
pub use config::Config;
#[cfg(feature = "node")]
pub use error::StartError;
pub use mesh::{
    CloseReason, ConnectError, DialError, Direction, Event, SendError, Sent, SkipReason, Skipped,
    Stats, Traffic, Trouble, WhisperError, Whispered,
};
#[cfg(feature = "node")]
pub use node::{
    Awaited, Awaiting, Connect, Disconnect, Filter, Intercept, Kind, Node, Offer, Overflow, Peer,
    Peers, Queue, Recv, Reply, RequestPeers, Router, Send, Shutdown, ShutdownReport, Status,
    StatusReport, Subscribe, SubscriptionId, Unsent, Unsubscribe, Verdict, Whisper,
};
pub use wire::{
    Address, AddressError, EncodeError, Flag, Generation, IdError, Limits, Message, MessageId,
    Method, NodeId, Packet, Packets, SubFlag, Subnet, SubnetId,
};
