//! The outbound queue of one peer, and its writing.
//!
//! Owns the queue and the vectored writes; [`slow_peer`] decides when a peer is too slow. Data queued for a slow peer
//! holds back nobody: it moves from the budget it came from to a budget that all slow peers share. Knows neither actors
//! nor what the bytes mean.

pub(crate) mod slow_peer;

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::mem;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;

use self::slow_peer::{LOOK, Patience, Stall};
use crate::mesh::{Ended, QueuedWhisper, Traffic};
use crate::node::budget::Pool;
use crate::node::transport::Transport;
use crate::wire::{Hold, frames_beyond};

/// The most slices of one write: more gain nothing, and the list is on the stack.
const SLICES: usize = 64;
/// The most bytes of one write: about what a socket's buffer takes at once.
const WRITE: usize = 256 * 1024;
/// The cost of a chunk besides its bytes.
const OVERHEAD: usize = 128;
/// The last resort: relayed and own messages are bounded by the budgets they came from, and answers by the rate at
/// which the core gives them.
const MAX_QUEUED_BYTES: usize = 64 * 1024 * 1024;

/// Whole frames for one peer.
#[derive(Debug)]
pub(crate) struct Chunk {
    bytes: Bytes,
    messages: u32,
    /// Released when the bytes are written.
    hold: Hold,
}

impl Chunk {
    pub(crate) fn new(bytes: Bytes, messages: u32, hold: Hold) -> Self {
        Self {
            bytes,
            messages,
            hold,
        }
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct OutboundQueue {
    queue: VecDeque<Chunk>,
    /// Bytes of the first chunk that are already written.
    partial: usize,
    /// Bytes after `partial` that the transport has taken and may still hold: TLS encrypts them before they are
    /// written.
    held: usize,
    /// Queued bytes.
    waiting: usize,
    /// Bytes written since this queue was created.
    written: u64,
    patience: Patience,
    /// Provides the budget of slow peers.
    pool: Arc<Pool>,
    /// Chunks at the head of the queue that already use that budget.
    moved: usize,
    stall: Option<Box<Stall>>,
}

impl OutboundQueue {
    /// Creates an empty queue. `pool`: provides the budget of slow peers.
    pub(crate) fn new(patience: Patience, pool: Arc<Pool>) -> Self {
        Self {
            queue: VecDeque::new(),
            partial: 0,
            held: 0,
            waiting: 0,
            written: 0,
            patience,
            pool,
            moved: 0,
            stall: None,
        }
    }

    pub(crate) fn push(&mut self, chunk: Chunk) {
        self.waiting += chunk.bytes.len();
        self.queue.push_back(chunk);
        if self.behind() >= LOOK {
            // The next look sees whether there was room.
            self.move_over();
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Returns the bytes written since this queue was created.
    pub(crate) fn written(&self) -> u64 {
        self.written
    }

    /// Returns whether the transport has refused more data: whatever is written from now on, the peer has made room
    /// for.
    pub(crate) fn is_stalled(&self) -> bool {
        self.stall.is_some()
    }

    /// Returns what is queued; a partly written frame counts as queued.
    pub(crate) fn unsent(&self) -> Traffic {
        let mut chunks = self.queue.iter();
        let partial = chunks.next().map_or(0, |first| {
            frames_beyond(&first.bytes, self.partial).min(u64::from(first.messages))
        });
        let messages = partial + chunks.map(|chunk| u64::from(chunk.messages)).sum::<u64>();
        Traffic {
            messages,
            bytes: self.waiting as u64,
        }
    }

    /// Returns this node's whispers among it.
    pub(crate) fn unsent_whispers(&self) -> Vec<QueuedWhisper> {
        let whispers = self.queue.iter().filter_map(|chunk| chunk.hold.get());
        whispers.cloned().collect()
    }

    /// Writes until the queue is empty, the stream fails, or the peer proves too slow.
    pub(crate) fn poll_flush(
        &mut self,
        transport: &mut Transport,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Ended>> {
        if self.waiting > MAX_QUEUED_BYTES {
            return Poll::Ready(Err(Ended::Stalled));
        }
        while !self.is_empty() {
            if self.held == 0 {
                match self.poll_write(transport, cx) {
                    Poll::Ready(Ok(0)) => {
                        return Poll::Ready(Err(failed(&io::ErrorKind::WriteZero.into())));
                    }
                    Poll::Ready(Ok(bytes)) => self.held = bytes,
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(failed(&error))),
                    Poll::Pending => return self.poll_stall(cx).map(Err),
                }
            }
            match transport.poll_flush(cx) {
                Poll::Ready(Ok(())) => self.took(),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(failed(&error))),
                Poll::Pending => return self.poll_stall(cx).map(Err),
            }
        }
        (self.stall, self.moved) = (None, 0);
        Poll::Ready(Ok(()))
    }

    fn poll_write(
        &self,
        transport: &mut Transport,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let mut slices = [IoSlice::new(&[]); SLICES];
        let mut count = 0;
        let mut bytes = 0;
        let mut skip = self.partial;
        let most = self.most_at_once();
        for (slice, chunk) in slices.iter_mut().zip(&self.queue) {
            let rest = chunk.bytes.get(skip..).unwrap_or_default();
            *slice = IoSlice::new(&rest[..rest.len().min(most - bytes)]);
            skip = 0;
            count += 1;
            bytes += slice.len();
            if bytes >= WRITE.min(most) {
                break;
            }
        }
        transport.poll_write(cx, &slices[..count])
    }

    /// Counts what the transport has written; wholly written chunks release their holds.
    fn took(&mut self) {
        let bytes = mem::take(&mut self.held);
        self.written += bytes as u64;
        self.waiting = self.waiting.saturating_sub(bytes);
        self.partial += bytes;
        while let Some(first) = self.queue.front() {
            if self.partial < first.bytes.len() {
                break;
            }
            self.partial -= first.bytes.len();
            self.queue.pop_front();
            self.moved = self.moved.saturating_sub(1);
        }
    }

    /// Moves the charge of queued chunks to the budget of slow peers, as far as it has room; returns whether it had.
    fn move_over(&mut self) -> bool {
        for chunk in self.queue.iter_mut().skip(self.moved) {
            let Some(room) = self.pool.for_slow(chunk.bytes.len() + OVERHEAD) else {
                return false;
            };
            let room = Hold::new(room);
            chunk.hold = match chunk.hold.get::<QueuedWhisper>() {
                Some(whisper) => Hold::new(whisper.moved_to(room)),
                None => room,
            };
            self.moved += 1;
        }
        true
    }
}

fn failed(error: &io::Error) -> Ended {
    Ended::Failed(error.to_string())
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::Arc;
    use std::time::Duration;

    use tokio::io::{AsyncReadExt as _, DuplexStream, duplex};

    use tokio::time::Instant;

    use super::slow_peer::{HASTE, STALE};
    use super::*;
    use crate::node::budget::Account;

    const PATIENCE: Patience = Patience {
        time: Duration::from_secs(10),
        rate: 8 * 1024,
    };

    fn outbound(chunks: impl IntoIterator<Item = usize>) -> (OutboundQueue, Arc<()>) {
        outbox_beside(4 << 20, chunks)
    }

    /// With a pool of this size.
    fn outbox_beside(
        slow: usize,
        chunks: impl IntoIterator<Item = usize>,
    ) -> (OutboundQueue, Arc<()>) {
        let held = Arc::new(());
        let mut outbound = OutboundQueue::new(PATIENCE, Pool::new(slow));
        for (n, len) in chunks.into_iter().enumerate() {
            let byte = u8::try_from(n % 251).unwrap();
            let bytes = Bytes::from(vec![byte; len]);
            outbound.push(Chunk::new(bytes, 1, Hold::new(Arc::clone(&held))));
        }
        (outbound, held)
    }

    async fn flush(outbound: &mut OutboundQueue, transport: &mut Transport) -> Result<(), Ended> {
        poll_fn(|cx| outbound.poll_flush(transport, cx)).await
    }

    /// Reads `at_once` bytes at a time, with a pause before each read.
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
        let (mut outbound, held) = outbound(lengths());
        let (near, far) = duplex(5);
        let reading = actix::spawn(read_slowly(far, 3, Duration::ZERO));
        let mut writer = Transport::pipe(near);
        flush(&mut outbound, &mut writer).await.unwrap();
        drop(writer);
        let expected: Vec<u8> = lengths()
            .enumerate()
            .flat_map(|(n, len)| vec![u8::try_from(n % 251).unwrap(); len])
            .collect();
        assert_eq!(reading.await.unwrap(), expected);
        assert_eq!(outbound.unsent(), Traffic::default());
        assert_eq!(Arc::strong_count(&held), 1);
    }

    #[actix::test]
    async fn what_is_begun_counts_as_unsent() {
        tokio::time::pause();
        let (mut outbound, _held) = outbound([10, 10, 10]);
        let (near, _far) = duplex(15);
        let stalled = flush(&mut outbound, &mut Transport::pipe(near)).await;
        assert_eq!(stalled, Err(Ended::Stalled));
        let unsent = outbound.unsent();
        assert_eq!((unsent.messages, unsent.bytes), (2, 15));
    }

    #[actix::test]
    async fn a_byte_now_and_then_does_not_keep_a_peer() {
        tokio::time::pause();
        let (mut outbound, _held) = outbound([100_000]);
        let (near, far) = duplex(1);
        actix::spawn(read_slowly(far, 1, Duration::from_secs(1)));
        assert_eq!(
            flush(&mut outbound, &mut Transport::pipe(near)).await,
            Err(Ended::Stalled)
        );
    }

    #[actix::test]
    async fn a_slow_peer_that_keeps_taking_is_kept() {
        tokio::time::pause();
        let (mut outbound, _held) = outbound([1_000_000]);
        let (near, far) = duplex(8 * 1024);
        actix::spawn(read_slowly(far, 9 * 1024, Duration::from_secs(1)));
        assert_eq!(
            flush(&mut outbound, &mut Transport::pipe(near)).await,
            Ok(())
        );
    }

    #[actix::test]
    async fn t7_a_peer_that_takes_enough_but_is_minutes_behind_is_closed() {
        tokio::time::pause();
        for (rate, verdict) in [(9 * 1024, Err(Ended::Stalled)), (40 * 1024, Ok(()))] {
            let (mut outbound, _held) = outbound([1000; 2000]);
            let (near, far) = duplex(rate);
            actix::spawn(read_slowly(far, rate, Duration::from_secs(1)));
            let start = Instant::now();
            let flushed = flush(&mut outbound, &mut Transport::pipe(near)).await;
            assert_eq!(flushed, verdict, "{rate} bytes a second");
            assert!(start.elapsed() <= STALE + LOOK * 2);
        }
    }

    #[actix::test]
    async fn the_last_few_bytes_may_be_few() {
        tokio::time::pause();
        let (mut outbound, _held) = outbound([20]);
        let (near, far) = duplex(4);
        actix::spawn(read_slowly(far, 4, Duration::from_secs(1)));
        assert_eq!(
            flush(&mut outbound, &mut Transport::pipe(near)).await,
            Ok(())
        );
    }

    /// Returns whether the flush does not end within this time.
    async fn goes_on(
        outbound: &mut OutboundQueue,
        transport: &mut Transport,
        time: Duration,
    ) -> bool {
        tokio::time::timeout(time, flush(outbound, transport))
            .await
            .is_err()
    }

    #[actix::test]
    async fn a_stalled_peer_holds_back_nobody() {
        tokio::time::pause();
        let (mut outbound, held) = outbound([1000; 100]);
        let (near, _far) = duplex(10);
        let mut writer = Transport::pipe(near);
        assert!(goes_on(&mut outbound, &mut writer, LOOK / 2).await);
        assert_eq!(Arc::strong_count(&held), 101, "it may be about to go on");
        assert!(goes_on(&mut outbound, &mut writer, LOOK).await);
        assert_eq!(Arc::strong_count(&held), 1);
        outbound.push(Chunk::new(
            Bytes::from_static(b"more"),
            1,
            Hold::new(Arc::clone(&held)),
        ));
        assert_eq!(Arc::strong_count(&held), 1, "nor does what comes now");
        assert_eq!(flush(&mut outbound, &mut writer).await, Err(Ended::Stalled));
        assert_eq!(outbound.unsent().messages, 101);
    }

    #[actix::test]
    async fn without_room_for_it_a_stalled_peer_is_closed_soon() {
        tokio::time::pause();
        let (mut outbound, held) = outbox_beside(150_000, [1000; 100]);
        let links = [1, 2].map(|_| Account::new(1, Arc::clone(&outbound.pool)));
        let (near, _far) = duplex(10);
        let mut writer = Transport::pipe(near);
        assert!(goes_on(&mut outbound, &mut writer, HASTE - LOOK).await);
        assert_eq!(Arc::strong_count(&held), 101 - 44);
        assert!(!goes_on(&mut outbound, &mut writer, LOOK * 2).await);
        let pool = Arc::clone(&outbound.pool);
        drop((outbound, links));
        assert!(pool.for_slow(50_000).is_some(), "given back");
    }

    #[actix::test]
    async fn where_most_peers_are_behind_the_fault_is_not_theirs() {
        tokio::time::pause();
        let (mut outbound, _held) = outbox_beside(150_000, [1000; 100]);
        let _links = [1, 2, 3].map(|_| Account::new(1, Arc::clone(&outbound.pool)));
        let _another = outbound.pool.one_behind();
        let (near, _far) = duplex(10);
        let mut writer = Transport::pipe(near);
        assert!(goes_on(&mut outbound, &mut writer, HASTE * 3).await);
        assert_eq!(flush(&mut outbound, &mut writer).await, Err(Ended::Stalled));
    }

    #[actix::test]
    async fn a_peer_that_keeps_taking_pushes_back_instead() {
        tokio::time::pause();
        let (mut outbound, held) = outbound([1000; 1000]);
        let (near, far) = duplex(1000);
        actix::spawn(read_slowly(far, 1000, LOOK / 4));
        let mut writer = Transport::pipe(near);
        assert!(goes_on(&mut outbound, &mut writer, Duration::from_secs(20)).await);
        let waiting = usize::try_from(outbound.unsent().messages).unwrap();
        assert!((100..900).contains(&waiting));
        assert_eq!(Arc::strong_count(&held), 1 + waiting);
    }
}
