//! Fuzz targets for texts: numbers in base58, the JSON of control messages, the file of addresses.

use actix_mesh::mesh::{Mesh, Params, Place};
use actix_mesh::wire::{
    Batch, Composer, Control, Dialect, Flag, Generation, Limits, NodeId, Packet, Subnet,
    base58 as digits,
};

use super::Bytes;

/// Converts text to number and back, with the general and the fast routines.
pub(crate) fn base58(data: &[u8]) {
    let spelled = digits::encode(data);
    if data.len() <= 96 {
        let number = digits::decode(spelled.as_bytes()).unwrap();
        let significant = data.iter().position(|byte| *byte != 0);
        assert_eq!(number, &data[significant.unwrap_or(data.len())..]);
    }
    if let Some(digest) = data.first_chunk::<48>() {
        let fast = digits::encode_digest(digest);
        assert_eq!(fast.as_str(), digits::encode(digest));
        assert_eq!(digits::encode_digests(&[*digest; 3]), [fast; 3]);
        assert_eq!(digits::decode_digest(fast.as_bytes()), Some(*digest));
    }
    // Reads the bytes as a text.
    let slow = digits::decode(data);
    if let Ok(number) = &slow {
        assert!(digits::is_base58(&data[..1.min(data.len())]) || data.is_empty());
        assert_eq!(digits::decode(digits::encode(number).as_bytes()), slow);
    }
    let small = digits::decode_u64(data);
    if let Ok(number) = small {
        assert_eq!(
            slow.unwrap(),
            digits::decode(digits::encode_u64(number).as_bytes()).unwrap()
        );
    }
    let _ = NodeId::parse(data);
}

/// A control message is read or refused; one that is read can be written again, with the same meaning.
pub(crate) fn control(data: &[u8]) {
    let mut data = Bytes(data);
    let kind = [3, 7, 8, 10, 1, 9][data.below(6)];
    let mut payload = vec![Packet::from(vec![kind])];
    while !data.is_empty() && payload.len() < 6 {
        let most = usize::from(u16::from_be_bytes([data.next(), data.next()]));
        let (packet, rest) = data.0.split_at(most.min(data.0.len()));
        payload.push(Packet::from(packet.to_vec()));
        data.0 = rest;
    }
    for generation in Generation::ALL {
        said_again(generation, &payload);
    }
}

fn said_again(generation: Generation, payload: &[Packet]) {
    let Some(Ok(meaning)) = read(generation, payload) else {
        return;
    };
    let again = meaning.packets(generation);
    let Some(Ok(same)) = read(generation, &again) else {
        panic!("{meaning:?} is said as {again:?}");
    };
    match (meaning, same) {
        // The number of skipped entries is not written again.
        (Control::Peers { entries, .. }, Control::Peers { entries: same, .. }) => {
            assert!(entries.len() <= 1024);
            assert_eq!(entries, same);
        }
        (mut meaning, same) => {
            // A dialect shows only in the space between two methods.
            if let Control::Handshake {
                dialect, methods, ..
            } = &mut meaning
                && methods.len() < 2
            {
                *dialect = Dialect::Spaced;
            }
            assert_eq!(meaning, same);
        }
    }
}

fn read(
    generation: Generation,
    payload: &[Packet],
) -> Option<Result<Control, actix_mesh::wire::ControlError>> {
    let composer = Composer::new(generation, Limits::default(), NodeId::parse("A").unwrap());
    let composed = composer.compose(&Flag::Whisper, payload, 1).unwrap();
    let batch = Batch::from_frames(generation, Limits::default(), &composed.frames.plain).unwrap();
    Control::read(&batch.get(0).unwrap(), generation)
}

/// Whatever the file holds, the book keeps a bounded part of it, and returns what it kept.
pub(crate) fn peer_book(data: &[u8]) {
    let Ok(places) = serde_json::from_slice::<Vec<Place>>(data) else {
        return;
    };
    let own = "127.0.0.1:1000".parse().unwrap();
    let me = NodeId::parse("A").unwrap();
    let mut mesh = Mesh::new(Params::new(Subnet::default(), own), me, 1);
    mesh.learn(places.clone());
    let kept = mesh.places();
    assert!(kept.len() <= 256);
    assert!(
        kept.iter()
            .all(|place| places.iter().any(|other| other.address == place.address))
    );
    let file = serde_json::to_vec_pretty(&kept).unwrap();
    assert_eq!(serde_json::from_slice::<Vec<Place>>(&file).unwrap(), kept);
}
