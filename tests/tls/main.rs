//! Closed meshes on loopback sockets: which peers are accepted, which are not, and what both ends are told.

#![allow(missing_docs, clippy::unwrap_used, reason = "a test may panic")]

#[cfg(feature = "websocket")]
mod wss;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use actix::{Actor, Context, Handler};
use actix_mesh::tls::{Authority, Tls, Trust};
use actix_mesh::{
    CloseReason, Config, Connect, ConnectError, Event, Node, NodeId, OtherProtocol, Peers, Recv,
    Send, StartError, SubscribeEvents, TlsRefusal,
};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const PATIENCE: Duration = Duration::from_secs(10);

/// A folder with an authority, as `actix-mesh ca` makes it.
struct Folder {
    dir: TempDir,
    authority: Authority,
}

impl Folder {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let authority = Authority::init(dir.path().join("ca")).unwrap();
        Self { dir, authority }
    }

    fn prefix(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join("ca").join(name)
    }

    fn issue(&self, name: &str, valid: Duration) -> Tls {
        self.authority.issue(name, valid).unwrap();
        Tls::from_files(self.prefix(name))
            .unwrap()
            .reload_interval(Duration::from_millis(50))
    }

    fn member(&self, name: &str) -> Tls {
        self.issue(name, Duration::from_secs(24 * 60 * 60 * 365))
    }
}

fn closed(tls: &Tls) -> Config {
    Config::new().tls(tls.clone()).max_reconnect_delay(None)
}

async fn start(config: Config) -> (Node, Events) {
    let node = config.start().await.unwrap();
    let events = Events::of(&node).await;
    (node, events)
}

struct Watcher(Rc<RefCell<Vec<Event>>>);

impl Actor for Watcher {
    type Context = Context<Self>;
}

impl Handler<Event> for Watcher {
    type Result = ();

    fn handle(&mut self, event: Event, _: &mut Context<Self>) {
        self.0.borrow_mut().push(event);
    }
}

struct Events(Rc<RefCell<Vec<Event>>>);

impl Events {
    async fn of(node: &Node) -> Self {
        let events = Rc::new(RefCell::new(Vec::new()));
        let watcher = Watcher(Rc::clone(&events)).start();
        node.router
            .send(SubscribeEvents::new(watcher))
            .await
            .unwrap();
        Self(events)
    }

    async fn next<T>(&self, pick: impl Fn(&Event) -> Option<T>) -> T {
        let waiting = async {
            loop {
                if let Some(found) = self.0.borrow().iter().find_map(&pick) {
                    return found;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let found = tokio::time::timeout(PATIENCE, waiting).await;
        found.unwrap_or_else(|_| panic!("not among {:#?}", self.0.borrow()))
    }

    /// Waits until a connection is refused; returns the reason.
    async fn refused(&self) -> CloseReason {
        self.next(|event| match event {
            Event::Refused { reason, .. } => Some(reason.clone()),
            _ => None,
        })
        .await
    }
}

async fn connect(from: &Node, to: &Node) -> Result<NodeId, ConnectError> {
    from.router.send(Connect::to(to.addr)).await.unwrap()
}

fn reason(error: ConnectError) -> CloseReason {
    match error {
        ConnectError::Closed { reason, .. } => reason,
        other => panic!("{other:?}"),
    }
}

fn we_refuse(refusal: TlsRefusal) -> CloseReason {
    CloseReason::Insecure {
        refusal,
        by_peer: false,
    }
}

fn they_refuse(refusal: TlsRefusal) -> CloseReason {
    CloseReason::Insecure {
        refusal,
        by_peer: true,
    }
}

#[actix::test]
async fn a_mesh_of_five_by_one_authority_proves_every_id_and_hears_each_other() {
    let folder = Folder::new();
    let mut nodes: Vec<Node> = Vec::new();
    for index in 0..5 {
        let tls = folder.member(&format!("node-{index}"));
        let mut config = Config::new().tls(tls.clone());
        if let Some(first) = nodes.first() {
            config = config.connect(first.addr);
        }
        let node = config.start().await.unwrap();
        assert_eq!(node.id, *tls.id());
        assert_eq!(node.subnet.encryption, "TLS");
        nodes.push(node);
    }
    for node in &nodes {
        let peers = node.ready(4, PATIENCE).await.unwrap();
        assert!(peers.iter().all(|peer| peer.proven), "{peers:#?}");
    }
    nodes[4]
        .router
        .send(Send::new("closed"))
        .await
        .unwrap()
        .unwrap();
    for node in &nodes[..4] {
        let heard = node.router.send(Recv::one().wait(PATIENCE)).await.unwrap();
        assert_eq!(heard[0].text(), "closed");
    }
}

#[actix::test]
async fn large_messages_and_many_arrive_whole_also_on_other_threads() {
    let folder = Folder::new();
    let (a, _) = start(closed(&folder.member("a")).arbiters(2)).await;
    let (b, _) = start(closed(&folder.member("b")).arbiters(1)).await;
    connect(&a, &b).await.unwrap();
    let large = "x".repeat(500_000);
    a.router
        .send(Send::new(large.as_str()))
        .await
        .unwrap()
        .unwrap();
    for number in 0..500 {
        a.router
            .send(Send::new(format!("{number}")))
            .await
            .unwrap()
            .unwrap();
    }
    let mut heard = 0;
    while heard < 501 {
        let some = b
            .router
            .send(Recv::up_to(1000).wait(PATIENCE))
            .await
            .unwrap();
        assert!(!some.is_empty(), "{heard} were heard");
        assert!(some.iter().all(|message| message.missed() == 0));
        heard += some.len();
    }
}

#[actix::test]
async fn a_stranger_is_refused_and_both_ends_are_told() {
    let (ours, theirs) = (Folder::new(), Folder::new());
    let (member, told) = start(closed(&ours.member("member"))).await;
    let (stranger, _) = start(closed(&theirs.member("stranger"))).await;
    let error = reason(connect(&stranger, &member).await.unwrap_err());
    // The dialling side checks first: the member's certificate is from an authority it does not know.
    assert_eq!(error, we_refuse(TlsRefusal::UnknownAuthority));
    assert_eq!(
        told.refused().await,
        they_refuse(TlsRefusal::UnknownAuthority)
    );
}

#[actix::test]
async fn t13_an_expired_certificate_is_refused_and_both_ends_are_told() {
    let folder = Folder::new();
    let (member, told) = start(closed(&folder.member("member"))).await;
    let late = folder.issue("late", Duration::from_secs(1));
    let (late, _) = start(closed(&late)).await;
    tokio::time::sleep(Duration::from_millis(2100)).await;
    let error = reason(connect(&late, &member).await.unwrap_err());
    assert_eq!(error, they_refuse(TlsRefusal::Expired));
    assert_eq!(told.refused().await, we_refuse(TlsRefusal::Expired));
}

#[actix::test]
async fn t13_a_revoked_key_loses_its_link_and_does_not_come_back() {
    let folder = Folder::new();
    let (member, told) = start(closed(&folder.member("member"))).await;
    let (other, _) = start(closed(&folder.member("other"))).await;
    let (fine, _) = start(closed(&folder.member("fine"))).await;
    connect(&other, &member).await.unwrap();
    connect(&fine, &member).await.unwrap();

    folder.authority.revoke("other").unwrap();
    let reason_of = |event: &Event| match event {
        Event::PeerLeft { peer, reason, .. } if *peer == other.id => Some(reason.clone()),
        _ => None,
    };
    assert_eq!(told.next(reason_of).await, we_refuse(TlsRefusal::Revoked));
    let left = member.router.send(Peers).await.unwrap();
    assert_eq!(
        left.iter().map(|peer| peer.id.clone()).collect::<Vec<_>>(),
        [fine.id]
    );
    let error = reason(connect(&other, &member).await.unwrap_err());
    assert_eq!(error, they_refuse(TlsRefusal::Revoked));
}

#[actix::test]
async fn a_key_taken_off_the_allow_list_loses_its_link() {
    let folder = Folder::new();
    let (tls, other) = (folder.member("member"), folder.member("other"));
    tls.set_trust(Trust::keys([other.id().clone()])).unwrap();
    let (member, told) = start(closed(&tls)).await;
    let (other, _) = start(closed(&other)).await;
    connect(&other, &member).await.unwrap();
    tls.set_trust(Trust::keys([])).unwrap();
    let left = |event: &Event| matches!(event, Event::PeerLeft { .. }).then_some(());
    told.next(left).await;
}

#[actix::test]
async fn a_renewed_certificate_is_taken_up_and_no_link_is_lost() {
    let folder = Folder::new();
    let tls = folder.issue("member", Duration::from_secs(60 * 60));
    let (member, told) = start(closed(&tls)).await;
    let (other, _) = start(closed(&folder.member("other"))).await;
    connect(&other, &member).await.unwrap();
    // Less than a day is left, so the warning comes at once.
    told.next(|event| matches!(event, Event::CertificateExpires { days: 0 }).then_some(()))
        .await;
    let before = tls.expires();
    folder
        .authority
        .issue("member", Duration::from_secs(24 * 60 * 60 * 90))
        .unwrap();
    let renewed = async {
        while tls.expires() == before {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, renewed).await.unwrap();
    assert_eq!(member.router.send(Peers).await.unwrap().len(), 1);
    let (third, _) = start(closed(&folder.member("third"))).await;
    assert_eq!(connect(&third, &member).await.unwrap(), *tls.id());
}

#[actix::test]
async fn plaintext_to_tls_and_tls_to_plaintext_say_what_to_change() {
    let folder = Folder::new();
    let (secured, told) = start(closed(&folder.member("member"))).await;
    let (plain, told_plain) = start(Config::new().max_reconnect_delay(None)).await;

    let error = reason(connect(&plain, &secured).await.unwrap_err());
    assert_eq!(error, we_refuse(TlsRefusal::Tls));
    assert!(
        error.to_string().contains("give both the same encryption"),
        "{error}"
    );
    assert_eq!(told.refused().await, we_refuse(TlsRefusal::Plaintext));

    let error = reason(connect(&secured, &plain).await.unwrap_err());
    assert_eq!(error, we_refuse(TlsRefusal::Plaintext));
    assert_eq!(told_plain.refused().await, we_refuse(TlsRefusal::Tls));
}

#[actix::test]
async fn a_stranger_hears_nothing_of_ours_but_an_alert() {
    let folder = Folder::new();
    let (member, _) = start(closed(&folder.member("member"))).await;
    let mut stream = TcpStream::connect(member.addr).await.unwrap();
    let mut first = [0; 1];
    let silence = tokio::time::timeout(Duration::from_millis(300), stream.read(&mut first)).await;
    assert!(silence.is_err(), "a silent stranger is told nothing");
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: mesh\r\n\r\n")
        .await
        .unwrap();
    let mut said = Vec::new();
    // The end may be a reset.
    let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut said))
        .await
        .unwrap();
    assert!(
        said.is_empty() || said.len() == 7 && said[0] == 21,
        "{said:02x?}"
    );
}

#[actix::test]
async fn other_protocols_on_a_plaintext_port_are_named_and_bring_no_ban() {
    let (node, told) = start(Config::new().ban_loopback(true)).await;
    for _ in 0..20 {
        let mut stream = TcpStream::connect(node.addr).await.unwrap();
        stream
            .write_all(b"GET /healthz HTTP/1.1\r\n\r\n")
            .await
            .unwrap();
        let mut said = Vec::new();
        // The end may be a reset.
        let _ = stream.read_to_end(&mut said).await;
    }
    assert_eq!(
        told.refused().await,
        CloseReason::OtherProtocol(OtherProtocol::Http)
    );
    let other = Config::new().start().await.unwrap();
    connect(&other, &node).await.unwrap();
}

#[actix::test]
async fn a_name_alone_secures_nothing() {
    for config in [
        Config::new().subnet("x", "TLS"),
        Config::new().subnet("x", "SSL"),
        Config::new().unauthenticated_ssl().subnet("x", "Plaintext"),
        Config::new()
            .tls(Folder::new().member("a"))
            .subnet("x", "Plaintext"),
    ] {
        let error = config.start().await.unwrap_err();
        assert!(matches!(error, StartError::EncryptionNotSet(_)), "{error}");
    }
    let error = Config::new()
        .subnet("x", "rot13")
        .start()
        .await
        .unwrap_err();
    assert!(matches!(error, StartError::UnknownEncryption(_)), "{error}");
}

#[actix::test]
async fn ssl_encrypts_and_proves_nobody() {
    let (a, _) = start(Config::new().unauthenticated_ssl()).await;
    let (b, _) = start(Config::new().unauthenticated_ssl()).await;
    connect(&a, &b).await.unwrap();
    a.router.send(Send::new("psst")).await.unwrap().unwrap();
    let heard = b.router.send(Recv::one().wait(PATIENCE)).await.unwrap();
    assert_eq!(heard[0].text(), "psst");
    assert!(!b.router.send(Peers).await.unwrap()[0].proven);
}
