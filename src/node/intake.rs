//! What comes in on one connection: read, cut into batches, accounted for, handed to the Router.
//!
//! Owns the read buffers and the permits. Never reads on while it has no permits, so what waits anywhere
//! in this node is bounded by the budget. Knows nothing of what the frames say.

use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::mem;
use std::sync::Arc;
use std::task::Poll;

use actix::WeakAddr;
use bytes::BytesMut;
use tokio::sync::Semaphore;
use tokio_util::codec::Decoder as _;

use super::router::{Received, Router};
use super::transport::Reader;
use crate::mesh::{ConnId, Ended};
use crate::wire::{Batch, Codec, Hold, StreamError};

/// Bytes asked of the socket at once.
const READ: usize = 64 * 1024;
/// A read that fills less than this share of its buffer is copied out of it: a few bytes must not keep
/// 64 KiB alive while they wait.
const WORTH: usize = 4;
/// What a batch costs besides its bytes: an envelope in the Router's mailbox and the batch's own lists.
const OVERHEAD: usize = 256;

thread_local! {
    /// One buffer serves all connections of a thread, as long as their reads are short.
    static SPARE: Cell<Option<BytesMut>> = const { Cell::new(None) };
}

/// Where one connection's batches go, and what they may cost.
pub(super) struct Intake {
    pub(super) conn: ConnId,
    pub(super) router: WeakAddr<Router>,
    pub(super) codec: Codec,
    /// One permit a byte. Closed when the connection is to be read no further.
    pub(super) budget: Arc<Semaphore>,
    pub(super) budget_size: u32,
}

/// Why reading goes no further.
enum Stop {
    /// The stream cannot be read on.
    Ended(Ended),
    /// We are closing: what still comes is not for us.
    Closing,
}

impl<E: Into<StreamError>> From<E> for Stop {
    fn from(error: E) -> Self {
        Stop::Ended(Ended::from(error.into()))
    }
}

impl Intake {
    /// Reads to the end, and says what it was.
    pub(super) async fn run(mut self, mut reader: Reader) -> Ended {
        let mut rest = BytesMut::new();
        loop {
            if let Err(error) = reader.readable().await {
                return Ended::from(StreamError::Io(error));
            }
            // In a box, so that an idle connection has no room for it.
            match Box::pin(self.read_once(&mut reader, &mut rest)).await {
                Ok(()) => {}
                Err(Stop::Ended(ended)) => return ended,
                Err(Stop::Closing) => return Box::pin(discard(&mut reader)).await,
            }
        }
    }

    /// One read, and all whole frames of it. What is left over stays in `rest`; between reads an idle
    /// connection holds nothing else.
    async fn read_once(&mut self, reader: &mut Reader, rest: &mut BytesMut) -> Result<(), Stop> {
        let mut buffer = buffer_after(mem::take(rest));
        let read = read_now(reader, &mut buffer).await?;
        let mut frames = exact(buffer);
        let Some(bytes) = read else {
            *rest = frames;
            return Ok(());
        };
        if bytes == 0 {
            self.codec.decode_eof(&mut frames)?;
            return Err(Stop::Ended(Ended::ByPeer));
        }
        while let Some(batch) = self.codec.decode(&mut frames)? {
            self.hand_in(batch).await?;
        }
        if !frames.is_empty() {
            *rest = frames;
        }
        breathe().await;
        Ok(())
    }

    /// Waits until there is room for the batch, then hands it to the Router.
    async fn hand_in(&mut self, mut batch: Batch) -> Result<(), Stop> {
        let cost = u32::try_from(batch.cost() + OVERHEAD)
            .unwrap_or(u32::MAX)
            .min(self.budget_size);
        let Ok(permits) = Arc::clone(&self.budget).acquire_many_owned(cost).await else {
            return Err(Stop::Closing);
        };
        let hold = Hold::new(permits);
        batch.hold(hold.clone());
        let router = self.router.upgrade().ok_or(Stop::Closing)?;
        let received = Received {
            conn: self.conn,
            batch,
            hold,
        };
        if self.codec.is_established() {
            router.do_send(received);
            return Ok(());
        }
        // Large frames may stand right behind the handshake: they are cut once it has been judged.
        match router.send(received).await {
            Ok(true) => self.codec.established(),
            Ok(false) => {}
            Err(_) => return Err(Stop::Closing),
        }
        Ok(())
    }
}

/// A buffer that begins with what was left over and has room for a read.
fn buffer_after(mut rest: BytesMut) -> BytesMut {
    if rest.len() >= READ / WORTH {
        rest.reserve(READ);
        return rest;
    }
    let mut buffer = SPARE
        .take()
        .unwrap_or_else(|| BytesMut::with_capacity(READ));
    buffer.extend_from_slice(&rest);
    buffer
}

/// The buffer itself if it is well filled; otherwise a copy of just what is in it.
fn exact(mut buffer: BytesMut) -> BytesMut {
    if buffer.len() >= buffer.capacity() / WORTH {
        return buffer;
    }
    let copy = BytesMut::from(&buffer[..]);
    buffer.clear();
    SPARE.set(Some(buffer));
    copy
}

/// What is there; `None` if the wake-up was for nothing.
async fn read_now(reader: &mut Reader, buffer: &mut BytesMut) -> io::Result<Option<usize>> {
    poll_fn(|cx| {
        Poll::Ready(match reader.poll_read(cx, buffer) {
            Poll::Ready(read) => read.map(Some),
            Poll::Pending => Ok(None),
        })
    })
    .await
}

/// Reads until the peer has closed too: closing with something unread makes the system tear down the
/// connection, and the peer might lose what we wrote last.
async fn discard(reader: &mut Reader) -> Ended {
    let mut buffer = BytesMut::with_capacity(READ / WORTH);
    loop {
        buffer.clear();
        match poll_fn(|cx| reader.poll_read(cx, &mut buffer)).await {
            Ok(0) | Err(_) => return Ended::ByPeer,
            Ok(_) => breathe().await,
        }
    }
}

/// Lets the others of this thread have their turn: a busy connection must not read its whole budget before
/// the Router sees any of it.
async fn breathe() {
    let mut turn = false;
    poll_fn(|cx| {
        if mem::replace(&mut turn, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
