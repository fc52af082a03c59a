//! The relay to beat: blocking threads, written by hand for this one task.
//!
//! A thread per connection reads what is available, cuts it into frames, drops duplicates, proves each id with SHA-384
//! one by one, and writes the frames to all other peers in one piece, byte for byte except for the flag of a relay. It
//! has no backpressure except that of the sockets, no misconduct rules, no compression and no user: a node has to do
//! everything it does, and more.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::ops::Range;
use std::sync::{Arc, Mutex, RwLock};

use actix_mesh::wire::{Control, Flag, base58};
use sha2::{Digest as _, Sha384};
use siphasher::sip128::{Hasher128 as _, SipHasher13};

use super::stream;

/// A larger buffer gains nothing over loopback.
const BUFFER: usize = 256 * 1024;
const PREFIX: usize = 4;
const WINDOW: u64 = 60;
/// The main flag of a relayed broadcast.
const WATERFALL: u8 = 1;

/// Listens on a free loopback port, on new threads.
pub(crate) fn start(capacity: usize) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let relay = Arc::new(Relay {
        peers: RwLock::default(),
        seen: Mutex::new(Seen::new(capacity)),
    });
    std::thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let (relay, stream) = (relay.clone(), stream.unwrap());
            std::thread::spawn(move || relay.serve(number, stream));
        }
    });
    addr
}

struct Relay {
    peers: RwLock<Vec<(usize, Mutex<TcpStream>)>>,
    seen: Mutex<Seen>,
}

impl Relay {
    fn serve(&self, number: usize, mut stream: TcpStream) {
        stream.set_nodelay(true).unwrap();
        let mut buffer = vec![0; BUFFER];
        let (mut filled, mut work) = (0, Work::default());
        let mut is_new = true;
        while let Ok(count @ 1..) = stream.read(&mut buffer[filled..]) {
            filled += count;
            let mut taken = 0;
            if is_new && let Some(greeting) = first(&buffer[..filled]) {
                taken = greeting.len();
                self.welcome(number, &stream);
                is_new = false;
            }
            if !is_new {
                taken += self.pass(number, &mut buffer[taken..filled], &mut work);
            }
            buffer.copy_within(taken..filled, 0);
            filled -= taken;
            if filled == buffer.len() {
                buffer.resize(2 * filled, 0);
            }
        }
    }

    /// Takes any first frame for a handshake and answers with a peers list.
    fn welcome(&self, number: usize, mut stream: &TcpStream) {
        let (entries, skipped) = (Vec::new(), 0);
        let list = Control::Peers { entries, skipped };
        let list = list.packets(stream::GENERATION);
        let link = Mutex::new(stream.try_clone().unwrap());
        self.peers.write().unwrap().push((number, link));
        let me = stream::composer("by hand");
        let list = me.compose(&Flag::Whisper, &list, stream::unix()).unwrap();
        stream.write_all(&list.frames.plain).unwrap();
    }

    /// Relays the whole frames among these bytes; returns their length.
    fn pass(&self, from: usize, bytes: &mut [u8], work: &mut Work) -> usize {
        let taken = work.find(bytes);
        self.seen.lock().unwrap().keep_fresh(&bytes[..taken], work);
        work.found.retain(|found| found.proves(bytes));
        let out = work.gather(&mut bytes[..taken]);
        for (number, link) in self.peers.read().unwrap().iter() {
            if *number != from && !out.is_empty() {
                link.lock().unwrap().write_all(out).unwrap();
            }
        }
        taken
    }
}

fn first(bytes: &[u8]) -> Option<&[u8]> {
    let length = u32::from_be_bytes(*bytes.first_chunk::<PREFIX>()?);
    bytes.get(..PREFIX + length as usize)
}

/// The positions of a frame and its parts in the bytes read.
struct Found {
    frame: Range<usize>,
    flag: usize,
    /// The id, which the time follows.
    id: Range<usize>,
    time: Range<usize>,
    payload: Range<usize>,
}

impl Found {
    /// Needs no bounds for the payload's packets: they are contiguous, and nothing follows them.
    fn read(bytes: &[u8], frame: Range<usize>) -> Option<Found> {
        let body = bytes.get(frame.start + PREFIX..frame.end)?;
        let (sizes, _) = body.as_chunks::<4>();
        let (mut ends, mut end) = ([0; 4], 0);
        for (index, size) in sizes.iter().enumerate() {
            end += u32::from_be_bytes(*size) as usize;
            if let Some(place) = ends.get_mut(index) {
                *place = end;
            }
            let start = frame.start + PREFIX + 4 * (index + 1);
            if start + end == frame.end && index > 3 {
                return Some(Found {
                    flag: start,
                    id: start + ends[1]..start + ends[2],
                    time: start + ends[2]..start + ends[3],
                    payload: start + ends[3]..frame.end,
                    frame,
                });
            }
            if start + end > frame.end {
                return None;
            }
        }
        None
    }

    fn is_timely(&self, bytes: &[u8], now: u64) -> bool {
        let time = base58::decode_u64(&bytes[self.time.clone()]);
        time.is_ok_and(|time| time.abs_diff(now) <= WINDOW)
    }

    fn proves(&self, bytes: &[u8]) -> bool {
        let mut hash = Sha384::new();
        hash.update(&bytes[self.payload.clone()]);
        hash.update(&bytes[self.time.clone()]);
        let digest: [u8; 48] = hash.finalize().into();
        base58::decode_digest(&bytes[self.id.clone()]) == Some(digest)
    }
}

/// The buffers of a thread, reused for each read.
#[derive(Default)]
struct Work {
    found: Vec<Found>,
    fresh: Vec<u8>,
}

impl Work {
    /// Finds whole frames; returns their total length.
    fn find(&mut self, bytes: &[u8]) -> usize {
        let (mut taken, now) = (0, stream::unix());
        self.found.clear();
        while let Some(frame) = first(&bytes[taken..]) {
            let frame = taken..taken + frame.len();
            taken = frame.end;
            let found = Found::read(bytes, frame);
            self.found
                .extend(found.filter(|found| found.is_timely(bytes, now)));
        }
        taken
    }

    /// Returns the remaining frames with the flag of a relay: in place, if none is missing.
    fn gather<'a>(&'a mut self, bytes: &'a mut [u8]) -> &'a [u8] {
        let size: usize = self.found.iter().map(|found| found.frame.len()).sum();
        for found in &self.found {
            bytes[found.flag] = WATERFALL;
        }
        if size == bytes.len() {
            return bytes;
        }
        self.fresh.clear();
        for found in &self.found {
            self.fresh.extend_from_slice(&bytes[found.frame.clone()]);
        }
        &self.fresh
    }
}

/// Passes through the output of a keyed hash, which needs no second hash.
#[derive(Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes
            .iter()
            .fold(0, |all, &byte| all << 8 | u64::from(byte));
    }

    fn write_u128(&mut self, key: u128) {
        self.0 = (key >> 64) as u64;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

type Keys = HashSet<u128, BuildHasherDefault<AsItIs>>;

/// The messages seen, in two halves: when the younger is full, the older is discarded.
struct Seen {
    hasher: SipHasher13,
    young: Keys,
    old: Keys,
    half: usize,
}

impl Seen {
    fn new(capacity: usize) -> Self {
        let half = capacity / 2;
        let keys = || Keys::with_capacity_and_hasher(half, BuildHasherDefault::default());
        Seen {
            hasher: SipHasher13::new_with_keys(1, 2),
            young: keys(),
            old: keys(),
            half,
        }
    }

    fn keep_fresh(&mut self, bytes: &[u8], work: &mut Work) {
        work.found.retain(|found| {
            let mut hasher = self.hasher;
            hasher.write(&bytes[found.id.start..found.time.end]);
            self.is_fresh(hasher.finish128().as_u128())
        });
    }

    fn is_fresh(&mut self, key: u128) -> bool {
        if self.young.len() == self.half {
            std::mem::swap(&mut self.young, &mut self.old);
            self.young.clear();
        }
        !self.old.contains(&key) && self.young.insert(key)
    }
}
