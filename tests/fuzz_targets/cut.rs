//! Fuzz targets from stream bytes to frames and packets, with any cuts and compression.

use actix_mesh::wire::{
    Batch, Codec, Copies, Cut, DecodeError, Deflater, Generation, Inflater, Limits, Method, NodeId,
    StreamError,
};
use bytes::BytesMut;
use tokio_util::codec::Decoder as _;

use super::Bytes;

const GENERATION: Generation = Generation::V0_4;

fn limits() -> Limits {
    let mut limits = Limits::default();
    // Small limits, so that inputs reach them.
    (limits.frame, limits.frame_before_handshake, limits.packets) = (16 * 1024, 512, 32);
    limits
}

fn codec(generation: Generation, established: bool) -> Codec {
    let mut codec = Codec::new(generation, limits());
    if established {
        codec.established();
    }
    codec
}

/// The result of reading a frame: an error, or its contents and whether it is proven.
type Told = Result<(Vec<u8>, Vec<u8>, u64, Vec<Vec<u8>>, bool), DecodeError>;

fn tell(batch: &Batch) -> Vec<Told> {
    let told = batch.iter().map(|frame| {
        let frame = frame.map_err(|error| *error)?;
        Ok((
            frame.sender().to_vec(),
            frame.id().to_vec(),
            frame.time(),
            frame.payload().map(<[u8]>::to_vec).collect(),
            frame.verify().is_ok(),
        ))
    });
    told.collect()
}

/// Reads a stream before and after the handshake, to its end or to an error, and no byte twice.
pub(crate) fn frame(data: &[u8]) {
    let all = Generation::ALL.into_iter();
    for (generation, established) in all.flat_map(|it| [(it, false), (it, true)]) {
        let mut codec = codec(generation, established);
        let mut src = BytesMut::from(data);
        let mut taken = 0;
        while let Ok(Some(batch)) = codec.decode(&mut src) {
            assert!(!batch.is_empty() && batch.wire_len() >= 4 * batch.len());
            assert!(batch.cost() >= batch.wire_len());
            taken += batch.wire_len();
            assert_eq!(taken + src.len(), data.len());
            let mut proofs = Vec::new();
            let all: Vec<usize> = (0..batch.len()).collect();
            batch.verify(&all, &mut proofs);
            let told = tell(&batch);
            for (proof, told) in proofs.iter().zip(&told) {
                assert_eq!(proof.is_ok(), told.as_ref().is_ok_and(|told| told.4));
            }
            let (from, mut copies) = (NodeId::parse("A").unwrap(), Copies::new(batch.len()));
            for frame in batch.iter().flatten() {
                let message = frame.message(&from, &mut copies);
                assert_eq!(message.packets().len(), frame.payload().count());
            }
        }
    }
}

/// Reads a body as the protocol specifies: lengths until they add up, then the packets.
pub(crate) fn packets(body: &[u8]) {
    if body.len() > limits().frame || Inflater::sniff(body).is_some() {
        return;
    }
    let framed = [&u32::try_from(body.len()).unwrap().to_be_bytes()[..], body].concat();
    let batch = Batch::from_frames(GENERATION, limits(), &framed).unwrap();
    let read = batch.get(0).map_err(|error| *error);
    match (slowly(body), read) {
        (Some(packets), Ok(frame)) => {
            assert_eq!((frame.sender(), frame.id()), (packets[1], packets[2]));
            assert_eq!(frame.payload().collect::<Vec<_>>(), packets[4..]);
        }
        // The contents of the packets may still be invalid.
        (Some(packets), Err(error)) => match error {
            DecodeError::TooFewPackets(count) => assert_eq!(count, packets.len()),
            DecodeError::TooManyPackets(most) => assert!(packets.len() > most),
            DecodeError::BadSender(_) | DecodeError::BadId(_) | DecodeError::BadTime => {}
            error => panic!("{error} of {packets:?}"),
        },
        (None, Err(DecodeError::SizesDisagree | DecodeError::TooManyPackets(_))) => {}
        (None, read) => panic!("{read:?}"),
    }
}

fn slowly(body: &[u8]) -> Option<Vec<&[u8]>> {
    let (mut sizes, mut sum) = (Vec::new(), 0_u64);
    while sum + 4 * sizes.len() as u64 != body.len() as u64 {
        let header = body.get(4 * sizes.len()..)?.first_chunk()?;
        let size = u32::from_be_bytes(*header);
        sum += u64::from(size);
        sizes.push(usize::try_from(size).unwrap());
    }
    let mut rest = &body[4 * sizes.len()..];
    let packets = sizes.into_iter().map(|size| {
        let (packet, behind) = rest.split_at(size);
        rest = behind;
        packet
    });
    Some(packets.collect())
}

/// A stream gives the same frames however it is cut into reads, and however little room there is to inflate.
pub(crate) fn splits(data: &[u8]) {
    let mut cuts = Bytes(data);
    let lengths = cuts.some();
    let stream = cuts.0;
    let mut whole = BytesMut::from(stream);
    let mut at_once = Vec::new();
    let mut codec_at_once = codec(GENERATION, true);
    let end = loop {
        match codec_at_once.decode(&mut whole) {
            Ok(Some(batch)) => at_once.extend(tell(&batch)),
            Ok(None) => break None,
            Err(error) => break Some(error.code()),
        }
    };
    let (mut codec, mut src, mut told) = (codec(GENERATION, true), BytesMut::new(), Vec::new());
    let mut lengths = lengths
        .iter()
        .map(|length| usize::from(*length) + 1)
        .chain(std::iter::repeat(1000));
    let mut rest = stream;
    let end_of_cuts = loop {
        match cut(&mut codec, &mut src, &mut told) {
            Err(error) => break Some(error.code()),
            Ok(()) if rest.is_empty() => break None,
            Ok(()) => {}
        }
        let (read, behind) = rest.split_at(lengths.next().unwrap_or(1).min(rest.len()));
        src.extend_from_slice(read);
        rest = behind;
    };
    assert_eq!(told, at_once);
    assert_eq!(end_of_cuts, end);
}

fn cut(codec: &mut Codec, src: &mut BytesMut, told: &mut Vec<Told>) -> Result<(), StreamError> {
    loop {
        match codec.cut(src, 2000)? {
            Cut::Batch(batch) => told.extend(tell(&batch)),
            Cut::Nothing => return Ok(()),
            Cut::TooTight => match codec.cut(src, usize::MAX)? {
                Cut::Batch(batch) => told.extend(tell(&batch)),
                other => panic!("with any room, {other:?}"),
            },
        }
    }
}

pub(crate) fn zlib(data: &[u8]) {
    inflate(Method::Zlib, &[0x78, 0x9c], data);
}

pub(crate) fn gzip(data: &[u8]) {
    inflate(Method::Gzip, &[0x1f, 0x8b], data);
}

pub(crate) fn bzip2(data: &[u8]) {
    inflate(Method::Bzip2, b"BZh", data);
}

pub(crate) fn lzma(data: &[u8]) {
    inflate(Method::Lzma, &[0xfd, b'7', b'z', b'X', b'Z', 0], data);
}

/// The output never exceeds the limit, and compressing and inflating it again gives the same.
fn inflate(method: Method, mark: &[u8], data: &[u8]) {
    const LIMIT: usize = 64 * 1024;
    let body = [mark, data].concat();
    let mut inflater = Inflater::new();
    match inflater.inflate(&body, LIMIT, 4) {
        // The body does not look compressed.
        None => assert_eq!(Inflater::sniff(&body), None),
        Some(Ok(inflated)) => {
            assert_eq!(inflated.method, method);
            assert!(inflated.bytes.len() <= LIMIT + 4);
            assert!(inflated.bytes.capacity() <= inflated.bytes.len() + 64);
            let again = Deflater::new()
                .deflate(method, &inflated.bytes[4..])
                .unwrap();
            let again = inflater.inflate(&again, LIMIT, 4).unwrap().unwrap();
            assert_eq!(again.bytes, inflated.bytes);
        }
        Some(Err(DecodeError::TooLarge { limit })) => assert_eq!(limit, LIMIT),
        Some(Err(DecodeError::BadCompression(which))) => assert_eq!(which, method),
        Some(Err(error)) => panic!("{error}"),
    }
}
