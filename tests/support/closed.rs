//! Closed meshes for the attacks: a test authority, and members made of a socket.
//!
//! An attack is written once, for an open mesh. In a crate whose name ends with `_closed` the attacked node is closed,
//! and each raw peer gets its own key and certificate and speaks through a tunnel that adds TLS.

use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use actix_mesh::NodeId;
use actix_mesh::tls::{Authority, Tls};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, ServerConfig, SignatureScheme,
};
use tokio::net::TcpSocket;
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// Whether this crate's tests run on closed nodes.
pub(crate) fn is_on() -> bool {
    env!("CARGO_CRATE_NAME").ends_with("_closed")
}

/// The authority's folder, for processes that a test starts.
pub(crate) const FOLDER: &str = "ACTIX_MESH_TEST_AUTHORITY";

struct Mesh {
    dir: PathBuf,
    authority: Authority,
    tunnels: tokio::runtime::Handle,
}

fn mesh() -> &'static Mesh {
    static MESH: OnceLock<Mesh> = OnceLock::new();
    MESH.get_or_init(|| {
        let (dir, authority) = match std::env::var_os(FOLDER) {
            Some(dir) => (PathBuf::from(&dir), Authority::open(dir).unwrap()),
            None => {
                // Kept for all tests: a static is never dropped.
                let dir = tempfile::tempdir().unwrap().keep();
                let authority = Authority::init(&dir).unwrap();
                (dir, authority)
            }
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let tunnels = runtime.handle().clone();
        std::thread::spawn(move || runtime.block_on(std::future::pending::<()>()));
        Mesh {
            dir,
            authority,
            tunnels,
        }
    })
}

/// Returns the authority's folder.
pub(crate) fn folder() -> &'static Path {
    &mesh().dir
}

/// Issues a certificate for a unique name; returns the prefix of its files.
fn issue() -> PathBuf {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = format!("member-{}-{count}", std::process::id());
    let year = Duration::from_secs(365 * 24 * 60 * 60);
    mesh().authority.issue(&name, year).unwrap();
    mesh().dir.join(name)
}

/// Returns the configuration of a member node.
pub(crate) fn member() -> Tls {
    Tls::from_files(issue()).unwrap()
}

/// Returns a fresh certificate and key, and the id of their owner.
fn credentials() -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>, NodeId) {
    let prefix = issue();
    let id = Tls::from_files(&prefix).unwrap().id().clone();
    let chain = CertificateDer::pem_file_iter(prefix.with_extension("crt")).unwrap();
    let key = PrivateKeyDer::from_pem_file(prefix.with_extension("key")).unwrap();
    (chain.map(Result::unwrap).collect(), key, id)
}

/// Connects as a member: bytes written to the stream reach the node through TLS.
pub(crate) fn dial(to: SocketAddr) -> (TcpStream, NodeId) {
    let (chain, key, id) = credentials();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody))
        .with_client_auth_cert(chain, key)
        .unwrap();
    let (ours, mut theirs) = mesh().tunnels.block_on(pair());
    mesh().tunnels.spawn(async move {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(BUFFER).unwrap();
        let Ok(stream) = socket.connect(to).await else {
            return;
        };
        // As on a raw peer's own socket.
        let _ = stream.set_nodelay(true);
        let name = ServerName::try_from("localhost").unwrap();
        let connector = TlsConnector::from(Arc::new(config));
        if let Ok(mut stream) = connector.connect(name, stream).await {
            // When one side ends, the other sees it.
            let _ = tokio::io::copy_bidirectional(&mut theirs, &mut stream).await;
        }
    });
    (ours, id)
}

/// Returns a client without a certificate, before its handshake.
pub(crate) fn stranger() -> ClientConnection {
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody))
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    ClientConnection::new(Arc::new(config), name).unwrap()
}

/// Accepts a node's dial as a member, likewise.
pub(crate) fn accept(stream: TcpStream) -> (TcpStream, NodeId) {
    let (chain, key, id) = credentials();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let (ours, mut theirs) = mesh().tunnels.block_on(pair());
    stream.set_nonblocking(true).unwrap();
    mesh().tunnels.spawn(async move {
        let stream = tokio::net::TcpStream::from_std(stream).unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        if let Ok(mut stream) = acceptor.accept(stream).await {
            // As above.
            let _ = tokio::io::copy_bidirectional(&mut theirs, &mut stream).await;
        }
    });
    (ours, id)
}

/// A tunnel must not buffer much more than a socket for a peer that reads nothing.
const BUFFER: u32 = 64 << 10;

async fn pair() -> (TcpStream, tokio::net::TcpStream) {
    let listener = TcpSocket::new_v4().unwrap();
    listener.set_send_buffer_size(BUFFER).unwrap();
    listener.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = listener.listen(1).unwrap();
    let ours = TcpSocket::new_v4().unwrap();
    ours.set_recv_buffer_size(BUFFER).unwrap();
    let ours = ours.connect(listener.local_addr().unwrap()).await.unwrap();
    let (theirs, _) = listener.accept().await.unwrap();
    theirs.set_nodelay(true).unwrap();
    let ours = ours.into_std().unwrap();
    ours.set_nonblocking(false).unwrap();
    (ours, theirs)
}

/// Accepts any certificate: a raw peer does not check the node.
#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ring::default_provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}
