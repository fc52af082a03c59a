//! A node under test, the peers a test plays, and readers of effects.

pub(super) use std::time::Duration;

pub(super) use bytes::Bytes;

pub(super) use crate::mesh::messaging::renegotiate::Kept;
pub(super) use crate::mesh::*;
pub(super) use crate::wire::{
    Address, Batch, Composer, Control, Dialect, Extension, Flag, Generation, Hold, Limits, Method,
    NodeId, Packet, Packets, PeerEntry, RequestId, SubFlag, Subnet,
};

pub(super) const GENERATION: Generation = Generation::V0_4;
pub(super) const NOON: u64 = 1_500_000_000;

/// A node under test, and the peers that a test plays.
pub(super) struct Rig {
    pub(super) mesh: Mesh,
    pub(super) now: Now,
    pub(super) out: Effects,
}

/// A peer played by the test.
pub(super) struct Played {
    pub(super) conn: ConnId,
    pub(super) composer: Composer,
}

pub(super) fn address(text: &str) -> Address {
    text.parse().unwrap()
}

pub(super) fn id(name: &str) -> NodeId {
    NodeId::derive(name, &Subnet::default().id(GENERATION), b"salt")
}

pub(super) fn composer(name: &str) -> Composer {
    Composer::new(GENERATION, Limits::default(), id(name))
}

pub(super) fn packets(texts: &[&str]) -> Vec<Packet> {
    texts.iter().map(|text| Packet::from(*text)).collect()
}

pub(super) fn user(texts: &[&str]) -> Vec<Packet> {
    let kind = SubFlag::Broadcast.packet(GENERATION);
    std::iter::once(kind).chain(packets(texts)).collect()
}

/// Makes a handshake that of an actix-mesh peer.
pub(super) fn announced(control: &mut Control) {
    if let Control::Handshake { extended, .. } = control {
        *extended = true;
    }
}

pub(super) fn extension(verb: &str, arguments: &[&str]) -> Vec<Packet> {
    let arguments = arguments.iter();
    let arguments = arguments.map(|text| Bytes::copy_from_slice(text.as_bytes()));
    let extension = Extension {
        verb: verb.to_owned(),
        arguments: arguments.collect(),
    };
    Control::Extension(extension).packets(GENERATION)
}

/// An extension message from one of our own nodes.
pub(super) fn verb(peer: &Played, name: &str, arguments: &[&str]) -> Bytes {
    peer.frame(&Flag::Whisper, &extension(name, arguments), NOON)
}

/// The connections on which this verb is written, and its arguments.
pub(super) fn extended_to(effects: &[Effect], verb: &str) -> Vec<(ConnId, Vec<String>)> {
    let said = written(effects).into_iter();
    let said = said.filter(|(_, _, texts)| texts[0] == "mesh+" && texts[1] == verb);
    said.map(|(conn, _, texts)| (conn, texts[2..].to_vec()))
        .collect()
}

impl Played {
    pub(super) fn frame(&self, flag: &Flag, payload: &[Packet], time: u64) -> Bytes {
        self.composer
            .compose(flag, payload, time)
            .unwrap()
            .frames
            .plain
    }
}

impl Rig {
    pub(super) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(super) fn with(change: impl FnOnce(&mut Params)) -> Self {
        let mut params = Params::new(Subnet::default(), address("127.0.0.1:1000"));
        change(&mut params);
        Self {
            mesh: Mesh::new(params, id("us"), 1),
            now: Now {
                monotonic: Duration::from_secs(100),
                unix: NOON,
            },
            out: Effects::new(),
        }
    }

    pub(super) fn input(&mut self, input: Input) -> Effects {
        let mut out = Effects::new();
        self.mesh.handle(self.now, input, &mut out);
        out
    }

    pub(super) fn hear(&mut self, conn: ConnId, bytes: &[u8]) -> Effects {
        let batch = Batch::from_frames(GENERATION, Limits::default(), bytes).unwrap();
        self.input(Input::Received { conn, batch })
    }

    pub(super) fn handshake(name: &str, change: impl FnOnce(&mut Control)) -> Bytes {
        Self::handshake_at(name, NOON, change)
    }

    pub(super) fn handshake_at(name: &str, time: u64, change: impl FnOnce(&mut Control)) -> Bytes {
        let mut control = Control::Handshake {
            id: id(name),
            subnet: Subnet::default().id(GENERATION),
            address: Some(address(&format!("127.0.0.1:{}", 2000 + name.len()))),
            methods: vec![Method::Zlib, Method::Gzip],
            dialect: Dialect::Spaced,
            extended: false,
        };
        change(&mut control);
        let payload = control.packets(GENERATION);
        composer(name)
            .compose(&Flag::Whisper, &payload, time)
            .unwrap()
            .frames
            .plain
    }

    pub(super) fn accept(&mut self, from: &str) -> ConnId {
        let conn = self.mesh.next_conn();
        self.input(Input::Accepted {
            conn,
            addr: address(from),
        });
        conn
    }

    pub(super) fn join(&mut self, name: &str) -> Played {
        self.join_with(name, |_| {})
    }

    pub(super) fn join_with(&mut self, name: &str, change: impl FnOnce(&mut Control)) -> Played {
        let conn = self.accept("127.0.0.1:50000");
        let out = self.hear(conn, &Self::handshake(name, change));
        assert!(
            out.iter()
                .any(|effect| matches!(effect, Effect::Establish { .. })),
            "{name} was not let in: {out:?}",
        );
        Played {
            conn,
            composer: composer(name),
        }
    }

    pub(super) fn send(&mut self, texts: &[&str]) -> Result<Sent, SendError> {
        self.send_what(Outgoing {
            packets: packets(texts).into_iter().collect(),
            flag: Flag::Broadcast,
            kind: None,
            allow_empty: false,
        })
    }

    pub(super) fn send_what(&mut self, what: Outgoing) -> Result<Sent, SendError> {
        self.out.clear();
        self.mesh.send(self.now, what, Hold::none(), &mut self.out)
    }

    pub(super) fn pass(&mut self, seconds: u64) -> Effects {
        self.now.monotonic += Duration::from_secs(seconds);
        self.now.unix += seconds;
        self.input(Input::Tick)
    }
}

/// What is written and where: the flag and the payload's texts of each frame.
pub(super) fn written(effects: &[Effect]) -> Vec<(ConnId, Flag, Vec<String>)> {
    let mut written = Vec::new();
    for effect in effects {
        let Effect::Transmit { to, frames } = effect else {
            continue;
        };
        let batch = Batch::from_frames(GENERATION, Limits::default(), &frames.plain).unwrap();
        for index in 0..batch.len() {
            let frame = batch.get(index).unwrap();
            let texts = frame
                .payload()
                .map(|p| String::from_utf8_lossy(p).into_owned());
            let texts: Vec<String> = texts.collect();
            written.extend(to.iter().map(|conn| (*conn, frame.flag(), texts.clone())));
        }
    }
    written
}

pub(super) fn targets(effects: &[Effect]) -> Vec<ConnId> {
    written(effects)
        .into_iter()
        .map(|(conn, ..)| conn)
        .collect()
}

pub(super) fn delivered(effects: &[Effect]) -> Vec<String> {
    let messages = effects.iter().filter_map(|effect| match effect {
        Effect::Deliver(messages) => Some(messages.clone().into_vec()),
        _ => None,
    });
    messages.flatten().map(|message| message.text()).collect()
}

pub(super) fn closed(effects: &[Effect]) -> Vec<&'static str> {
    let reasons = effects.iter().filter_map(|effect| match effect {
        Effect::Close { reason, .. } => Some(reason.code()),
        _ => None,
    });
    reasons.collect()
}

/// Returns the dials among the effects.
pub(super) fn dials(out: &[Effect]) -> Vec<(ConnId, String)> {
    let dials = out.iter().filter_map(|effect| match effect {
        Effect::Dial { conn, addr } => Some((*conn, addr.to_string())),
        _ => None,
    });
    dials.collect()
}
