//! The cost of TLS for a message from A over B to C: between nodes, and for bytes that are only forwarded.
//!
//!     cargo bench --bench tls --features tls
//!
//! Three blocking threads forward the bytes, over TCP and over rustls: nothing is decoded, proven or delivered. So the
//! difference between these two is the cost of rustls, and that between the nodes is the cost of TLS for a mesh. All
//! alternatives take turns; the figures are medians of CPU time, and of the ratios of rounds.

#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark may panic")]

#[path = "harness/mod.rs"]
mod harness;

use std::cell::Cell;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::{Actor, Context, Handler};
use actix_mesh::tls::{Authority, Tls};
use actix_mesh::{
    Bundle, Config, Connect, Message, Node, Overflow, Peers, Send, SendMany, Subscribe,
};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned,
};

use harness::{median, process_clock};

const ROUNDS: usize = 9;
/// Bytes of payload in a round.
const ROUND: usize = 128 << 20;
const PIECE: usize = 64 << 10;
/// Messages in flight, and their bytes.
const WINDOW: (usize, usize) = (2048, 1 << 20);

/// The cost of getting the messages there.
#[derive(Clone, Copy)]
struct Spent {
    /// CPU nanoseconds per message, for all three.
    cost: f64,
    /// Messages per second.
    rate: f64,
}

fn main() {
    let dir = tempfile::tempdir().unwrap();
    let ca = dir.path().join("ca");
    let authority = Authority::init(&ca).unwrap();
    for name in ["a", "b", "c"] {
        authority.issue(name, Duration::from_secs(3600)).unwrap();
    }
    for size in [100, PIECE] {
        told(&ca, size);
    }
}

fn told(ca: &Path, size: usize) {
    let ways: [(&str, &dyn Fn() -> Spent); 4] = [
        ("bytes, TCP", &|| pipe(None, size)),
        ("bytes, rustls", &|| pipe(Some(ca), size)),
        ("nodes, plaintext", &|| nodes(None, size)),
        ("nodes, TLS", &|| nodes(Some(ca), size)),
    ];
    let mut rounds: Vec<[Spent; 4]> = Vec::new();
    for round in 0..=ROUNDS {
        let spent = ways.map(|(_, run)| run());
        if round > 0 {
            rounds.push(spent);
        }
    }
    let median_of = |pick: &dyn Fn(&[Spent; 4]) -> f64| {
        median(&mut rounds.iter().map(pick).collect::<Vec<_>>())
    };
    println!("\n## From A over B to C, {size} B\n");
    println!("| way | CPU ns a message | messages/s |");
    println!("|---|--:|--:|");
    for (at, (name, _)) in ways.iter().enumerate() {
        let (cost, rate) = (median_of(&|it| it[at].cost), median_of(&|it| it[at].rate));
        println!("| {name} | {cost:.0} | {rate:.0} |");
    }
    println!(
        "\nThe nodes over TLS reach {:.2} of their rate in plaintext; TLS adds {:.0} ns to a message of theirs, and {:.0} ns to the bytes alone.",
        median_of(&|[_, _, plain, tls]| tls.rate / plain.rate),
        median_of(&|[_, _, plain, tls]| tls.cost - plain.cost),
        median_of(&|[plain, tls, ..]| tls.cost - plain.cost),
    );
}

fn count_of(size: usize) -> usize {
    (ROUND / size).min(300_000)
}

fn measured(count: usize, run: impl FnOnce()) -> Spent {
    let (start, cpu) = (Instant::now(), process_clock());
    run();
    Spent {
        cost: (process_clock() - cpu).as_secs_f64() * 1e9 / count as f64,
        rate: count as f64 / start.elapsed().as_secs_f64(),
    }
}

/// A stream with or without TLS.
trait Stream: Read + Write + std::marker::Send {}
impl<T: Read + Write + std::marker::Send> Stream for T {}

/// Returns both ends of a connection after its handshake.
fn connection(ca: Option<&Path>) -> (Box<dyn Stream>, Box<dyn Stream>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let dialled = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (accepted, _) = listener.accept().unwrap();
    for stream in [&dialled, &accepted] {
        stream.set_nodelay(true).unwrap();
    }
    let Some(ca) = ca else {
        return (Box::new(dialled), Box::new(accepted));
    };
    let (client, server) = configured(ca);
    let client = ClientConnection::new(client, ServerName::try_from("a").unwrap()).unwrap();
    let mut dialled = StreamOwned::new(client, dialled);
    let mut accepted = StreamOwned::new(ServerConnection::new(server).unwrap(), accepted);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            dialled.write_all(b"!").unwrap();
            dialled.read_exact(&mut [0]).unwrap();
        });
        accepted.read_exact(&mut [0]).unwrap();
        accepted.write_all(b"!").unwrap();
    });
    (Box::new(dialled), Box::new(accepted))
}

fn configured(ca: &Path) -> (Arc<ClientConfig>, Arc<ServerConfig>) {
    let certificates = |name: &str| -> Vec<CertificateDer<'static>> {
        let read = CertificateDer::pem_file_iter(ca.join(name)).unwrap();
        read.map(Result::unwrap).collect()
    };
    let key = PrivateKeyDer::from_pem_file(ca.join("a.key")).unwrap();
    let mut roots = RootCertStore::empty();
    for certificate in certificates("ca.crt") {
        roots.add(certificate).unwrap();
    }
    let provider = Arc::new(default_provider());
    let client = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let server = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(certificates("a.crt"), key)
        .unwrap();
    (Arc::new(client), Arc::new(server))
}

/// Forwards as many bytes as the messages have, in pieces, with three threads.
fn pipe(ca: Option<&Path>, size: usize) -> Spent {
    let (mut from_a, mut to_b) = connection(ca);
    let (mut from_b, mut to_c) = connection(ca);
    let count = count_of(size);
    let bytes = count * size;
    measured(count, || {
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let piece = vec![7; PIECE];
                let mut left = bytes;
                while left > 0 {
                    let some = left.min(PIECE);
                    from_a.write_all(&piece[..some]).unwrap();
                    left -= some;
                }
                from_a.flush().unwrap();
            });
            scope.spawn(|| take(&mut to_b, bytes, |piece| from_b.write_all(piece).unwrap()));
            take(&mut to_c, bytes, |_| ());
        });
    })
}

fn take(from: &mut impl Read, bytes: usize, mut then: impl FnMut(&[u8])) {
    let mut piece = vec![0; PIECE];
    let mut left = bytes;
    while left > 0 {
        let some = from.read(&mut piece).unwrap();
        assert_ne!(some, 0, "{left} bytes are missing");
        then(&piece[..some]);
        left -= some;
    }
}

/// Counts the messages that C receives.
struct Counter {
    heard: Rc<Cell<usize>>,
    last: usize,
}

impl Actor for Counter {
    type Context = Context<Self>;
}

impl Handler<Bundle<Message>> for Counter {
    type Result = ();

    fn handle(&mut self, messages: Bundle<Message>, _: &mut Context<Self>) {
        self.heard.set(self.heard.get() + messages.0.len());
        assert!(self.heard.get() <= self.last, "each is heard once");
    }
}

async fn node(ca: Option<&Path>, name: &str) -> Node {
    let config = Config::new()
        .listen("127.0.0.1:0")
        .max_outgoing(0)
        .inbox_capacity(None)
        .compression([]);
    let config = match ca {
        Some(ca) => config.tls(Tls::from_files(ca.join(name)).unwrap()),
        None => config,
    };
    config.start().await.unwrap()
}

/// Sends the messages between nodes on one thread: while one waits, another works.
fn nodes(ca: Option<&Path>, size: usize) -> Spent {
    actix::System::new().block_on(async {
        let (a, b, c) = (
            node(ca, "a").await,
            node(ca, "b").await,
            node(ca, "c").await,
        );
        for (from, to) in [(&a, &b), (&b, &c)] {
            from.router
                .send(Connect::to(to.addr))
                .await
                .unwrap()
                .unwrap();
        }
        while b.router.send(Peers).await.unwrap().len() < 2 {
            tokio::task::yield_now().await;
        }
        let count = count_of(size);
        let heard = Rc::new(Cell::new(0));
        let counter = Counter {
            heard: Rc::clone(&heard),
            last: count,
        };
        let all = Subscribe::bundles(counter.start()).overflow(Overflow::Pause);
        c.router.send(all).await.unwrap();
        let (start, cpu) = (Instant::now(), process_clock());
        publish(&a, size, count, &heard).await;
        while heard.get() < count {
            tokio::time::sleep(Duration::from_micros(100)).await;
        }
        Spent {
            cost: (process_clock() - cpu).as_secs_f64() * 1e9 / count as f64,
            rate: count as f64 / start.elapsed().as_secs_f64(),
        }
    })
}

async fn publish(node: &Node, size: usize, count: usize, heard: &Cell<usize>) {
    let window = WINDOW.0.min(WINDOW.1 / size);
    let filling = "x".repeat(size - 16);
    for begun in (0..count).step_by(window / 4) {
        while begun + window / 4 > heard.get() + window {
            tokio::time::sleep(Duration::from_micros(100)).await;
        }
        let some = begun..count.min(begun + window / 4);
        let some: SendMany = some
            .map(|number| Send::new(format!("{number:015} {filling}")))
            .collect();
        for sent in node.router.send(some).await.unwrap() {
            sent.unwrap();
        }
    }
}
