//! What comes in on one connection: read, cut into batches, accounted for, handed to the Router.
//!
//! Owns the read buffers. Never reads on while the connection's account has no room, so what waits anywhere
//! in this node is bounded by it. Knows nothing of what the frames say.

use std::future::poll_fn;
use std::io;
use std::mem;
use std::sync::Arc;
use std::task::Poll;

use actix::WeakAddr;
use bytes::BytesMut;
use tokio_util::codec::Decoder as _;

use super::budget::Account;
use super::router::{Received, Router};
use super::spare;
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

/// Where one connection's batches go, and what they may cost.
pub(super) struct Intake {
    pub(super) conn: ConnId,
    pub(super) router: WeakAddr<Router>,
    pub(super) codec: Codec,
    pub(super) account: Arc<Account>,
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
        self.room().await?;
        let mut buffer = buffer_after(mem::take(rest));
        let read = read_now(reader, &mut buffer).await?;
        let mut filled = Filled::new(buffer);
        let frames = filled.frames();
        let Some(bytes) = read else {
            *rest = filled.left_over();
            return Ok(());
        };
        if bytes == 0 {
            return Err(Stop::Ended(self.end(frames)));
        }
        while let Some(batch) = self.codec.decode(frames)? {
            self.hand_in(batch).await?;
            // Nor is more inflated than there is room for.
            self.room().await?;
        }
        *rest = filled.left_over();
        breathe().await;
        Ok(())
    }

    /// The peer has closed. In the middle of a frame that is no offence: it may have been killed.
    fn end(&mut self, rest: &mut BytesMut) -> Ended {
        match self.codec.decode_eof(rest) {
            Ok(_) => Ended::ByPeer,
            Err(error) => Ended::Failed(error.to_string()),
        }
    }

    async fn room(&self) -> Result<(), Stop> {
        self.account.room().await.map_err(|_| Stop::Closing)
    }

    /// Charges the batch and hands it to the Router.
    async fn hand_in(&mut self, mut batch: Batch) -> Result<(), Stop> {
        let charge = self.account.charge(batch.cost() + OVERHEAD);
        batch.hold(Hold::new(Arc::clone(&charge)));
        let router = self.router.upgrade().ok_or(Stop::Closing)?;
        let received = Received {
            conn: self.conn,
            batch,
            charge,
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
    let mut buffer = spare::take(READ);
    buffer.extend_from_slice(&rest);
    buffer
}

/// Frames that were read, and what is left over of them.
enum Filled {
    /// The buffer itself.
    Buffer(BytesMut),
    /// A copy of just what was in it.
    Copy(BytesMut),
}

impl Filled {
    fn new(buffer: BytesMut) -> Self {
        if buffer.len() >= buffer.capacity() / WORTH {
            return Self::Buffer(buffer);
        }
        let copy = BytesMut::from(&buffer[..]);
        spare::give_back(buffer);
        Self::Copy(copy)
    }

    fn frames(&mut self) -> &mut BytesMut {
        match self {
            Self::Buffer(frames) | Self::Copy(frames) => frames,
        }
    }

    /// What no frame was cut from: without the buffer, unless it is a good part of it.
    fn left_over(self) -> BytesMut {
        match self {
            Self::Buffer(frames) if frames.len() < READ / WORTH => {
                let rest = BytesMut::from(&frames[..]);
                spare::give_back(frames);
                rest
            }
            Self::Buffer(frames) | Self::Copy(frames) => frames,
        }
    }
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
