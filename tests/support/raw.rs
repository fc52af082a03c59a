//! A peer made of a socket: it sends what it is told to, and nothing else.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use actix_mesh::Address;
use actix_mesh::wire::{
    Batch, Composer, Control, Dialect, Flag, Generation, Limits, Method, NodeId, Packet, RequestId,
    SubFlag, SubnetId,
};

use super::closed;
use super::victim::Victim;
use super::{PATIENCE, unix};

pub(crate) const GENERATION: Generation = Generation::V0_4;

/// A received frame: its flag, sender and payload.
#[derive(Clone, Debug)]
pub(crate) struct Heard {
    pub(crate) flag: Flag,
    pub(crate) sender: NodeId,
    pub(crate) id: String,
    pub(crate) payload: Vec<Vec<u8>>,
    /// Its size on the wire, in bytes.
    pub(crate) size: usize,
}

impl Heard {
    pub(crate) fn kind(&self) -> Option<SubFlag> {
        SubFlag::read(&self.payload[0], GENERATION)
    }

    pub(crate) fn text(&self) -> String {
        let rest = self.payload[1..].iter();
        rest.map(|packet| String::from_utf8_lossy(packet).into_owned())
            .collect::<Vec<_>>()
            .join(" ")
    }
}

/// A raw peer: see the module.
pub(crate) struct Raw {
    pub(crate) stream: TcpStream,
    pub(crate) composer: Composer,
    subnet: SubnetId,
    unread: Vec<u8>,
}

/// Returns an id that no other node has.
pub(crate) fn some_id() -> NodeId {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let salt = format!("{}-{count}", std::process::id());
    NodeId::derive(
        "raw",
        &actix_mesh::Subnet::default().id(GENERATION),
        salt.as_bytes(),
    )
}

/// Returns a text that no other message has.
pub(crate) fn some_text(about: &str) -> String {
    format!("{about} {}", &some_id().to_string()[..12])
}

impl Raw {
    pub(crate) fn over(stream: TcpStream, subnet: &SubnetId, id: NodeId) -> Self {
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            composer: Composer::new(GENERATION, Limits::default(), id),
            subnet: subnet.clone(),
            unread: Vec::new(),
        }
    }

    /// Connects without sending a handshake.
    pub(crate) fn dial(to: &Victim) -> Self {
        if closed::is_on() {
            let (stream, id) = closed::dial(to.addr);
            return Self::over(stream, &to.subnet, id);
        }
        Self::dial_as(to, some_id())
    }

    pub(crate) fn dial_as(to: &Victim, id: NodeId) -> Self {
        Self::over(TcpStream::connect(to.addr).unwrap(), &to.subnet, id)
    }

    /// Connects and completes the handshake.
    pub(crate) fn join(to: &Victim) -> Self {
        Self::join_with(to, |_| {})
    }

    /// Joins with a modified handshake.
    pub(crate) fn join_with(to: &Victim, change: impl FnOnce(&mut Control)) -> Self {
        let mut raw = Self::dial(to);
        raw.greet(change);
        raw.expect(|heard| heard.kind() == Some(SubFlag::Peers));
        raw
    }

    pub(crate) fn id(&self) -> &NodeId {
        self.composer.me()
    }

    /// Sends its handshake, as a py2p would.
    pub(crate) fn greet(&mut self, change: impl FnOnce(&mut Control)) {
        let handshake = self.handshake(change);
        self.say(&Flag::Whisper, &handshake);
    }

    /// Sends its handshake and ignores write errors.
    pub(crate) fn greet_anyhow(&mut self) {
        let handshake = self.handshake(|_| {});
        let frame = self.frame(&Flag::Whisper, &handshake, unix());
        self.write_anyhow(&frame);
    }

    pub(crate) fn handshake(&self, change: impl FnOnce(&mut Control)) -> Vec<Packet> {
        let mut control = Control::Handshake {
            id: self.id().clone(),
            subnet: self.subnet.clone(),
            address: Some(self.stream.local_addr().unwrap().into()),
            methods: vec![],
            dialect: Dialect::Spaced,
            extended: false,
        };
        change(&mut control);
        control.packets(GENERATION)
    }

    pub(crate) fn frame(&self, flag: &Flag, payload: &[Packet], time: u64) -> Vec<u8> {
        let composed = self.composer.compose(flag, payload, time).unwrap();
        composed.frames.plain.to_vec()
    }

    pub(crate) fn say(&mut self, flag: &Flag, payload: &[Packet]) {
        let frame = self.frame(flag, payload, unix());
        self.write(&frame);
    }

    pub(crate) fn say_control(&mut self, flag: &Flag, control: &Control) {
        self.say(flag, &control.packets(GENERATION));
    }

    /// Builds a frame with a broadcast of this text.
    pub(crate) fn broadcast_frame(&self, text: &str) -> Vec<u8> {
        self.frame(&Flag::Broadcast, &user(text), unix())
    }

    pub(crate) fn broadcast(&mut self, text: &str) {
        let frame = self.broadcast_frame(text);
        self.write(&frame);
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// Writes and ignores errors.
    pub(crate) fn write_anyhow(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    /// Returns the next frame; `None` at the deadline or at EOF.
    pub(crate) fn next_within(&mut self, time: Duration) -> Option<Heard> {
        let deadline = Instant::now() + time;
        loop {
            if let Some(heard) = self.take_frame() {
                return Some(heard);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || !self.fill(left) {
                return None;
            }
        }
    }

    /// Waits for a frame that fits, and discards those before it.
    pub(crate) fn expect(&mut self, fits: impl Fn(&Heard) -> bool) -> Heard {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.next_within(left) {
                Some(heard) if fits(&heard) => return heard,
                Some(_) => {}
                None => panic!("the frame expected did not come"),
            }
        }
    }

    /// Waits for the liveness request, and answers it.
    pub(crate) fn answer_ping(&mut self, asker: &NodeId) {
        let asked =
            self.expect(|heard| heard.kind() == Some(SubFlag::Request) && heard.payload[1] != b"*");
        let response = Control::Response {
            request: RequestId::parse(&asked.payload[1]).unwrap(),
            id: asker.clone(),
            address: "127.0.0.1:1".parse().unwrap(),
        };
        self.say_control(&Flag::Broadcast, &response);
    }

    pub(crate) fn hears(&mut self, text: &str) -> Heard {
        self.expect(|heard| heard.text() == text)
    }

    pub(crate) fn all_within(&mut self, time: Duration) -> Vec<Heard> {
        let deadline = Instant::now() + time;
        let left = || deadline.saturating_duration_since(Instant::now());
        std::iter::from_fn(|| self.next_within(left())).collect()
    }

    /// Whether the other side closes the stream; frames before that are discarded.
    pub(crate) fn is_closed_within(&mut self, time: Duration) -> bool {
        let deadline = Instant::now() + time;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            self.stream.set_read_timeout(Some(left)).unwrap();
            match self.stream.read(&mut [0; 65536]) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(why) if is_timeout(&why) => return false,
                Err(_) => return true,
            }
        }
    }

    fn take_frame(&mut self) -> Option<Heard> {
        let length = u32::from_be_bytes(*self.unread.first_chunk()?) as usize + 4;
        let frame: Vec<u8> = self.unread.get(..length)?.to_vec();
        self.unread.drain(..length);
        let batch = Batch::from_frames(GENERATION, Limits::default(), &frame).unwrap();
        let frame = batch
            .get(0)
            .expect("the node says nothing that is no frame");
        frame.verify().expect("nor anything under a false id");
        Some(Heard {
            flag: frame.flag(),
            sender: NodeId::parse(frame.sender()).unwrap(),
            id: String::from_utf8(frame.id().to_vec()).unwrap(),
            payload: frame.payload().map(<[u8]>::to_vec).collect(),
            size: length,
        })
    }

    /// Reads once; returns false at the deadline or at EOF.
    fn fill(&mut self, time: Duration) -> bool {
        self.stream.set_read_timeout(Some(time)).unwrap();
        let mut chunk = [0; 65536];
        match self.stream.read(&mut chunk) {
            Ok(read @ 1..) => {
                self.unread.extend_from_slice(&chunk[..read]);
                true
            }
            _ => false,
        }
    }
}

fn is_timeout(why: &std::io::Error) -> bool {
    matches!(why.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

/// Returns the payload of a user's broadcast.
pub(crate) fn user(text: &str) -> Vec<Packet> {
    vec![SubFlag::Broadcast.packet(GENERATION), Packet::from(text)]
}

/// Wraps any body in a frame.
pub(crate) fn framed(body: &[u8]) -> Vec<u8> {
    let mut frame = u32::try_from(body.len()).unwrap().to_be_bytes().to_vec();
    frame.extend_from_slice(body);
    frame
}

/// A listener that can be dialled and never answers.
pub(crate) struct Trap {
    listener: TcpListener,
    pub(crate) addr: SocketAddr,
}

impl Trap {
    pub(crate) fn set() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        Self {
            addr: listener.local_addr().unwrap(),
            listener,
        }
    }

    pub(crate) fn address(&self) -> Address {
        self.addr.into()
    }

    /// Returns the connections accepted within that time.
    pub(crate) fn caught_within(&self, time: Duration) -> Vec<TcpStream> {
        let deadline = Instant::now() + time;
        let mut caught = Vec::new();
        while Instant::now() < deadline {
            match self.listener.accept() {
                Ok((stream, _)) => {
                    stream.set_nonblocking(false).unwrap();
                    caught.push(stream);
                }
                Err(_) => std::thread::sleep(Duration::from_millis(5)),
            }
        }
        caught
    }

    /// Waits for a dial and wraps it as a raw peer.
    pub(crate) fn catch_peer(&self, subnet: &SubnetId) -> Raw {
        let stream = self.catch();
        let (stream, id) = match closed::is_on() {
            true => closed::accept(stream),
            false => (stream, some_id()),
        };
        Raw::over(stream, subnet, id)
    }

    pub(crate) fn catch(&self) -> TcpStream {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(stream) = self.caught_within(Duration::from_millis(10)).pop() {
                return stream;
            }
            assert!(Instant::now() < deadline, "nobody dialled");
        }
    }
}

/// Accepts every compression method.
pub(crate) fn compressing(control: &mut Control) {
    if let Control::Handshake { methods, .. } = control {
        *methods = Method::available_in(GENERATION);
    }
}

/// Asserts that the attacked node still accepts an honest peer, and delivers and relays its messages.
pub(crate) fn assert_serves(victim: &Victim) {
    let (mut speaker, mut hearer) = (Raw::join(victim), Raw::join(victim));
    let text = some_text("all is well");
    speaker.broadcast(&text);
    assert_eq!(victim.hears(&text).sender(), speaker.id());
    hearer.hears(&text);
}
