//! The paths of a dashboard, and their answers.
//!
//! Owns the HTTP: statuses, headers, the page's files. Every request is a GET that changes nothing.

use actix_web::dev::HttpServiceFactory;
use actix_web::http::header::{self, HeaderValue};
use actix_web::web::{self, Bytes, Data, Query};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::access::Decision;
use super::{Dashboard, live, prometheus};
use crate::node::messages::{PassedMessages, Peers, RouteOf, Status};
use crate::wire::MessageId;

/// Allows scripts, styles and requests only from the page's own origin.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
     img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// A file of the page.
struct File {
    name: &'static str,
    media_type: &'static str,
    body: &'static str,
}

const PAGE: &[File] = &[
    File {
        name: "/index.html",
        media_type: "text/html; charset=utf-8",
        body: include_str!("page/index.html"),
    },
    File {
        name: "/style.css",
        media_type: "text/css; charset=utf-8",
        body: include_str!("page/style.css"),
    },
    File {
        name: "/app.js",
        media_type: "text/javascript; charset=utf-8",
        body: include_str!("page/app.js"),
    },
    File {
        name: "/map.js",
        media_type: "text/javascript; charset=utf-8",
        body: include_str!("page/map.js"),
    },
    File {
        name: "/icon.svg",
        media_type: "image/svg+xml",
        body: include_str!("page/icon.svg"),
    },
];

pub(crate) fn service(dashboard: Dashboard) -> impl HttpServiceFactory + use<> {
    let mut scope = web::scope("")
        .app_data(Data::new(dashboard))
        .route("", web::get().to(to_directory))
        .route("/", web::get().to(index))
        .route("/health", web::get().to(health))
        .route("/ready", web::get().to(ready))
        .route("/metrics", web::get().to(metrics))
        .route("/api/status", web::get().to(status))
        .route("/api/peers", web::get().to(peers))
        .route("/api/topology", web::get().to(topology))
        .route("/api/events", web::get().to(events))
        .route("/api/messages", web::get().to(messages))
        .route("/api/route", web::get().to(route))
        .route("/api/history", web::get().to(history))
        .route("/api/live", web::get().to(live));
    for file in PAGE {
        scope = scope.route(
            file.name,
            web::get().to(
                move |request: HttpRequest, dashboard: Data<Dashboard>| async move {
                    allowed(&request, &dashboard, || page_file(file))
                },
            ),
        );
    }
    scope
}

/// Answers a client that has access; tells others why they have none.
fn allowed(
    request: &HttpRequest,
    dashboard: &Dashboard,
    answer: impl FnOnce() -> HttpResponse,
) -> HttpResponse {
    let mut response = match dashboard.access.decide(request) {
        Decision::Allow => answer(),
        Decision::AllowAndKeep(cookie) => {
            let mut response = answer();
            if let Ok(cookie) = HeaderValue::from_str(&cookie) {
                response.headers_mut().insert(header::SET_COOKIE, cookie);
            }
            response
        }
        Decision::Refuse(why) => HttpResponse::Forbidden()
            .content_type("text/plain; charset=utf-8")
            .body(format!("{why}\n")),
    };
    secure(&mut response);
    response
}

fn secure(response: &mut HttpResponse) {
    let headers = [
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    for (name, value) in headers {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    if !response.headers().contains_key(header::CACHE_CONTROL) {
        let no_store = HeaderValue::from_static("no-store");
        response
            .headers_mut()
            .insert(header::CACHE_CONTROL, no_store);
    }
}

fn page_file(file: &File) -> HttpResponse {
    HttpResponse::Ok()
        .content_type(file.media_type)
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .body(file.body)
}

/// Redirects to the directory, to which the page's links are relative.
async fn to_directory(request: HttpRequest) -> HttpResponse {
    let query = request.query_string();
    let separator = if query.is_empty() { "" } else { "?" };
    // Last segment and a slash: relative, so that it works behind any proxy prefix.
    let last = request.path().rsplit('/').next().unwrap_or_default();
    HttpResponse::TemporaryRedirect()
        .insert_header((header::LOCATION, format!("{last}/{separator}{query}")))
        .finish()
}

async fn index(request: HttpRequest, dashboard: Data<Dashboard>) -> HttpResponse {
    if let Decision::AllowAndKeep(_) = dashboard.access.decide(&request) {
        // Removes the token from the address bar, where it could be copied or seen.
        return allowed(&request, &dashboard, || {
            HttpResponse::SeeOther()
                .insert_header((header::LOCATION, "./"))
                .finish()
        });
    }
    allowed(&request, &dashboard, || page_file(&PAGE[0]))
}

async fn health(dashboard: Data<Dashboard>) -> HttpResponse {
    let running = dashboard.view.router().connected();
    let body = json!({ "status": if running { "ok" } else { "ended" } });
    no_store(running).json(body)
}

#[derive(Debug, Deserialize)]
struct Wanted {
    peers: Option<usize>,
}

async fn ready(dashboard: Data<Dashboard>, wanted: Query<Wanted>) -> HttpResponse {
    let wanted = wanted.peers.unwrap_or_else(|| dashboard.view.wanted());
    let peers = match dashboard.view.router().send(Status).await {
        Ok(report) => report.peers,
        Err(_) => return no_store(false).json(json!({ "ready": false, "ended": true })),
    };
    let ready = peers >= wanted;
    no_store(ready).json(json!({ "ready": ready, "peers": peers, "wanted": wanted }))
}

fn no_store(good: bool) -> HttpResponseBuilder {
    let mut response = match good {
        true => HttpResponse::Ok(),
        false => HttpResponse::ServiceUnavailable(),
    };
    response.insert_header((header::CACHE_CONTROL, "no-store"));
    response
}

async fn metrics(request: HttpRequest, dashboard: Data<Dashboard>) -> HttpResponse {
    let router = dashboard.view.router();
    if let Decision::Refuse(_) = dashboard.access.decide(&request) {
        return allowed(&request, &dashboard, || HttpResponse::Ok().finish());
    }
    let peers = match dashboard.peer_series {
        true => router.send(Peers).await.unwrap_or_default(),
        false => Vec::new(),
    };
    let text = match router.send(Status).await {
        Ok(report) => prometheus::text(&report, &peers),
        Err(_) => return no_store(false).body("the node has ended\n"),
    };
    allowed(&request, &dashboard, || {
        HttpResponse::Ok()
            .content_type(prometheus::MEDIA_TYPE)
            .body(text)
    })
}

async fn status(request: HttpRequest, dashboard: Data<Dashboard>) -> HttpResponse {
    allowed(&request, &dashboard, || {
        let json = dashboard.view.json();
        if json.is_empty() {
            return not_yet();
        }
        HttpResponse::Ok()
            .content_type("application/json")
            .body(json)
    })
}

async fn peers(request: HttpRequest, dashboard: Data<Dashboard>) -> HttpResponse {
    allowed(&request, &dashboard, || match dashboard.view.snapshot() {
        Some(snapshot) => answer(&snapshot.peers),
        None => not_yet(),
    })
}

async fn topology(request: HttpRequest, dashboard: Data<Dashboard>) -> HttpResponse {
    allowed(&request, &dashboard, || match dashboard.view.snapshot() {
        Some(snapshot) => answer(&snapshot.topology),
        None => not_yet(),
    })
}

#[derive(Debug, Deserialize)]
struct Since {
    since: Option<u64>,
}

async fn events(
    request: HttpRequest,
    dashboard: Data<Dashboard>,
    since: Query<Since>,
) -> HttpResponse {
    let accept = request.headers().get(header::ACCEPT);
    let accept = accept.and_then(|accept| accept.to_str().ok());
    let wants_live = accept.is_some_and(|accept| accept.contains("text/event-stream"));
    allowed(&request, &dashboard, || {
        if wants_live {
            return live::answer(&dashboard.view);
        }
        answer(&dashboard.view.events(since.since.unwrap_or_default()))
    })
}

/// Maximum broadcasts listed.
const MESSAGES: usize = 64;

async fn messages(request: HttpRequest, dashboard: Data<Dashboard>) -> HttpResponse {
    if let Decision::Refuse(_) = dashboard.access.decide(&request) {
        return allowed(&request, &dashboard, || HttpResponse::Ok().finish());
    }
    match dashboard.view.router().send(PassedMessages(MESSAGES)).await {
        Ok(passed) => allowed(&request, &dashboard, || answer(&passed)),
        Err(_) => no_store(false).body("the node has ended\n"),
    }
}

#[derive(Debug, Deserialize)]
struct Which {
    id: String,
}

async fn route(
    request: HttpRequest,
    dashboard: Data<Dashboard>,
    which: Query<Which>,
) -> HttpResponse {
    if let Decision::Refuse(_) = dashboard.access.decide(&request) {
        return allowed(&request, &dashboard, || HttpResponse::Ok().finish());
    }
    let Ok(id) = MessageId::parse(&which.id) else {
        return allowed(&request, &dashboard, || {
            HttpResponse::BadRequest().body("id is that of a message, as events and logs tell it\n")
        });
    };
    match dashboard.view.router().send(RouteOf(id)).await {
        Ok(route) => allowed(&request, &dashboard, || answer(&route)),
        Err(_) => no_store(false).body("the node has ended\n"),
    }
}

async fn history(request: HttpRequest, dashboard: Data<Dashboard>) -> HttpResponse {
    allowed(&request, &dashboard, || answer(&dashboard.view.history()))
}

async fn live(request: HttpRequest, dashboard: Data<Dashboard>) -> HttpResponse {
    allowed(&request, &dashboard, || live::answer(&dashboard.view))
}

fn answer(of: &impl Serialize) -> HttpResponse {
    match serde_json::to_vec(of) {
        Ok(json) => HttpResponse::Ok()
            .content_type("application/json")
            .body(Bytes::from(json)),
        Err(_) => HttpResponse::InternalServerError().finish(),
    }
}

fn not_yet() -> HttpResponse {
    HttpResponse::ServiceUnavailable()
        .insert_header((header::RETRY_AFTER, "1"))
        .body("the node was not looked at yet: ask again in a second\n")
}
