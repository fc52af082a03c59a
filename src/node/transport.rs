//! The streams a connection may run over. Today plain TCP; TLS and WebSocket would be variants.
//!
//! Owns sockets and nothing of what goes over them.

use std::future::Future as _;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use bytes::BytesMut;
use tokio::io::{AsyncReadExt as _, AsyncWrite as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpSocket, TcpStream};

/// A socket to listen with or to dial from, with buffers of this many bytes each way.
///
/// The system would let its own buffers grow to several megabytes each, which nobody accounts for: what
/// stands in them has left its sender's budget and has not come into its receiver's.
pub(super) fn socket(towards: SocketAddr, buffers: u32) -> io::Result<TcpSocket> {
    let socket = match towards {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    }?;
    socket.set_send_buffer_size(buffers)?;
    socket.set_recv_buffer_size(buffers)?;
    Ok(socket)
}

/// A connected stream.
#[derive(Debug)]
pub(super) enum Transport {
    Plain(TcpStream),
}

impl Transport {
    /// Small frames leave at once: nothing here waits for more of them.
    pub(super) fn plain(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self::Plain(stream))
    }

    pub(super) fn split(self) -> (Reader, Writer) {
        match self {
            Self::Plain(stream) => {
                let (reader, writer) = stream.into_split();
                (Reader::Plain(reader), Writer::Plain(writer))
            }
        }
    }

    /// Leaves this thread's event loop, to be taken up by another's.
    pub(super) fn detach(self) -> io::Result<Detached> {
        match self {
            Self::Plain(stream) => stream.into_std().map(Detached::Plain),
        }
    }
}

/// A stream on its way to another thread.
#[derive(Debug)]
pub(super) enum Detached {
    Plain(std::net::TcpStream),
}

impl Detached {
    pub(super) fn attach(self) -> io::Result<Transport> {
        match self {
            Self::Plain(stream) => TcpStream::from_std(stream).map(Transport::Plain),
        }
    }
}

/// The half that is read.
#[derive(Debug)]
pub(super) enum Reader {
    Plain(OwnedReadHalf),
}

impl Reader {
    /// Waits for something to read, without a buffer to put it into.
    pub(super) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(half) => half.as_ref().poll_read_ready(cx),
        }
    }

    /// Appends what is there; 0 at the end of the stream.
    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        into: &mut BytesMut,
    ) -> Poll<io::Result<usize>> {
        match self {
            Self::Plain(half) => pin!(half.read_buf(into)).poll(cx),
        }
    }
}

/// The half that is written. Dropping it ends the stream in that direction.
#[derive(Debug)]
pub(super) enum Writer {
    Plain(OwnedWriteHalf),
    #[cfg(test)]
    Pipe(tokio::io::DuplexStream),
}

impl Writer {
    pub(super) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self {
            Self::Plain(half) => Pin::new(half).poll_write_vectored(cx, slices),
            #[cfg(test)]
            Self::Pipe(pipe) => Pin::new(pipe).poll_write_vectored(cx, slices),
        }
    }

    /// Tells the peer that nothing more will come.
    pub(super) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(half) => Pin::new(half).poll_shutdown(cx),
            #[cfg(test)]
            Self::Pipe(pipe) => Pin::new(pipe).poll_shutdown(cx),
        }
    }
}
