//! js2p dials us by WebSocket over TLS. We cannot dial it that way: it has no option for a certificate.

use std::path::PathBuf;
use std::time::Duration;

use actix_mesh::tls::Authority;
use serde_json::json;
use tempfile::TempDir;

use super::reference::js2p;
use super::support::peer::{Peer, unique};
use super::support::until;
use super::{binary, carry_each_way, converse_each_way, relay_each_way, texts};

/// What is tried here, as named in [`super::CONVERSATIONS`].
pub(crate) const CONVERSATIONS: [&str; 6] = [
    "they_dial_and_converse",
    "text_arrives_as_it_was",
    "values_arrive_as_they_were",
    "we_relay_between_two_of_them",
    "they_leave_and_are_met_again",
    "another_subnet_is_refused",
];

/// An authority, with a certificate for our node.
struct Folder {
    dir: TempDir,
}

impl Folder {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let authority = Authority::init(dir.path().join("ca")).unwrap();
        authority
            .issue("127.0.0.1", Duration::from_secs(24 * 60 * 60))
            .unwrap();
        Self { dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join("ca").join(name)
    }

    fn ours(&self, more: &[&str]) -> Peer {
        let prefix = self.path("127.0.0.1").display().to_string();
        let how = ["--max-outgoing", "0", "--wire", "0.7", "--wss", &prefix];
        Peer::ours_with("us", &[&how, more].concat())
    }

    fn theirs(&self, name: &str) -> Option<Peer> {
        js2p("wss").peer_trusting(name, &self.path("ca.crt"))
    }

    /// Starts a node of each kind, and has theirs dial ours.
    fn joined(&self) -> Option<(Peer, Peer)> {
        let them = self.theirs("them")?;
        let us = self.ours(&[]);
        them.join(&us);
        Some((us, them))
    }
}

#[test]
fn they_dial_and_converse() {
    let folder = Folder::new();
    if let Some((us, them)) = folder.joined() {
        converse_each_way(&us, &them);
    }
}

#[test]
fn text_arrives_as_it_was() {
    let folder = Folder::new();
    if let Some((us, them)) = folder.joined() {
        carry_each_way(&us, &them, &texts());
    }
}

#[test]
fn values_arrive_as_they_were() {
    let folder = Folder::new();
    if let Some((us, them)) = folder.joined() {
        carry_each_way(&us, &them, &binary());
    }
}

#[test]
fn we_relay_between_two_of_them() {
    let folder = Folder::new();
    let (Some(one), Some(two)) = (folder.theirs("one"), folder.theirs("two")) else {
        return;
    };
    let us = folder.ours(&[]);
    one.join(&us);
    two.join(&us);
    relay_each_way(&us, &one, &two);
}

#[test]
fn they_leave_and_are_met_again() {
    let folder = Folder::new();
    let Some((us, mut them)) = folder.joined() else {
        return;
    };
    them.order(json!({"do": "disconnect", "peer": us.id}));
    us.until("their leaving", <[_]>::is_empty);
    them.join(&us);
    let text = unique("again");
    us.say(&text);
    them.hears_once(&text);
    them.kill();
    us.until("their end", <[_]>::is_empty);
}

#[test]
fn another_subnet_is_refused() {
    let folder = Folder::new();
    let Some(them) = folder.theirs("them") else {
        return;
    };
    let us = folder.ours(&["--subnet", "another"]);
    them.order(json!({"do": "connect", "addr": us.listen}));
    until("the refusal", || {
        us.order(json!({"do": "status"}))["stats"]["refused"] != 0
    });
    assert!(us.peers().is_empty());
}
