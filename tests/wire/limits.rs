//! Attacks on the wire layer that must fail: threats T1 (length-prefix bomb), T2 (decompression bomb), T3 (packet-count
//! bomb) and T4 (huge times and ids).
//!
//! The time bounds are generous, ten times what an unoptimised build needs on a busy machine: they tell linear from
//! quadratic.

use std::time::{Duration, Instant};

use actix_mesh::wire::{
    Batch, Codec, Composer, DecodeError, Deflater, EncodeError, Flag, Generation, IdError,
    Inflater, Limits, Method, NodeId, Packet, StreamError, base58,
};
use bytes::BytesMut;
use tokio_util::codec::Decoder as _;

const GENERATION: Generation = Generation::V0_4;
const MIB: usize = 1024 * 1024;

fn codec(limits: Limits, established: bool) -> Codec {
    let mut codec = Codec::new(GENERATION, limits);
    if established {
        codec.established();
    }
    codec
}

fn framed(body: &[u8]) -> Vec<u8> {
    let mut frame = u32::try_from(body.len()).unwrap().to_be_bytes().to_vec();
    frame.extend_from_slice(body);
    frame
}

/// Makes a frame of any packets.
fn packed(packets: &[&[u8]]) -> Vec<u8> {
    let sizes = packets
        .iter()
        .flat_map(|packet| u32::try_from(packet.len()).unwrap().to_be_bytes());
    let body: Vec<u8> = sizes
        .chain(packets.iter().flat_map(|packet| packet.iter().copied()))
        .collect();
    framed(&body)
}

fn verdict(frame: &[u8]) -> Result<(), DecodeError> {
    let batch = Batch::from_frames(GENERATION, Limits::default(), frame).unwrap();
    batch.get(0).map(drop).map_err(|error| *error)
}

fn quick(limit: Duration, work: impl FnOnce()) {
    let start = Instant::now();
    work();
    let took = start.elapsed();
    assert!(took < limit, "took {took:?}");
}

#[test]
fn t1_an_oversize_length_ends_the_stream_and_reserves_nothing() {
    for established in [false, true] {
        let mut src = BytesMut::with_capacity(64);
        src.extend_from_slice(&[0xff, 0xff, 0xff, 0xff, 0x00]);
        let error = codec(Limits::default(), established)
            .decode(&mut src)
            .unwrap_err();
        assert!(
            matches!(error, StreamError::Oversize { announced: 0xffff_ffff, limit } if limit == 4 * MIB)
        );
        assert_eq!(src.capacity(), 64);
    }
}

#[test]
fn t1_what_is_announced_is_not_allocated() {
    let mut codec = codec(Limits::default(), true);
    let mut src = BytesMut::with_capacity(64);
    src.extend_from_slice(&u32::try_from(4 * MIB).unwrap().to_be_bytes());
    src.extend_from_slice(&[0; 60]);
    assert!(codec.decode(&mut src).unwrap().is_none());
    assert_eq!(src.capacity(), 64);
}

#[test]
fn t1_before_the_handshake_frames_are_small() {
    let limit = Limits::default().frame_before_handshake;
    let mut early = codec(Limits::default(), false);
    let mut src = BytesMut::from(&framed(&vec![0; limit + 1])[..]);
    let error = early.decode(&mut src).unwrap_err();
    assert!(
        matches!(error, StreamError::BeforeHandshake { announced, limit: l } if announced == limit + 1 && l == limit)
    );
    early.established();
    assert_eq!(
        early.decode(&mut src).unwrap().unwrap().wire_len(),
        4 + limit + 1
    );
    let mut fits = BytesMut::from(&framed(&vec![0; limit])[..]);
    assert!(
        codec(Limits::default(), false)
            .decode(&mut fits)
            .unwrap()
            .is_some()
    );
}

#[test]
fn t1_frames_before_a_length_that_ends_the_stream_are_read() {
    let mut src = BytesMut::from(&[framed(b"abc"), vec![0xff; 4]].concat()[..]);
    let mut codec = codec(Limits::default(), true);
    assert_eq!(codec.decode(&mut src).unwrap().unwrap().len(), 1);
    assert!(matches!(
        codec.decode(&mut src),
        Err(StreamError::Oversize { .. })
    ));
}

#[test]
fn t1_a_stream_that_ends_within_a_frame_is_told() {
    for (bytes, missing) in [(&[0, 0][..], 2), (&[0, 0, 0, 9, 1], 8)] {
        let mut src = BytesMut::from(bytes);
        let error = codec(Limits::default(), true)
            .decode_eof(&mut src)
            .unwrap_err();
        assert!(matches!(error, StreamError::Truncated { missing: m } if m == missing));
    }
}

#[test]
fn t1_a_large_frame_in_small_reads_costs_linear_time() {
    let frame = framed(&vec![0; 4 * MIB]);
    let mut codec = codec(Limits::default(), true);
    let mut src = BytesMut::new();
    quick(Duration::from_secs(10), || {
        let mut batches = 0;
        for read in frame.chunks(256) {
            src.extend_from_slice(read);
            batches += usize::from(codec.decode(&mut src).unwrap().is_some());
        }
        assert_eq!(batches, 1);
    });
}

fn bomb(method: Method, size: usize) -> Vec<u8> {
    Deflater::new().deflate(method, &vec![0; size]).unwrap()
}

#[test]
fn t2_a_bomb_stops_at_the_limit() {
    assert_eq!(Method::available().len(), 5, "this test wants all methods");
    for method in Method::available_in(GENERATION) {
        let body = bomb(method, 8 * MIB);
        quick(Duration::from_secs(5), || {
            assert_eq!(
                verdict(&framed(&body)),
                Err(DecodeError::TooLarge { limit: 4 * MIB }),
                "{method}"
            );
        });
    }
}

#[test]
fn t2_a_batch_ends_with_a_bomb() {
    let frame = framed(&bomb(Method::Bzip2, 8 * MIB));
    let mut src = BytesMut::from(&frame.repeat(3)[..]);
    let mut codec = codec(Limits::default(), true);
    for _ in 0..3 {
        assert_eq!(codec.decode(&mut src).unwrap().unwrap().len(), 1);
    }
}

#[test]
fn t2_output_takes_the_room_of_what_was_inflated() {
    let mut inflater = Inflater::new();
    for method in Method::available_in(GENERATION) {
        for size in [1, 100, 3000, MIB] {
            let inflated = inflater
                .inflate(&bomb(method, size), 4 * MIB, 4)
                .unwrap()
                .unwrap();
            assert_eq!(inflated.bytes.len(), 4 + size, "{method}");
            assert!(
                inflated.bytes.capacity() <= size + 64,
                "{method}: {}",
                inflated.bytes.capacity()
            );
        }
    }
}

#[test]
fn t2_before_the_handshake_inflated_frames_are_small_too() {
    let limit = Limits::default().frame_before_handshake;
    let mut src = BytesMut::from(&framed(&bomb(Method::Zlib, limit + 1))[..]);
    let batch = codec(Limits::default(), false)
        .decode(&mut src)
        .unwrap()
        .unwrap();
    assert_eq!(batch.get(0).unwrap_err(), &DecodeError::TooLarge { limit });
}

#[test]
fn t2_a_batch_ends_when_much_was_inflated() {
    let me = NodeId::parse("A").unwrap();
    let composer = Composer::new(GENERATION, Limits::default(), me);
    let payload = [Packet::from("\0"), Packet::from(vec![b'a'; 600 * 1024])];
    let plain = composer
        .compose(&Flag::Broadcast, &payload, 1)
        .unwrap()
        .frames;
    let frame = plain.deflate(&mut Deflater::new(), Method::Zlib).unwrap();
    let mut src = BytesMut::from(&frame.repeat(7)[..]);
    let mut codec = codec(Limits::default(), true);
    let mut lens = Vec::new();
    while let Some(batch) = codec.decode(&mut src).unwrap() {
        assert!(batch.cost() >= batch.len() * 600 * 1024);
        lens.push(batch.len());
    }
    assert_eq!(lens, [2, 2, 2, 1]);
}

#[test]
fn t2_a_dictionary_is_not_allocated_because_it_is_announced() {
    let options = liblzma::stream::LzmaOptions::new_preset(9).unwrap();
    let mut filters = liblzma::stream::Filters::new();
    filters.lzma2(&options);
    let stream =
        liblzma::stream::Stream::new_stream_encoder(&filters, liblzma::stream::Check::Crc64)
            .unwrap();
    let mut body = Vec::new();
    std::io::Read::read_to_end(
        &mut liblzma::bufread::XzEncoder::new_stream(&b"abc"[..], stream),
        &mut body,
    )
    .unwrap();
    assert_eq!(
        verdict(&framed(&body)),
        Err(DecodeError::BadCompression(Method::Lzma))
    );
}

#[test]
fn t3_zero_lengths_are_rejected_fast() {
    let frame = framed(&vec![0; 4 * MIB]);
    quick(Duration::from_millis(500), || {
        assert_eq!(verdict(&frame), Err(DecodeError::TooManyPackets(1024)));
    });
}

#[test]
fn t3_many_empty_frames_are_read_in_batches() {
    let mut src = BytesMut::zeroed(4 * MIB);
    let mut codec = codec(Limits::default(), true);
    quick(Duration::from_secs(10), || {
        let mut frames = 0;
        while let Some(batch) = codec.decode(&mut src).unwrap() {
            assert!(batch.len() <= 4096);
            assert_eq!(batch.get(0).unwrap_err(), &DecodeError::TooFewPackets(0));
            frames += batch.len();
        }
        assert_eq!(frames, MIB);
    });
}

#[test]
fn t3_lengths_that_overflow_are_rejected() {
    let wrap: Vec<u8> = [0x8000_0000_u32, 0x8000_0000, 8, 0]
        .iter()
        .flat_map(|size| size.to_be_bytes())
        .collect();
    assert_eq!(verdict(&framed(&wrap)), Err(DecodeError::SizesDisagree));
    assert_eq!(
        verdict(&framed(&[0xff; 64])),
        Err(DecodeError::SizesDisagree)
    );
}

#[test]
fn t3_the_packet_limit_is_exact_on_both_sides() {
    let composer = Composer::new(GENERATION, Limits::default(), NodeId::parse("A").unwrap());
    let most = vec![Packet::default(); 1025];
    let composed = composer.compose(&Flag::Broadcast, &most, 1).unwrap();
    assert_eq!(verdict(&composed.frames.plain), Ok(()));
    let more = [most, vec![Packet::default()]].concat();
    let error = composer.compose(&Flag::Broadcast, &more, 1).unwrap_err();
    assert_eq!(
        error,
        EncodeError::TooManyPackets {
            count: 1025,
            limit: 1024
        }
    );
}

#[test]
fn a_frame_too_large_to_send_is_refused() {
    let composer = Composer::new(GENERATION, Limits::default(), NodeId::parse("A").unwrap());
    let error = composer
        .compose(&Flag::Broadcast, &[Packet::from(vec![0; 4 * MIB])], 1)
        .unwrap_err();
    assert!(matches!(error, EncodeError::TooLarge { limit, .. } if limit == 4 * MIB));
}

#[test]
fn t4_huge_times_and_ids_are_rejected_fast() {
    let id = [b'2'; 66];
    let huge = vec![b'z'; MIB];
    quick(Duration::from_secs(1), || {
        assert_eq!(
            verdict(&packed(&[b"\0", b"A", &id, &huge])),
            Err(DecodeError::BadTime)
        );
        assert_eq!(
            verdict(&packed(&[b"\0", &huge, &id, b"1"])),
            Err(DecodeError::BadSender(IdError::TooLong(MIB)))
        );
        assert_eq!(
            verdict(&packed(&[b"\0", b"A", &huge, b"1"])),
            Err(DecodeError::BadId(IdError::TooLong(MIB)))
        );
        assert!(base58::decode(&huge).is_err());
    });
}

#[test]
fn t4_times_fit_64_bits() {
    let id = [b'2'; 66];
    let with_time = |time: &[u8]| verdict(&packed(&[b"\0", b"A", &id, time]));
    assert_eq!(with_time(b""), Ok(()));
    assert_eq!(with_time(b"11111111111"), Ok(()));
    assert_eq!(with_time(&base58::encode_u64(u64::MAX)), Ok(()));
    assert_eq!(with_time(b"jpXCZedGfVR"), Err(DecodeError::BadTime));
    assert_eq!(with_time(b"111111111111"), Err(DecodeError::BadTime));
    assert_eq!(with_time(b"0"), Err(DecodeError::BadTime));
}

#[test]
fn t4_ids_have_1_to_128_base58_digits() {
    let named = |sender: &[u8]| verdict(&packed(&[b"\0", sender, b"A", b"1"]));
    assert_eq!(named(&[b'z'; 128]), Ok(()));
    assert_eq!(
        named(&[b'z'; 129]),
        Err(DecodeError::BadSender(IdError::TooLong(129)))
    );
    assert_eq!(named(b""), Err(DecodeError::BadSender(IdError::Empty)));
    for c in 0..=255_u8 {
        let digit = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz".contains(&c);
        assert_eq!(named(&[b'z', c]).is_ok(), digit, "{c}");
    }
}

/// A cached sender never stands in for another.
#[test]
fn t4_each_frame_of_a_batch_is_judged_by_its_own_ids() {
    let senders: [&[u8]; 9] = [b"", b"A", b"A", b"0", b"0", b"", b"A", b"AA", b"A0"];
    let frames = senders.map(|sender| packed(&[b"\0", sender, b"A", b"1"]));
    let batch = Batch::from_frames(GENERATION, Limits::default(), &frames.concat()).unwrap();
    let verdicts: Vec<_> = batch
        .iter()
        .map(|frame| frame.map(drop).map_err(|error| *error))
        .collect();
    assert_eq!(verdicts, frames.map(|frame| verdict(&frame)));
    assert_eq!(verdicts.iter().filter(|verdict| verdict.is_ok()).count(), 4);
}

/// A snappy block announces its length at its head, and has no signature.
#[test]
fn t2_a_block_of_snappy_is_taken_at_its_word_only_as_far_as_it_can_be_true() {
    let read = |body: &[u8]| {
        let batch = Batch::from_frames(Generation::V0_7, Limits::default(), &framed(body));
        let batch = batch.unwrap();
        batch
            .get(0)
            .map(|frame| frame.wire_len())
            .map_err(|error| *error)
    };
    quick(Duration::from_secs(5), || {
        // Announces 4 GiB minus one, in six bytes.
        assert!(read(&[0xff, 0xff, 0xff, 0xff, 0x0f, 0x00]).is_err());
        // The announced length is true, but too large.
        assert!(read(&bomb(Method::Snappy, 8 * MIB)).is_err());
        // The announced length is true, but the contents are not a frame.
        assert!(read(&bomb(Method::Snappy, MIB)).is_err());
    });
    // Generation 0.4 does not have snappy.
    let me = NodeId::parse("A").unwrap();
    for (generation, reads) in [(Generation::V0_4, false), (Generation::V0_5, true)] {
        let composer = Composer::new(generation, Limits::default(), me.clone());
        let payload = [Packet::from("\0"), Packet::from("a".repeat(4000))];
        let plain = composer.compose(&Flag::Broadcast, &payload, 1).unwrap();
        let frame = plain.frames.deflate(&mut Deflater::new(), Method::Snappy);
        let batch = Batch::from_frames(generation, Limits::default(), &frame.unwrap()).unwrap();
        let compression = batch.get(0).map(|frame| frame.compression());
        assert_eq!(compression.ok(), reads.then_some(Some(Method::Snappy)));
    }
}
