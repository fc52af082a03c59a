//! Who has access to a dashboard.
//!
//! Owns only that decision. Health checks are open to everybody: their callers have no token.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::http::header;

/// The cookie that keeps the token for the page.
const COOKIE: &str = "actix-mesh-token";

/// Who has access.
#[derive(Clone, Default)]
pub(crate) enum Access {
    /// Programs on this machine.
    #[default]
    Loopback,
    /// Clients that have this token.
    Token(Arc<str>),
    /// Every client that gets here.
    Open,
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Loopback => "Loopback",
            Self::Token(_) => "Token(..)",
            Self::Open => "Open",
        })
    }
}

/// The decision about a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Answer it.
    Allow,
    /// Answer it, and keep its token as this cookie.
    AllowAndKeep(String),
    /// Refuse it, for this reason.
    Refuse(&'static str),
}

impl Access {
    pub(crate) fn token(token: String) -> Self {
        Self::Token(token.into())
    }

    pub(crate) fn open() -> Self {
        Self::Open
    }

    pub(crate) fn decide(&self, request: &HttpRequest) -> Decision {
        match self {
            Self::Open => Decision::Allow,
            Self::Loopback => local(request),
            Self::Token(token) => with_token(request, token),
        }
    }
}

/// Checks the `Host` name as well as the address: a page elsewhere can make a browser here request anything, under a
/// name that resolves to this machine.
fn local(request: &HttpRequest) -> Decision {
    let passed_on = ["forwarded", "x-forwarded-for", "x-real-ip", "via"];
    let proxied = passed_on
        .iter()
        .any(|name| request.headers().contains_key(*name));
    let near = request
        .peer_addr()
        .is_some_and(|peer| peer.ip().to_canonical().is_loopback());
    if proxied || !near {
        return Decision::Refuse(
            "only this machine may look without a token: set one (--http-token, Dashboard::token)",
        );
    }
    let host = request.headers().get(header::HOST);
    match host.and_then(|host| host.to_str().ok()) {
        Some(host) if is_local_name(host) => Decision::Allow,
        _ => Decision::Refuse("the Host header names another machine: use 127.0.0.1 or localhost"),
    }
}

fn is_local_name(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost")
        || name
            .parse::<IpAddr>()
            .is_ok_and(|ip| ip.to_canonical().is_loopback())
}

fn with_token(request: &HttpRequest, token: &str) -> Decision {
    let headers = request.headers();
    let bearer = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "));
    if bearer.is_some_and(|given| same(given, token)) {
        return Decision::Allow;
    }
    let cookies = headers.get_all(header::COOKIE);
    let kept = cookies
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .any(|(name, value)| name == COOKIE && same(value, &encode(token)));
    if kept {
        return Decision::Allow;
    }
    let query = request.query_string().split('&');
    let mut given = query.filter_map(|pair| pair.split_once('='));
    if given.any(|(name, value)| name == "token" && same(value, &encode(token))) {
        let cookie = format!(
            "{COOKIE}={}; HttpOnly; SameSite=Strict; Path=/",
            encode(token)
        );
        return Decision::AllowAndKeep(cookie);
    }
    Decision::Refuse("a token is needed: add ?token=... or an Authorization: Bearer header")
}

/// Compares in a time that does not depend on where the two differ.
fn same(given: &str, wanted: &str) -> bool {
    let (given, wanted) = (given.as_bytes(), wanted.as_bytes());
    let differ = given
        .iter()
        .zip(wanted)
        .fold(0, |differ, (one, other)| differ | (one ^ other));
    given.len() == wanted.len() && differ == 0
}

/// Encodes a token for a URL or a cookie.
fn encode(token: &str) -> String {
    let mut text = String::with_capacity(token.len());
    for byte in token.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                text.push(char::from(byte));
            }
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn from(peer: &str, host: &str) -> TestRequest {
        let peer = peer.parse().expect("an address");
        TestRequest::get()
            .peer_addr(peer)
            .insert_header(("host", host.to_owned()))
    }

    fn decide(access: &Access, request: TestRequest) -> bool {
        !matches!(
            access.decide(&request.to_http_request()),
            Decision::Refuse(_)
        )
    }

    #[test]
    fn without_a_token_only_this_machine_looks() {
        let access = Access::Loopback;
        for host in [
            "127.0.0.1:8080",
            "localhost:8080",
            "LOCALHOST",
            "[::1]:8080",
            "127.8.8.8",
        ] {
            assert!(decide(&access, from("127.0.0.1:5000", host)), "{host}");
        }
        assert!(decide(&access, from("[::1]:5000", "localhost")));
        assert!(decide(
            &access,
            from("[::ffff:127.0.0.1]:5000", "localhost")
        ));
        assert!(!decide(&access, from("192.0.2.1:5000", "127.0.0.1")));
    }

    #[test]
    fn a_name_that_was_bent_to_this_machine_is_refused() {
        for host in [
            "attacker.example",
            "127.0.0.1.attacker.example",
            "",
            "[::2]",
        ] {
            assert!(
                !decide(&Access::Loopback, from("127.0.0.1:5000", host)),
                "{host}"
            );
        }
    }

    #[test]
    fn what_a_proxy_passes_on_is_not_of_this_machine() {
        for name in ["forwarded", "x-forwarded-for", "x-real-ip", "via"] {
            let request = from("127.0.0.1:5000", "localhost").insert_header((name, "192.0.2.1"));
            assert!(!decide(&Access::Loopback, request), "{name}");
        }
    }

    #[test]
    fn a_token_opens_in_each_of_its_three_forms() {
        let access = Access::token(String::from("open sesame/1"));
        let far = || from("192.0.2.1:5000", "node.example");
        assert!(!decide(&access, far()));
        assert!(!decide(&access, from("127.0.0.1:1", "localhost")));
        assert!(decide(
            &access,
            far().insert_header(("authorization", "Bearer open sesame/1"))
        ));
        assert!(!decide(
            &access,
            far().insert_header(("authorization", "Bearer open sesame/2"))
        ));
        assert!(!decide(
            &access,
            far().insert_header(("authorization", "Bearer open sesame/"))
        ));
        let asked = far().uri("/?token=open%20sesame%2F1").to_http_request();
        let Decision::AllowAndKeep(cookie) = access.decide(&asked) else {
            panic!("not kept");
        };
        assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"));
        let pair = cookie.split(';').next().expect("a pair").to_owned();
        assert!(decide(
            &access,
            far().insert_header(("cookie", format!("a=b; {pair}")))
        ));
        assert!(!decide(
            &access,
            far().insert_header(("cookie", "actix-mesh-token="))
        ));
    }

    #[test]
    fn an_application_of_its_own_decides_for_itself() {
        assert!(decide(
            &Access::open(),
            from("192.0.2.1:5000", "node.example")
        ));
    }
}
