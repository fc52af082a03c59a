//! Randomly drawn frames: most are almost valid, each broken in its own way.

use actix_mesh::wire::{Deflater, Method, base58};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use sha2::{Digest as _, Sha384};

/// A drawn frame.
pub(crate) struct Drawn {
    pub(crate) frame: Vec<u8>,
    /// Whether it was compressed in two halves, as concatenated streams.
    pub(crate) halves: bool,
}

/// Draws `count` frames, the same ones each time.
pub(crate) fn draw(count: usize) -> Vec<Drawn> {
    let mut dice = StdRng::seed_from_u64(25);
    (0..count).map(|_| frame(&mut dice)).collect()
}

struct Parts {
    flag: Vec<u8>,
    sender: Vec<u8>,
    time: Vec<u8>,
    payload: Vec<Vec<u8>>,
}

fn frame(dice: &mut StdRng) -> Drawn {
    let mut parts = parts(dice);
    if dice.random_bool(0.001) {
        parts.payload = vec![b"x".repeat(4 << 20)];
        let body = Deflater::new()
            .deflate(Method::Zlib, &body(&parts, dice))
            .unwrap();
        return framed(body, false);
    }
    let mut body = body(&parts, dice);
    if dice.random_bool(0.15) {
        body = broken(body, dice);
    }
    let mut halves = false;
    if dice.random_bool(0.4) {
        (body, halves) = compressed(&body, dice);
    }
    framed(body, halves)
}

fn framed(body: Vec<u8>, halves: bool) -> Drawn {
    let mut frame = u32::try_from(body.len()).unwrap().to_be_bytes().to_vec();
    frame.extend(body);
    Drawn { frame, halves }
}

fn parts(dice: &mut StdRng) -> Parts {
    let flag = match dice.random_range(0..10) {
        0 => Vec::new(),
        1 => b"foo".to_vec(),
        2 => vec![dice.random()],
        kind => vec![kind % 3],
    };
    let sender = match dice.random_range(0..20) {
        0 => Vec::new(),
        1 => some(dice, 200),
        2 => vec![b'z'; dice.random_range(120..140)],
        3 => b"0OIl".to_vec(),
        _ => base58::encode(&some(dice, 48)).into_bytes(),
    };
    let time = match dice.random_range(0..24) {
        0 => Vec::new(),
        1 => b"1".repeat(dice.random_range(1..15)),
        2 => [b"11", &number(dice)[..]].concat(),
        3 => some(dice, 12),
        4 => b"z".repeat(dice.random_range(9..16)),
        5 => b"jpXCZedGfVQ".to_vec(),
        6 => b"jpXCZedGfVR".to_vec(),
        7 => [&number(dice)[..], b" "].concat(),
        _ => number(dice),
    };
    let count = match dice.random_range(0..60) {
        0 => dice.random_range(1015..1030),
        1 => 0,
        _ => dice.random_range(1..6),
    };
    let payload = (0..count).map(|_| packet(dice)).collect();
    Parts {
        flag,
        sender,
        time,
        payload,
    }
}

fn number(dice: &mut StdRng) -> Vec<u8> {
    let time = match dice.random_range(0..4) {
        0 => dice.random(),
        1 => 0,
        _ => 1_500_000_000 + dice.random_range(0..100_000_000),
    };
    base58::encode_u64(time).as_bytes().to_vec()
}

fn packet(dice: &mut StdRng) -> Vec<u8> {
    match dice.random_range(0..8) {
        0 => Vec::new(),
        1 => some(dice, 40),
        2 => vec![dice.random_range(0..32)],
        3 => "grüße, 世界 ".repeat(dice.random_range(1..20)).into_bytes(),
        4 => vec![0xff, 0xfe, 0x80],
        5 => "world of text "
            .repeat(dice.random_range(1..60))
            .into_bytes(),
        _ => format!("{}", dice.random::<u64>()).into_bytes(),
    }
}

fn some(dice: &mut StdRng, most: usize) -> Vec<u8> {
    (0..dice.random_range(1..=most))
        .map(|_| dice.random())
        .collect()
}

/// Builds the body with its correct id, or an almost correct one.
fn body(parts: &Parts, dice: &mut StdRng) -> Vec<u8> {
    // The time is hashed as the canonical form of its number, whatever the packet contains.
    let time = base58::decode(&parts.time).map_or_else(
        |_| parts.time.clone(),
        |number| base58::encode(&number).into_bytes(),
    );
    let lossy = dice.random_bool(0.1);
    let mut hash = Sha384::new();
    for packet in &parts.payload {
        if lossy {
            hash.update(String::from_utf8_lossy(packet).as_bytes());
        } else {
            hash.update(packet);
        }
    }
    let mut id = base58::encode(&hash.chain_update(&time).finalize()).into_bytes();
    match dice.random_range(0..30) {
        0 => id.insert(0, b'1'),
        1 => id.push(b' '),
        2 => id.clear(),
        3 => *id.last_mut().unwrap() ^= 1,
        4 => id = some(dice, 150),
        _ => {}
    }
    let mut packets = vec![
        parts.flag.clone(),
        parts.sender.clone(),
        id,
        parts.time.clone(),
    ];
    packets.extend(parts.payload.iter().cloned());
    packets.truncate(match dice.random_range(0..40) {
        0 => dice.random_range(0..5),
        _ => usize::MAX,
    });
    let sizes = packets
        .iter()
        .flat_map(|packet| u32::try_from(packet.len()).unwrap().to_be_bytes());
    sizes.chain(packets.concat()).collect()
}

/// Changes, removes or adds bytes.
fn broken(mut body: Vec<u8>, dice: &mut StdRng) -> Vec<u8> {
    if body.is_empty() {
        return body;
    }
    let at = dice.random_range(0..body.len());
    match dice.random_range(0..5) {
        0 => body[at] ^= 1 << dice.random_range(0..8),
        1 => body.truncate(at),
        2 => body.extend(some(dice, 9)),
        3 => body.splice(at..at, some(dice, 4)).for_each(drop),
        // Changes a length.
        _ => body[at / 4 * 4..]
            .iter_mut()
            .take(4)
            .for_each(|byte| *byte = dice.random()),
    }
    body
}

/// Compresses a body; returns whether it is in halves.
fn compressed(body: &[u8], dice: &mut StdRng) -> (Vec<u8>, bool) {
    let method = [Method::Zlib, Method::Gzip, Method::Bzip2, Method::Lzma][dice.random_range(0..4)];
    let deflate = |bytes: &[u8]| Deflater::new().deflate(method, bytes).unwrap();
    let mut out = deflate(body);
    match dice.random_range(0..12) {
        0 => out = broken(out, dice),
        1 => out.extend(some(dice, 20)),
        2 => {
            let (head, tail) = body.split_at(body.len() / 2);
            return ([deflate(head), deflate(tail)].concat(), true);
        }
        3 => out = deflate(&out),
        _ => {}
    }
    (out, false)
}
