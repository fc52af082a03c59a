//! A node of the mesh as the cases see it: ours or a py2p, driven by the same commands.

use std::ops::{Deref, DerefMut};
use std::process::{self, Command};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::coprocess::Coprocess;
use super::{GLANCE, PATIENCE, QUIET};

/// A running node.
pub(crate) struct Peer {
    process: Coprocess,
    /// Its node id.
    pub(crate) id: String,
    /// Where it listens, `host:port`.
    pub(crate) listen: String,
    /// The id of its subnet.
    pub(crate) subnet: String,
}

impl Peer {
    pub(crate) fn new(process: Coprocess, started: &Value, subnet: &Value) -> Self {
        let text = |value: &Value| {
            value
                .as_str()
                .unwrap_or_else(|| panic!("no text in {started}"))
                .to_owned()
        };
        Self {
            id: text(&started["id"]),
            listen: text(&started["listen"]),
            subnet: text(subnet),
            process,
        }
    }

    /// Starts our program; it dials no peer unasked.
    pub(crate) fn ours(name: &str) -> Self {
        Self::ours_with(name, &["--max-outgoing", "0"])
    }

    /// Starts our program with more arguments.
    pub(crate) fn ours_with(name: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_actix-mesh"));
        command
            .args(["node", "--listen", "127.0.0.1:0", "--format", "json"])
            .args(arguments);
        let process = Coprocess::start(name, &mut command);
        let ready = process.wait_for("its ready line", |line| line["event"] == "ready");
        Self::new(process, &ready, &ready["subnet"]["id"])
    }

    /// Dials another node and waits until each has the other in its table.
    pub(crate) fn join(&self, other: &Self) {
        self.order(json!({"do": "connect", "addr": other.listen}));
        self.linked(other);
    }

    /// Waits until each node has the other in its table.
    pub(crate) fn linked(&self, other: &Self) {
        for (one, two) in [(self, other), (other, self)] {
            one.until("a link", |peers| {
                peers.iter().any(|peer| peer["id"] == *two.id)
            });
        }
    }

    /// Waits until the table of peers fits.
    pub(crate) fn until(&self, what: &str, fits: impl Fn(&[Value]) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let peers = self.peers();
            if fits(&peers) {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "{} waited in vain for {what}; its peers: {peers:?}",
                self.id
            );
            thread::sleep(GLANCE);
        }
    }

    pub(crate) fn peers(&self) -> Vec<Value> {
        let mut answer = self.order(json!({"do": "peers"}));
        match answer["peers"].take() {
            Value::Array(peers) => peers,
            _ => panic!("no list of peers in {answer}"),
        }
    }

    pub(crate) fn has_peer(&self, other: &Self) -> bool {
        self.peers().iter().any(|peer| peer["id"] == *other.id)
    }

    /// Broadcasts one packet.
    pub(crate) fn say(&self, text: &str) -> Value {
        self.order(json!({"do": "send", "packets": [text]}))
    }

    /// Waits for the message whose first packet after packet 0 is this.
    pub(crate) fn hears(&self, text: impl Into<Value>) -> Value {
        let text = text.into();
        self.wait_for(&format!("the message {text}"), |line| {
            is_message(line, &text)
        })
    }

    pub(crate) fn times_heard(&self, text: impl Into<Value>) -> usize {
        let text = text.into();
        self.lines(|line| is_message(line, &text)).len()
    }

    /// Whether the message arrives in that time.
    pub(crate) fn hears_within(&self, text: &str, time: Duration) -> bool {
        let until = Instant::now() + time;
        while self.times_heard(text) == 0 && Instant::now() < until {
            thread::sleep(Duration::from_millis(20));
        }
        self.times_heard(text) > 0
    }

    /// Waits for the message, and checks a while later that it came only once.
    pub(crate) fn hears_once(&self, text: &str) -> Value {
        let message = self.hears(text);
        thread::sleep(QUIET);
        assert_eq!(
            self.times_heard(text),
            1,
            "{text} must be delivered exactly once"
        );
        message
    }

    /// Asserts that a py2p recorded no exception: any would be caused by our node.
    pub(crate) fn is_untroubled(&self) {
        let status = self.order(json!({"do": "status"}));
        assert_eq!(
            status["exceptions"],
            json!([]),
            "we brought a py2p into trouble"
        );
    }
}

impl Deref for Peer {
    type Target = Coprocess;

    fn deref(&self) -> &Coprocess {
        &self.process
    }
}

impl DerefMut for Peer {
    fn deref_mut(&mut self) -> &mut Coprocess {
        &mut self.process
    }
}

fn is_message(line: &Value, first_packet: &Value) -> bool {
    line["event"] == "message" && line["packets"][0] == *first_packet
}

/// Returns a text that no other message has: to a py2p equal texts in one second are one message.
pub(crate) fn unique(label: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!(
        "{label} {}-{}",
        process::id(),
        COUNT.fetch_add(1, Ordering::Relaxed)
    )
}
