//! The page in a real browser: it shows the peers that are there, follows one that leaves, explains a stranger of
//! another subnet, and survives the node's restart.
//!
//! Needs Chromium. Where there is none the test says so and passes; under `CI` that is a failure. With
//! `ACTIX_MESH_SCREENSHOT=FILE` it keeps a picture of the page.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::io::{BufRead as _, BufReader};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde_json::{Value, json};
use tungstenite::stream::MaybeTlsStream;
use tungstenite::{Message, WebSocket};

/// How long anything that must happen is waited for: far more than it takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// A process that ends with the test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

struct Node {
    process: Process,
    id: String,
    listen: String,
    page: Option<String>,
}

fn node(args: &[&str]) -> Node {
    let mut process = Command::new(env!("CARGO_BIN_EXE_actix-mesh"))
        .args(["node", "--format", "json"])
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let mut next = || serde_json::from_str::<Value>(&lines.next().unwrap().unwrap()).unwrap();
    let ready = next();
    let page = args
        .contains(&"--http")
        .then(|| next()["url"].as_str().unwrap().to_owned());
    // Somebody has to read what it says.
    std::thread::spawn(move || lines.for_each(drop));
    Node {
        process: Process(process),
        id: ready["id"].as_str().unwrap().to_owned(),
        listen: ready["listen"].as_str().unwrap().to_owned(),
        page,
    }
}

struct Browser {
    _process: Process,
    _profile: tempfile::TempDir,
    socket: WebSocket<MaybeTlsStream<TcpStream>>,
    session: Value,
    asked: u64,
}

impl Browser {
    /// `None` where there is no Chromium.
    fn open(url: &str) -> Option<Self> {
        let profile = tempfile::tempdir().unwrap();
        let names = ["chromium", "chromium-browser", "google-chrome"];
        let mut process = names.iter().find_map(|name| {
            Command::new(name)
                .args([
                    "--headless",
                    "--no-sandbox",
                    "--disable-gpu",
                    "--disable-quic",
                    "--no-first-run",
                ])
                .args([
                    "--disable-background-networking",
                    "--disable-component-update",
                    "--disable-sync",
                ])
                .args([
                    "--hide-scrollbars",
                    "--window-size=1360,1000",
                    "--remote-debugging-port=0",
                ])
                .arg(format!("--user-data-dir={}", profile.path().display()))
                .arg("about:blank")
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .spawn()
                .ok()
        })?;
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let process = Process(process);
        let found = lines.by_ref().map_while(Result::ok).find_map(|line| {
            line.strip_prefix("DevTools listening on ")
                .map(str::to_owned)
        });
        std::thread::spawn(move || lines.for_each(drop));
        let (socket, _) = tungstenite::connect(found.unwrap()).unwrap();
        let mut browser = Self {
            _process: process,
            _profile: profile,
            socket,
            session: Value::Null,
            asked: 0,
        };
        let target = browser.ask("Target.createTarget", json!({ "url": url }));
        let attached = browser.ask(
            "Target.attachToTarget",
            json!({ "targetId": target["targetId"], "flatten": true }),
        );
        browser.session = attached["sessionId"].clone();
        Some(browser)
    }

    fn ask(&mut self, method: &str, params: Value) -> Value {
        self.asked += 1;
        let mut question = json!({ "id": self.asked, "method": method, "params": params });
        if !self.session.is_null() {
            question["sessionId"] = self.session.clone();
        }
        self.socket
            .send(Message::text(question.to_string()))
            .unwrap();
        loop {
            let Message::Text(text) = self.socket.read().unwrap() else {
                continue;
            };
            let answer: Value = serde_json::from_str(&text).unwrap();
            if answer["id"] == self.asked {
                assert!(answer["error"].is_null(), "{method}: {answer}");
                return answer["result"].clone();
            }
        }
    }

    fn run(&mut self, script: &str) -> Value {
        let answer = self.ask(
            "Runtime.evaluate",
            json!({ "expression": script, "returnByValue": true, "awaitPromise": true }),
        );
        assert!(answer["exceptionDetails"].is_null(), "{script}: {answer}");
        answer["result"]["value"].clone()
    }

    fn wait(&mut self, what: &str, script: &str) {
        let until = Instant::now() + PATIENCE;
        while self.run(script) != json!(true) {
            assert!(
                Instant::now() < until,
                "never: {what}\n{}",
                self.run("document.body.innerText")
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Waits until these and no others are peers in the table, and drawn on the map.
    fn shows(&mut self, what: &str, mut peers: Vec<&str>) {
        peers.sort_unstable();
        let peers = json!(peers);
        let rows = "[...document.querySelectorAll('#peer-rows [data-peer]')].map(row => row.dataset.peer).sort()";
        let drawn = "[...document.querySelectorAll('#map .node:not(.leaving):not(.own)')].map(node => node.dataset.node).sort()";
        self.wait(
            what,
            &format!(
                "JSON.stringify({rows}) === '{peers}' && JSON.stringify({drawn}) === '{peers}'"
            ),
        );
    }
}

#[test]
fn the_page_follows_the_mesh() {
    let main = node(&["--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"]);
    let url = main.page.clone().unwrap();
    let Some(mut browser) = Browser::open(&url) else {
        assert!(
            std::env::var_os("CI").is_none(),
            "Chromium is needed, and is not there"
        );
        eprintln!("SKIPPED: there is no Chromium here to open the page with");
        return;
    };
    browser.wait(
        "alone",
        "document.querySelector('#map-empty')?.hidden === false",
    );
    browser.wait(
        "loneliness explained",
        "document.querySelector('[data-code=no_peers]') !== null",
    );

    let peers: Vec<Node> = (0..3).map(|_| node(&["--connect", &main.listen])).collect();
    let ids = || {
        peers
            .iter()
            .map(|peer| peer.id.as_str())
            .collect::<Vec<_>>()
    };
    browser.shows("three peers", ids());
    browser.wait(
        "live",
        "document.querySelector('#link-state')?.dataset.state === 'live'",
    );
    browser.wait(
        "joined",
        "document.querySelectorAll('[data-event=peer_joined]').length === 3",
    );

    let stranger = node(&[
        "--subnet",
        "<img src=x onerror=alert(1)>",
        "--connect",
        &main.listen,
    ]);
    browser.wait(
        "another subnet explained",
        "document.querySelector('[data-code=other_subnet] p')?.textContent.includes('--subnet') ?? false",
    );
    assert_eq!(
        browser.run("document.querySelectorAll('img').length"),
        json!(1)
    );
    drop(stranger);

    if let Some(file) = std::env::var_os("ACTIX_MESH_SCREENSHOT") {
        std::thread::sleep(Duration::from_secs(5));
        let picture = browser.ask("Page.captureScreenshot", json!({ "format": "png" }));
        let picture = picture["data"].as_str().unwrap();
        std::fs::write(file, BASE64_STANDARD.decode(picture).unwrap()).unwrap();
    }

    let mut peers = peers;
    let gone = peers.pop().unwrap();
    drop(gone);
    let ids: Vec<&str> = peers.iter().map(|peer| peer.id.as_str()).collect();
    browser.shows("one has left", ids.clone());
    browser.wait(
        "left",
        "document.querySelector('[data-event=peer_left]') !== null",
    );

    // The same addresses again: its peers come back by themselves, and the page does.
    let Node {
        process, listen, ..
    } = main;
    drop(process);
    browser.wait(
        "lost",
        "document.querySelector('#link-state')?.dataset.state === 'lost'",
    );
    let at = url.trim_start_matches("http://").trim_end_matches('/');
    let again = node(&["--listen", &listen, "--http", at]);
    let own = format!(
        "document.querySelector('#map .node.own')?.dataset.node === '{}'",
        again.id
    );
    browser.wait("the new node", &own);
    browser.shows("peers of the new node", ids);
}
