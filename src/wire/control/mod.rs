//! Control messages: what nodes tell each other about the mesh, to and from packets.
//!
//! Says what a message means, not whether to obey it: that a control sub-flag counts only under the main flag with which
//! the reference peers send it is told by [`Control::allowed_under`] and decided above.

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
        /// Whether it announces that it understands [extensions](Control::Extension).
        extended: bool,
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
    /// Something between nodes that announced it, which no reference peer knows.
    Extension(Extension),
}

/// A verb and what it is about. Reference peers drop it without a word, but hand it to a user who waits for that kind: it
/// is never sent to who has not announced it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extension {
    /// 1 to 16 printable ASCII characters.
    pub verb: String,
    /// At most 1,024, all of them valid UTF-8.
    pub arguments: Vec<Bytes>,
}

/// Longest verb.
const MAX_VERB: usize = 16;

/// Packet 0 of what only nodes that announced it are sent.
const EXTENSION: &[u8] = b"mesh+";

/// Whether packet 0 of a payload is reserved for [extensions](Control::Extension).
pub(crate) fn is_extension(kind: &[u8]) -> bool {
    kind == EXTENSION
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
    /// Without: js2p. From generation 0.6 on: says the subnet's id as text, as js2p does, and not as binary.
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

    /// The payload that says this, the sub-flag first.
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

    /// From generation 0.6 on what was JSON is a value of its own, methods are numbers, and types count.
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

    /// Whether the reference peers send this under that main flag. Under any other it must not be obeyed: a control message
    /// that is flooded would be obeyed by the whole mesh.
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

    /// The main flag under which this is sent.
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

/// Methods are numbers, and stay so in JSON: a text of one character below 48 is one.
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

    /// An argument that is JSON, or a value that is read as such.
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

    /// How the writer of a handshake writes: from generation 0.6 on whether the subnet's id is text.
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
