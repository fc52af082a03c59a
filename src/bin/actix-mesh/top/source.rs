//! Reads snapshots and events from a node's API over HTTP, on its own thread.
//!
//! Owns the connection and its reconnects. Draws nothing.

use std::io::{BufRead as _, BufReader};
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use actix_mesh::dashboard::{Snapshot, Told};
use serde::de::DeserializeOwned;

/// An update for the display.
#[derive(Debug)]
pub(super) enum News {
    Snapshot(Box<Snapshot>),
    Told(Told),
    /// The node cannot be queried, and why.
    Lost(String),
}

/// The pause between two attempts.
const AGAIN: Duration = Duration::from_secs(1);
/// The longest line of the stream: a snapshot of the largest mesh that is drawn.
const MAX_LINE_BYTES: u64 = 16 << 20;

/// The URL of a node's API and the token it requires.
#[derive(Clone, Debug)]
pub(super) struct Api {
    pub(super) url: String,
    pub(super) token: Option<String>,
}

impl Api {
    /// Builds it from an address as typed: `127.0.0.1:8080`, or a whole URL.
    pub(super) fn at(address: &str, token: Option<String>) -> Self {
        let url = match address.contains("://") {
            true => address.trim_end_matches('/').to_owned(),
            false => format!("http://{address}"),
        };
        Self { url, token }
    }

    /// Forwards updates until the receiver is gone.
    pub(super) fn follow(self, news: &SyncSender<News>) {
        loop {
            let why = match self.listen(news) {
                Ok(()) => return,
                Err(why) => why,
            };
            if news.send(News::Lost(why)).is_err() {
                return;
            }
            std::thread::sleep(AGAIN);
        }
    }

    fn ask(&self, path: &str) -> Result<ureq::Body, String> {
        let mut request = ureq::get(format!("{}{path}", self.url));
        if let Some(token) = &self.token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        let answer = request.call().map_err(|error| match error {
            ureq::Error::StatusCode(403) => "it requires a token: --http-token".to_owned(),
            ureq::Error::StatusCode(503) => {
                "it has no free viewer slot, or it has just started: retry later".to_owned()
            }
            error => format!(
                "{}: {error}: give the address of a node that was started with --http",
                self.url
            ),
        })?;
        Ok(answer.into_body())
    }

    /// Reads the stream. Returns `Ok` when the receiver is gone.
    fn listen(&self, news: &SyncSender<News>) -> Result<(), String> {
        let live = self.ask("/api/live")?;
        // Past events; events that arrive meanwhile come twice and are drawn once.
        let past = self.ask("/api/events")?.read_to_string();
        let past = past.map_err(|error| error.to_string())?;
        for told in read_json::<Vec<Told>>(&past)? {
            if news.send(News::Told(told)).is_err() {
                return Ok(());
            }
        }
        let mut lines = BufReader::new(live.into_reader());
        let mut event = String::new();
        loop {
            let mut line = String::new();
            let read = std::io::Read::take(&mut lines, MAX_LINE_BYTES).read_line(&mut line);
            if read.map_err(|error| error.to_string())? == 0 {
                return Err("the node has closed the connection".to_owned());
            }
            if let Some(name) = line.strip_prefix("event:") {
                name.trim().clone_into(&mut event);
            }
            let Some(data) = line.strip_prefix("data:") else {
                continue;
            };
            let told = match &*event {
                "snapshot" => News::Snapshot(read_json(data)?),
                "told" => News::Told(read_json(data)?),
                _ => continue,
            };
            if news.send(told).is_err() {
                return Ok(());
            }
        }
    }
}

fn read_json<T: DeserializeOwned>(data: &str) -> Result<T, String> {
    serde_json::from_str(data).map_err(|why| format!("it is another version: {why}"))
}
