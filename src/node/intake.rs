//! What comes in on one connection: read, cut into batches, accounted for, handed to the Router.
//!
//! Owns the read buffers. Never reads on while the connection's account has no room, so what waits anywhere
//! in this node is bounded by it. Knows nothing of what the frames say.

use std::future::poll_fn;
use std::io;
use std::mem;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::BytesMut;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::codec::Decoder as _;

use super::budget::{Account, Charge, Closed, Coming};
use super::connection::Terms;
use super::pace::Pace;
use super::router::Received;
use super::spare;
use super::transport::Reader;
use crate::mesh::{ConnId, Ended};
use crate::wire::{Batch, Codec, Cut, Hold, StreamError};

/// Bytes asked of the socket at once.
pub(super) const READ: usize = 64 * 1024;
/// While large frames fill one read after the other, so much is asked at once: they are hashed together.
const STRIDE: usize = 512 * 1024;
/// Shorter frames are hashed together in an ordinary read.
const SHORT: usize = 16 * 1024;
/// A read that fills less than this share of its buffer is copied out of it: a few bytes must not keep
/// 64 KiB alive while they wait.
const WORTH: usize = 4;
/// Inflated of a batch without asking. A frame that inflates to more waits until it is alone.
const NEAR: usize = 256 * 1024;
/// What a connection may have beside its account: a read, what is inflated of it, what is left over.
pub(super) const BESIDE: usize = READ + NEAR + 2 * READ;
/// What a batch costs besides its bytes: an envelope in the Router's mailbox and the batch's own lists.
const OVERHEAD: usize = 256;
/// Batches of one connection that the Router may have before it: enough to keep it busy, and few enough
/// that whoever comes next is served soon.
const TURNS: u32 = 2;
/// No connection is left unread for longer than this for being too fast: it would seem dead.
const LONGEST: Duration = Duration::from_secs(10);

/// Where one connection's batches go, and what they may cost.
pub(super) struct Intake {
    pub(super) conn: ConnId,
    pub(super) terms: Arc<Terms>,
    pub(super) codec: Codec,
    pub(super) account: Arc<Account>,
    pub(super) pace: Pace,
    pub(super) begun: Option<Box<Begun>>,
    /// Bytes asked of the socket next.
    pub(super) stride: usize,
}

/// A frame of which a part is there.
pub(super) struct Begun {
    until: Instant,
    /// If it is longer than a read: its length, and its charge.
    large: Option<(usize, Coming)>,
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

impl From<Closed> for Stop {
    fn from(_: Closed) -> Self {
        Stop::Closing
    }
}

impl Intake {
    /// Reads to the end, and says what it was.
    pub(super) async fn run(mut self: Box<Self>, mut reader: Reader) -> Ended {
        let mut rest = BytesMut::new();
        loop {
            if let Err(ended) = self.readable(&reader).await {
                return ended;
            }
            // In a box, so that an idle connection has no room for it.
            match Box::pin(self.read_once(&mut reader, &mut rest)).await {
                Ok(()) => {}
                Err(Stop::Ended(ended)) => return ended,
                Err(Stop::Closing) => return Box::pin(discard(&mut reader)).await,
            }
        }
    }

    /// Waits for something to read; for the rest of a frame only so long.
    async fn readable(&self, reader: &Reader) -> Result<(), Ended> {
        let readable = poll_fn(|cx| reader.poll_readable(cx));
        let readable = match &self.begun {
            // In a box as well: nearly always nothing has begun.
            Some(begun) => Box::pin(timeout_at(begun.until, readable))
                .await
                .map_err(|_| Ended::Unfinished)?,
            None => readable.await,
        };
        readable.map_err(|error| Ended::from(StreamError::Io(error)))
    }

    /// One read, and all whole frames of it. What is left over stays in `rest`; between reads an idle
    /// connection holds nothing else.
    async fn read_once(&mut self, reader: &mut Reader, rest: &mut BytesMut) -> Result<(), Stop> {
        let large = self.begun.as_ref().and_then(|begun| begun.large.as_ref());
        let large = large.map(|(len, _)| *len);
        if large.is_none() {
            self.account.room().await?;
        }
        // What is read fits into the account, so that a long stride is no loan.
        let stride = self.stride.min(self.account.left()).max(READ);
        let mut buffer = buffer_after(mem::take(rest), large, stride);
        let read = read_now(reader, &mut buffer).await?;
        self.adapt(&buffer);
        let mut filled = Filled::new(buffer);
        let frames = filled.frames();
        let Some(bytes) = read else {
            *rest = filled.left_over();
            return Ok(());
        };
        if bytes == 0 {
            return Err(Stop::Ended(self.end(frames)));
        }
        self.hand_in_all(frames).await?;
        if !frames.is_empty() {
            self.note_begun(frames).await?;
        }
        *rest = filled.left_over();
        breathe().await;
        Ok(())
    }

    /// Sets how much to ask for next, after what came now.
    fn adapt(&mut self, buffer: &BytesMut) {
        let first = self.codec.first_len(buffer).ok().flatten();
        self.stride = match first {
            Some(len) if len <= SHORT => READ,
            _ if buffer.len() == buffer.capacity() => (2 * self.stride).min(STRIDE),
            _ if buffer.len() < self.stride / 2 => (self.stride / 2).max(READ),
            _ => self.stride,
        };
    }

    /// All whole frames, batch by batch, each when there is room for what it inflates to.
    async fn hand_in_all(&mut self, frames: &mut BytesMut) -> Result<(), Stop> {
        while let Some(len) = self.codec.first_len(frames)?
            && len <= frames.len()
        {
            let coming = self.begun.take().and_then(|begun| begun.large);
            let coming = coming.map(|(_, coming)| coming);
            let (cut, charge) = match self.codec.cut(frames, NEAR)? {
                Cut::TooTight => {
                    let most = self.terms.limits.frame;
                    let charge = self.account.to_inflate(most, coming.as_ref()).await?;
                    (self.codec.cut(frames, usize::MAX)?, Some(charge))
                }
                cut => (cut, None),
            };
            let Cut::Batch(batch) = cut else {
                break;
            };
            let charge = match charge {
                Some(charge) => charge,
                None => self.account.charge(batch.cost() + OVERHEAD),
            };
            charge.shrink(batch.cost() + OVERHEAD);
            drop(coming);
            self.hand_in(batch, charge).await?;
            // Nor is more inflated than there is room for.
            self.account.room().await?;
        }
        Ok(())
    }

    /// The peer has closed. In the middle of a frame that is no offence: it may have been killed.
    fn end(&mut self, rest: &mut BytesMut) -> Ended {
        match self.codec.decode_eof(rest) {
            Ok(_) => Ended::ByPeer,
            Err(error) => Ended::Failed(error.to_string()),
        }
    }

    /// Hands a batch to the Router.
    async fn hand_in(&mut self, mut batch: Batch, charge: Arc<Charge>) -> Result<(), Stop> {
        let wait = self.pace.wait(batch.len(), batch.wire_len(), batch.cost());
        let turn = self.account.turn(TURNS).await?;
        batch.hold(Hold::new(Arc::clone(&charge)));
        let router = self.terms.router.upgrade().ok_or(Stop::Closing)?;
        let received = Received {
            conn: self.conn,
            batch,
            charge,
            turn,
        };
        if self.codec.is_established() {
            router.do_send(received);
        } else {
            // Large frames may stand right behind the handshake: they are cut once it has been judged.
            match router.send(received).await {
                Ok(true) => self.codec.established(),
                Ok(false) => {}
                Err(_) => return Err(Stop::Closing),
            }
        }
        if !wait.is_zero() {
            sleep(wait.min(LONGEST)).await;
        }
        Ok(())
    }

    /// A part of a frame is left over: from when on it is, and its charge if it is large.
    async fn note_begun(&mut self, rest: &BytesMut) -> Result<(), Stop> {
        let large = self.codec.first_len(rest)?.filter(|len| *len > READ);
        if let Some(begun) = &self.begun
            && begun.large.is_some() == large.is_some()
        {
            return Ok(());
        }
        let large = match large {
            Some(len) => Some((len, self.account.for_frame(len).await?)),
            None => None,
        };
        self.begun = Some(Box::new(Begun {
            until: Instant::now() + self.terms.frame_timeout,
            large,
        }));
        Ok(())
    }
}

/// A buffer that begins with what was left over and has room for a read.
///
/// A large frame's grows with what is there, by doubling, and to no more than the frame. While long strides are
/// filled, what is left over is copied rather than followed by a short read: many frames are hashed together for
/// little more than one.
fn buffer_after(rest: BytesMut, large: Option<usize>, stride: usize) -> BytesMut {
    let len = rest.len();
    let strides = stride > READ && len < stride / 2;
    let enough = if strides { stride / 2 } else { READ / WORTH };
    if len >= READ / WORTH && rest.capacity() - len >= enough {
        return rest;
    }
    let room = match large {
        Some(frame) if frame == rest.capacity() && !strides => return rest,
        Some(frame) => frame.min(len * 2).max(len + 1),
        None if len >= READ / WORTH => len + READ,
        None => READ,
    };
    let mut buffer = match room.max(stride) {
        READ => spare::take(READ),
        room => BytesMut::with_capacity(room),
    };
    buffer.extend_from_slice(&rest);
    buffer
}

/// Frames that were read, and what is left over of them.
enum Filled {
    /// The spare buffer itself.
    Spare(BytesMut),
    /// A copy of just what was in it, or a larger buffer.
    Own(BytesMut),
}

impl Filled {
    fn new(buffer: BytesMut) -> Self {
        let (well_filled, spare) = (
            buffer.len() >= buffer.capacity() / WORTH,
            buffer.capacity() == READ,
        );
        match (well_filled, spare) {
            (true, true) => Self::Spare(buffer),
            (true, false) => Self::Own(buffer),
            (false, _) => {
                let copy = BytesMut::from(&buffer[..]);
                if spare {
                    spare::give_back(buffer);
                }
                Self::Own(copy)
            }
        }
    }

    fn frames(&mut self) -> &mut BytesMut {
        match self {
            Self::Spare(frames) | Self::Own(frames) => frames,
        }
    }

    /// What no frame was cut from: without the buffer, unless it is a good part of one.
    fn left_over(self) -> BytesMut {
        let (Self::Spare(frames) | Self::Own(frames)) = &self;
        if frames.len() >= READ / WORTH {
            let (Self::Spare(frames) | Self::Own(frames)) = self;
            return frames;
        }
        let rest = BytesMut::from(&frames[..]);
        if let Self::Spare(frames) = self {
            spare::give_back(frames);
        }
        rest
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
