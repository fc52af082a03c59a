//! What comes in on one connection: read, cut into batches, accounted for, handed to the Router.
//!
//! Owns the read buffers. Never reads on while the connection's account has no room, so what waits anywhere
//! in this node is bounded by it. Knows nothing of what the frames say.

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

/// Bytes asked of the socket at once.
pub(crate) const READ: usize = 64 * 1024;
/// While large frames fill one read after the other, so much is asked at once: they are hashed together.
const STRIDE: usize = 512 * 1024;
/// The same while short ones do: more would keep other connections waiting, and gain nothing.
const SHORT_STRIDE: usize = 128 * 1024;
/// Shorter frames than this are short.
const SHORT: usize = 16 * 1024;
/// A read that fills less than this share of its buffer is copied out of it: a few bytes must not keep
/// 64 KiB alive while they wait.
const WORTH: usize = 4;
/// Inflated of a batch without asking. A frame that inflates to more waits until it is alone.
const NEAR: usize = 256 * 1024;
/// What a connection may have beside its account: a read, what is inflated of it, what is left over.
pub(crate) const BESIDE: usize = READ + NEAR + 2 * READ;
/// What a batch costs besides its bytes: an envelope in the Router's mailbox and the batch's own lists.
const OVERHEAD: usize = 256;
/// Batches of one connection that the Router may have before it: enough to keep it busy, and few enough
/// that whoever comes next is served soon.
const TURNS: u32 = 2;
/// No connection is left unread for longer than this for being too fast: it would seem dead.
const LONGEST: Duration = Duration::from_secs(10);

/// Whose input it is, and what it may cost.
#[derive(Clone)]
pub(crate) struct Source {
    pub(crate) conn: ConnId,
    pub(crate) terms: Arc<Terms>,
    pub(crate) account: Arc<Account>,
}

/// See the module. What was read is handed in by a future of its own, which an idle connection has not.
pub(crate) enum Reader {
    /// For something to read.
    Waiting(State),
    Busy(Busy),
    /// We are closing: what still comes is not for us.
    Discarding,
}

/// What is kept from one read to the next.
#[derive(Default)]
pub(crate) struct State {
    partial: Option<Box<PartialFrame>>,
    rate_limit: RateLimit,
    /// How often what is asked of the socket next has been doubled.
    doubled: u8,
    /// Whether the handshake is done.
    established: bool,
}

/// What is done before anything more is awaited.
type Busy = Pin<Box<dyn Future<Output = Result<Next, Stop>>>>;

pub(crate) enum Next {
    /// There is room.
    Read(State),
    /// All was handed in.
    Wait(State),
}

/// A frame of which a part is there.
struct PartialFrame {
    part: BytesMut,
    /// When the rest must be there.
    late: Pin<Box<Sleep>>,
    /// If it is longer than a read: its length, and its charge.
    large: Option<(usize, FramePermit)>,
}

/// Why reading goes no further.
pub(crate) enum Stop {
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

impl Reader {
    pub(crate) fn new() -> Self {
        Self::Waiting(State::default())
    }

    /// Reads to the end, and says what it was.
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
    /// Waits for room first, unless it is for the rest of a large frame, which has its own.
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

    /// Waits for something to read; for the rest of a frame only so long.
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

    /// The length of the frame that has begun, if it is longer than a read.
    fn large(&self) -> Option<usize> {
        let large = self
            .partial
            .as_ref()
            .and_then(|partial| partial.large.as_ref());
        large.map(|(len, _)| *len)
    }

    fn codec(&self, terms: &Terms) -> Codec {
        let mut codec = Codec::new(terms.generation, terms.limits);
        if self.established {
            codec.established();
        }
        codec
    }

    /// One read; all whole frames of it are handed in before the next. What is left over stays with what has begun;
    /// between reads an idle connection holds nothing else.
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
        // What is read fits into the account, so that a long stride is no loan.
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
            // The wake-up was for nothing.
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

    /// Sets how much to ask for next, after what came now.
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

/// What was read, on its way to the Router.
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

    /// All whole frames, batch by batch, each when there is room for what it inflates to.
    async fn hand_in_all(&mut self, frames: &mut BytesMut) -> Result<(), Stop> {
        while let Some(len) = self.codec.first_len(frames)?
            && len <= frames.len()
        {
            let coming = self.state.partial.take().and_then(|partial| partial.large);
            let coming = coming.map(|(_, coming)| coming);
            let (cut, charge) = match self.codec.cut(frames, NEAR)? {
                Cut::TooTight => {
                    let most = self.source.terms.limits.frame;
                    let charge = self
                        .source
                        .account
                        .to_inflate(most, coming.as_ref())
                        .await?;
                    (self.codec.cut(frames, usize::MAX)?, Some(charge))
                }
                cut => (cut, None),
            };
            let Cut::Batch(batch) = cut else {
                break;
            };
            let charge = match charge {
                Some(charge) => charge,
                None => self.source.account.charge(batch.cost() + OVERHEAD),
            };
            charge.shrink(batch.cost() + OVERHEAD);
            drop(coming);
            self.hand_in(batch, charge).await?;
            // Nor is more inflated than there is room for.
            self.source.account.room().await?;
        }
        Ok(())
    }

    /// Hands a batch to the Router.
    async fn hand_in(&mut self, mut batch: Batch, charge: Arc<MemoryPermit>) -> Result<(), Stop> {
        let wait = {
            let rates = self.source.terms.rates;
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
            late: Box::pin(sleep(self.source.terms.frame_timeout)),
            large,
        }));
        Ok(())
    }
}

/// The peer has closed. In the middle of a frame that is no offence: it may have been killed.
fn end(codec: &mut Codec, rest: &mut BytesMut) -> Ended {
    match codec.decode_eof(rest) {
        Ok(_) => Ended::ByPeer,
        Err(error) => Ended::Failed(error.to_string()),
    }
}

/// What frames are read into.
enum Buffer {
    /// To be used again.
    ReadBufferPool(ReadBufferPool),
    /// What is left over of another, a copy, or too large to be kept.
    Own(BytesMut),
}

impl Buffer {
    /// A buffer that begins with what was left over and has room for a read.
    ///
    /// A large frame's grows with what is there, by doubling, and to no more than the frame. While long strides are
    /// filled, what is left over is copied rather than followed by a short read: many frames are hashed together for
    /// little more than one.
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

    /// After a read. A few bytes are copied out.
    fn filled(mut self) -> Buffer {
        let bytes = self.bytes();
        if bytes.len() >= bytes.capacity() / WORTH {
            return self;
        }
        let copy = BytesMut::from(&bytes[..]);
        self.give_back();
        Buffer::Own(copy)
    }

    /// What no frame was cut from: without the buffer, unless it is a good part of one.
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

/// Reads until the peer has closed too: closing with something unread makes the system tear down the
/// connection, and the peer might lose what we wrote last.
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
            // After the others of this thread.
            cx.waker().wake_by_ref();
            Poll::Pending
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
