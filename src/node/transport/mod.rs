//! The streams a connection may use: TCP in plaintext, TLS, or WebSocket.
//!
//! Owns sockets, and knows nothing of the data on them.

pub(crate) mod dial;
pub(crate) mod encryption;
pub(crate) mod listener;
pub(crate) mod network;
#[cfg(feature = "websocket")]
pub(crate) mod websocket;

use std::future::Future as _;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use bytes::BytesMut;
use tokio::io::{AsyncReadExt as _, AsyncWrite as _};
use tokio::net::{TcpSocket, TcpStream};

#[cfg(feature = "websocket")]
use self::websocket::WebSocket;
#[cfg(feature = "tls")]
use crate::mesh::TlsRefusal;
#[cfg(feature = "tls")]
use crate::tls::{Failure, Secure, failure_of};
#[cfg(feature = "tls")]
use crate::wire::NodeId;

/// Unsent bytes above which the system takes no more for a connection, where it can be told so; accepted connections
/// inherit it. Without it a peer that reads slowly shows no progress until it has read a third of the send buffer.
#[cfg(any(target_os = "linux", target_os = "android"))]
const UNSENT: u32 = 16 << 10;

/// Creates a socket to listen or dial with, with buffers of this many bytes in each direction.
///
/// By default the system's buffers grow to several megabytes each, which no budget counts: their data has left the
/// sender's budget and has not reached the receiver's.
pub(crate) fn socket(towards: SocketAddr, buffers: u32) -> io::Result<TcpSocket> {
    let socket = match towards {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    }?;
    socket.set_send_buffer_size(buffers)?;
    socket.set_recv_buffer_size(buffers)?;
    // Where the system does not know the option, the node works without it.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let _ = socket2::SockRef::from(&socket).set_tcp_notsent_lowat(UNSENT);
    Ok(socket)
}

/// A connected stream.
#[derive(Debug)]
pub(crate) enum Transport {
    Plain(TcpStream),
    #[cfg(feature = "tls")]
    Secure(Box<Secured>),
    #[cfg(feature = "websocket")]
    WebSocket(Box<WebSocket>),
    #[cfg(any(test, feature = "sim"))]
    Pipe(Box<Pipe>),
}

/// A pipe within the process. It can only tell that it is readable by reading, so it reads ahead.
#[cfg(any(test, feature = "sim"))]
#[derive(Debug)]
pub(crate) struct Pipe {
    stream: tokio::io::DuplexStream,
    ahead: BytesMut,
    ended: bool,
}

#[cfg(any(test, feature = "sim"))]
impl Pipe {
    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.ahead.is_empty() && !self.ended {
            let read = pin!(self.stream.read_buf(&mut self.ahead)).poll(cx);
            self.ended = std::task::ready!(read)? == 0;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, into: &mut BytesMut) -> Poll<io::Result<usize>> {
        std::task::ready!(self.poll_readable(cx))?;
        let room = (into.capacity() - into.len()).max(1);
        let ahead = self.ahead.split_to(room.min(self.ahead.len()));
        into.extend_from_slice(&ahead);
        Poll::Ready(Ok(ahead.len()))
    }
}

/// A TLS stream, and a refusal that came after the handshake: in TLS 1.3 a dialler learns of it with its first read.
#[cfg(feature = "tls")]
#[derive(Debug)]
pub(crate) struct Secured {
    stream: Secure<TcpStream>,
    refusal: Option<(TlsRefusal, bool)>,
}

#[cfg(feature = "tls")]
impl Secured {
    pub(crate) fn new(stream: Secure<TcpStream>) -> Self {
        Self {
            stream,
            refusal: None,
        }
    }

    /// Returns the id that the peer has proven.
    pub(crate) fn proven(&self) -> Option<&NodeId> {
        self.stream.proven()
    }

    fn note(&mut self, error: &io::Error) {
        if let Failure::Refused(refusal, by_peer) = failure_of(error) {
            self.refusal = Some((refusal, by_peer));
        }
    }
}

impl Transport {
    /// Sends small frames at once (no Nagle): nothing here waits for more of them.
    pub(crate) fn plain(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self::Plain(stream))
    }

    /// Wraps one end of a pipe.
    #[cfg(any(test, feature = "sim"))]
    pub(crate) fn pipe(stream: tokio::io::DuplexStream) -> Self {
        Self::Pipe(Box::new(Pipe {
            stream,
            ahead: BytesMut::new(),
            ended: false,
        }))
    }

    /// Detaches the stream from this thread's event loop, for another thread.
    pub(crate) fn detach(self) -> io::Result<Detached> {
        match self {
            Self::Plain(stream) => stream.into_std().map(Detached::Plain),
            // The TLS or WebSocket handshake runs on the thread where the stream stays.
            #[cfg(feature = "tls")]
            Self::Secure(_) => Err(io::ErrorKind::Unsupported.into()),
            #[cfg(feature = "websocket")]
            Self::WebSocket(_) => Err(io::ErrorKind::Unsupported.into()),
            #[cfg(any(test, feature = "sim"))]
            Self::Pipe(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Waits until there is data to read; needs no buffer.
    pub(crate) fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(stream) => stream.poll_read_ready(cx),
            #[cfg(feature = "tls")]
            Self::Secure(secured) if secured.stream.may_have_more() => Poll::Ready(Ok(())),
            #[cfg(feature = "tls")]
            Self::Secure(secured) => secured.stream.below().poll_read_ready(cx),
            #[cfg(feature = "websocket")]
            Self::WebSocket(socket) => socket.poll_readable(cx),
            #[cfg(any(test, feature = "sim"))]
            Self::Pipe(pipe) => pipe.poll_readable(cx),
        }
    }

    /// Appends the available data; returns 0 at EOF.
    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        into: &mut BytesMut,
    ) -> Poll<io::Result<usize>> {
        match self {
            Self::Plain(stream) => pin!(stream.read_buf(into)).poll(cx),
            #[cfg(feature = "tls")]
            Self::Secure(secured) => {
                match secured.stream.poll_read(cx, into) {
                    // Some peers close without `close_notify`, py2p among them. Frames carry their length, so a
                    // truncated one is noticed nevertheless.
                    Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
                        Poll::Ready(Ok(0))
                    }
                    Poll::Ready(Err(error)) => {
                        secured.note(&error);
                        Poll::Ready(Err(error))
                    }
                    read => read,
                }
            }
            #[cfg(feature = "websocket")]
            Self::WebSocket(socket) => socket.poll_read(cx, into),
            #[cfg(any(test, feature = "sim"))]
            Self::Pipe(pipe) => pipe.poll_read(cx, into),
        }
    }

    pub(crate) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            #[cfg(feature = "tls")]
            Self::Secure(secured) => secured.stream.poll_write(cx, slices),
            #[cfg(feature = "websocket")]
            Self::WebSocket(socket) => socket.poll_write(cx, slices),
            #[cfg(any(test, feature = "sim"))]
            Self::Pipe(pipe) => Pin::new(&mut pipe.stream).poll_write_vectored(cx, slices),
        }
    }

    /// Writes data that the transport has taken and still holds.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        #[cfg(not(any(feature = "tls", feature = "websocket")))]
        let _ = cx;
        match self {
            Self::Plain(_) => Poll::Ready(Ok(())),
            #[cfg(feature = "websocket")]
            Self::WebSocket(socket) => socket.poll_flush(cx),
            #[cfg(feature = "tls")]
            Self::Secure(secured) => secured.stream.poll_flush(cx),
            #[cfg(any(test, feature = "sim"))]
            Self::Pipe(_) => Poll::Ready(Ok(())),
        }
    }

    /// Returns why one side refused the other, if that ended the stream.
    #[cfg(feature = "tls")]
    pub(crate) fn take_refusal(&mut self) -> Option<(TlsRefusal, bool)> {
        match self {
            Self::Secure(secured) => secured.refusal.take(),
            #[cfg(feature = "websocket")]
            Self::WebSocket(socket) => socket.below().take_refusal(),
            _ => None,
        }
    }

    /// Returns how the peer broke the framing, if that ended the stream.
    #[cfg(feature = "websocket")]
    pub(crate) fn take_broken(&mut self) -> Option<String> {
        match self {
            Self::WebSocket(socket) => socket.take_broken(),
            _ => None,
        }
    }

    /// Returns whether the peer is still trusted at this time.
    #[cfg(feature = "tls")]
    pub(crate) fn recheck(&mut self, unix: u64) -> Result<(), TlsRefusal> {
        match self {
            Self::Secure(secured) => secured.stream.recheck(unix),
            #[cfg(feature = "websocket")]
            Self::WebSocket(socket) => socket.below().recheck(unix),
            _ => Ok(()),
        }
    }

    /// Shuts the write side down.
    pub(crate) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            #[cfg(feature = "tls")]
            Self::Secure(secured) => secured.stream.poll_shutdown(cx),
            #[cfg(feature = "websocket")]
            Self::WebSocket(socket) => socket.poll_shutdown(cx),
            #[cfg(any(test, feature = "sim"))]
            Self::Pipe(pipe) => Pin::new(&mut pipe.stream).poll_shutdown(cx),
        }
    }
}

/// A stream on its way to another thread.
#[derive(Debug)]
pub(crate) enum Detached {
    Plain(std::net::TcpStream),
}

impl Detached {
    pub(crate) fn attach(self) -> io::Result<Transport> {
        match self {
            Self::Plain(stream) => TcpStream::from_std(stream).map(Transport::Plain),
        }
    }
}
