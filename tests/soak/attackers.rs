//! The attackers of the soak: each repeats one kind of harm until the run is over.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use actix_mesh::wire::{
    Composer, Control, Deflater, Flag, Limits, Method, Packet, PeerEntry, RequestId,
};

use crate::process::join;
use crate::support::raw::{GENERATION, Raw, framed, some_id, some_text, user};
use crate::support::unix;

const MIB: usize = 1 << 20;
/// The number of kinds.
pub(crate) const KINDS: usize = 16;

/// Attacks the node at that address with one kind, and reconnects when it is closed.
pub(crate) fn attack(kind: usize, addr: SocketAddr, over: &AtomicBool) {
    let is_over = || over.load(Ordering::Relaxed);
    while !is_over() {
        match kind {
            0..=9 => member(kind, addr, over),
            10 => stranger(addr, &[0xff, 0xff, 0xff, 0xff, 0]),
            11 => stranger(addr, b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n"),
            12 => trickle(addr),
            13 => drop(join(addr)),
            // These read nothing, or hardly anything.
            14 => mute(addr, over, false),
            _ => mute(addr, over, true),
        }
        // Reconnecting faster than this would gain nothing.
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Joins and sends harmful messages until it is closed or the run is over.
fn member(kind: usize, addr: SocketAddr, over: &AtomicBool) {
    let Some(member) = join(addr) else { return };
    let mut stream: &TcpStream = &member.stream;
    stream
        .set_write_timeout(Some(Duration::from_millis(500)))
        .unwrap();
    stream.set_nonblocking(false).unwrap();
    // Read for it, or it would be a mute peer.
    let mut reading = stream.try_clone().unwrap();
    reading.set_read_timeout(None).unwrap();
    std::thread::spawn(move || while let Ok(1..) = reading.read(&mut [0; 1 << 16]) {});
    while !over.load(Ordering::Relaxed) {
        let bytes = harm(kind, &member);
        let mut rest = &bytes[..];
        while !rest.is_empty() && !over.load(Ordering::Relaxed) {
            match stream.write(rest) {
                Ok(written) => rest = &rest[written..],
                Err(why) if why.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
    }
    let _ = stream.shutdown(std::net::Shutdown::Both);
}

/// Returns one harmful message of that kind, different each time.
fn harm(kind: usize, member: &Raw) -> Vec<u8> {
    let methods = Method::available_in(GENERATION);
    match kind {
        0 => (0..500).flat_map(|_| plain(0)).collect(),
        1 => plain(3 * MIB),
        2..=5 => deflated(methods[(kind - 2) % methods.len()], 4 * MIB - 1000),
        6 => control(),
        7 => (0..50).flat_map(|_| packets()).collect(),
        8 => plain(100).repeat(1000),
        _ => [
            member
                .frame(
                    &Flag::Renegotiate,
                    &Control::Resend.packets(GENERATION),
                    unix(),
                )
                .repeat(100),
            // Then a frame that ends the connection.
            framed(&[0; 9]),
        ]
        .concat(),
    }
}

fn composed(flag: &Flag, payload: &[Packet]) -> actix_mesh::wire::Frames {
    let composer = Composer::new(GENERATION, Limits::default(), some_id());
    composer.compose(flag, payload, unix()).unwrap().frames
}

fn fresh(size: usize) -> Vec<Packet> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    user(&format!("{count} {}", "a".repeat(size)))
}

fn plain(size: usize) -> Vec<u8> {
    composed(&Flag::Broadcast, &fresh(size)).plain.to_vec()
}

fn deflated(method: Method, size: usize) -> Vec<u8> {
    let frames = composed(&Flag::Broadcast, &fresh(size));
    frames
        .deflate(&mut Deflater::new(), method)
        .unwrap()
        .to_vec()
}

fn packets() -> Vec<u8> {
    let mut payload = fresh(0);
    payload.resize(1020, Packet::default());
    composed(&Flag::Broadcast, &payload).plain.to_vec()
}

fn control() -> Vec<u8> {
    let entries = (0..1000).map(|_| PeerEntry {
        id: some_id(),
        address: "192.0.2.1:9".parse().unwrap(),
    });
    let list = Control::Peers {
        entries: entries.collect(),
        skipped: 0,
    };
    let wanted = some_id();
    let request = RequestId::derive(&wanted, unix(), some_text("salt").as_bytes());
    let request = Control::Request { request, wanted };
    let said = |flag: &Flag, control: &Control| {
        composed(flag, &control.packets(GENERATION)).plain.to_vec()
    };
    [
        said(&Flag::Whisper, &list),
        said(&Flag::Whisper, &Control::RequestPeers).repeat(200),
        said(&Flag::Broadcast, &request),
    ]
    .concat()
}

/// Sends bytes that are not a handshake.
fn stranger(addr: SocketAddr, bytes: &[u8]) {
    if let Ok(mut stream) = TcpStream::connect(addr) {
        let _ = stream.write_all(bytes);
    }
}

/// Opens a hundred connections that send a byte now and then.
fn trickle(addr: SocketAddr) {
    let mut crowd: Vec<TcpStream> = (0..100)
        .filter_map(|_| TcpStream::connect(addr).ok())
        .collect();
    for _ in 0..10 {
        for stream in &mut crowd {
            let _ = stream.write_all(&[0]);
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Joins and reads nothing, or a byte now and then, until it is closed for it.
fn mute(addr: SocketAddr, over: &AtomicBool, sips: bool) {
    let Some(mut member) = join(addr) else { return };
    while !over.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_millis(50));
        if sips {
            member
                .stream
                .set_read_timeout(Some(Duration::from_millis(50)))
                .unwrap();
            if let Ok(0) = member.stream.read(&mut [0]) {
                return;
            }
        } else if member
            .stream
            .write_all(&member.broadcast_frame(&some_text("I am here")))
            .is_err()
        {
            return;
        }
    }
}
