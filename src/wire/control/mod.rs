//! Control messages: what nodes tell each other about the mesh, to and from packets.
//!
//! Says what a message means, not whether to obey it: that a control sub-flag counts only under the main flag with which
//! the reference peers send it is told by [`Control::allowed_under`] and decided above.

mod json;

use crate::wire::{
    address::Address,
    compression::Method,
    decode::frame::Frame,
    error::ControlError,
    flags::{Flag, SubFlag},
    generation::Generation,
    id::{NodeId, RequestId, SubnetId},
    packet::Packet,
};

/// A message from node to node, not for users.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Control {
    /// The first message on a connection: who and where one is, and which compression one reads.
    Handshake {
        /// The node's id.
        id: NodeId,
        /// Its subnet: if it is not ours, the connection is closed without a word.
        subnet: SubnetId,
        /// Where it can be dialled; `None` if what it said is no address.
        address: Option<Address>,
        /// The methods it reads, known ones only, in its order of preference.
        methods: Vec<Method>,
        /// How it prints JSON.
        dialect: Dialect,
    },
    /// Peers of the sender.
    Peers {
        /// The usable entries.
        entries: Vec<PeerEntry>,
        /// How many entries were left out: without an address, with a bad id, or beyond the first 1024.
        skipped: usize,
    },
    /// A question for all peers.
    RequestPeers,
    /// A question for the address of a node, flooded through the mesh.
    Request {
        /// What the answer will refer to.
        request: RequestId,
        /// The node that is sought.
        wanted: NodeId,
    },
    /// The answer to a request, flooded too.
    Response {
        /// The request it answers.
        request: RequestId,
        /// The node that was sought.
        id: NodeId,
        /// Where it can be dialled, by the word of who answers.
        address: Address,
    },
    /// Use only these methods with me from now on.
    Compression(Vec<Method>),
    /// Send your last message again.
    Resend,
}

/// A node and where it can be dialled, as told by a peer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PeerEntry {
    /// The node's id.
    pub id: NodeId,
    /// Its address.
    pub address: Address,
}

/// How a peer prints JSON, which tells what it is written in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// With a space after each comma, like py2p and this crate. Also taken for granted of a list of less than two methods.
    #[default]
    Spaced,
    /// Without: js2p.
    Tight,
}

/// The wildcard that asks for all peers.
const ALL: &[u8] = b"*";

impl Control {
    /// What a frame says to the node; `None` if its sub-flag is none of a control message. Does not look at the main flag.
    pub fn read(
        frame: &Frame<'_>,
        generation: Generation,
    ) -> Option<Result<Control, ControlError>> {
        let kind = SubFlag::read(frame.kind()?, generation)?;
        let args = Arguments(frame);
        Some(match kind {
            SubFlag::Handshake => read_handshake(&args),
            SubFlag::Peers => read_peers(&args),
            SubFlag::Request => read_request(&args),
            SubFlag::Response => read_response(&args),
            SubFlag::Compression => args
                .get(1)
                .and_then(json::read_methods)
                .map(Control::Compression),
            SubFlag::Resend => Ok(Control::Resend),
            _ => return None,
        })
    }

    /// The payload that says this, the sub-flag first.
    pub fn packets(&self, generation: Generation) -> Vec<Packet> {
        let mut packets = vec![self.sub_flag().packet(generation)];
        packets.extend(self.arguments());
        packets
    }

    /// Whether the reference peers send this under that main flag. Under any other it must not be obeyed: a control message
    /// that is flooded would be obeyed by the whole mesh.
    pub fn allowed_under(&self, flag: &Flag) -> bool {
        match self {
            Control::Handshake { .. } | Control::Peers { .. } | Control::RequestPeers => {
                *flag == Flag::Whisper
            }
            Control::Request { .. } => flag.is_broadcast() || *flag == Flag::Whisper,
            Control::Response { .. } => flag.is_broadcast(),
            Control::Compression(_) | Control::Resend => *flag == Flag::Renegotiate,
        }
    }

    /// The main flag under which this is sent.
    pub fn flag(&self) -> Flag {
        match self {
            Control::Handshake { .. } | Control::Peers { .. } | Control::RequestPeers => {
                Flag::Whisper
            }
            Control::Request { .. } | Control::Response { .. } => Flag::Broadcast,
            Control::Compression(_) | Control::Resend => Flag::Renegotiate,
        }
    }

    fn sub_flag(&self) -> SubFlag {
        match self {
            Control::Handshake { .. } => SubFlag::Handshake,
            Control::Peers { .. } => SubFlag::Peers,
            Control::RequestPeers | Control::Request { .. } => SubFlag::Request,
            Control::Response { .. } => SubFlag::Response,
            Control::Compression(_) => SubFlag::Compression,
            Control::Resend => SubFlag::Resend,
        }
    }

    fn arguments(&self) -> Vec<Packet> {
        match self {
            Control::Handshake {
                id,
                subnet,
                address,
                methods,
                dialect,
            } => vec![
                id.as_bytes().into(),
                subnet.as_bytes().into(),
                json::write_address(address.as_ref()).into(),
                json::write_methods(methods, *dialect).into(),
            ],
            Control::Peers { entries, .. } => vec![json::write_peers(entries).into()],
            Control::RequestPeers => vec![ALL.into()],
            Control::Request { request, wanted } => {
                vec![request.as_bytes().into(), wanted.as_bytes().into()]
            }
            Control::Response {
                request,
                id,
                address,
            } => {
                vec![
                    request.as_bytes().into(),
                    json::write_peer(address, id).into(),
                ]
            }
            Control::Compression(methods) => {
                vec![json::write_methods(methods, Dialect::Spaced).into()]
            }
            Control::Resend => Vec::new(),
        }
    }
}

fn read_handshake(args: &Arguments<'_>) -> Result<Control, ControlError> {
    let methods = args.get(4)?;
    Ok(Control::Handshake {
        id: NodeId::parse(args.get(1)?)?,
        subnet: SubnetId::parse(args.get(2)?)?,
        address: json::read_address(args.get(3)?),
        methods: json::read_methods(methods)?,
        dialect: json::dialect(methods),
    })
}

fn read_peers(args: &Arguments<'_>) -> Result<Control, ControlError> {
    let (entries, skipped) = json::read_peers(args.get(1)?)?;
    Ok(Control::Peers { entries, skipped })
}

fn read_request(args: &Arguments<'_>) -> Result<Control, ControlError> {
    let request = args.get(1)?;
    if request == ALL {
        return Ok(Control::RequestPeers);
    }
    Ok(Control::Request {
        request: RequestId::parse(request)?,
        wanted: NodeId::parse(args.get(2)?)?,
    })
}

fn read_response(args: &Arguments<'_>) -> Result<Control, ControlError> {
    let request = RequestId::parse(args.get(1)?)?;
    let PeerEntry { id, address } = json::read_peer(args.get(2)?)?;
    Ok(Control::Response {
        request,
        id,
        address,
    })
}

/// The payload of a control message.
struct Arguments<'a>(&'a Frame<'a>);

impl<'a> Arguments<'a> {
    fn get(&self, index: usize) -> Result<&'a [u8], ControlError> {
        let mut payload = self.0.payload();
        let got = payload.len();
        payload.nth(index).ok_or(ControlError::TooFewPackets {
            got,
            needed: index + 1,
        })
    }
}

#[cfg(test)]
mod tests;
