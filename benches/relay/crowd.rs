//! The peers of a hub: raw sockets that do the handshake, send messages composed in advance, and count the frames they
//! receive.
//!
//! All run on one thread, so that on two processors the hub has one to itself.

use std::cell::{Cell, RefCell};
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use actix_mesh::wire::{Codec, Control, Dialect, Flag, Limits, Method, SubFlag, Subnet};
use bytes::{Bytes, BytesMut};
use futures_util::future::join_all;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Notify;
use tokio::task::yield_now;
use tokio::time::timeout;
use tokio_util::codec::Decoder as _;

use super::stream::{self, GENERATION};

/// Frames missing after this long are lost.
const PATIENCE: Duration = Duration::from_secs(60);
/// Duplicates have arrived after this long.
const QUIET: Duration = Duration::from_millis(20);
/// Bytes written and read at once.
const WRITTEN: usize = 64 * 1024;
const READ: usize = 256 * 1024;

/// The peers of one hub.
pub(crate) struct Crowd {
    runtime: Runtime,
    peers: Vec<Peer>,
    buffer: RefCell<Vec<u8>>,
}

struct Peer {
    stream: TcpStream,
    heard: Heard,
}

/// A count shared by all peers, until it is complete.
struct Tally {
    missing: Cell<u64>,
    complete: Notify,
}

impl Crowd {
    /// Connects that many peers, one after the other, all with these compression methods.
    pub(crate) fn join(hub: SocketAddr, count: usize, methods: &[Method]) -> Crowd {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let peers = (0..count).map(|number| runtime.block_on(Peer::join(hub, number, methods)));
        Crowd {
            peers: peers.collect(),
            buffer: RefCell::new(vec![0; READ]),
            runtime,
        }
    }

    /// Returns the number of peers.
    pub(crate) fn len(&self) -> usize {
        self.peers.len()
    }

    /// Sends one feed from each of the first peers, all at once, until all peers together have received `expected`
    /// frames.
    pub(crate) fn feed(&mut self, feeds: &[Bytes], expected: u64) {
        let tally = Tally {
            missing: Cell::new(expected),
            complete: Notify::new(),
        };
        let (peers, buffer) = (&mut self.peers, &self.buffer);
        let (mut readers, mut writers) = (Vec::new(), Vec::new());
        for peer in peers {
            let (read, write) = peer.stream.split();
            readers.push(peer.heard.listen(read, buffer, Some(&tally)));
            writers.push(write);
        }
        let feeding = writers
            .into_iter()
            .zip(feeds)
            .map(|(to, what)| say(to, what));
        let fed = async { tokio::join!(join_all(feeding), tally.complete.notified()) };
        self.runtime.block_on(async {
            tokio::select! {
                _ = join_all(readers) => {}
                fed = timeout(PATIENCE, fed) => assert!(fed.is_ok(), "{} of {expected} frames are missing", tally.missing.get()),
            }
        });
    }

    /// Sends these frames from the first peer, one per interval; returns how long each took to reach the second peer.
    /// Of the other peers, the first `listening` read; the rest read nothing.
    pub(crate) fn pace(
        &mut self,
        frames: &[Bytes],
        every: Duration,
        listening: usize,
    ) -> Vec<Duration> {
        let (peers, buffer) = (&mut self.peers, &self.buffer);
        let (feeder, rest) = peers.split_first_mut().unwrap();
        let (listener, others) = rest.split_first_mut().unwrap();
        listener.heard.least = frames[0].len() / 2;
        let others = others.iter_mut().take(listening);
        let others = others.map(|peer| peer.heard.listen(peer.stream.split().0, buffer, None));
        let sent = RefCell::new(Vec::with_capacity(frames.len()));
        let feeding = async {
            let mut turns = tokio::time::interval(every);
            let mut to = feeder.stream.split().1;
            for frame in frames {
                turns.tick().await;
                sent.borrow_mut().push(Instant::now());
                to.write_all(frame).await.unwrap();
            }
        };
        let listening = async {
            let mut took = Vec::with_capacity(frames.len());
            let from = listener.stream.split().0;
            while took.len() < frames.len() {
                from.readable().await.unwrap();
                let heard = listener.heard.read(&from, &mut buffer.borrow_mut());
                for _ in 0..heard.unwrap_or_default() {
                    took.push(sent.borrow()[took.len()].elapsed());
                }
            }
            took
        };
        self.runtime.block_on(async {
            let all = timeout(PATIENCE, async { tokio::join!(feeding, listening).1 });
            tokio::select! {
                _ = async { join_all(others).await; std::future::pending::<()>().await } => unreachable!(),
                took = all => took.unwrap(),
            }
        })
    }

    /// Returns how many frames all peers have received since they joined; waits a little for surplus frames.
    pub(crate) fn heard(&mut self) -> u64 {
        let (peers, buffer) = (&mut self.peers, &self.buffer);
        let readers = peers
            .iter_mut()
            .map(|peer| peer.heard.listen(peer.stream.split().0, buffer, None));
        let listening = async { timeout(QUIET, join_all(readers)).await.is_ok() };
        self.runtime.block_on(listening);
        self.peers.iter().map(|peer| peer.heard.frames).sum()
    }
}

async fn say(mut to: WriteHalf<'_>, what: &[u8]) {
    for piece in what.chunks(WRITTEN) {
        to.write_all(piece).await.unwrap();
        yield_now().await;
    }
}

impl Peer {
    async fn join(hub: SocketAddr, number: usize, methods: &[Method]) -> Peer {
        let mut stream = TcpStream::connect(hub).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let me = stream::composer(&format!("peer {number}"));
        let handshake = Control::Handshake {
            id: me.me().clone(),
            subnet: Subnet::default().id(GENERATION),
            address: Some(stream.local_addr().unwrap().into()),
            methods: methods.to_vec(),
            dialect: Dialect::Spaced,
            extended: false,
        };
        let handshake = handshake.packets(GENERATION);
        let composed = me.compose(&Flag::Whisper, &handshake, stream::unix());
        let bytes = composed.unwrap().frames.plain;
        stream.write_all(&bytes).await.unwrap();
        timeout(PATIENCE, welcome(&mut stream)).await.unwrap();
        Peer {
            stream,
            heard: Heard::default(),
        }
    }
}

/// Reads until the peers list, with which a handshake is accepted; no bytes may follow it.
async fn welcome(stream: &mut TcpStream) {
    let (mut unread, mut codec) = (BytesMut::new(), Codec::new(GENERATION, Limits::default()));
    codec.established();
    loop {
        assert_ne!(stream.read_buf(&mut unread).await.unwrap(), 0, "refused");
        while let Some(batch) = codec.decode(&mut unread).unwrap() {
            let kind = |kind| SubFlag::read(kind, GENERATION) == Some(SubFlag::Peers);
            if batch
                .iter()
                .any(|frame| frame.unwrap().kind().is_some_and(kind))
            {
                assert!(unread.is_empty());
                return;
            }
        }
    }
}

/// Counts frames by their lengths only.
#[derive(Default)]
struct Heard {
    frames: u64,
    prefix: [u8; 4],
    /// Bytes of the prefix received so far.
    begun: usize,
    /// Bytes of the frame still missing.
    left: usize,
    /// Shorter frames are not counted: when peers are lost, the hub asks others for more peers.
    least: usize,
    short: bool,
}

impl Heard {
    /// Counts without end.
    async fn listen(
        &mut self,
        from: ReadHalf<'_>,
        buffer: &RefCell<Vec<u8>>,
        tally: Option<&Tally>,
    ) {
        loop {
            from.readable().await.unwrap();
            let Some(count) = self.read(&from, &mut buffer.borrow_mut()) else {
                continue;
            };
            if let Some(tally) = tally {
                // A surplus frame makes the count wrap, which ends no wait: the totals at the end reveal it.
                tally.missing.set(tally.missing.get().wrapping_sub(count));
                if tally.missing.get() == 0 {
                    tally.complete.notify_one();
                }
            }
            yield_now().await;
        }
    }

    /// Reads what is available; returns the number of frames that end in it.
    fn read(&mut self, from: &ReadHalf<'_>, buffer: &mut [u8]) -> Option<u64> {
        match from.try_read(buffer) {
            Ok(count) => Some(self.pass(&buffer[..count])),
            Err(error) if error.kind() == ErrorKind::WouldBlock => None,
            Err(error) => panic!("{error}"),
        }
    }

    /// Returns the number of frames that end in these bytes.
    fn pass(&mut self, mut bytes: &[u8]) -> u64 {
        assert!(!bytes.is_empty(), "the hub closed a connection");
        let before = self.frames;
        while !bytes.is_empty() {
            if self.left == 0 {
                self.prefix[self.begun] = bytes[0];
                self.begun += 1;
                bytes = &bytes[1..];
                if self.begun == 4 {
                    self.left = u32::from_be_bytes(self.prefix) as usize;
                    self.begun = 0;
                    self.short = self.left < self.least;
                }
                continue;
            }
            let some = self.left.min(bytes.len());
            self.left -= some;
            bytes = &bytes[some..];
            self.frames += u64::from(self.left == 0 && !self.short);
        }
        self.frames - before
    }
}
