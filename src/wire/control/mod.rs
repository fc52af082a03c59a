//! Control messages: what nodes tell each other about the mesh, and their conversion to and from packets.
//!
//! Knows what a message means, not whether to obey it. A control sub-flag is valid only under the main flag with which
//! the reference peers send it: [`Control::allowed_under`] checks that, and the mesh layer decides.

mod json;

use std::borrow::Cow;

use bytes::Bytes;
use serde_json::Value;

use crate::wire::{
    address::Address,
    compression::Method,
    decode::frame::Frame,
    error::ControlError,
    flags::{Flag, SubFlag},
    generation::{Generation, SubnetForm},
    id::{NodeId, RequestId, SubnetId},
    layout::Layout,
    packet::Packet,
    value::{self, Form},
};

/// A message between nodes, not for users.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Control {
    /// The first message on a connection: the node's id, subnet, address and compression methods.
    Handshake {
        /// The node's id.
        id: NodeId,
        /// Its subnet; on a mismatch the connection is closed without a reply.
        subnet: SubnetId,
        /// Where it can be dialled; `None` if it sent no valid address.
        address: Option<Address>,
        /// The known methods among those it reads, in its order of preference.
        methods: Vec<Method>,
        /// How it prints JSON.
        dialect: Dialect,
        /// Whether it announces support for [extensions](Control::Extension).
        extended: bool,
    },
    /// The sender's peers.
    Peers {
        /// The usable entries.
        entries: Vec<PeerEntry>,
        /// The number of entries left out: without an address, with a bad id, or beyond the first 1024.
        skipped: usize,
    },
    /// A request for all peers.
    RequestPeers,
    /// A request for the address of a node, flooded through the mesh.
    Request {
        /// The id that the response will refer to.
        request: RequestId,
        /// The node that is wanted.
        wanted: NodeId,
    },
    /// The response to a request, also flooded.
    Response {
        /// The request it answers.
        request: RequestId,
        /// The node that was wanted.
        id: NodeId,
        /// Where it can be dialled, according to the responder.
        address: Address,
    },
    /// Asks the peer to use only these methods on this connection from now on.
    Compression(Vec<Method>),
    /// Asks the peer to send its last message again.
    Resend,
    /// A message between nodes that announced support for it; reference peers do not know it.
    Extension(Extension),
}

/// A verb and its arguments. A reference peer ignores it, but hands it to a user that waits for its kind: it is sent
/// only to peers that announced support.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extension {
    /// 1 to 16 printable ASCII characters.
    pub verb: String,
    /// As many as fit a message beside the verb. Those received may be any bytes; each verb checks its own.
    pub arguments: Vec<Bytes>,
}

/// The longest verb.
const MAX_VERB: usize = 16;

/// Packet 0 of an extension.
const EXTENSION: &[u8] = b"mesh+";

/// Whether packet 0 of a payload marks an [extension](Control::Extension).
pub(crate) fn is_extension(kind: &[u8]) -> bool {
    kind == EXTENSION
}

/// A node and where it can be dialled, according to a peer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PeerEntry {
    /// The node's id.
    pub id: NodeId,
    /// Its address.
    pub address: Address,
}

/// How a peer prints JSON, which reveals its implementation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// With a space after each comma, like py2p and this crate. Also assumed for a list of fewer than two methods.
    #[default]
    Spaced,
    /// Without a space, like js2p. From generation 0.6 on: sends the subnet's id as text, like js2p, not as binary.
    Tight,
}

/// The wildcard that asks for all peers.
const ALL: &[u8] = b"*";

impl Control {
    /// Reads a control message; `None` if the sub-flag is not one of a control message. Ignores the main flag.
    pub fn read(
        frame: &Frame<'_>,
        generation: Generation,
    ) -> Option<Result<Control, ControlError>> {
        let kind = frame.kind()?;
        let args = Arguments(frame);
        if is_extension(kind) {
            return Some(read_extension(&args));
        }
        Some(match frame.sub_flag()? {
            SubFlag::Handshake => read_handshake(&args, generation),
            SubFlag::Peers => read_peers(&args),
            SubFlag::Request => read_request(&args),
            SubFlag::Response => read_response(&args),
            SubFlag::Compression => args
                .json(1)
                .and_then(|text| json::read_methods(&text))
                .map(Control::Compression),
            SubFlag::Resend => Ok(Control::Resend),
            _ => return None,
        })
    }

    /// Returns the payload of this message, the sub-flag first.
    pub fn packets(&self, generation: Generation) -> Vec<Packet> {
        let kind = match self.sub_flag() {
            Some(sub_flag) => sub_flag.packet(generation),
            None => EXTENSION.into(),
        };
        let mut packets = vec![kind];
        packets.extend(self.arguments(generation));
        if let Layout::MessagePack = generation.profile().layout {
            self.pack(generation, &mut packets);
        }
        packets
    }

    /// Converts the packets for generation 0.6 and later: JSON becomes typed values, methods become numbers.
    fn pack(&self, generation: Generation, packets: &mut [Packet]) {
        let value = |packet: &mut Packet| {
            let json = serde_json::from_slice(packet.as_bytes()).unwrap_or_default();
            let mut raw = Vec::new();
            value::write_json(&numbered(json), &mut raw);
            *packet = Packet::of_form(raw.into(), Form::Value);
        };
        match (self, packets) {
            (Control::Handshake { dialect, .. }, [_, _, subnet, address, methods]) => {
                value(address);
                value(methods);
                let mirrored = generation.profile().subnet_form == SubnetForm::Mirrored;
                if mirrored && *dialect == Dialect::Spaced {
                    *subnet = Packet::binary(subnet.clone().into_bytes());
                }
            }
            (Control::Peers { .. } | Control::Compression(_), [_, list]) => value(list),
            (Control::Response { .. }, [_, _, peer]) => value(peer),
            // py2p takes text for something else.
            (Control::RequestPeers, [_, all]) => *all = Packet::binary(ALL),
            _ => {}
        }
    }

    /// Whether the reference peers send this under that main flag. It must not be obeyed under any other: the whole
    /// mesh would obey a flooded control message.
    pub fn allowed_under(&self, flag: &Flag) -> bool {
        match self {
            Control::Handshake { .. }
            | Control::Peers { .. }
            | Control::RequestPeers
            | Control::Extension(_) => *flag == Flag::Whisper,
            Control::Request { .. } => flag.is_broadcast() || *flag == Flag::Whisper,
            Control::Response { .. } => flag.is_broadcast(),
            Control::Compression(_) | Control::Resend => *flag == Flag::Renegotiate,
        }
    }

    /// Returns the main flag under which this is sent.
    pub fn flag(&self) -> Flag {
        match self {
            Control::Handshake { .. }
            | Control::Peers { .. }
            | Control::RequestPeers
            | Control::Extension(_) => Flag::Whisper,
            Control::Request { .. } | Control::Response { .. } => Flag::Broadcast,
            Control::Compression(_) | Control::Resend => Flag::Renegotiate,
        }
    }

    fn sub_flag(&self) -> Option<SubFlag> {
        Some(match self {
            Control::Handshake { .. } => SubFlag::Handshake,
            Control::Peers { .. } => SubFlag::Peers,
            Control::RequestPeers | Control::Request { .. } => SubFlag::Request,
            Control::Response { .. } => SubFlag::Response,
            Control::Compression(_) => SubFlag::Compression,
            Control::Resend => SubFlag::Resend,
            Control::Extension(_) => return None,
        })
    }

    fn arguments(&self, generation: Generation) -> Vec<Packet> {
        match self {
            Control::Handshake {
                id,
                subnet,
                address,
                methods,
                dialect,
                extended,
            } => vec![
                id.as_bytes().into(),
                subnet.as_bytes().into(),
                json::write_address(address.as_ref()).into(),
                json::write_announcement(
                    methods,
                    *dialect,
                    extended.then_some(generation.profile().announcement),
                )
                .into(),
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
            Control::Extension(Extension { verb, arguments }) => {
                let arguments = arguments.iter().cloned().map(Packet::from);
                std::iter::once(verb.as_bytes().into())
                    .chain(arguments)
                    .collect()
            }
        }
    }
}

fn read_extension(args: &Arguments<'_>) -> Result<Control, ControlError> {
    let verb = args.get(1)?;
    if verb.is_empty() || verb.len() > MAX_VERB || !verb.iter().all(u8::is_ascii_graphic) {
        return Err(ControlError::BadForm);
    }
    let arguments = args.0.payload().skip(2).map(Bytes::copy_from_slice);
    Ok(Control::Extension(Extension {
        verb: String::from_utf8_lossy(verb).into_owned(),
        arguments: arguments.collect(),
    }))
}

fn read_handshake(args: &Arguments<'_>, generation: Generation) -> Result<Control, ControlError> {
    if args.0.payload().len() > generation.profile().handshake {
        return Err(ControlError::BadForm);
    }
    let methods = &*args.json(4)?;
    Ok(Control::Handshake {
        id: NodeId::parse(args.get(1)?)?,
        subnet: SubnetId::parse(args.get(2)?)?,
        address: json::read_address(&args.json(3)?),
        methods: json::read_methods(methods)?,
        dialect: args.dialect(methods),
        extended: json::announces(methods, generation.profile().announcement),
    })
}

fn read_peers(args: &Arguments<'_>) -> Result<Control, ControlError> {
    let (entries, skipped) = json::read_peers(&args.json(1)?)?;
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
    let PeerEntry { id, address } = json::read_peer(&args.json(2)?)?;
    Ok(Control::Response {
        request,
        id,
        address,
    })
}

/// Turns method texts into numbers: a text of one character below 48 is a method.
fn numbered(value: Value) -> Value {
    match value {
        Value::Array(list) => Value::Array(list.into_iter().map(numbered).collect()),
        Value::String(text) => match *text.as_bytes() {
            [number @ 0..48] => number.into(),
            _ => Value::String(text),
        },
        other => other,
    }
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

    /// Returns an argument as JSON, converting it from a MessagePack value if necessary.
    fn json(&self, index: usize) -> Result<Cow<'a, [u8]>, ControlError> {
        let argument = self.get(index)?;
        if !matches!(self.0.generation.profile().layout, Layout::MessagePack) {
            return Ok(Cow::Borrowed(argument));
        }
        if argument.len() > json::MAX_LEN {
            return Err(ControlError::BadJson);
        }
        let value = value::to_json(argument).ok_or(ControlError::BadJson)?;
        Ok(Cow::Owned(value.to_string().into_bytes()))
    }

    /// Detects the dialect of a handshake: from generation 0.6 on by whether the subnet's id is text.
    fn dialect(&self, methods: &[u8]) -> Dialect {
        match self.0.generation.profile().layout {
            Layout::MessagePack if self.0.form(2) == Some(Form::Binary) => Dialect::Spaced,
            Layout::MessagePack => Dialect::Tight,
            _ => json::dialect(methods),
        }
    }
}

#[cfg(test)]
mod tests;
