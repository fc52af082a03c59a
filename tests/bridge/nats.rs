//! The bridge to NATS, against a real `nats-server` on loopback.

use std::io;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use actix::Addr;
use actix_mesh::bridge::nats::{NatsBridge, NatsBridgeError, NatsReport, NatsStatus};
use actix_mesh::{Node, Send};
use async_nats::jetstream::{self, stream};
use async_nats::{Client, HeaderMap};
use futures_util::StreamExt as _;
use serde_json::Value;
use tempfile::TempDir;

use crate::rig::{Mesh, heard, quiet};

/// A server for one test.
struct Server {
    child: Child,
    url: String,
    _store: TempDir,
}

impl Server {
    /// Starts a server. `None`, with a loud notice, where there is none; under `CI` that is a failure.
    async fn start() -> Option<Self> {
        let store = tempfile::tempdir().unwrap();
        // It picks a free port and writes it to a file.
        let started = Command::new("nats-server")
            .args([
                "--addr",
                "127.0.0.1",
                "--port",
                "-1",
                "--jetstream",
                "--store_dir",
            ])
            .arg(store.path())
            .arg("--ports_file_dir")
            .arg(store.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let child = match started {
            Ok(child) => child,
            Err(error)
                if error.kind() == io::ErrorKind::NotFound && std::env::var_os("CI").is_none() =>
            {
                eprintln!("SKIPPED: there is no nats-server here; Debian's package is nats-server");
                return None;
            }
            Err(error) => panic!("nats-server does not start: {error}"),
        };
        let ports = store
            .path()
            .join(format!("nats-server_{}.ports", child.id()));
        let written = async {
            loop {
                let ports = std::fs::read(&ports).ok();
                let ports = ports.and_then(|ports| serde_json::from_slice::<Value>(&ports).ok());
                if let Some(url) = ports.as_ref().and_then(|ports| ports["nats"][0].as_str()) {
                    return url.to_owned();
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let url = tokio::time::timeout(Duration::from_secs(20), written)
            .await
            .unwrap();
        Some(Self {
            child,
            url,
            _store: store,
        })
    }

    async fn client(&self) -> Client {
        let connecting = async {
            loop {
                match async_nats::connect(&self.url).await {
                    Ok(client) => return client,
                    Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(20), connecting)
            .await
            .unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have exited already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn report(bridge: &Addr<NatsBridge>) -> NatsReport {
    bridge.send(NatsStatus).await.unwrap()
}

/// Waits until the bridge's counters reach the expected values.
async fn counted(bridge: &Addr<NatsBridge>, enough: impl Fn(&NatsReport) -> bool) -> NatsReport {
    let counting = async {
        loop {
            let report = report(bridge).await;
            if enough(&report) {
                return report;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), counting)
        .await
        .unwrap()
}

async fn say(node: &Node, send: Send) {
    node.router.send(send).await.unwrap().unwrap();
}

async fn next(subscriber: &mut async_nats::Subscriber) -> async_nats::Message {
    tokio::time::timeout(Duration::from_secs(10), subscriber.next())
        .await
        .unwrap()
        .unwrap()
}

fn header(message: &async_nats::Message, name: &str) -> Option<String> {
    Some(message.headers.as_ref()?.get(name)?.as_str().to_owned())
}

#[actix::test]
async fn messages_go_to_nats_and_come_from_it_and_are_counted() {
    let Some(server) = Server::start().await else {
        return;
    };
    let client = server.client().await;
    let mesh = Mesh::start("shop", 2).await;
    let node = mesh.member().await;
    let mut orders = client.subscribe("shop.order.>").await.unwrap();
    client.flush().await.unwrap();
    let bridge = NatsBridge::new(&node, server.client().await, "shop")
        .kinds(["order/"])
        .subjects(["job.>", "order.>"]);
    let bridge = bridge.start().await.unwrap();

    say(
        &mesh.nodes[0],
        Send::new(["one", "", "three"]).kind("order/new"),
    )
    .await;
    let order = next(&mut orders).await;
    assert_eq!(order.subject.as_str(), "shop.order.new");
    assert_eq!(order.payload, "onethree");
    assert_eq!(header(&order, "Mesh-Lengths").as_deref(), Some("3,0,5"));
    assert_eq!(
        header(&order, "Mesh-Author"),
        Some(mesh.nodes[0].id.to_string())
    );
    say(&mesh.nodes[0], Send::new("not carried").kind("gossip/1")).await;

    client
        .publish("shop.job.print", "page 7".into())
        .await
        .unwrap();
    client
        .publish("shop.job.%ZZ", "no kind".into())
        .await
        .unwrap();
    let job = loop {
        let message = mesh.next_of_any_kind(0).await;
        if message.packets()[0].as_bytes() == b"job/print" {
            break message;
        }
    };
    assert_eq!((job.text().as_str(), job.sender()), ("page 7", &node.id));

    // The order came back from NATS and was recognised as the mesh's own.
    let report = counted(&bridge, |report| {
        report.own == 1 && report.unreadable == 1 && report.kept == 1
    })
    .await;
    assert_eq!([report.to_nats, report.to_mesh], [1, 1]);
    assert_eq!(
        [report.to_nats_failed, report.to_mesh_failed, report.known],
        [0, 0, 0]
    );
}

#[actix::test]
async fn many_messages_arrive_in_nats_once_each_and_are_stored() {
    let Some(server) = Server::start().await else {
        return;
    };
    let stored = jetstream::new(server.client().await);
    let config = stream::Config {
        name: String::from("orders"),
        subjects: vec![String::from("shop.>")],
        ..Default::default()
    };
    let mut stream = stored.create_stream(config).await.unwrap();
    let mesh = Mesh::start("shop", 2).await;
    // Two bridges publish the same messages; the stream keeps one copy of each.
    let mut bridges = Vec::new();
    for _ in 0..2 {
        let bridge = NatsBridge::new(&mesh.member().await, server.client().await, "shop");
        bridges.push(bridge.kinds([""]).stored().start().await.unwrap());
    }
    for number in 0..100 {
        say(
            &mesh.nodes[0],
            Send::new(format!("order {number}")).kind("order/new"),
        )
        .await;
    }
    for bridge in &bridges {
        let report = counted(bridge, |report| {
            report.to_nats + report.to_nats_failed == 100
        })
        .await;
        assert_eq!([report.to_nats, report.missed], [100, 0]);
    }
    assert_eq!(stream.info().await.unwrap().state.messages, 100);
}

#[actix::test]
async fn two_meshes_joined_by_nats_keep_authors_and_have_no_echo() {
    let Some(server) = Server::start().await else {
        return;
    };
    let (left, right) = (Mesh::start("left", 1).await, Mesh::start("right", 1).await);
    let mut bridges = Vec::new();
    for mesh in [&left, &right, &left, &right] {
        let bridge = NatsBridge::new(&mesh.member().await, server.client().await, "all");
        bridges.push(bridge.kinds([""]).subjects([">"]).start().await.unwrap());
    }
    say(&left.nodes[0], Send::new("across")).await;
    let message = heard(&right.nodes[0]).await;
    assert_eq!(
        (message.text().as_str(), message.sender()),
        ("across", &left.nodes[0].id)
    );
    quiet(&right.nodes[0]).await;
    quiet(&left.nodes[0]).await;
}

#[actix::test]
async fn what_the_mesh_refuses_is_counted() {
    let Some(server) = Server::start().await else {
        return;
    };
    let client = server.client().await;
    let mesh = Mesh::start("shop", 1).await;
    let bridge =
        NatsBridge::new(&mesh.member().await, server.client().await, "shop").subjects([">"]);
    let bridge = bridge.start().await.unwrap();
    // Not text, which generation 0.4 does not carry; and older than a minute.
    client.publish("shop.job", vec![0xff].into()).await.unwrap();
    let mut headers = HeaderMap::new();
    headers.insert("Mesh-Author", mesh.nodes[0].id.to_string());
    headers.insert("Mesh-Time", "1500000000");
    client
        .publish_with_headers("shop.job", headers, "old".into())
        .await
        .unwrap();
    let report = counted(&bridge, |report| report.to_mesh_failed == 2).await;
    assert_eq!(report.to_mesh, 0);

    let bad = NatsBridge::new(&mesh.member().await, client, "a..b")
        .start()
        .await;
    assert!(matches!(bad, Err(NatsBridgeError::BadPrefix(_))));
}
