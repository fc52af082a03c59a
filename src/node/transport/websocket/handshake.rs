//! The WebSocket handshake: one HTTP request and its response.
//!
//! Owns the request and the reasons to refuse. Reads no more than an HTTP header and what came with it.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use bytes::BytesMut;
use rand::TryRng as _;
use rand::rngs::SysRng;
use sha1::{Digest as _, Sha1};

use super::{Transport, WebSocket};

/// The longest HTTP header.
const MAX_HEAD: usize = 8 * 1024;
const MAX_HEADERS: usize = 64;
/// The key that every answer is derived with (RFC 6455, section 1.3).
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Why the handshake failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The peer speaks another protocol, or requests something else.
    #[error("WebSocket handshake failed: {0}; both ends need the same encryption `ws` or `wss`")]
    Other(&'static str),
    /// The peer speaks TLS.
    #[error("the peer speaks TLS")]
    Tls,
    /// A page whose origin is not allowed.
    #[error("refused a page from origin {0}: if it is yours, allow it with `Config::allow_origin`")]
    Origin(String),
    /// The peer refused.
    #[error("the peer answered with HTTP status {0}: no WebSocket is served there")]
    Status(u16),
    /// The stream failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The peer closed the stream.
    #[error("the peer closed the connection during the WebSocket handshake")]
    Gone,
}

/// The rules for inbound handshakes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Upgrade {
    /// Origins whose pages may join.
    pub(crate) origins: Arc<[String]>,
}

impl Upgrade {
    /// Requests a WebSocket. `host`: the dialled address, with its port.
    pub(crate) async fn ask(mut stream: Transport, host: &str) -> Result<WebSocket, Failure> {
        let key = BASE64.encode(drawn::<16>()?);
        let request = format!(
            "GET / HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
        );
        write_all(&mut stream, request.as_bytes()).await?;
        let (head, rest) = read_head(&mut stream).await?;
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut response = httparse::Response::new(&mut headers);
        match response.parse(&head) {
            Ok(httparse::Status::Complete(_)) => {}
            _ => return Err(Failure::Other("its answer is not HTTP")),
        }
        match response.code {
            Some(101) => {}
            Some(code) => return Err(Failure::Status(code)),
            None => return Err(Failure::Other("its answer has no status")),
        }
        if header(response.headers, "sec-websocket-accept") != Some(&accept(&key)) {
            return Err(Failure::Other(
                "its Sec-WebSocket-Accept does not match the key",
            ));
        }
        Ok(WebSocket::new(stream, rest, Some(drawn()?)))
    }

    /// Answers a request for a WebSocket.
    pub(crate) async fn answer(&self, mut stream: Transport) -> Result<WebSocket, Failure> {
        let (head, rest) = read_head(&mut stream).await?;
        let judged = self.judge(&head);
        let answer = match &judged {
            Ok(accept) => format!(
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                 Sec-WebSocket-Accept: {accept}\r\n\r\n"
            ),
            Err(Failure::Origin(_)) => refusal("403 Forbidden", "this origin may not join\n"),
            Err(_) => refusal("426 Upgrade Required", "this port is for nodes of a mesh\n"),
        };
        write_all(&mut stream, answer.as_bytes()).await?;
        if judged.is_err() {
            poll_fn(|cx| stream.poll_shutdown(cx)).await?;
        }
        judged.map(|_| WebSocket::new(stream, rest, None))
    }

    /// Returns the accept key for a request, or why it is refused.
    fn judge(&self, head: &[u8]) -> Result<String, Failure> {
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut request = httparse::Request::new(&mut headers);
        match request.parse(head) {
            Ok(httparse::Status::Complete(_)) if request.method == Some("GET") => {}
            Ok(_) => return Err(Failure::Other("its request method is not GET")),
            Err(_) => return Err(Failure::Other("it does not speak HTTP")),
        }
        let has = |name, word: &str| {
            let value = header(request.headers, name).unwrap_or_default();
            value
                .split(',')
                .any(|part| part.trim().eq_ignore_ascii_case(word))
        };
        if !has("upgrade", "websocket") || !has("connection", "upgrade") {
            return Err(Failure::Other("its request is not a WebSocket upgrade"));
        }
        if !has("sec-websocket-version", "13") {
            return Err(Failure::Other("its WebSocket version is not 13"));
        }
        if let Some(origin) = header(request.headers, "origin")
            && !self.origins.iter().any(|allowed| allowed == origin)
        {
            return Err(Failure::Origin(origin.chars().take(100).collect()));
        }
        let key = header(request.headers, "sec-websocket-key");
        key.map(accept)
            .ok_or(Failure::Other("its request has no Sec-WebSocket-Key"))
    }
}

/// Returns random bytes.
fn drawn<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    SysRng.try_fill_bytes(&mut bytes)?;
    Ok(bytes)
}

fn refusal(status: &str, why: &str) -> String {
    let length = why.len();
    format!(
        "HTTP/1.1 {status}\r\nUpgrade: websocket\r\nConnection: close\r\nContent-Type: text/plain\r\n\
         Content-Length: {length}\r\n\r\n{why}"
    )
}

fn accept(key: &str) -> String {
    BASE64.encode(Sha1::new().chain_update(key).chain_update(GUID).finalize())
}

fn header<'a>(headers: &'a [httparse::Header<'_>], name: &str) -> Option<&'a str> {
    let found = headers
        .iter()
        .find(|header| header.name.eq_ignore_ascii_case(name))?;
    std::str::from_utf8(found.value).ok()
}

async fn write_all(stream: &mut Transport, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match poll_fn(|cx| stream.poll_write(cx, &[IoSlice::new(bytes)])).await? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            written => bytes = &bytes[written..],
        }
    }
    poll_fn(|cx| stream.poll_flush(cx)).await
}

/// Reads an HTTP header with its empty line; returns it and the bytes after it.
async fn read_head(stream: &mut Transport) -> Result<(BytesMut, BytesMut), Failure> {
    let mut head = BytesMut::with_capacity(1024);
    loop {
        let seen = head.len().saturating_sub(3);
        if poll_fn(|cx| stream.poll_read(cx, &mut head)).await? == 0 {
            return Err(Failure::Gone);
        }
        // A TLS alert, or the beginning of a TLS handshake.
        if let [0x15 | 0x16, ..] = head[..] {
            return Err(Failure::Tls);
        }
        // The first bytes tell HTTP from mesh frames and most other protocols.
        if head
            .iter()
            .take(3)
            .any(|byte| !byte.is_ascii_uppercase() && *byte != b'/')
        {
            return Err(Failure::Other("it does not speak HTTP"));
        }
        let end = head[seen..].windows(4).position(|four| four == b"\r\n\r\n");
        // However much came in one read.
        let length = end.map_or(head.len(), |end| seen + end + 4);
        if length > MAX_HEAD {
            return Err(Failure::Other("its HTTP header is longer than 8 KiB"));
        }
        if let Some(end) = end {
            let rest = head.split_off(seen + end + 4);
            return Ok((head, rest));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_is_that_of_the_standard() {
        let accept = accept("dGhlIHNhbXBsZSBub25jZQ==");
        assert_eq!(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    fn judged(extra: &str) -> Result<String, String> {
        let head = format!(
            "GET /any/path HTTP/1.1\r\nHost: x\r\nUpgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{extra}\r\n"
        );
        let upgrade = Upgrade {
            origins: [String::from("http://localhost:8080")].into(),
        };
        upgrade
            .judge(head.as_bytes())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_page_joins_only_from_an_origin_that_is_allowed() {
        assert!(judged("").is_ok());
        assert!(judged("Origin: http://localhost:8080\r\n").is_ok());
        let refused = judged("Origin: http://evil.example\r\n").unwrap_err();
        assert!(refused.contains("http://evil.example"), "{refused}");
    }
}
