//! Server-Sent Events: snapshots and events as they come.
//!
//! Owns the wire format. A client that reads slowly does not delay others: it misses what does not fit into its queue,
//! is told how much, and goes on with the newest.

use std::convert::Infallible;
use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::http::header::{self, HeaderValue};
use actix_web::web::Bytes;
use futures_util::stream::{self, Stream, StreamExt as _};
use tokio::sync::broadcast::{self, error::RecvError};

use super::observer::{Live, Seat, View};

/// Milliseconds after which a browser reconnects.
const RETRY: u32 = 1000;

/// Returns the stream for a live client.
pub(crate) fn answer(view: &Arc<View>) -> HttpResponse {
    let Some(seat) = view.join() else {
        return HttpResponse::ServiceUnavailable()
            .insert_header((header::RETRY_AFTER, "5"))
            .body("too many live clients: close some of them");
    };
    let listener = view.listen();
    let first = format!("retry: {RETRY}\n\n");
    let json = view.json();
    let snapshot = (!json.is_empty()).then(|| frame("snapshot", &json));
    let begin = [Bytes::from(first)].into_iter().chain(snapshot);
    let stream = stream::iter(begin).chain(follow(seat, listener));
    HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "text/event-stream; charset=utf-8"))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        // So that a proxy does not buffer the stream.
        .insert_header((
            header::HeaderName::from_static("x-accel-buffering"),
            HeaderValue::from_static("no"),
        ))
        .streaming(stream.map(Ok::<_, Infallible>))
}

fn follow(seat: Seat, listener: broadcast::Receiver<Live>) -> impl Stream<Item = Bytes> {
    stream::unfold((seat, listener), |(seat, mut listener)| async {
        let piece = match listener.recv().await {
            Ok(Live::Snapshot(json)) => frame("snapshot", &json),
            Ok(Live::Told(json)) => frame("told", &json),
            Err(RecvError::Lagged(missed)) => frame("missed", missed.to_string().as_bytes()),
            Err(RecvError::Closed) => return None,
        };
        Some((piece, (seat, listener)))
    })
}

/// JSON is on one line, so one `data` line holds it.
fn frame(event: &str, json: &[u8]) -> Bytes {
    let mut frame = Vec::with_capacity(json.len() + event.len() + 16);
    frame.extend_from_slice(b"event: ");
    frame.extend_from_slice(event.as_bytes());
    frame.extend_from_slice(b"\ndata: ");
    frame.extend_from_slice(json);
    frame.extend_from_slice(b"\n\n");
    frame.into()
}
