//! What a node's API tells, as it tells it: snapshots and events, over HTTP, from a thread of its own.
//!
//! Owns the connection and its return. Draws nothing.

use std::io::{BufRead as _, BufReader};
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use actix_mesh::dashboard::{Snapshot, Told};
use serde::de::DeserializeOwned;

/// What is new.
#[derive(Debug)]
pub(super) enum News {
    Snapshot(Box<Snapshot>),
    Told(Told),
    /// The node cannot be asked, and why.
    Lost(String),
}

/// Between two attempts.
const AGAIN: Duration = Duration::from_secs(1);
/// The longest line of the stream: a snapshot of the largest mesh that is drawn.
const LONGEST: u64 = 16 << 20;

/// Where a node's API is, and the token that it wants.
#[derive(Clone, Debug)]
pub(super) struct Api {
    pub(super) url: String,
    pub(super) token: Option<String>,
}

impl Api {
    /// Of an address as it was typed: `127.0.0.1:8080`, or a whole URL.
    pub(super) fn at(address: &str, token: Option<String>) -> Self {
        let url = match address.contains("://") {
            true => address.trim_end_matches('/').to_owned(),
            false => format!("http://{address}"),
        };
        Self { url, token }
    }

    /// Passes on what the node tells until nobody listens.
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
            ureq::Error::StatusCode(403) => "it wants a token: --http-token".to_owned(),
            ureq::Error::StatusCode(503) => {
                "as many look at it as may, or it has only just begun".to_owned()
            }
            error => format!(
                "{}: {error}: give the address of a node that was started with --http",
                self.url
            ),
        })?;
        Ok(answer.into_body())
    }

    /// `Ok` when nobody listens any more.
    fn listen(&self, news: &SyncSender<News>) -> Result<(), String> {
        let live = self.ask("/api/live")?;
        // What happened before; what comes meanwhile is told twice, and drawn once.
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
            let read = std::io::Read::take(&mut lines, LONGEST).read_line(&mut line);
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
