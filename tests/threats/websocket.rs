//! A node reached over WebSocket, plain or over TLS: pages of other origins, endless heads and frames, ping floods, and
//! handshakes that are begun and abandoned.

use std::io::{ErrorKind, Write as _};
use std::net::TcpStream;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use actix_mesh::tls::{Authority, Tls};
use actix_mesh::wire::{Composer, Flag, Limits, NodeId};
use actix_mesh::{CloseReason, Connect};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use tungstenite::client::IntoClientRequest as _;
use tungstenite::{Message, WebSocket};

use crate::support::raw::{GENERATION, Raw, some_id, some_text, user};
use crate::support::victim::Victim;
use crate::support::{PATIENCE, unix};

/// The scheme under test.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scheme {
    Ws,
    Wss,
}

const BOTH: [Scheme; 2] = [Scheme::Ws, Scheme::Wss];

/// The host's certificate, and the client configuration that trusts its authority.
static HOST: LazyLock<(tempfile::TempDir, Arc<ClientConfig>)> = LazyLock::new(|| {
    let dir = tempfile::tempdir().unwrap();
    let ca = dir.path().join("ca");
    let authority = Authority::init(&ca).unwrap();
    authority
        .issue("localhost", Duration::from_secs(3600))
        .unwrap();
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(ca.join("ca.crt")).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    (dir, Arc::new(config))
});

fn tls() -> Tls {
    Tls::from_files(HOST.0.path().join("ca/localhost")).unwrap()
}

fn client() -> ClientConnection {
    let name = ServerName::try_from("localhost").unwrap();
    ClientConnection::new(Arc::clone(&HOST.1), name).unwrap()
}

fn victim(scheme: Scheme) -> Victim {
    Victim::with(|config| {
        let config = config
            .subnet("mesh", "ws")
            .handshake_timeout(Duration::from_secs(1))
            .allow_origin("http://localhost:8080");
        match scheme {
            Scheme::Ws => config,
            Scheme::Wss => config.wss(tls()),
        }
    })
}

/// The byte stream below WebSocket.
trait Link: std::io::Read + std::io::Write {}
impl<T: std::io::Read + std::io::Write> Link for T {}

fn tcp(victim: &Victim) -> TcpStream {
    let stream = TcpStream::connect(victim.addr).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn connect(victim: &Victim) -> Box<dyn Link> {
    let stream = tcp(victim);
    if victim.node.subnet.encryption == "wss" {
        return Box::new(StreamOwned::new(client(), stream));
    }
    Box::new(stream)
}

/// Reads until the end.
fn rest(mut stream: impl Link) -> String {
    let mut all = Vec::new();
    // A reset counts as an end without a close; a link that stays open does not.
    if let Err(error) = stream.read_to_end(&mut all) {
        let waited = [ErrorKind::WouldBlock, ErrorKind::TimedOut];
        assert!(
            !waited.contains(&error.kind()),
            "it was not closed: {error}"
        );
    }
    String::from_utf8_lossy(&all).into_owned()
}

/// A member over WebSocket, using an independent library.
struct Member {
    socket: WebSocket<Box<dyn Link>>,
    composer: Composer,
}

impl Member {
    fn join(victim: &Victim, origin: Option<&str>) -> Self {
        let mut request = "ws://mesh/".into_client_request().unwrap();
        if let Some(origin) = origin {
            let origin = origin.parse().unwrap();
            request.headers_mut().insert("Origin", origin);
        }
        let (socket, _) = tungstenite::client(request, connect(victim)).unwrap();
        let id: NodeId = some_id();
        let composer = Composer::new(GENERATION, Limits::default(), id.clone());
        let mut member = Self { socket, composer };
        let raw = Raw::over(tcp(victim), &victim.subnet, id);
        let handshake = raw.handshake(|_| {});
        member.say(&Flag::Whisper, &handshake);
        victim.told(|event| {
            (event.peer() == Some(member.composer.me()) && event.code() == "peer_joined")
                .then_some(())
        });
        member
    }

    fn say(&mut self, flag: &Flag, payload: &[actix_mesh::Packet]) {
        let composed = self.composer.compose(flag, payload, unix()).unwrap();
        let message = Message::Binary(composed.frames.plain);
        self.socket.send(message).unwrap();
    }
}

fn assert_serves(victim: &Victim) {
    let text = some_text("still here");
    let mut member = Member::join(victim, None);
    member.say(&Flag::Broadcast, &user(&text));
    victim.hears(&text);
}

#[test]
fn t36_a_page_of_a_strange_origin_is_refused_and_told_why() {
    BOTH.into_iter()
        .for_each(a_page_of_a_strange_origin_is_refused_and_told_why);
}

fn a_page_of_a_strange_origin_is_refused_and_told_why(scheme: Scheme) {
    let victim = victim(scheme);
    let mut stream = connect(&victim);
    write!(
        stream,
        "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
         Origin: https://evil.example\r\n\r\n"
    )
    .unwrap();
    assert!(rest(stream).starts_with("HTTP/1.1 403 "));
    let CloseReason::BadFrame(why) = victim.told_refused() else {
        panic!("another reason");
    };
    assert!(why.contains("https://evil.example"), "{why}");
    Member::join(&victim, Some("http://localhost:8080"));
    assert_serves(&victim);
}

#[test]
fn t36_whoever_does_not_speak_websocket_is_told_so() {
    let victim = victim(Scheme::Ws);
    let mut stream = connect(&victim);
    stream
        .write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    let answer = rest(stream);
    assert!(answer.starts_with("HTTP/1.1 426 "), "{answer}");
    victim.told_refused();
    // A plaintext node, in both directions.
    let plain = Victim::start();
    let refused = plain.ask(Connect::to(victim.addr)).unwrap_err();
    assert!(!refused.to_string().is_empty());
    let CloseReason::BadFrame(why) = victim.told_refused() else {
        panic!("another reason");
    };
    assert!(why.contains("encryption `ws`"), "{why}");
    let refused = victim.ask(Connect::to(plain.addr)).unwrap_err();
    assert!(!refused.to_string().is_empty());
    plain.told(|event| (event.why() == Some("other_protocol")).then_some(()));
    assert_serves(&victim);
}

#[test]
fn t36_a_head_without_end_and_one_that_does_not_come_end() {
    BOTH.into_iter()
        .for_each(a_head_without_end_and_one_that_does_not_come_end);
}

fn a_head_without_end_and_one_that_does_not_come_end(scheme: Scheme) {
    let victim = victim(scheme);
    let mut endless = connect(&victim);
    let _ = endless.write_all(b"GET / HTTP/1.1\r\n");
    let line = [&b"X-Filler: "[..], &[b'x'; 1000], b"\r\n"].concat();
    for _ in 0..1000 {
        if endless.write_all(&line).is_err() {
            break;
        }
    }
    rest(endless);
    // Complete, and in one write.
    let mut long = connect(&victim);
    let head = format!(
        "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nX-Filler: {}\r\n\r\n",
        "x".repeat(9000)
    );
    long.write_all(head.as_bytes()).unwrap();
    let answer = rest(long);
    assert!(!answer.starts_with("HTTP/1.1 101"), "{answer}");
    // It has the handshake timeout.
    let mut slow = connect(&victim);
    slow.write_all(b"GET / HT").unwrap();
    rest(slow);
    assert_serves(&victim);
}

#[test]
fn t36_lengths_that_are_announced_pings_without_end_and_text_do_no_harm() {
    BOTH.into_iter()
        .for_each(lengths_that_are_announced_pings_without_end_and_text_do_no_harm);
}

fn lengths_that_are_announced_pings_without_end_and_text_do_no_harm(scheme: Scheme) {
    let victim = victim(scheme);
    let mut bomb = Member::join(&victim, None);
    let mut head = vec![0x82, 0xff];
    head.extend_from_slice(&(u64::MAX >> 1).to_be_bytes());
    head.extend_from_slice(&[0; 4]);
    bomb.socket.get_mut().write_all(&head).unwrap();
    let mut pings = Member::join(&victim, None);
    for _ in 0..20_000 {
        pings
            .socket
            .send(Message::Ping(vec![7; 125].into()))
            .unwrap();
    }
    let text = some_text("behind the pings");
    pings.say(&Flag::Broadcast, &user(&text));
    victim.hears(&text);
    let answers = std::iter::from_fn(|| pings.socket.read().ok());
    assert!(answers.take(50).any(|message| message.is_pong()));
    let mut talker = Member::join(&victim, None);
    talker.socket.send(Message::text("hello")).unwrap();
    let CloseReason::BadFrame(why) = victim.told_left(talker.composer.me()) else {
        panic!("another reason");
    };
    assert!(why.contains("text"), "{why}");
    assert_serves(&victim);
}

#[test]
fn t36_a_frame_in_many_messages_and_many_in_one_are_read_as_they_are() {
    BOTH.into_iter()
        .for_each(a_frame_in_many_messages_and_many_in_one_are_read_as_they_are);
}

fn a_frame_in_many_messages_and_many_in_one_are_read_as_they_are(scheme: Scheme) {
    let victim = victim(scheme);
    let mut member = Member::join(&victim, None);
    let texts: Vec<String> = (0..20).map(|_| some_text("cut")).collect();
    let mut all = Vec::new();
    for text in &texts {
        let payload = user(text);
        let composed = member.composer.compose(&Flag::Broadcast, &payload, unix());
        all.extend_from_slice(&composed.unwrap().frames.plain);
    }
    for part in all.chunks(333) {
        let part = Message::Binary(part.to_vec().into());
        member.socket.send(part).unwrap();
    }
    for text in &texts {
        victim.hears(text);
    }
    // The node sends one frame per message.
    let mut heard = 0;
    while heard < 2 {
        if let Message::Binary(bytes) = member.socket.read().unwrap() {
            let length = u32::from_be_bytes(*bytes.first_chunk().unwrap());
            assert_eq!(bytes.len(), 4 + length as usize);
            heard += 1;
        }
    }
}

#[test]
fn t36_who_begins_a_handshake_of_tls_and_stays_keeps_nobody_out() {
    let victim = victim(Scheme::Wss);
    let strangers: Vec<TcpStream> = (0..200)
        .map(|_| {
            let mut stream = tcp(&victim);
            client().write_tls(&mut stream).unwrap();
            stream
        })
        .collect();
    assert_serves(&victim);
    // Each is closed at the handshake timeout.
    for stream in strangers {
        rest(stream);
    }
    assert_serves(&victim);
}

#[test]
fn t36_who_speaks_no_websocket_over_tls_or_no_tls_gets_no_further() {
    let victim = victim(Scheme::Wss);
    // An HTTP request and a member's handshake, without TLS: not a byte of HTTP comes back.
    let mut plain = tcp(&victim);
    plain
        .write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    assert!(!rest(plain).contains("HTTP"));
    victim.told_refused();
    // The same request over TLS gets an explanation; noise is closed.
    let mut page = connect(&victim);
    page.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    assert!(rest(page).starts_with("HTTP/1.1 426 "));
    victim.told_refused();
    for noise in [vec![0; 20_000], vec![0xff; 20_000], vec![b'\n'; 20_000]] {
        let mut link = connect(&victim);
        // The node may close it before all is written.
        let _ = link.write_all(&noise);
        rest(link);
        victim.told_refused();
    }
    assert_serves(&victim);
}

#[test]
fn t36_a_record_that_was_changed_ends_the_link_and_nothing_else() {
    let victim = victim(Scheme::Wss);
    let mut stream = tcp(&victim);
    let mut session = client();
    while session.is_handshaking() {
        session.complete_io(&mut stream).unwrap();
    }
    session.writer().write_all(b"GET / HTTP/1.1\r\n").unwrap();
    let mut records = Vec::new();
    session.write_tls(&mut records).unwrap();
    let last = records.len() - 1;
    records[last] ^= 1;
    stream.write_all(&records).unwrap();
    rest(stream);
    victim.told_refused();
    assert_serves(&victim);
}
