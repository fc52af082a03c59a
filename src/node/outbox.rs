//! What waits to be written to one peer, and its writing.
//!
//! Owns the queue, the vectored writes and the verdict that a peer takes too little. Knows neither
//! actors nor what the bytes mean.

use std::collections::VecDeque;
use std::future::Future as _;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, Sleep};

use super::transport::Writer;
use crate::mesh::{Ended, Traffic};
use crate::wire::Hold;

/// Slices of one write: more gain nothing, and the list stands on the stack.
const SLICES: usize = 64;
/// Bytes of one write: about what a socket's buffer takes at once.
const WRITE: usize = 256 * 1024;
/// A peer that takes less than this, and less than all there is, within the stall timeout is stalled: a byte
/// now and then must not be enough to hold back everybody else.
const LEAST: usize = 64 * 1024;
/// The last resort: all that is relayed or sent is bounded by the budgets it came from, and answers by the
/// rate at which the core gives them.
const MOST: usize = 64 * 1024 * 1024;

/// Whole frames for one peer.
#[derive(Debug)]
pub(super) struct Chunk {
    bytes: Bytes,
    messages: u32,
    /// Let go of when the bytes are written.
    _hold: Hold,
}

impl Chunk {
    pub(super) fn new(bytes: Bytes, messages: u32, hold: Hold) -> Self {
        Self {
            bytes,
            messages,
            _hold: hold,
        }
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Outbox {
    queue: VecDeque<Chunk>,
    /// Bytes of the first chunk that are written already.
    begun: usize,
    /// Bytes that wait.
    waiting: usize,
    /// Bytes ever written.
    written: u64,
    patience: Duration,
    stall: Option<Stall>,
}

/// While the peer takes nothing: until when it has to have taken how much.
#[derive(Debug)]
struct Stall {
    until: Pin<Box<Sleep>>,
    goal: u64,
}

impl Outbox {
    /// Empty; a peer may let it wait for as long as `patience`.
    pub(super) fn new(patience: Duration) -> Self {
        Self {
            queue: VecDeque::new(),
            begun: 0,
            waiting: 0,
            written: 0,
            patience,
            stall: None,
        }
    }

    pub(super) fn push(&mut self, chunk: Chunk) {
        self.waiting += chunk.bytes.len();
        self.queue.push_back(chunk);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// What waits; a frame begun counts as waiting.
    pub(super) fn unsent(&self) -> Traffic {
        let messages = self
            .queue
            .iter()
            .map(|chunk| u64::from(chunk.messages))
            .sum();
        Traffic {
            messages,
            bytes: self.waiting as u64,
        }
    }

    /// Writes until nothing waits, or the stream fails, or the peer is found to take too little.
    pub(super) fn poll_flush(
        &mut self,
        writer: &mut Writer,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Ended>> {
        if self.waiting > MOST {
            return Poll::Ready(Err(Ended::Stalled));
        }
        while !self.is_empty() {
            match self.poll_write(writer, cx) {
                Poll::Ready(Ok(0)) => {
                    return Poll::Ready(Err(failed(&io::ErrorKind::WriteZero.into())));
                }
                Poll::Ready(Ok(bytes)) => self.took(bytes),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(failed(&error))),
                Poll::Pending => return self.poll_stall(cx).map(Err),
            }
        }
        self.stall = None;
        // What a burst needed is given back.
        if self.queue.capacity() > SLICES {
            self.queue = VecDeque::new();
        }
        Poll::Ready(Ok(()))
    }

    fn poll_write(&self, writer: &mut Writer, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut slices = [IoSlice::new(&[]); SLICES];
        let mut count = 0;
        let mut bytes = 0;
        let mut skip = self.begun;
        for (slice, chunk) in slices.iter_mut().zip(&self.queue) {
            *slice = IoSlice::new(chunk.bytes.get(skip..).unwrap_or_default());
            skip = 0;
            count += 1;
            bytes += slice.len();
            if bytes >= WRITE {
                break;
            }
        }
        writer.poll_write(cx, &slices[..count])
    }

    /// The peer took this much: chunks that are written let go of what they hold.
    fn took(&mut self, bytes: usize) {
        self.written += bytes as u64;
        self.waiting = self.waiting.saturating_sub(bytes);
        self.begun += bytes;
        while let Some(first) = self.queue.front() {
            if self.begun < first.bytes.len() {
                break;
            }
            self.begun -= first.bytes.len();
            self.queue.pop_front();
        }
    }

    fn poll_stall(&mut self, cx: &mut Context<'_>) -> Poll<Ended> {
        let goal = self.written + self.waiting.min(LEAST) as u64;
        let patience = self.patience;
        let stall = self.stall.get_or_insert_with(|| Stall {
            until: Box::pin(tokio::time::sleep(patience)),
            goal,
        });
        while stall.until.as_mut().poll(cx).is_ready() {
            if self.written < stall.goal {
                return Poll::Ready(Ended::Stalled);
            }
            stall.goal = goal;
            stall.until.as_mut().reset(Instant::now() + patience);
        }
        Poll::Pending
    }
}

fn failed(error: &io::Error) -> Ended {
    Ended::Failed(error.to_string())
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::Arc;

    use tokio::io::{AsyncReadExt as _, DuplexStream, duplex};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    fn outbox(chunks: impl IntoIterator<Item = usize>) -> (Outbox, Arc<()>) {
        let held = Arc::new(());
        let mut outbox = Outbox::new(PATIENCE);
        for (n, len) in chunks.into_iter().enumerate() {
            let byte = u8::try_from(n % 251).unwrap();
            let bytes = Bytes::from(vec![byte; len]);
            outbox.push(Chunk::new(bytes, 1, Hold::new(Arc::clone(&held))));
        }
        (outbox, held)
    }

    async fn flush(outbox: &mut Outbox, writer: &mut Writer) -> Result<(), Ended> {
        poll_fn(|cx| outbox.poll_flush(writer, cx)).await
    }

    /// Reads that much at a time, with a pause before each.
    async fn read_slowly(mut pipe: DuplexStream, at_once: usize, pause: Duration) -> Vec<u8> {
        let mut all = Vec::new();
        let mut buffer = vec![0; at_once];
        loop {
            tokio::time::sleep(pause).await;
            match pipe.read(&mut buffer).await.unwrap() {
                0 => return all,
                read => all.extend_from_slice(&buffer[..read]),
            }
        }
    }

    #[actix::test]
    async fn everything_is_written_in_order_however_little_is_taken() {
        let lengths = || (0..300).map(|n| n % 17);
        let (mut outbox, held) = outbox(lengths());
        let (near, far) = duplex(5);
        let reading = actix::spawn(read_slowly(far, 3, Duration::ZERO));
        let mut writer = Writer::Pipe(near);
        flush(&mut outbox, &mut writer).await.unwrap();
        drop(writer);
        let expected: Vec<u8> = lengths()
            .enumerate()
            .flat_map(|(n, len)| vec![u8::try_from(n % 251).unwrap(); len])
            .collect();
        assert_eq!(reading.await.unwrap(), expected);
        assert_eq!(outbox.unsent(), Traffic::default());
        assert_eq!(Arc::strong_count(&held), 1);
    }

    #[actix::test]
    async fn what_is_written_lets_go_of_its_hold_and_what_is_begun_counts_as_unsent() {
        tokio::time::pause();
        let (mut outbox, held) = outbox([10, 10, 10]);
        let (near, _far) = duplex(15);
        let stalled = flush(&mut outbox, &mut Writer::Pipe(near)).await;
        assert_eq!(stalled, Err(Ended::Stalled));
        assert_eq!(Arc::strong_count(&held), 3);
        let unsent = outbox.unsent();
        assert_eq!((unsent.messages, unsent.bytes), (2, 15));
    }

    #[actix::test]
    async fn a_byte_now_and_then_does_not_keep_a_peer() {
        tokio::time::pause();
        let (mut outbox, _held) = outbox([100_000]);
        let (near, far) = duplex(1);
        actix::spawn(read_slowly(far, 1, Duration::from_secs(1)));
        assert_eq!(
            flush(&mut outbox, &mut Writer::Pipe(near)).await,
            Err(Ended::Stalled)
        );
    }

    #[actix::test]
    async fn a_slow_peer_that_keeps_taking_is_kept() {
        tokio::time::pause();
        let (mut outbox, _held) = outbox([1_000_000]);
        let (near, far) = duplex(8 * 1024);
        actix::spawn(read_slowly(far, 8 * 1024, Duration::from_secs(1)));
        assert_eq!(flush(&mut outbox, &mut Writer::Pipe(near)).await, Ok(()));
    }

    #[actix::test]
    async fn the_last_few_bytes_may_be_few() {
        tokio::time::pause();
        let (mut outbox, _held) = outbox([20]);
        let (near, far) = duplex(4);
        actix::spawn(read_slowly(far, 4, Duration::from_secs(2)));
        assert_eq!(flush(&mut outbox, &mut Writer::Pipe(near)).await, Ok(()));
    }
}
