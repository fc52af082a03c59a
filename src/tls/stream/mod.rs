//! TLS over any stream: the handshake of both sides, and the secured stream.
//!
//! Owns the configurations that all connections of a node share. Reads ahead in large pieces, because the TLS library
//! asks for 4 KiB at a time.

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

/// Read ahead at once.
const AHEAD: usize = 64 * 1024;
/// How long a refused peer may take to read why.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// What a refused peer may still send meanwhile, unread.
const LAST_BYTES: usize = 64 * 1024;
/// A client has to name a server. The name is not sent, and nobody looks at it.
const NOBODY: &str = "mesh.invalid";
/// Keeps servers of other protocols from being taken for nodes.
const PROTOCOL: &[u8] = b"actix-mesh";

/// Which side of the handshake a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side<'a> {
    /// It dialled this name or address.
    Client { host: &'a str },
    /// It was dialled.
    Server,
}

/// Why there is no secured stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// One end refused the other: why, and whether it was the peer that did.
    Refused(TlsRefusal, bool),
    /// The stream failed or ended.
    Io(String),
    /// The peer went away without a word.
    Gone,
}

/// See the module. Clones share everything.
#[derive(Clone)]
pub(crate) struct Upgrade {
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
    pace: Pace,
    trusted: Trusted,
}

/// Whom certificates have to be those of.
#[derive(Clone, Debug)]
enum Trusted {
    /// Anybody.
    Anybody,
    /// Members of a closed mesh, whose ids they prove, on either side.
    Members(Tls),
    /// The host that was dialled; who comes shows none.
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
    /// Mutual TLS 1.3, as trusted by `tls`. Neither sessions nor tickets are kept: each link is judged anew.
    pub(crate) fn closed(tls: &Tls) -> Result<Self, TlsError> {
        let mut provider = provider();
        // Fast and strong enough first.
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

    /// As a server of the web: who listens shows a certificate for the name it is dialled by, who dials shows none.
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

    /// As the reference peers' `SSL`.
    pub(crate) fn ssl() -> Result<Self, TlsError> {
        let Ssl { server, client } = Ssl::new()?;
        Ok(Self {
            client,
            server,
            pace: Pace::new(),
            trusted: Trusted::Anybody,
        })
    }

    /// The handshake. Bounded in CPU time for those who come; the caller bounds the time it may take.
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

    /// Goes on with a handshake only while there is time for those who come.
    /// `written`: bytes to the peer so far.
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
                    // Woken: there is more to do.
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

/// Lets the alert arrive: closing at once, with something unread, would take it back.
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
    // Whether it was read makes no difference.
    let _ = timeout(LAST_WORDS, drained).await;
}

/// What a failed read, write or handshake means.
pub(crate) fn failure_of(error: &io::Error) -> Failure {
    match refusal_of_io(error) {
        Some((refusal, by_peer)) => Failure::Refused(refusal, by_peer),
        None if error.kind() == io::ErrorKind::UnexpectedEof => Failure::Gone,
        None => Failure::Io(error.to_string()),
    }
}

/// Shows what certificate is in force.
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

/// A stream behind TLS.
pub(crate) struct Secure<IO> {
    stream: TlsStream<ReadAhead<IO>>,
    /// Whether more may be readable without the socket's saying so.
    more: bool,
    /// As what the peer has to stay trusted; `None`: it is not.
    held: Option<Box<Held>>,
    /// The id that the peer has proven.
    proven: Option<Box<NodeId>>,
}

/// What a peer's certificate was held against, and is again when trust changes.
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

    /// The id that the peer has proven to be its own; `None` where nobody is authenticated.
    pub(crate) fn proven(&self) -> Option<&NodeId> {
        self.proven.as_deref()
    }

    /// Whether the peer is still let in.
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

    /// The stream below.
    pub(crate) fn below(&self) -> &IO {
        &self.stream.get_ref().0.io
    }

    /// Whether something may be readable though nothing comes on the stream below.
    pub(crate) fn may_have_more(&self) -> bool {
        self.more
    }

    /// Appends what is there, as far as there is room; 0 at the end of the stream.
    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        into: &mut BytesMut,
    ) -> Poll<io::Result<usize>> {
        let mut read = 0;
        loop {
            // Without room the read would make some.
            if read > 0 && into.capacity() == into.len() {
                self.more = true;
                return Poll::Ready(Ok(read));
            }
            match pin!(self.stream.read_buf(into)).poll(cx) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Ok(read)),
                Poll::Ready(Ok(bytes)) => read += bytes,
                // An end or an error shows again with the next read.
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

    /// Takes as much as there is room for. What was taken is written by [`poll_flush`](Self::poll_flush) at the latest.
    pub(crate) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    /// Writes what was taken.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    /// Tells the peer that nothing more will come.
    pub(crate) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Reads from below in large pieces; holds no buffer while there is nothing in it.
struct ReadAhead<IO> {
    io: IO,
    ahead: BytesMut,
    /// Bytes written.
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
