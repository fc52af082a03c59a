//! The cost of the wire layer: composing, decoding, base58, ids, proofs, compression.
//!
//! `cargo bench --bench codec`, or with a part of a title: `cargo bench --bench codec -- proof`.

#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark may panic")]

mod harness;

use actix_mesh::wire::{
    Batch, Codec, Composer, Deflater, Draft, FingerprintKey, Fingerprints, Flag, Generation,
    Inflater, Limits, Method, NodeId, Packet, base58,
};
use bytes::BytesMut;
use harness::{Way, side_by_side};
use tokio_util::codec::Decoder as _;

const GENERATION: Generation = Generation::V0_4;
const TIME: u64 = 1_700_000_000;
/// The most that one read takes.
const CHUNK: usize = 64 * 1024;

fn main() {
    base58();
    for size in [100, 160, 1024, 64 * 1024] {
        composing(size);
    }
    for size in [16, 160, 1024] {
        decoding(size);
    }
    for size in [100, 160, 1024, 64 * 1024] {
        proofs(size);
    }
    for size in [200, 1024, 64 * 1024] {
        compression(size);
    }
}

fn composer() -> Composer {
    let me = NodeId::parse(base58::encode(&[0xa5; 48])).unwrap();
    Composer::new(GENERATION, Limits::default(), me)
}

/// Makes payloads of that many bytes, all different.
fn payloads(size: usize, count: usize) -> Vec<Vec<Packet>> {
    let body = |index: usize| format!("{index:08}").into_bytes().repeat(size / 8 + 1);
    (0..count)
        .map(|index| vec![Packet::from("\0"), Packet::from(&body(index)[..size])])
        .collect()
}

fn frames(size: usize, count: usize) -> Vec<u8> {
    let composer = composer();
    payloads(size, count)
        .iter()
        .flat_map(|payload| {
            composer
                .compose(&Flag::Broadcast, payload, TIME)
                .unwrap()
                .frames
                .plain
        })
        .collect()
}

fn base58() {
    let digest: [u8; 48] = [0xa5; 48];
    let text = base58::encode_digest(&digest);
    let digests: Vec<[u8; 48]> = (0..64).map(|byte| [byte * 3 + 1; 48]).collect();
    let mut ways = vec![
        Way::new("encode, any size", 1, || base58::encode(&digest)),
        Way::new("encode, 48 bytes", 1, || base58::encode_digest(&digest)),
        Way::new("decode, any size", 1, || base58::decode(&text)),
        Way::new("decode, 48 bytes", 1, || base58::decode_digest(&text)),
        Way::new("encode a time", 1, || base58::encode_u64(TIME)),
    ];
    for count in [1, 2, 3, 8, 16, 64] {
        let (name, digests) = (format!("encode, {count} at a time"), &digests[..count]);
        ways.push(Way::new(name, count, move || {
            base58::encode_digests(digests)
        }));
    }
    side_by_side("base58 of a digest: general, fixed size, several", ways);
}

fn composing(size: usize) {
    let composer = composer();
    let payloads = payloads(size, 64);
    let drafts: Vec<Draft<'_>> = payloads
        .iter()
        .map(|payload| Draft {
            flag: &Flag::Broadcast,
            payload,
            time: TIME,
        })
        .collect();
    let mut ways = vec![
        Way::new("one by one", 64, || {
            let compose =
                |draft: &Draft<'_>| composer.compose(draft.flag, draft.payload, draft.time);
            drafts.iter().map(compose).collect::<Vec<_>>()
        }),
        Way::new("the id alone", 64, || {
            let id = |draft: &Draft<'_>| composer.message_id(draft.payload, draft.time);
            drafts.iter().map(id).collect::<Vec<_>>()
        }),
    ];
    for burst in [1, 8, 64] {
        let name = format!("bursts of {burst}");
        let (composer, drafts) = (&composer, &drafts[..burst]);
        ways.push(Way::new(name, burst, move || composer.compose_many(drafts)));
    }
    side_by_side(&format!("composing {size} B"), ways);
}

fn decoding(size: usize) {
    let one = frames(size, 1).len();
    let count = CHUNK / one;
    let chunk = frames(size, count);
    let mut codec = Codec::new(GENERATION, Limits::default());
    codec.established();
    let key = FingerprintKey::new(1, 2);
    let batch = Batch::from_frames(GENERATION, Limits::default(), &chunk).unwrap();
    side_by_side(
        &format!("decoding a chunk of {count} frames of {one} B, each frame"),
        vec![
            Way::new("copying the chunk", count, || BytesMut::from(&chunk[..])),
            Way::new("copying and decoding it", count, || {
                codec.decode(&mut BytesMut::from(&chunk[..]))
            }),
            Way::new("what its frames claim", count, || {
                let fingerprints = batch
                    .iter()
                    .flatten()
                    .map(|frame| frame.fingerprint(&key).strict);
                fingerprints.fold(0, |all, fingerprint| all ^ fingerprint)
            }),
            Way::new("the same, all from one sender", count, || {
                let mut fingerprints = Fingerprints::new(&key);
                let fingerprints = batch
                    .iter()
                    .flatten()
                    .map(|frame| fingerprints.of(&frame).strict);
                fingerprints.fold(0, |all, fingerprint| all ^ fingerprint)
            }),
        ],
    );
}

fn proofs(size: usize) {
    let batch = Batch::from_frames(GENERATION, Limits::default(), &frames(size, 64)).unwrap();
    let all: Vec<usize> = (0..64).collect();
    let mut ways = vec![Way::new("one by one", 64, || {
        batch
            .iter()
            .flatten()
            .filter(|frame| frame.verify().is_ok())
            .count()
    })];
    for count in [1, 2, 3, 8, 16, 64] {
        let (batch, which) = (&batch, &all[..count]);
        let mut verdicts = Vec::new();
        ways.push(Way::new(format!("{count} at a time"), count, move || {
            batch.verify(which, &mut verdicts);
            assert!(verdicts.iter().all(Result::is_ok));
        }));
    }
    side_by_side(&format!("proof of {size} B"), ways);
}

fn compression(size: usize) {
    let text: Vec<u8> = (0..size / 8 + 1)
        .flat_map(|index| format!("{:x} mesh ", index * 2_654_435_761).into_bytes())
        .take(size)
        .collect();
    let mut ways = Vec::new();
    for method in Method::available() {
        let deflated = Deflater::new().deflate(*method, &text).unwrap();
        let (mut deflater, mut inflater) = (Deflater::new(), Inflater::new());
        let (name, text) = (method, &text);
        let shrunk = deflated.len();
        ways.push(Way::new(
            format!("deflate {name} to {shrunk} B"),
            1,
            move || deflater.deflate(*method, text),
        ));
        ways.push(Way::new(format!("inflate {name}"), 1, move || {
            inflater.inflate(&deflated, 4 * 1024 * 1024, 4)
        }));
    }
    side_by_side(&format!("compression of {size} B of text"), ways);
}
