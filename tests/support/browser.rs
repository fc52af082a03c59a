//! Headless Chromium, driven over its devtools protocol.

use std::io::{BufRead as _, BufReader};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tungstenite::stream::MaybeTlsStream;
use tungstenite::{Message, WebSocket};

/// The deadline of anything that must happen: far longer than it takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A process that is killed with the test.
pub(crate) struct Process(pub(crate) Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) struct Browser {
    _process: Process,
    _profile: tempfile::TempDir,
    socket: WebSocket<MaybeTlsStream<TcpStream>>,
    session: Value,
    asked: u64,
}

impl Browser {
    /// Opens a page. `None`, after saying so, where there is no Chromium; under `CI` that is a failure.
    pub(crate) fn open(url: &str) -> Option<Self> {
        Self::open_with(url, &[])
    }

    /// Like [`open`](Self::open), with further arguments for Chromium.
    pub(crate) fn open_with(url: &str, more: &[&str]) -> Option<Self> {
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
                .args(more)
                .arg("about:blank")
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .spawn()
                .ok()
        });
        let Some(mut process) = process.take() else {
            assert!(
                std::env::var_os("CI").is_none(),
                "Chromium is needed, and is not there"
            );
            eprintln!("SKIPPED: there is no Chromium here to open the page with");
            return None;
        };
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

    pub(crate) fn ask(&mut self, method: &str, params: Value) -> Value {
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

    pub(crate) fn run(&mut self, script: &str) -> Value {
        let answer = self.ask(
            "Runtime.evaluate",
            json!({ "expression": script, "returnByValue": true, "awaitPromise": true }),
        );
        assert!(answer["exceptionDetails"].is_null(), "{script}: {answer}");
        answer["result"]["value"].clone()
    }

    pub(crate) fn wait(&mut self, what: &str, script: &str) {
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
}
