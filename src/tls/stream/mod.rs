//! TLS over any stream: the handshake of both sides, and the encrypted stream.
//!
//! Owns the TLS configurations that all connections of a node share. Reads ahead in large chunks, because the TLS
//! library asks for 4 KiB at a time.

mod pace;
mod refusal;
mod ssl;
pub(super) mod verify;

use std::fmt;
use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::{Buf as _, BytesMut};
use rustls::client::ResolvesClientCert;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{CipherSuite, ClientConfig, ServerConfig, SignatureScheme};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::time::{sleep, timeout};
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

use self::pace::{Pace, Progress};
use self::refusal::refusal_of_io;
use self::ssl::Ssl;
use self::verify::{Current, provider};
use super::certificate::Certificate;
use super::error::TlsError;
use super::{Live, Tls};
use crate::mesh::TlsRefusal;
use crate::wire::NodeId;

/// Bytes read ahead at once.
const AHEAD: usize = 64 * 1024;
/// How long a refused peer has to read the reason.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// How many bytes are drained from a refused peer meanwhile.
const LAST_BYTES: usize = 64 * 1024;
/// A client must name a server. The name is not sent and not checked.
const NOBODY: &str = "mesh.invalid";
/// The ALPN protocol: a server of another protocol is not taken for a node.
const PROTOCOL: &[u8] = b"actix-mesh";

/// The side of the handshake a node is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side<'a> {
    /// The node dialled this name or address.
    Client { host: &'a str },
    /// The node was dialled.
    Server,
}

/// Why the handshake or the stream failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// One end refused the other: the reason, and whether the peer was the one that refused.
    Refused(TlsRefusal, bool),
    /// The stream failed or ended early.
    Io(String),
    /// The peer closed the stream without a reason.
    Gone,
}

/// Performs handshakes: see the module. Clones share everything.
#[derive(Clone)]
pub(crate) struct Upgrade {
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
    pace: Pace,
    trusted: Trusted,
}

/// Which certificates are accepted.
#[derive(Clone, Debug)]
enum Trusted {
    /// Any certificate: no peer is authenticated.
    Anybody,
    /// Those of a closed mesh's members; on either side they prove the peer's id.
    Members(Tls),
    /// That of the dialled host; an inbound peer shows none.
    Hosts(Tls),
}

impl fmt::Debug for Upgrade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upgrade")
            .field("trusted", &self.trusted)
            .finish_non_exhaustive()
    }
}

impl Upgrade {
    /// Mutual TLS 1.3 with the trust of `tls`. No session is resumed: each link is verified from scratch.
    pub(crate) fn closed(tls: &Tls) -> Result<Self, TlsError> {
        let mut provider = provider();
        // Prefer the cipher suite that is fast and strong enough.
        if let Some(provider) = Arc::get_mut(&mut provider) {
            provider
                .cipher_suites
                .sort_by_key(|suite| suite.suite() != CipherSuite::TLS13_AES_128_GCM_SHA256);
        }
        let current = Arc::new(Current {
            names: false,
            live: Arc::clone(&tls.live),
            provider: Arc::clone(&provider),
        });
        let shown = Arc::new(Shown(Arc::clone(&tls.live)));
        let bad = |error: rustls::Error| TlsError::BadCertificate(error.to_string());
        let mut server = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&TLS13])
            .map_err(bad)?
            .with_client_cert_verifier(Arc::clone(&current) as Arc<_>)
            .with_cert_resolver(Arc::clone(&shown) as Arc<_>);
        server.send_tls13_tickets = 0;
        server.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
        server.alpn_protocols = vec![PROTOCOL.to_vec()];
        let mut client = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])
            .map_err(bad)?
            .dangerous()
            .with_custom_certificate_verifier(current)
            .with_client_cert_resolver(shown);
        client.resumption = rustls::client::Resumption::disabled();
        client.enable_sni = false;
        client.alpn_protocols = vec![PROTOCOL.to_vec()];
        Ok(Self {
            client: Arc::new(client),
            server: Arc::new(server),
            pace: Pace::new(),
            trusted: Trusted::Members(tls.clone()),
        })
    }

    /// TLS as on the web: the listening side shows a certificate for the dialled name, the dialling side shows none.
    pub(crate) fn named(tls: &Tls) -> Result<Self, TlsError> {
        let versions = &[&TLS13, &TLS12];
        let bad = |error: rustls::Error| TlsError::BadCertificate(error.to_string());
        let shown = Arc::new(Shown(Arc::clone(&tls.live)));
        let mut server = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(versions)
            .map_err(bad)?
            .with_no_client_auth()
            .with_cert_resolver(shown);
        server.send_tls13_tickets = 0;
        server.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
        let current = Current {
            names: true,
            live: Arc::clone(&tls.live),
            provider: provider(),
        };
        let mut client = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(versions)
            .map_err(bad)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(current))
            .with_no_client_auth();
        client.resumption = rustls::client::Resumption::disabled();
        client.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self {
            client: Arc::new(client),
            server: Arc::new(server),
            pace: Pace::new(),
            trusted: Trusted::Hosts(tls.clone()),
        })
    }

    /// TLS like the reference peers' `SSL`.
    pub(crate) fn ssl() -> Result<Self, TlsError> {
        let Ssl { server, client } = Ssl::new()?;
        Ok(Self {
            client,
            server,
            pace: Pace::new(),
            trusted: Trusted::Anybody,
        })
    }

    /// Performs the handshake. Limits the CPU time of inbound handshakes; the caller has to set a deadline.
    pub(crate) async fn secure<IO>(&self, io: IO, side: Side<'_>) -> Result<Secure<IO>, Failure>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        let io = ReadAhead::new(io);
        let written = Arc::clone(&io.written);
        let mut dialed = None;
        let stream = match side {
            Side::Client { host } => {
                let is_named = matches!(self.trusted, Trusted::Hosts(_));
                let host = if is_named { host } else { NOBODY };
                let name = ServerName::try_from(host.to_owned())
                    .map_err(|error| Failure::Io(error.to_string()))?;
                dialed = Some(name.clone());
                let connector = TlsConnector::from(Arc::clone(&self.client));
                let done = connector.connect(name, io).into_fallible().await;
                done.map(TlsStream::Client)
            }
            Side::Server => {
                let acceptor = TlsAcceptor::from(Arc::clone(&self.server));
                let done = self
                    .paced(&written, acceptor.accept(io).into_fallible())
                    .await;
                done.map(TlsStream::Server)
            }
        };
        match stream {
            Ok(stream) => Secure::new(stream, &self.trusted, dialed),
            Err((error, mut io)) => {
                let failure = failure_of(&error);
                if let Failure::Refused(..) = failure {
                    last_words(&mut io).await;
                }
                Err(failure)
            }
        }
    }

    /// Polls an inbound handshake only while its share of CPU time lasts. `written`: bytes sent to the peer so far.
    async fn paced<F: Future>(&self, written: &AtomicUsize, handshake: F) -> F::Output {
        let mut handshake = pin!(handshake);
        loop {
            let progress = Progress::after(written.load(Ordering::Relaxed));
            if let Some(wait) = self.pace.wait(progress) {
                sleep(wait).await;
            }
            let mut polled = false;
            let step = poll_fn(|cx| {
                if polled {
                    // Woken: there is more to do, so ask for CPU time again.
                    return Poll::Ready(None);
                }
                polled = true;
                let began = Instant::now();
                let step = handshake.as_mut().poll(cx);
                self.pace.spent(progress, began.elapsed());
                step.map(Some)
            });
            if let Some(done) = step.await {
                return done;
            }
        }
    }
}

/// Lets the alert arrive: closing at once with unread input would reset the connection and lose it.
async fn last_words(io: &mut (impl AsyncRead + AsyncWrite + Unpin)) {
    let drained = async {
        io.shutdown().await?;
        let mut unread = [0; 1024];
        let mut left = LAST_BYTES;
        while left > 0 {
            match io.read(&mut unread).await? {
                0 => break,
                read => left = left.saturating_sub(read),
            }
        }
        io::Result::Ok(())
    };
    // It does not matter whether the peer read it.
    let _ = timeout(LAST_WORDS, drained).await;
}

/// Interprets a failed read, write or handshake.
pub(crate) fn failure_of(error: &io::Error) -> Failure {
    match refusal_of_io(error) {
        Some((refusal, by_peer)) => Failure::Refused(refusal, by_peer),
        None if error.kind() == io::ErrorKind::UnexpectedEof => Failure::Gone,
        None => Failure::Io(error.to_string()),
    }
}

/// Presents the certificate in force.
struct Shown(Arc<Live>);

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shown").finish_non_exhaustive()
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.state().identity.key())
    }
}

impl ResolvesClientCert for Shown {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.0.state().identity.key())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// A stream encrypted with TLS.
pub(crate) struct Secure<IO> {
    stream: TlsStream<ReadAhead<IO>>,
    /// Whether TLS may hold readable bytes while the socket is not readable.
    more: bool,
    /// The role in which the peer must stay trusted; `None` if it was not authenticated.
    held: Option<Box<Held>>,
    /// The id that the peer has proven.
    proven: Option<Box<NodeId>>,
}

/// What the peer's certificate was verified against, and is again when the trust changes.
enum Held {
    Member(Tls),
    Host(Tls, ServerName<'static>),
}

impl<IO> fmt::Debug for Secure<IO> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secure")
            .field("proven", &self.proven)
            .finish_non_exhaustive()
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> Secure<IO> {
    fn new(
        stream: TlsStream<ReadAhead<IO>>,
        trusted: &Trusted,
        dialed: Option<ServerName<'static>>,
    ) -> Result<Self, Failure> {
        let held = match (trusted, dialed) {
            (Trusted::Members(tls), _) => Some(Held::Member(tls.clone())),
            (Trusted::Hosts(tls), Some(name)) => Some(Held::Host(tls.clone(), name)),
            (Trusted::Hosts(_), None) | (Trusted::Anybody, _) => None,
        };
        let proven = match &held {
            None | Some(Held::Host(..)) => None,
            Some(Held::Member(_)) => {
                let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
                let none = Failure::Refused(TlsRefusal::NoCertificate, false);
                let first = chain.first().ok_or(none)?;
                let bad = |why| Failure::Refused(TlsRefusal::BadCertificate(why), false);
                Some(Box::new(Certificate::read(first).map_err(bad)?.id))
            }
        };
        Ok(Self {
            stream,
            more: true,
            held: held.map(Box::new),
            proven,
        })
    }

    /// Returns the id that the peer has proven; `None` where peers are not authenticated.
    pub(crate) fn proven(&self) -> Option<&NodeId> {
        self.proven.as_deref()
    }

    /// Checks that the peer is still accepted.
    pub(crate) fn recheck(&self, now: u64) -> Result<(), TlsRefusal> {
        match self.held.as_deref() {
            Some(Held::Member(tls)) => tls.recheck(self.chain(), None, now),
            Some(Held::Host(tls, name)) => tls.recheck(self.chain(), Some(name), now),
            None => Ok(()),
        }
    }

    fn chain(&self) -> &[CertificateDer<'static>] {
        self.stream
            .get_ref()
            .1
            .peer_certificates()
            .unwrap_or_default()
    }

    /// Returns the underlying stream.
    pub(crate) fn below(&self) -> &IO {
        &self.stream.get_ref().0.io
    }

    /// Whether bytes may be readable while the underlying stream is not.
    pub(crate) fn may_have_more(&self) -> bool {
        self.more
    }

    /// Appends the available bytes, as far as there is room; returns 0 at EOF.
    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        into: &mut BytesMut,
    ) -> Poll<io::Result<usize>> {
        let mut read = 0;
        loop {
            // Without this check the read would grow the buffer.
            if read > 0 && into.capacity() == into.len() {
                self.more = true;
                return Poll::Ready(Ok(read));
            }
            match pin!(self.stream.read_buf(into)).poll(cx) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Ok(read)),
                Poll::Ready(Ok(bytes)) => read += bytes,
                // The next read returns the EOF or the error again.
                Poll::Ready(Err(_)) if read > 0 => return Poll::Ready(Ok(read)),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    self.more = false;
                    return match read {
                        0 => Poll::Pending,
                        _ => Poll::Ready(Ok(read)),
                    };
                }
            }
        }
    }

    /// Accepts as many bytes as there is room for. They are written by [`poll_flush`](Self::poll_flush) at the latest.
    pub(crate) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    /// Writes the accepted bytes.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    /// Tells the peer that no more bytes will come.
    pub(crate) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Reads the underlying stream in large chunks; frees its buffer when that is empty.
struct ReadAhead<IO> {
    io: IO,
    ahead: BytesMut,
    /// Bytes written so far.
    written: Arc<AtomicUsize>,
}

impl<IO> ReadAhead<IO> {
    fn new(io: IO) -> Self {
        Self {
            io,
            ahead: BytesMut::new(),
            written: Arc::default(),
        }
    }

    fn count(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(bytes)) = written {
            self.written.fetch_add(bytes, Ordering::Relaxed);
        }
        written
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for ReadAhead<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.ahead.is_empty() {
            let mut ahead = BytesMut::with_capacity(AHEAD);
            ready!(pin!(this.io.read_buf(&mut ahead)).poll(cx))?;
            this.ahead = ahead;
        }
        let bytes = this.ahead.len().min(into.remaining());
        into.put_slice(&this.ahead[..bytes]);
        this.ahead.advance(bytes);
        if this.ahead.is_empty() {
            this.ahead = BytesMut::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for ReadAhead<IO> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(cx, bytes);
        self.count(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write_vectored(cx, slices);
        self.count(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
