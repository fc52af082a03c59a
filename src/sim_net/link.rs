//! One simulated connection: two pipes, and the tasks that carry bytes between them.
//!
//! Owns latency, retransmission and the order of bytes. [`SimNet`](super::SimNet) decides which hosts reach each other.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::io::{
    AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, ReadHalf, WriteHalf, duplex, split,
};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::host::Host;

/// Size of a socket buffer.
const BUFFER: usize = 64 * 1024;
/// Maximum pieces in transit in one direction; beyond it the sender blocks, as with a full TCP window.
const UNDER_WAY: usize = 1024;
/// Delay until a lost piece is sent again.
const RETRANSMISSION: Duration = Duration::from_millis(200);

/// The quality of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quality {
    /// One-way latency.
    pub(super) latency: Duration,
    /// The share of pieces that are lost and sent again.
    pub(super) loss: f64,
    pub(super) seed: u64,
}

/// Opens a connection between two hosts. Returns the dialler's end and the acceptor's.
pub(super) fn open(from: &Host, to: &Host, quality: Quality) -> (DuplexStream, DuplexStream) {
    let (near, near_end) = duplex(BUFFER);
    let (far, far_end) = duplex(BUFFER);
    let (from_near, to_near) = split(near_end);
    let (from_far, to_far) = split(far_end);
    for (read, write, path, turn) in [
        (from_near, to_far, (from.clone(), to.clone()), 0),
        (from_far, to_near, (to.clone(), from.clone()), 1),
    ] {
        let chance = StdRng::seed_from_u64(quality.seed.wrapping_add(turn));
        let (put, take) = mpsc::channel(UNDER_WAY);
        actix_rt::spawn(depart(read, put, quality, chance));
        actix_rt::spawn(arrive(write, take, path));
    }
    (near, far)
}

/// A piece in transit, and when it arrives. An empty piece is EOF.
type Piece = (Instant, Vec<u8>);

async fn depart(
    mut read: ReadHalf<DuplexStream>,
    put: mpsc::Sender<Piece>,
    quality: Quality,
    mut chance: StdRng,
) {
    let mut due = Instant::now();
    loop {
        let mut piece = Vec::with_capacity(1024);
        let ended = !matches!(read.read_buf(&mut piece).await, Ok(1..));
        let mut latency = quality.latency;
        if quality.loss > 0.0 && chance.random_bool(quality.loss.min(1.0)) {
            latency += RETRANSMISSION;
        }
        // Bytes of a stream arrive in order.
        due = due.max(Instant::now() + latency);
        if put.send((due, piece)).await.is_err() || ended {
            return;
        }
    }
}

async fn arrive(
    mut write: WriteHalf<DuplexStream>,
    mut take: mpsc::Receiver<Piece>,
    (from, to): (Host, Host),
) {
    while let Some((due, piece)) = take.recv().await {
        sleep_until(due).await;
        from.can_reach(&to).await;
        if piece.is_empty() || write.write_all(&piece).await.is_err() {
            break;
        }
    }
    let _ = write.shutdown().await;
}
