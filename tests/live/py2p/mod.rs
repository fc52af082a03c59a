//! Live py2p nodes, each in its own process.

use std::path::Path;

use serde_json::{Value, json};

use crate::coprocess::Coprocess;
use crate::package;
use crate::peer::Peer;

/// Proof that py2p is installed; it starts peers.
pub(crate) struct Py2p {
    package: &'static Path,
}

impl Py2p {
    /// Returns `None` where py2p cannot be installed; see [`package::ready`].
    pub(crate) fn ready() -> Option<Self> {
        package::ready().map(|package| Self { package })
    }

    /// Starts a fresh py2p node that dials no peer unasked.
    pub(crate) fn peer(&self, name: &str) -> Peer {
        self.peer_with(name, json!({}))
    }

    /// Starts a fresh py2p node with settings, which are those of `start` in peer.py.
    pub(crate) fn peer_with(&self, name: &str, mut settings: Value) -> Peer {
        let mut python = package::python("live/py2p/peer.py");
        let process = Coprocess::start(name, python.arg(self.package));
        settings["do"] = "start".into();
        let started = process.order(settings);
        let subnet = started["subnet"].clone();
        Peer::new(process, &started, &subnet)
    }
}
