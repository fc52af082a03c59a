//! Messages composed before the clock starts: never used before, of the current second, one after the other.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use actix_mesh::wire::{
    Composer, Deflater, Draft, Flag, Generation, Limits, Method, NodeId, Packet, Subnet,
};
use bytes::Bytes;

pub(crate) const GENERATION: Generation = Generation::V0_4;
/// The largest payload.
const LARGEST: usize = 1 << 20;
/// The number of messages composed together.
const TOGETHER: usize = 64;

/// The form in which messages reach the hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Not compressed.
    Plain,
    /// In zlib, from a peer that relays them: the hub changes nothing.
    ZlibRelayed,
    /// In zlib, as their author made them: the hub has to change the flag inside.
    ZlibNew,
}

impl Form {
    fn flag(self) -> Flag {
        match self {
            Form::Plain | Form::ZlibRelayed => Flag::Waterfall,
            Form::ZlibNew => Flag::Broadcast,
        }
    }
}

pub(crate) fn unix() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.unwrap().as_secs()
}

/// Makes the composer of the node with that name.
pub(crate) fn composer(name: &str) -> Composer {
    let subnet = Subnet::default().id(GENERATION);
    let me = NodeId::derive(name, &subnet, b"salt");
    Composer::new(GENERATION, Limits::default(), me)
}

/// Makes text that starts with a unique number.
fn text(size: usize) -> Packet {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    static FILLING: LazyLock<Vec<u8>> = LazyLock::new(filling);
    let mut text = format!("{:x} ", NEXT.fetch_add(1, Ordering::Relaxed)).into_bytes();
    let rest = size.saturating_sub(text.len());
    text.extend_from_slice(&FILLING[..rest]);
    text.truncate(size);
    Packet::from(text)
}

/// Makes words that compress about as well as text does.
fn filling() -> Vec<u8> {
    (0..LARGEST as u64 / 8)
        .flat_map(|index| format!("{:x} mesh ", index.wrapping_mul(2_654_435_761)).into_bytes())
        .collect()
}

/// Makes messages of one author that is not a peer, stamped with that time.
pub(crate) fn messages_of(time: u64, form: Form, size: usize, count: usize) -> Bytes {
    let author = composer("a far author");
    let mut whole = Vec::with_capacity(count * (size + 200));
    let mut left = count;
    while left > 0 {
        let some = left.min(TOGETHER);
        let payloads: Vec<_> = (0..some)
            .map(|_| [Packet::from("\0"), text(size)])
            .collect();
        append(&author, time, form, &payloads, &mut whole);
        left -= some;
    }
    Bytes::from(whole)
}

/// Makes messages stamped with the current second.
pub(crate) fn messages(form: Form, size: usize, count: usize) -> Bytes {
    messages_of(unix(), form, size, count)
}

fn append(author: &Composer, time: u64, form: Form, payloads: &[[Packet; 2]], out: &mut Vec<u8>) {
    let flag = &form.flag();
    let draft = |payload| Draft {
        flag,
        payload,
        time,
    };
    if form == Form::Plain {
        let drafts: Vec<_> = payloads.iter().map(|payload| draft(payload)).collect();
        out.extend_from_slice(&author.compose_many(&drafts).whole);
        return;
    }
    let mut deflater = Deflater::new();
    for payload in payloads {
        let frames = author.compose(flag, payload, time).unwrap().frames;
        let smaller = frames.deflate(&mut deflater, Method::Zlib);
        out.extend_from_slice(&smaller.unwrap_or(frames.plain));
    }
}
