//! WebSocket as a stream: each mesh frame is a binary message, as in js2p and browsers.
//!
//! Owns the stream below and its buffers. They are bounded: 64 KiB of framed bytes, and one answer to a control frame.

mod frames;
mod handshake;

use std::io::{self, IoSlice};
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, BytesMut};

use super::Transport;
use frames::{Asked, Enframe, FrameError, Unframe};
pub(crate) use handshake::{Failure, Upgrade};

/// The most bytes framed at once.
const STRETCH: usize = 64 * 1024;

/// See the module.
#[derive(Debug)]
pub(crate) struct WebSocket {
    /// TCP, plain or behind TLS.
    stream: Transport,
    unframe: Unframe,
    enframe: Enframe,
    /// Bytes that came after the handshake and were not read yet.
    early: BytesMut,
    /// Framed bytes that are not written yet.
    out: BytesMut,
    /// The answer to a control frame, sent once the current message is complete.
    asked: Option<Asked>,
    /// The peer has sent a Close.
    ended: bool,
    /// This node has sent a Close.
    parted: bool,
    /// How the peer broke the framing.
    broken: Option<FrameError>,
}

impl WebSocket {
    /// `seed`: the seed of the dialling side's masks.
    fn new(stream: Transport, early: BytesMut, seed: Option<[u8; 32]>) -> Self {
        Self {
            stream,
            unframe: Unframe::new(seed.is_none()),
            enframe: Enframe::new(seed),
            early,
            out: BytesMut::new(),
            asked: None,
            ended: false,
            parted: false,
            broken: None,
        }
    }

    /// Returns the stream below.
    #[cfg(feature = "tls")]
    pub(crate) fn below(&mut self) -> &mut Transport {
        &mut self.stream
    }

    /// Returns how the peer broke the framing, if it did.
    pub(crate) fn take_broken(&mut self) -> Option<String> {
        self.broken.take().map(|error| error.to_string())
    }

    pub(crate) fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.ended || !self.early.is_empty() {
            true => Poll::Ready(Ok(())),
            false => self.stream.poll_readable(cx),
        }
    }

    /// Appends the payload of messages; returns 0 at EOF.
    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        into: &mut BytesMut,
    ) -> Poll<io::Result<usize>> {
        let start = into.len();
        loop {
            if self.ended {
                return Poll::Ready(Ok(0));
            }
            if self.early.is_empty() {
                if ready!(self.stream.poll_read(cx, into))? == 0 {
                    return Poll::Ready(Ok(0));
                }
            } else {
                let room = (into.capacity() - start).max(1);
                let early = self.early.split_to(room.min(self.early.len()));
                into.extend_from_slice(&early);
            }
            // A Close of our own that waits for room is not the peer's.
            let closing = self.asked.take_if(|asked| *asked == Asked::Close);
            if let Err(error) = self.unframe.run(into, start, &mut self.asked) {
                self.broken = Some(error);
                return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
            }
            self.ended = self.asked == Some(Asked::Close);
            self.asked = closing.or_else(|| self.asked.take());
            if self.asked.is_some() {
                // If it cannot be sent now, the next write sends it first.
                let _ = self.poll_flush(cx)?;
            }
            if into.len() > start {
                return Poll::Ready(Ok(into.len() - start));
            }
        }
    }

    pub(crate) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_flush(cx))?;
        let mut taken = 0;
        for slice in slices {
            let room = STRETCH.saturating_sub(self.out.len());
            let part = &slice[..slice.len().min(room)];
            self.enframe.run(part, &mut self.out);
            taken += part.len();
            if part.len() < slice.len() {
                break;
            }
        }
        // The next flush writes the rest.
        let _ = self.poll_flush(cx)?;
        Poll::Ready(Ok(taken))
    }

    /// Writes the framed bytes, and the answer to a control frame.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            while !self.out.is_empty() {
                let out = [IoSlice::new(&self.out)];
                let written = ready!(self.stream.poll_write(cx, &out))?;
                if written == 0 {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                self.out.advance(written);
            }
            self.out = BytesMut::new();
            // Not earlier: a peer that pings and never reads would fill the memory with answers.
            let may_answer = self.enframe.is_between() && !self.parted;
            let Some(asked) = self.asked.take_if(|_| may_answer) else {
                return self.stream.poll_flush(cx);
            };
            self.parted = asked == Asked::Close;
            self.enframe.control(&asked, &mut self.out);
        }
    }

    pub(crate) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.parted {
            self.asked = Some(Asked::Close);
        }
        ready!(self.poll_flush(cx))?;
        self.stream.poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::AsyncWriteExt as _;

    use super::*;

    /// Returns a dialled socket and its peer, with small system buffers, which are soon full.
    async fn before_a_peer_that_reads_nothing() -> (WebSocket, tokio::net::TcpStream) {
        let small = || crate::node::transport::socket(([127, 0, 0, 1], 0).into(), 4096).unwrap();
        let listening = small();
        listening.bind(([127, 0, 0, 1], 0).into()).unwrap();
        let listener = listening.listen(1).unwrap();
        let peer = small()
            .connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let socket = WebSocket::new(Transport::Plain(stream), BytesMut::new(), Some([0; 32]));
        (socket, peer)
    }

    #[actix::test]
    async fn answers_to_pings_do_not_pile_up_before_a_peer_that_reads_nothing() {
        let (mut socket, mut peer) = before_a_peer_that_reads_nothing().await;
        // A ping of 125 bytes, and one byte so that the read ends; a server's frames are not masked.
        let ping = [&[0x89, 125][..], &[7; 125], &[0x82, 1, b'x']].concat();
        for _ in 0..2000 {
            peer.write_all(&ping).await.unwrap();
            let mut into = BytesMut::with_capacity(64 * 1024);
            poll_fn(|cx| socket.poll_read(cx, &mut into)).await.unwrap();
            assert!(socket.out.len() <= 256, "{} bytes wait", socket.out.len());
        }
        assert!(!socket.out.is_empty(), "the peer took them all");
    }

    #[actix::test]
    async fn a_close_that_cannot_be_sent_yet_is_not_taken_for_the_peers() {
        let (mut socket, mut peer) = before_a_peer_that_reads_nothing().await;
        let full = [7; 64 * 1024];
        let mut written = 0;
        // Until neither the system nor the socket takes more.
        while let Poll::Ready(taken) =
            poll_fn(|cx| Poll::Ready(socket.poll_write(cx, &[IoSlice::new(&full)]))).await
        {
            written += taken.unwrap();
        }
        assert!(written > 0);
        let parted = poll_fn(|cx| Poll::Ready(socket.poll_shutdown(cx))).await;
        assert!(parted.is_pending());
        peer.write_all(&[0x82, 1, b'x']).await.unwrap();
        let mut into = BytesMut::with_capacity(64 * 1024);
        let read = poll_fn(|cx| socket.poll_read(cx, &mut into)).await;
        assert_eq!(read.unwrap(), 1);
        let again = poll_fn(|cx| Poll::Ready(socket.poll_read(cx, &mut into))).await;
        assert!(again.is_pending(), "the end of the stream was seen");
    }
}
