//! Inbound data of one connection: read, cut into batches, charged, handed to the Router.
//!
//! Owns the read buffers. Never reads while the connection's account has no room, so the account bounds its unprocessed
//! input everywhere in the node. Knows nothing of what the frames mean.

use std::future::poll_fn;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{self, Context, Poll};
use std::time::Duration;

use bytes::BytesMut;
use tokio::time::{Sleep, sleep};
use tokio_util::codec::Decoder as _;

use crate::mesh::{ConnId, Ended};
use crate::node::budget::{Account, Closed, FramePermit, MemoryPermit};
use crate::node::connection::Terms;
use crate::node::connection::notices::Received;
use crate::node::connection::rate_limit::RateLimit;
use crate::node::connection::read_buffer::{self, ReadBufferPool};
use crate::node::transport::Transport;
use crate::wire::{Batch, Codec, Cut, Hold, StreamError};

/// The size of a read.
pub(crate) const READ: usize = 64 * 1024;
/// The size of a read while large frames fill successive reads: they are hashed together.
const STRIDE: usize = 512 * 1024;
/// The same for short frames: a larger read would delay other connections and gain nothing.
const SHORT_STRIDE: usize = 128 * 1024;
/// The length limit of a short frame.
const SHORT: usize = 16 * 1024;
/// A read that fills less than this fraction of its buffer is copied out: a few queued bytes must not keep 64 KiB
/// alive.
const WORTH: usize = 4;
/// The bytes a batch may inflate to without a permit. A frame that inflates to more waits until it is alone.
const NEAR: usize = 256 * 1024;
/// The memory a connection may use beside its account: a read, what is inflated of it, and the partial frame.
pub(crate) const BESIDE: usize = READ + NEAR + 2 * READ;
/// The cost of a batch besides its bytes: an envelope in the Router's mailbox and the batch's own lists.
const OVERHEAD: usize = 256;
/// The batches of one connection that may be before the Router: enough to keep it busy, few enough not to delay other
/// connections.
const TURNS: u32 = 2;
/// The longest pause of a rate-limited connection: after a longer one it would seem dead.
const MAX_PAUSE: Duration = Duration::from_secs(10);

/// The connection whose input is read, and its account.
#[derive(Clone)]
pub(crate) struct Source {
    pub(crate) conn: ConnId,
    pub(crate) terms: Arc<Terms>,
    pub(crate) account: Arc<Account>,
}

/// See the module. What was read is handed in by a separate future, which an idle connection does not have.
pub(crate) enum Reader {
    /// Waiting for data.
    Waiting(State),
    Busy(Busy),
    /// Closing: further input is discarded.
    Discarding,
}

/// The state kept between reads.
#[derive(Default)]
pub(crate) struct State {
    partial: Option<Box<PartialFrame>>,
    rate_limit: RateLimit,
    /// How often the size of the next read has been doubled.
    doubled: u8,
    /// Whether the handshake was accepted.
    established: bool,
}

/// Work that must finish before the next read.
type Busy = Pin<Box<dyn Future<Output = Result<Next, Stop>>>>;

pub(crate) enum Next {
    /// There is room to read.
    Read(State),
    /// Everything was handed in.
    Wait(State),
}

/// A partly received frame.
struct PartialFrame {
    part: BytesMut,
    /// The deadline for the rest.
    late: Pin<Box<Sleep>>,
    /// If it is longer than a read: its length and its permit.
    large: Option<(usize, FramePermit)>,
}

/// Why reading stops.
pub(crate) enum Stop {
    /// The stream has ended or failed.
    Ended(Ended),
    /// Closing: further input is discarded.
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

impl Reader {
    pub(crate) fn new() -> Self {
        Self::Waiting(State::default())
    }

    /// Reads until the stream ends, and returns how it ended.
    pub(crate) fn poll(
        &mut self,
        transport: &mut Transport,
        source: &Source,
        cx: &mut Context<'_>,
    ) -> Poll<Ended> {
        loop {
            let next = match self {
                Self::Waiting(state) => {
                    let readable = task::ready!(state.poll_readable(transport, cx));
                    readable.and_then(|()| mem::take(state).read_with_room(transport, source, cx))
                }
                Self::Busy(busy) => match task::ready!(busy.as_mut().poll(cx)) {
                    Ok(Next::Read(state)) => state.read(transport, source, cx),
                    Ok(Next::Wait(state)) => Ok(Self::Waiting(state)),
                    Err(stop) => Err(stop),
                },
                Self::Discarding => return poll_discard(transport, cx),
            };
            *self = match next {
                Ok(next) => next,
                Err(Stop::Ended(ended)) => return Poll::Ready(ended),
                Err(Stop::Closing) => Self::Discarding,
            };
        }
    }
}

impl State {
    /// Reads once there is room. The rest of a large frame already has its own room.
    fn read_with_room(
        self,
        transport: &mut Transport,
        source: &Source,
        cx: &mut Context<'_>,
    ) -> Result<Reader, Stop> {
        if self.large().is_some() || source.account.has_room_now()? {
            return self.read(transport, source, cx);
        }
        let account = Arc::clone(&source.account);
        Ok(Reader::Busy(Box::pin(async move {
            account.room().await?;
            Ok(Next::Read(self))
        })))
    }

    /// Waits for data; with a partial frame, until its deadline.
    fn poll_readable(
        &mut self,
        transport: &mut Transport,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Stop>> {
        if let Poll::Ready(readable) = transport.poll_readable(cx) {
            return Poll::Ready(readable.map_err(Stop::from));
        }
        let Some(partial) = &mut self.partial else {
            return Poll::Pending;
        };
        let late = partial.late.as_mut().poll(cx);
        late.map(|()| Err(Stop::Ended(Ended::Unfinished)))
    }

    /// Returns the length of the partial frame if it is longer than a read.
    fn large(&self) -> Option<usize> {
        let large = self
            .partial
            .as_ref()
            .and_then(|partial| partial.large.as_ref());
        large.map(|(len, _)| *len)
    }

    fn codec(&self, terms: &Terms) -> Codec {
        let mut codec = Codec::new(terms.settings.generation, terms.settings.limits);
        if self.established {
            codec.established();
        }
        codec
    }

    /// Reads once and hands in all whole frames before the next read. The rest stays in the partial frame, the only
    /// buffer that an idle connection holds between reads.
    fn read(
        mut self,
        transport: &mut Transport,
        source: &Source,
        cx: &mut Context<'_>,
    ) -> Result<Reader, Stop> {
        let part = self
            .partial
            .as_mut()
            .map(|partial| mem::take(&mut partial.part));
        // A long read must fit into the account, so that it borrows nothing.
        let stride = self.stride().min(source.account.left()).max(READ);
        let mut buffer = Buffer::after(part.unwrap_or_default(), self.large(), stride);
        let read = transport.poll_read(cx, buffer.bytes());
        let mut codec = self.codec(&source.terms);
        self.adapt(&codec, buffer.bytes());
        let mut filled = buffer.filled();
        match read {
            Poll::Ready(Ok(0)) => return Err(Stop::Ended(end(&mut codec, filled.bytes()))),
            Poll::Ready(Ok(_)) => {}
            Poll::Ready(Err(error)) => return Err(error.into()),
            // A spurious wake-up.
            Poll::Pending => {
                let part = filled.left_over();
                if let Some(partial) = &mut self.partial {
                    partial.part = part;
                }
                return Ok(Reader::Waiting(self));
            }
        }
        let handing_in = BatchSubmit {
            source: source.clone(),
            codec,
            state: self,
        };
        Ok(Reader::Busy(Box::pin(handing_in.run(filled))))
    }

    /// Sets the size of the next read, after what this one returned.
    fn adapt(&mut self, codec: &Codec, buffer: &BytesMut) {
        let short = matches!(codec.first_len(buffer), Ok(Some(len)) if len <= SHORT);
        let most = if short { SHORT_STRIDE } else { STRIDE };
        let (stride, filled) = (self.stride(), buffer.len() == buffer.capacity());
        if filled && stride < most {
            self.doubled += 1;
        } else if stride > most || !filled && buffer.len() < stride / 2 {
            self.doubled = self.doubled.saturating_sub(1);
        }
    }

    fn stride(&self) -> usize {
        READ << self.doubled
    }
}

/// Data that was read, on its way to the Router.
struct BatchSubmit {
    source: Source,
    codec: Codec,
    state: State,
}

impl BatchSubmit {
    async fn run(mut self, mut filled: Buffer) -> Result<Next, Stop> {
        let frames = filled.bytes();
        self.hand_in_all(frames).await?;
        if !frames.is_empty() {
            self.note_begun(frames).await?;
        }
        let part = filled.left_over();
        if let Some(partial) = &mut self.state.partial {
            partial.part = part;
        }
        breathe().await;
        self.state.established = self.codec.is_established();
        Ok(Next::Wait(self.state))
    }

    /// Hands in all whole frames, batch by batch, each when there is room for what it inflates to.
    async fn hand_in_all(&mut self, frames: &mut BytesMut) -> Result<(), Stop> {
        while let Some(len) = self.codec.first_len(frames)?
            && len <= frames.len()
        {
            let Some((batch, permit)) = self.cut(frames).await? else {
                break;
            };
            self.hand_in(batch, permit).await?;
            // Nor is more inflated than there is room for.
            self.source.account.room().await?;
        }
        Ok(())
    }

    /// Cuts the next batch off, with a permit for the memory it inflates to.
    async fn cut(
        &mut self,
        frames: &mut BytesMut,
    ) -> Result<Option<(Batch, Arc<MemoryPermit>)>, Stop> {
        let account = &self.source.account;
        // The permit of a large frame lasts until its batch has one.
        let large = self.state.partial.take().and_then(|partial| partial.large);
        let large = large.map(|(_, permit)| permit);
        let (cut, permit) = match self.codec.cut(frames, NEAR)? {
            Cut::TooTight => {
                let most = self.source.terms.settings.limits.frame;
                let permit = account.to_inflate(most, large.as_ref()).await?;
                (self.codec.cut(frames, usize::MAX)?, Some(permit))
            }
            cut => (cut, None),
        };
        let Cut::Batch(batch) = cut else {
            return Ok(None);
        };
        let memory = batch.cost() + OVERHEAD;
        let permit = permit.unwrap_or_else(|| account.charge(memory));
        permit.shrink(memory);
        Ok(Some((batch, permit)))
    }

    /// Hands a batch to the Router.
    async fn hand_in(&mut self, mut batch: Batch, charge: Arc<MemoryPermit>) -> Result<(), Stop> {
        let wait = {
            let rates = self.source.terms.settings.rates;
            self.state
                .rate_limit
                .wait(rates, batch.len(), batch.wire_len(), batch.cost())
        };
        let turn = self.source.account.turn(TURNS).await?;
        batch.hold(Hold::new(Arc::clone(&charge)));
        let router = self.source.terms.router.upgrade().ok_or(Stop::Closing)?;
        let received = Received {
            conn: self.source.conn,
            batch,
            charge,
            turn,
        };
        if self.codec.is_established() {
            #[expect(
                clippy::disallowed_methods,
                reason = "a connection has at most `TURNS` batches before the Router"
            )]
            router.do_send(received);
        } else {
            // Large frames may follow the handshake directly: they are cut once it has been judged.
            match router.send(received).await {
                Ok(true) => self.codec.established(),
                Ok(false) => {}
                Err(_) => return Err(Stop::Closing),
            }
        }
        if !wait.is_zero() {
            sleep(wait.min(MAX_PAUSE)).await;
        }
        Ok(())
    }

    /// Records a partial frame: its deadline, and its permit if it is large.
    async fn note_begun(&mut self, rest: &BytesMut) -> Result<(), Stop> {
        let large = self.codec.first_len(rest)?.filter(|len| *len > READ);
        if let Some(partial) = &self.state.partial
            && partial.large.is_some() == large.is_some()
        {
            return Ok(());
        }
        let large = match large {
            Some(len) => Some((len, self.source.account.for_frame(len).await?)),
            None => None,
        };
        self.state.partial = Some(Box::new(PartialFrame {
            part: BytesMut::new(),
            late: Box::pin(sleep(self.source.terms.settings.frame_timeout)),
            large,
        }));
        Ok(())
    }
}

/// Returns how the stream ended at EOF. EOF within a frame is no offence: the peer may have been killed.
fn end(codec: &mut Codec, rest: &mut BytesMut) -> Ended {
    match codec.decode_eof(rest) {
        Ok(_) => Ended::ByPeer,
        Err(error) => Ended::Failed(error.to_string()),
    }
}

/// A buffer that frames are read into.
enum Buffer {
    /// Returned to the thread's pool.
    ReadBufferPool(ReadBufferPool),
    /// Not pooled: the rest of another buffer, a copy, or too large to be kept.
    Own(BytesMut),
}

impl Buffer {
    /// Returns a buffer that begins with the partial frame and has room for a read.
    ///
    /// The buffer of a large frame grows by doubling with the data received, up to the length of the frame. While long
    /// reads are filled, the partial frame is copied rather than followed by a short read: hashing many frames together
    /// costs little more than hashing one.
    fn after(rest: BytesMut, large: Option<usize>, stride: usize) -> Buffer {
        let len = rest.len();
        let strides = stride > READ && len < stride / 2;
        let enough = if strides { stride / 2 } else { READ / WORTH };
        if len >= READ / WORTH && rest.capacity() - len >= enough {
            return Buffer::Own(rest);
        }
        let room = match large {
            Some(frame) if frame == rest.capacity() && !strides => return Buffer::Own(rest),
            Some(frame) => frame.min(len * 2).max(len + 1),
            None if len >= READ / WORTH => len + READ,
            None => READ,
        };
        let mut buffer = match room.max(stride) {
            room if room == stride => Buffer::ReadBufferPool(read_buffer::take(room)),
            room => Buffer::Own(BytesMut::with_capacity(room)),
        };
        buffer.bytes().extend_from_slice(&rest);
        buffer
    }

    fn bytes(&mut self) -> &mut BytesMut {
        match self {
            Buffer::ReadBufferPool(pool) => &mut pool.bytes,
            Buffer::Own(bytes) => bytes,
        }
    }

    /// Called after a read: copies a few bytes out of the buffer.
    fn filled(mut self) -> Buffer {
        let bytes = self.bytes();
        if bytes.len() >= bytes.capacity() / WORTH {
            return self;
        }
        let copy = BytesMut::from(&bytes[..]);
        self.give_back();
        Buffer::Own(copy)
    }

    /// Returns the partial frame at the end, copied out of the buffer unless it is a good part of it.
    fn left_over(mut self) -> BytesMut {
        if self.bytes().len() >= READ / WORTH {
            return mem::take(self.bytes());
        }
        let rest = BytesMut::from(&self.bytes()[..]);
        self.give_back();
        rest
    }

    fn give_back(self) {
        if let Buffer::ReadBufferPool(pool) = self {
            read_buffer::give_back(pool);
        }
    }
}

/// Reads until the peer closes too. Closing with unread data makes the system reset the connection, and the peer might
/// lose the last data written.
fn poll_discard(transport: &mut Transport, cx: &mut Context<'_>) -> Poll<Ended> {
    if task::ready!(transport.poll_readable(cx)).is_err() {
        return Poll::Ready(Ended::ByPeer);
    }
    let mut pool = read_buffer::take(READ);
    let read = transport.poll_read(cx, &mut pool.bytes);
    read_buffer::give_back(pool);
    match task::ready!(read) {
        Ok(0) | Err(_) => Poll::Ready(Ended::ByPeer),
        Ok(_) => {
            // After the other tasks of this thread.
            cx.waker().wake_by_ref();
            Poll::Pending
        }
    }
}

/// Yields to the other tasks of this thread: a busy connection must not read its whole budget before the Router sees
/// any of it.
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
