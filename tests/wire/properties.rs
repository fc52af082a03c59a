//! Properties of the wire layer that hold for all inputs.

use actix_mesh::wire::{
    Address, Batch, Codec, Composer, Control, Copies, DecodeError, Deflater, Draft, FingerprintKey,
    Fingerprints, Flag, Frame, Frames, Generation, Inflater, Limits, MessageId, Method, NodeId,
    Packet, Packets, base58,
};
use bytes::BytesMut;
use proptest::{collection::vec, prelude::*, sample};
use sha2::{Digest as _, Sha384};
use tokio_util::codec::{Decoder as _, Encoder as _};

const GENERATION: Generation = Generation::V0_4;
const KEY: (u64, u64) = (1, 2);

fn composer() -> Composer {
    Composer::new(GENERATION, Limits::default(), NodeId::parse("A").unwrap())
}

fn read(bytes: &[u8]) -> Batch {
    Batch::from_frames(GENERATION, Limits::default(), bytes).unwrap()
}

fn framed(body: &[u8]) -> Vec<u8> {
    let mut frame = u32::try_from(body.len()).unwrap().to_be_bytes().to_vec();
    frame.extend_from_slice(body);
    frame
}

/// The contents of a frame, without its position.
#[derive(Clone, Debug, PartialEq)]
struct Said {
    flag: Flag,
    sender: Vec<u8>,
    id: Vec<u8>,
    time: u64,
    payload: Vec<Vec<u8>>,
    compression: Option<Method>,
    wire_len: usize,
}

fn said(frame: &Frame<'_>) -> Said {
    Said {
        flag: frame.flag(),
        sender: frame.sender().to_vec(),
        id: frame.id().to_vec(),
        time: frame.time(),
        payload: frame.payload().map(<[u8]>::to_vec).collect(),
        compression: frame.compression(),
        wire_len: frame.wire_len(),
    }
}

fn all_said(batch: &Batch) -> Vec<Result<Said, DecodeError>> {
    batch
        .iter()
        .map(|frame| frame.map(|frame| said(&frame)).map_err(|error| *error))
        .collect()
}

fn a_flag() -> impl Strategy<Value = Flag> {
    prop_oneof![
        4 => Just(Flag::Broadcast),
        4 => Just(Flag::Waterfall),
        1 => Just(Flag::Whisper),
        1 => Just(Flag::Renegotiate),
        1 => Just(Flag::Ping),
        1 => Just(Flag::Pong),
        1 => Just(Flag::read(b"foo", GENERATION)),
        1 => Just(Flag::read(b"", GENERATION)),
    ]
}

fn a_sender() -> impl Strategy<Value = NodeId> {
    "[1-9A-HJ-NP-Za-km-z]{1,128}".prop_map(|text| NodeId::parse(text).unwrap())
}

fn a_packet() -> impl Strategy<Value = Packet> {
    prop_oneof![
        vec(any::<u8>(), 0..40).prop_map(Packet::from),
        ".{0,20}".prop_map(Packet::from)
    ]
}

#[derive(Clone, Debug)]
struct Given {
    flag: Flag,
    sender: NodeId,
    time: u64,
    payload: Vec<Packet>,
    method: Option<Method>,
}

fn a_message() -> impl Strategy<Value = Given> {
    let method = prop_oneof![
        Just(None),
        sample::select(Method::available_in(GENERATION)).prop_map(Some)
    ];
    (
        a_flag(),
        a_sender(),
        any::<u64>(),
        vec(a_packet(), 0..6),
        method,
    )
        .prop_map(|(flag, sender, time, payload, method)| Given {
            flag,
            sender,
            time,
            payload,
            method,
        })
}

fn plain(given: &Given) -> Vec<u8> {
    composer()
        .compose_as(&given.sender, &given.flag, &given.payload, given.time)
        .unwrap()
        .frames
        .plain
        .to_vec()
}

fn on_the_wire(given: &Given) -> Vec<u8> {
    let plain = plain(given);
    match given.method {
        Some(method) => framed(&Deflater::new().deflate(method, &plain[4..]).unwrap()),
        None => plain,
    }
}

/// Replaces the id of a plain frame.
fn renamed(plain: &[u8], id: &[u8]) -> Vec<u8> {
    let count = 4 + read(plain).get(0).unwrap().payload().count();
    let (sizes, packets) = plain[4..].split_at(4 * count);
    let mut sizes: Vec<[u8; 4]> = sizes.as_chunks().0.to_vec();
    let size = |at: usize| u32::from_be_bytes(sizes[at]) as usize;
    let (before, after) = packets.split_at(size(0) + size(1));
    let after = &after[size(2)..];
    sizes[2] = u32::try_from(id.len()).unwrap().to_be_bytes();
    framed(&[sizes.as_flattened(), before, id, after].concat())
}

/// Returns the id by the rule of js2p.
fn lossy_id(given: &Given) -> Vec<u8> {
    let mut hash = Sha384::new();
    for packet in &given.payload {
        hash.update(String::from_utf8_lossy(packet.as_bytes()).as_bytes());
    }
    hash.update(base58::encode_u64(given.time));
    base58::encode(&hash.finalize()).into_bytes()
}

/// Returns an id and its verdict: some prove the message, others do not.
fn an_id(given: &Given, kind: u8) -> (Vec<u8>, Result<(), DecodeError>) {
    let id = composer().message_id(&given.payload, given.time);
    let id = id.as_bytes();
    match kind {
        0 => (id.to_vec(), Ok(())),
        1 => (lossy_id(given), Ok(())),
        2 => ([b"1", id].concat(), Err(DecodeError::IdMismatch)),
        3 => (id[..id.len() - 1].to_vec(), Err(DecodeError::IdMismatch)),
        4 => ([b'z'; 66].to_vec(), Err(DecodeError::IdMismatch)),
        5 => ([b'z'; 128].to_vec(), Err(DecodeError::IdMismatch)),
        _ => (b"1".to_vec(), Err(DecodeError::IdMismatch)),
    }
}

/// A valid or invalid frame from a peer.
fn a_frame() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![8 => a_message().prop_map(|given| on_the_wire(&given)), 1 => vec(any::<u8>(), 0..60).prop_map(|body| framed(&body))]
}

proptest! {
    #[test]
    fn any_split_of_a_stream_gives_the_same_frames(frames in vec(a_frame(), 0..12), cuts in vec(1..200_usize, 1..20)) {
        let stream = frames.concat();
        let mut codec = Codec::new(GENERATION, Limits::default());
        codec.established();
        let (mut src, mut got, mut rest) = (BytesMut::new(), Vec::new(), &stream[..]);
        for cut in cuts.iter().cycle() {
            let (now, later) = rest.split_at((*cut).min(rest.len()));
            src.extend_from_slice(now);
            rest = later;
            while let Some(batch) = codec.decode(&mut src).unwrap() {
                got.extend(all_said(&batch));
            }
            if rest.is_empty() {
                break;
            }
        }
        prop_assert!(codec.decode_eof(&mut src).unwrap().is_none());
        prop_assert_eq!(got, all_said(&read(&stream)));
    }

    #[test]
    fn before_the_handshake_frames_come_one_by_one(frames in vec(a_frame(), 1..6)) {
        let mut codec = Codec::new(GENERATION, Limits::default());
        let mut src = BytesMut::from(&frames.concat()[..]);
        for frame in &frames {
            let batch = codec.decode(&mut src).unwrap().unwrap();
            prop_assert_eq!(batch.len(), 1);
            prop_assert_eq!(all_said(&batch), all_said(&read(frame)));
        }
        prop_assert!(codec.decode(&mut src).unwrap().is_none());
    }

    #[test]
    fn what_is_composed_is_read_back(given in a_message()) {
        let composed = composer().compose_as(&given.sender, &given.flag, &given.payload, given.time).unwrap();
        let batch = read(&on_the_wire(&given));
        let frame = batch.get(0).unwrap();
        prop_assert_eq!(frame.verify().map(drop), Ok(()));
        prop_assert_eq!(frame.flag(), given.flag.clone());
        prop_assert_eq!(frame.is_broadcast(), given.flag.is_broadcast());
        prop_assert_eq!(frame.sender(), given.sender.as_bytes());
        prop_assert_eq!(frame.id(), composed.id.as_bytes());
        prop_assert_eq!(frame.time(), given.time);
        prop_assert!(frame.payload().eq(given.payload.iter().map(Packet::as_bytes)));
        prop_assert_eq!(frame.is_text(), given.payload.iter().all(|packet| packet.as_str().is_some()));
        prop_assert_eq!(frame.compression(), given.method);
        let key = FingerprintKey::new(KEY.0, KEY.1);
        prop_assert_eq!(frame.fingerprint(&key), composed.fingerprint(&key));
    }

    #[test]
    fn frames_claim_the_same_alone_and_behind_others(given in vec(a_frame(), 0..12)) {
        let key = FingerprintKey::new(KEY.0, KEY.1);
        let batch = read(&given.concat());
        let mut fingerprints = Fingerprints::new(&key);
        for frame in batch.iter().flatten() {
            prop_assert_eq!(fingerprints.of(&frame), frame.fingerprint(&key));
            prop_assert_eq!(fingerprints.of(&frame), frame.fingerprint(&key));
        }
    }

    #[test]
    fn messages_composed_together_are_those_composed_one_by_one(given in vec(a_message(), 0..12)) {
        let drafts: Vec<Draft<'_>> = given
            .iter()
            .map(|given| Draft { flag: &given.flag, payload: &given.payload, time: given.time })
            .collect();
        let together = composer().compose_many(&drafts);
        prop_assert_eq!(together.messages.len(), drafts.len());
        let mut whole = together.whole;
        for (draft, composed) in drafts.iter().zip(together.messages) {
            let alone = composer().compose(draft.flag, draft.payload, draft.time).unwrap();
            let composed = composed.unwrap();
            prop_assert_eq!(&composed.id, &alone.id);
            prop_assert_eq!(&whole.split_to(composed.len), &alone.frames.plain);
            prop_assert_eq!(composed.time, alone.time);
        }
    }

    #[test]
    fn a_message_is_a_copy_of_its_frame(given in a_message()) {
        let batch = read(&on_the_wire(&given));
        let frame = batch.get(0).unwrap();
        let from = NodeId::parse("B").unwrap();
        let message = frame.message(&from, &mut Copies::new(0));
        prop_assert_eq!(message.id(), &MessageId::parse(frame.id()).unwrap());
        prop_assert_eq!(message.sender(), &given.sender);
        prop_assert_eq!(message.from(), &from);
        prop_assert_eq!(message.time(), given.time);
        prop_assert_eq!(message.packets(), &given.payload[..]);
        prop_assert_eq!(message.kind().as_bytes(), frame.kind().unwrap_or_default());
        prop_assert_eq!(message.flag() == &Flag::Broadcast, frame.is_broadcast());
    }

    #[test]
    fn a_changed_message_fails_its_proof(given in a_message(), at in any::<sample::Index>(), flip in 1..=255_u8) {
        prop_assume!(given.payload.iter().any(|packet| !packet.as_bytes().is_empty()));
        let mut bytes = plain(&given);
        let payload: usize = given.payload.iter().map(|packet| packet.as_bytes().len()).sum();
        let at = bytes.len() - payload + at.index(payload);
        bytes[at] ^= flip;
        prop_assert_eq!(read(&bytes).get(0).unwrap().verify().map(drop), Err(DecodeError::IdMismatch));
    }

    #[test]
    fn no_id_but_that_by_one_of_the_rules_proves_a_message(given in vec((a_message(), 0..7_u8), 0..20)) {
        let ids: Vec<_> = given.iter().map(|(given, kind)| an_id(given, *kind)).collect();
        let named = given.iter().zip(&ids).map(|((given, _), (id, _))| renamed(&plain(given), id));
        let batch = read(&named.collect::<Vec<_>>().concat());
        let all: Vec<usize> = (0..batch.len()).collect();
        let mut together = Vec::new();
        batch.verify(&all, &mut together);
        let expected: Vec<_> = ids.into_iter().map(|(_, proof)| proof).collect();
        let proven: Vec<_> = together.iter().map(|proof| proof.map(drop)).collect();
        prop_assert_eq!(proven, expected);
        let alone: Vec<_> = batch.iter().map(|frame| frame.unwrap().verify()).collect();
        prop_assert_eq!(alone, together);
    }

    #[test]
    fn a_relay_changes_nothing_but_the_flag(frames in vec(a_frame(), 0..12), picks in vec(any::<bool>(), 12), all in any::<bool>()) {
        let batch = read(&frames.concat());
        let picked: Vec<usize> = (0..batch.len()).filter(|&index| all || picks[index]).collect();
        let expected = relayed(&batch, &picked);
        prop_assert_eq!(&sent(&batch.relay_some(&picked)), &expected);
        prop_assert_eq!(&sent(&batch.into_relay(&picked)), &expected);
    }

    #[test]
    fn a_chunk_of_plain_broadcasts_is_given_away(mut messages in vec(a_message(), 1..12)) {
        for message in &mut messages {
            message.flag = Flag::Broadcast;
        }
        let stream: Vec<u8> = messages.iter().flat_map(plain).collect();
        let batch = read(&stream);
        let picked: Vec<usize> = (0..batch.len()).collect();
        let copy = batch.relay_some(&picked);
        let frames = batch.into_relay(&picked);
        prop_assert_eq!(frames.len(), 1);
        prop_assert_eq!(frames[0].count as usize, messages.len());
        prop_assert_eq!(&frames[0].plain, &copy[0].plain);
        let changed = frames[0].plain.iter().zip(&stream).filter(|(a, b)| a != b).count();
        prop_assert_eq!(changed, messages.len());
    }

    #[test]
    fn deflated_frames_are_smaller_and_the_same(text in "[a-c ]{0,2000}", method in sample::select(Method::available_in(GENERATION))) {
        let composed = composer().compose(&Flag::Broadcast, &Packets::from(("\0", text)), 1).unwrap();
        let mut deflater = Deflater::new();
        if let Some(bytes) = composed.frames.deflate(&mut deflater, method) {
            let plain = &composed.frames.plain;
            prop_assert!((bytes.len() - 4) * 8 <= (plain.len() - 4) * 7);
            let (batch, original) = (read(&bytes), read(plain));
            let frame = batch.get(0).unwrap();
            prop_assert_eq!(frame.compression(), Some(method));
            prop_assert!(frame.payload().eq(original.get(0).unwrap().payload()));
            prop_assert_eq!(deflater.deflate(method, &plain[4..]).unwrap(), &bytes[4..]);
        }
    }

    #[test]
    fn inflating_gives_back_what_was_deflated_and_stops_at_the_limit(
        body in vec(0..4_u8, 1..5000),
        method in sample::select(Method::available_in(GENERATION)),
        room in 0..8_usize,
        tail in vec(any::<u8>(), 0..3),
    ) {
        let mut deflated = Deflater::new().deflate(method, &body).unwrap();
        deflated.extend(&tail);
        let mut inflater = Inflater::new();
        let inflated = inflater.inflate(&deflated, body.len(), room).unwrap().unwrap();
        prop_assert_eq!(&inflated.bytes[room..], &body);
        prop_assert_eq!(inflated.exact, tail.is_empty());
        prop_assert_eq!(inflated.method, method);
        let short = inflater.inflate(&deflated, body.len() - 1, room);
        prop_assert_eq!(short, Some(Err(DecodeError::TooLarge { limit: body.len() - 1 })));
    }

    #[test]
    fn no_stream_panics(bytes in vec(any::<u8>(), 0..300), limit in 0..300_usize, established in any::<bool>()) {
        let mut limits = Limits::default();
        (limits.frame, limits.frame_before_handshake, limits.packets) = (limit, limit / 2, 8);
        let mut codec = Codec::new(GENERATION, limits);
        if established {
            codec.established();
        }
        let mut src = BytesMut::from(&bytes[..]);
        while let Ok(Some(batch)) = codec.decode_eof(&mut src) {
            exercise(&batch);
        }
    }

    #[test]
    fn no_body_panics(start in a_start(), bytes in vec(any::<u8>(), 0..300)) {
        exercise(&read(&framed(&[start, bytes].concat())));
    }

    #[test]
    fn no_sizes_panic(sizes in vec(prop_oneof![0..80_u32, any::<u32>()], 0..10), bytes in vec(any::<u8>(), 0..300)) {
        let sizes: Vec<u8> = sizes.iter().flat_map(|size| size.to_be_bytes()).collect();
        exercise(&read(&framed(&[sizes, bytes].concat())));
    }

    #[test]
    fn no_control_message_panics(kind in 0..0x10_u8, arguments in vec(an_argument(), 0..6)) {
        let payload: Vec<Packet> = std::iter::once(Packet::from([kind])).chain(arguments).collect();
        let composed = composer().compose(&Flag::Whisper, &payload, 0).unwrap();
        let batch = read(&composed.frames.plain);
        if let Some(Ok(control)) = Control::read(&batch.get(0).unwrap(), GENERATION) {
            prop_assert_eq!(reread(&control), control);
        }
    }

    #[test]
    fn no_text_panics(bytes in vec(any::<u8>(), 0..100), text in ".{0,40}") {
        let _ = (base58::decode(&bytes), base58::decode_digest(&bytes), base58::decode_u64(&bytes));
        let _ = (NodeId::parse(&bytes), text.parse::<Address>(), text.parse::<Generation>());
        let _ = (base58::decode(text.as_bytes()), serde_json::from_str::<Packets>(&text));
        let _ = format!("{:?}", Packet::from(bytes));
    }

    #[test]
    fn base58_of_any_bytes_is_read_back(bytes in vec(any::<u8>(), 0..100)) {
        let significant: Vec<u8> = bytes.iter().copied().skip_while(|&byte| byte == 0).collect();
        prop_assert_eq!(base58::decode(base58::encode(&bytes).as_bytes()), Ok(significant));
    }

    #[test]
    fn digests_are_spelled_as_the_general_routine_spells_them(digests in vec(a_digest(), 0..20)) {
        let together = base58::encode_digests(&digests);
        prop_assert_eq!(together.len(), digests.len());
        for (digest, together) in digests.into_iter().zip(together) {
            let digits = base58::encode_digest(&digest);
            prop_assert_eq!(digits.as_str(), base58::encode(&digest));
            prop_assert_eq!(together, digits);
            prop_assert_eq!(base58::decode_digest(&digits), Some(digest));
        }
    }

    #[test]
    fn digests_are_read_as_the_general_routine_reads_them(text in "[1-9A-HJ-NP-Za-km-z]{0,67}|1[1-9A-Z]{1,3}|z{66}|.{0,66}") {
        let canonical = base58::decode(text.as_bytes())
            .ok()
            .filter(|bytes| bytes.len() <= 48 && base58::encode(bytes) == text);
        let padded = canonical.map(|bytes| [vec![0; 48 - bytes.len()], bytes].concat());
        prop_assert_eq!(base58::decode_digest(text.as_bytes()).map(Vec::from), padded);
    }

    #[test]
    fn numbers_are_spelled_as_the_general_routine_spells_them(number in any::<u64>(), shift in 0..64) {
        let number = number >> shift;
        let digits = base58::encode_u64(number);
        prop_assert_eq!(digits.as_str(), base58::encode(&number.to_be_bytes()));
        prop_assert_eq!(base58::decode_u64(&digits), Ok(number));
    }

    #[test]
    fn numbers_are_read_as_the_general_routine_reads_them(text in "[1-9A-HJ-NP-Za-km-z]{0,11}|1{0,10}[2-9]|.{0,11}") {
        let fits = base58::decode(text.as_bytes()).ok().filter(|bytes| bytes.len() <= 8);
        let number = fits.map(|bytes| bytes.iter().fold(0, |number, &byte| number << 8 | u64::from(byte)));
        let number = number.filter(|_| text.len() <= 11);
        prop_assert_eq!(base58::decode_u64(text.as_bytes()).ok(), number);
    }

    #[test]
    fn ids_are_ordered_as_their_numbers(a in "[1-9A-HJ-NP-Za-km-z]{1,20}", b in "[1-9A-HJ-NP-Za-km-z]{1,20}") {
        let number = |text: &str| {
            let bytes = base58::decode(text.as_bytes()).unwrap();
            [vec![0; 40 - bytes.len()], bytes].concat()
        };
        let (left, right) = (NodeId::parse(&a).unwrap(), NodeId::parse(&b).unwrap());
        prop_assert_eq!(left.cmp_numeric(&right), number(&a).cmp(&number(&b)));
    }

    #[test]
    fn packets_survive_json(packets in vec(a_packet(), 0..5)) {
        let packets: Packets = packets.into_iter().collect();
        let json = serde_json::to_string(&packets).unwrap();
        prop_assert_eq!(serde_json::from_str::<Packets>(&json).unwrap(), packets);
    }

    #[test]
    fn the_encoder_writes_what_the_decoder_reads(given in a_message()) {
        let composed = composer().compose(&given.flag, &given.payload, given.time).unwrap();
        let mut codec = Codec::new(GENERATION, Limits::default());
        let mut wire = BytesMut::new();
        codec.encode(composed.frames.clone(), &mut wire).unwrap();
        prop_assert_eq!(&wire[..], &composed.frames.plain[..]);
    }
}

fn a_start() -> impl Strategy<Value = Vec<u8>> {
    sample::select(vec![
        &b""[..],
        b"\x78\x9c",
        b"\x78\x01",
        b"\x1f\x8b\x08\x00",
        b"BZh9",
        b"BZh91AY&SY",
        b"\xfd7zXZ\0",
    ])
    .prop_map(<[u8]>::to_vec)
}

fn an_argument() -> impl Strategy<Value = Packet> {
    let json = sample::select(vec![
        "[]",
        "{}",
        "null",
        "[[]]",
        "*",
        "A",
        "[\"h\", 1]",
        "[[\"h\", 1], \"A\"]",
        "[[[\"h\", 1], \"A\"], [null, \"A\"]]",
        "[\"\\u0013\", 17]",
        "[\"\\u0013\",\"\\u0011\"]",
        "[[\"h\", 1], {\"type\":\"Buffer\",\"data\":[65]}]",
        "[\"h\", 1.5]",
        "[\"h\", 2.0]",
        "[\"h\", \"3\"]",
        "[\"h\", -1]",
        "[\"h\", 1e99]",
        "[[\"h\", 1], {\"data\":[256]}]",
    ]);
    prop_oneof![
        json.prop_map(Packet::from),
        "[\\[\\]{}\",0-9a-z: ]{0,30}".prop_map(Packet::from),
        a_packet()
    ]
}

fn a_digest() -> impl Strategy<Value = [u8; 48]> {
    let random = vec(any::<u8>(), 48).prop_map(|bytes| <[u8; 48]>::try_from(bytes).unwrap());
    let small = (random.clone(), 0..=48_usize).prop_map(|(mut digest, zeros)| {
        digest[..zeros].fill(0);
        digest
    });
    prop_oneof![random, small, Just([0xff; 48]), Just([0; 48])]
}

/// Calls everything a batch offers.
fn exercise(batch: &Batch) {
    let all: Vec<usize> = (0..batch.len() + 1).collect();
    let mut verdicts = Vec::new();
    batch.verify(&all, &mut verdicts);
    assert_eq!(verdicts.len(), all.len());
    for frame in batch.iter().flatten() {
        let _ = (
            frame.kind(),
            frame.is_text(),
            frame.fingerprint(&FingerprintKey::new(KEY.0, KEY.1)),
            said(&frame),
        );
        let _ = frame.message(&NodeId::parse("B").unwrap(), &mut Copies::new(0));
        let _ = Control::read(&frame, GENERATION);
    }
    assert!(batch.cost() >= batch.wire_len());
    let _ = batch.relay_some(&all);
}

fn reread(control: &Control) -> Control {
    let composed = composer()
        .compose(&control.flag(), &control.packets(GENERATION), 0)
        .unwrap();
    let batch = read(&composed.frames.plain);
    let mut again = Control::read(&batch.get(0).unwrap(), GENERATION)
        .unwrap()
        .unwrap();
    match (control, &mut again) {
        (Control::Peers { skipped, .. }, Control::Peers { skipped: now, .. }) => *now += skipped,
        (Control::Handshake { dialect, .. }, Control::Handshake { dialect: now, .. }) => {
            *now = *dialect
        }
        _ => {}
    }
    again
}

/// Returns the contents of the picked frames when relayed, in order. Compression and size may change; nothing else may.
fn relayed(batch: &Batch, picked: &[usize]) -> Vec<Said> {
    let frames = picked
        .iter()
        .filter_map(|&index| batch.get(index).ok())
        .filter(|frame| frame.is_broadcast());
    frames.map(|frame| as_relay(said(&frame))).collect()
}

fn as_relay(said: Said) -> Said {
    Said {
        flag: Flag::Waterfall,
        compression: None,
        wire_len: 0,
        ..said
    }
}

/// Returns what a peer of any method reads; it must be the same in every form.
fn sent(frames: &[Frames]) -> Vec<Said> {
    let mut all = Vec::new();
    for frames in frames {
        let said = flags_kept(&frames.plain);
        assert_eq!(said.len(), frames.count as usize);
        if let Some((method, bytes)) = &frames.compressed {
            assert_eq!(frames.wire_form(Some(*method)), bytes);
            assert_eq!(flags_kept(bytes), said);
            assert!(!frames.compressible);
        }
        assert_eq!(frames.wire_form(None), &frames.plain);
        all.extend(said);
    }
    all
}

fn flags_kept(bytes: &[u8]) -> Vec<Said> {
    let batch = read(bytes);
    batch
        .iter()
        .map(|frame| Said {
            compression: None,
            wire_len: 0,
            ..said(&frame.unwrap())
        })
        .collect()
}
