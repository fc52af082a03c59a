//! The dictionary of py2p 0.4.516's `sync`, and ours.

use std::time::Duration;

use actix::Actor;
use actix_mesh::replicated::{Get, Set, Sync, SyncError};
use actix_mesh::{Config, NodeThread};
use serde_json::{Value, json};

use crate::support::coprocess::Coprocess;
use crate::support::{package, until};

/// A node on its own thread, used as a program without an actix system would.
struct Ours {
    runtime: tokio::runtime::Runtime,
    node: NodeThread,
    sync: actix::Addr<Sync>,
}

impl Ours {
    fn start(subnet: &str, lease: u64) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let config = Config::new().subnet(subnet, actix_mesh::Encryption::Plaintext);
        let node = runtime.block_on(config.start_on_thread()).unwrap();
        let sync = Sync::of(&node).lease(Duration::from_secs(lease));
        let sync = Sync::start_in_arbiter(&node.arbiter(), |_| sync);
        Self {
            runtime,
            node,
            sync,
        }
    }

    fn set(&self, key: &str, value: &str) -> Result<(), SyncError> {
        let setting = self.sync.send(Set::new(key, value));
        self.runtime.block_on(setting).unwrap()
    }

    fn get(&self, key: &str) -> Option<String> {
        let entry = self
            .runtime
            .block_on(self.sync.send(Get::new(key)))
            .unwrap()?;
        entry.value.as_str().map(str::to_owned)
    }

    fn connect(&self, to: &str) {
        let connect = actix_mesh::Connect::to(to.parse::<std::net::SocketAddr>().unwrap());
        let connecting = self.node.router.send(connect);
        self.runtime.block_on(connecting).unwrap().unwrap();
    }
}

fn py2p(leasing: bool) -> Option<(Coprocess, Value)> {
    let package = package::ready()?;
    let process = Coprocess::start("py", package::python("live/py2p/sync.py").arg(package));
    let started = process.order(json!({"do": "start", "leasing": leasing}));
    Some((process, started))
}

fn theirs(py: &Coprocess, key: &str) -> Option<String> {
    let got = py.order(json!({"do": "get", "key": key}));
    got["value"].as_str().map(str::to_owned)
}

#[test]
fn a_py2p_and_ours_share_a_dictionary() {
    for (leasing, subnet, lease) in [(true, "sync1", 3600), (false, "sync0", 0)] {
        let Some((py, started)) = py2p(leasing) else {
            return;
        };
        let ours = Ours::start(subnet, lease);
        ours.set("early", "ours").unwrap();
        py.order(json!({"do": "set", "key": "early too", "value": "theirs"}));
        ours.connect(started["listen"].as_str().unwrap());
        // Existing entries are exchanged in both directions.
        until("py2p's entry is here", || {
            ours.get("early too").as_deref() == Some("theirs")
        });
        until("our entry is there", || {
            theirs(&py, "early").as_deref() == Some("ours")
        });
        // New entries are exchanged too.
        ours.set("late", "ours").unwrap();
        until("our news are there", || {
            theirs(&py, "late").as_deref() == Some("ours")
        });
        py.order(json!({"do": "set", "key": "late too", "value": "theirs"}));
        until("py2p's news are here", || {
            ours.get("late too").as_deref() == Some("theirs")
        });
        // Whether a node may overwrite another's entry.
        let taken = ours.set("late too", "taken");
        assert_eq!(matches!(taken, Err(SyncError::Held { .. })), leasing);
    }
}

#[test]
fn a_node_on_a_thread_of_its_own_serves_any_runtime() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let a = Config::new().start_on_thread().await.unwrap();
        let b = Config::new()
            .connect(a.addr)
            .start_on_thread()
            .await
            .unwrap();
        b.ready(1, Duration::from_secs(10)).await.unwrap();
        let send = actix_mesh::Send::new("from plain tokio");
        b.router.send(send).await.unwrap().unwrap();
        let recv = actix_mesh::Recv::one().wait(Duration::from_secs(10));
        let heard = a.router.send(recv).await.unwrap();
        assert_eq!(heard[0].text(), "from plain tokio");
        assert!(b.shutdown().await.unwrap().is_clean());
        let occupied = Config::new()
            .listen(a.addr.to_string())
            .start_on_thread()
            .await;
        assert!(occupied.is_err());
    });
}
