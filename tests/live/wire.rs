//! Frames of generation 0.4 written and read by hand, so that the bytes do not come from the code under test, and a
//! peer made of a bare socket.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use sha2::{Digest, Sha384};

use super::PATIENCE;
use super::peer::{Peer, unique};

pub(crate) const BROADCAST: &[u8] = &[0x00];
pub(crate) const WATERFALL: &[u8] = &[0x01];
pub(crate) const WHISPER: &[u8] = &[0x02];
pub(crate) const HANDSHAKE: &[u8] = &[0x03];
pub(crate) const PEERS: &[u8] = &[0x07];
pub(crate) const REQUEST: &[u8] = &[0x08];

/// The compression of a frame's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    Plain,
    Zlib,
    Gzip,
    Bz2,
    Xz,
}

/// Detects the method by its magic bytes.
pub(crate) fn method_of(body: &[u8]) -> Method {
    match body {
        [0x1f, 0x8b, ..] => Method::Gzip,
        [b'B', b'Z', b'h', ..] => Method::Bz2,
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Method::Xz,
        [0x78, second, ..] if (0x7800 + u32::from(*second)).is_multiple_of(31) => Method::Zlib,
        _ => Method::Plain,
    }
}

/// Returns the bodies of the complete frames in a stream.
pub(crate) fn bodies(mut stream: &[u8]) -> Vec<&[u8]> {
    let mut bodies = Vec::new();
    while let Some((length, rest)) = stream.split_first_chunk() {
        let Some((body, rest)) = rest.split_at_checked(u32::from_be_bytes(*length) as usize) else {
            break;
        };
        bodies.push(body);
        stream = rest;
    }
    bodies
}

pub(crate) fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("the clock is past 1970")
        .as_secs()
}

/// Builds an uncompressed frame with the id its payload and time require.
pub(crate) fn frame(flag: &[u8], sender: &str, payload: &[&[u8]], time: u64) -> Vec<u8> {
    let time = base58(&time.to_be_bytes());
    let hash = payload
        .iter()
        .fold(Sha384::new(), |hash, packet| hash.chain_update(packet));
    let id = base58(&hash.chain_update(&time).finalize());
    let mut packets = vec![flag, sender.as_bytes(), id.as_bytes(), time.as_bytes()];
    packets.extend_from_slice(payload);
    let sizes = packets.iter().flat_map(|packet| length(packet));
    let body: Vec<u8> = sizes.chain(packets.concat()).collect();
    [&length(&body)[..], &body].concat()
}

fn length(bytes: &[u8]) -> [u8; 4] {
    u32::try_from(bytes.len())
        .expect("test data is small")
        .to_be_bytes()
}

/// Encodes a number in base58: no digit for leading zeros, `1` for zero.
fn base58(number: &[u8]) -> String {
    const DIGITS: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
    let mut digits = vec![0_u32];
    for byte in number {
        let mut carry = u32::from(*byte);
        for digit in &mut digits {
            carry += *digit * 256;
            *digit = carry % 58;
            carry /= 58;
        }
        while carry > 0 {
            digits.push(carry % 58);
            carry /= 58;
        }
    }
    while digits.len() > 1 && digits.last() == Some(&0) {
        digits.pop();
    }
    digits
        .iter()
        .rev()
        .map(|digit| char::from(DIGITS[*digit as usize]))
        .collect()
}

/// Splits a plain body into packets.
fn packets(body: &[u8]) -> Vec<Vec<u8>> {
    let mut sizes = Vec::new();
    while 4 * sizes.len() + sizes.iter().sum::<usize>() < body.len() {
        let header = body[4 * sizes.len()..].first_chunk().expect("a header");
        sizes.push(u32::from_be_bytes(*header) as usize);
    }
    let mut rest = &body[4 * sizes.len()..];
    let cut = |size: usize| {
        let (packet, after) = rest.split_at(size);
        rest = after;
        packet.to_vec()
    };
    sizes.into_iter().map(cut).collect()
}

/// A peer that is a socket and an id. It announces no compression, so it receives plain frames only.
pub(crate) struct RawPeer {
    stream: TcpStream,
    unread: Vec<u8>,
    pub(crate) id: String,
}

impl RawPeer {
    /// Dials without sending anything.
    pub(crate) fn dial(node: &Peer) -> Self {
        let stream = TcpStream::connect(&node.listen).expect("the node listens");
        stream.set_nodelay(true).expect("loopback");
        Self {
            stream,
            unread: Vec::new(),
            id: base58(&Sha384::digest(unique("a raw peer"))),
        }
    }

    /// Dials and completes the handshake.
    pub(crate) fn join(node: &Peer) -> Self {
        let mut peer = Self::dial(node);
        peer.shake_hands(&node.subnet);
        peer.expect("the peers list", |packets| packets[4] == PEERS);
        peer
    }

    pub(crate) fn shake_hands(&mut self, subnet: &str) {
        let id = self.id.clone();
        let payload = [
            HANDSHAKE,
            id.as_bytes(),
            subnet.as_bytes(),
            b"[\"127.0.0.1\", 9]",
            b"[]",
        ];
        self.send(WHISPER, &payload);
    }

    /// Sends a message, stamped now.
    pub(crate) fn send(&mut self, flag: &[u8], payload: &[&[u8]]) {
        let frame = frame(flag, &self.id, payload, now());
        self.write(&frame);
    }

    pub(crate) fn broadcast(&mut self, text: &str) {
        self.send(BROADCAST, &[BROADCAST, text.as_bytes()]);
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the node reads");
    }

    /// Writes and ignores errors.
    pub(crate) fn write_anyhow(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    /// Returns the packets of the next frame; `None` at the deadline or if the node has closed.
    pub(crate) fn read(&mut self, patience: Duration) -> Option<Vec<Vec<u8>>> {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(body) = bodies(&self.unread).first() {
                let (taken, packets) = (4 + body.len(), packets(body));
                self.unread.drain(..taken);
                return Some(packets);
            }
            if self.fill(deadline.saturating_duration_since(Instant::now())) != Filled::Bytes {
                return None;
            }
        }
    }

    /// Reads until a frame fits.
    pub(crate) fn expect(&mut self, what: &str, fits: impl Fn(&[Vec<u8>]) -> bool) -> Vec<Vec<u8>> {
        loop {
            let packets = self
                .read(PATIENCE)
                .unwrap_or_else(|| panic!("the node never sent {what}"));
            if fits(&packets) {
                return packets;
            }
        }
    }

    /// Returns every frame that arrives within this time.
    pub(crate) fn frames_within(&mut self, time: Duration) -> Vec<Vec<Vec<u8>>> {
        let deadline = Instant::now() + time;
        std::iter::from_fn(|| self.read(deadline.saturating_duration_since(Instant::now())))
            .collect()
    }

    /// Whether the node closes the connection in time.
    pub(crate) fn is_closed_within(&mut self, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        loop {
            match self.fill(deadline.saturating_duration_since(Instant::now())) {
                Filled::Bytes => {}
                Filled::Nothing => return false,
                Filled::Closed => return true,
            }
        }
    }

    fn fill(&mut self, patience: Duration) -> Filled {
        if patience.is_zero() {
            return Filled::Nothing;
        }
        self.stream
            .set_read_timeout(Some(patience))
            .expect("not zero");
        let mut chunk = [0; 4096];
        match self.stream.read(&mut chunk) {
            Ok(read @ 1..) => {
                self.unread.extend_from_slice(&chunk[..read]);
                Filled::Bytes
            }
            Err(why) if matches!(why.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                Filled::Nothing
            }
            _ => Filled::Closed,
        }
    }
}

/// The result of waiting for more of the stream.
#[derive(PartialEq, Eq)]
enum Filled {
    Bytes,
    Nothing,
    Closed,
}
