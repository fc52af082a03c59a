//! A node's log: one line for each event, and one for each message at every node it passes.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix_mesh::{Config, Connect, Node, Payload, Query, Recv, Send, Shutdown, Status};
use tokio::time::sleep;
use tracing_subscriber::fmt::MakeWriter;

/// The log output.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn lines(&self) -> Vec<String> {
        let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let text = String::from_utf8(bytes.clone()).unwrap();
        text.lines().map(String::from).collect()
    }

    /// Waits for a line that contains all of these.
    async fn line(&self, parts: &[&str]) -> String {
        for _ in 0..1000 {
            let found = self
                .lines()
                .into_iter()
                .find(|line| parts.iter().all(|part| line.contains(part)));
            if let Some(line) = found {
                return line;
            }
            sleep(Duration::from_millis(10)).await;
        }
        panic!("no line with {parts:?} in\n{}", self.lines().join("\n"));
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// Runs a test on a thread whose log is captured.
fn logged<F: Future<Output = ()>>(
    level: tracing_subscriber::filter::LevelFilter,
    test: impl FnOnce(Log) -> F,
) {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_ansi(false)
        .with_span_events(tracing_subscriber::fmt::format::FmtSpan::CLOSE)
        .with_writer(log.clone())
        .finish();
    let system = actix::System::new();
    let guard = tracing_subscriber::util::SubscriberInitExt::set_default(subscriber);
    system.block_on(test(log));
    drop(guard);
}

use tracing_subscriber::filter::LevelFilter;

async fn node(subnet: &str) -> Node {
    Config::new()
        .subnet(subnet, "Plaintext")
        .start()
        .await
        .unwrap()
}

#[test]
fn one_message_is_found_at_every_node_it_passes() {
    logged(LevelFilter::TRACE, |log| async move {
        let (a, b, c) = (
            node("trace").await,
            node("trace").await,
            node("trace").await,
        );
        b.router.send(Connect::to(a.addr)).await.unwrap().unwrap();
        c.router.send(Connect::to(b.addr)).await.unwrap().unwrap();
        let sent = a
            .router
            .send(Send::new("the payload itself"))
            .await
            .unwrap()
            .unwrap();
        c.router
            .send(Recv::one().wait(Duration::from_secs(10)))
            .await
            .unwrap();

        let id = format!("message_id={}", sent.id);
        let at = |node: &Node| format!("node={}", node.id);
        log.line(&["actix_mesh::message", "DEBUG", " sent ", &id, &at(&a)])
            .await;
        log.line(&[
            "actix_mesh::message",
            "DEBUG",
            " received ",
            &id,
            &at(&b),
            &format!("peer={}", a.id),
        ])
        .await;
        log.line(&["actix_mesh::message", "DEBUG", " delivered ", &id, &at(&b)])
            .await;
        log.line(&["actix_mesh::message", "DEBUG", " received ", &id, &at(&c)])
            .await;
        log.line(&["actix_mesh::message", "DEBUG", " delivered ", &id, &at(&c)])
            .await;
        for line in log.lines() {
            assert!(!line.contains("the payload itself"), "{line}");
        }
    });
}

#[test]
fn a_dead_seed_and_a_wrong_subnet_are_explained() {
    logged(LevelFilter::INFO, |log| async move {
        let (ours, other) = (node("ours").await, node("other").await);
        let dead = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        ours.router
            .send(Connect::to(dead))
            .await
            .unwrap()
            .unwrap_err();
        ours.router
            .send(Connect::to(other.addr))
            .await
            .unwrap()
            .unwrap_err();

        log.line(&[
            "WARN",
            "actix_mesh::event",
            "event=\"dial_failed\"",
            &dead.to_string(),
            "reason=\"refused\"",
        ])
        .await;
        let addr = other.addr.to_string();
        let line = log
            .line(&[
                "WARN",
                "event=\"refused\"",
                &addr,
                "reason=\"other_subnet\"",
                &format!("node={}", ours.id),
            ])
            .await;
        assert!(
            line.contains("subnet name, encryption and generation must all be the same"),
            "{line}"
        );
        // No line per message at this level.
        assert!(
            log.lines()
                .iter()
                .all(|line| !line.contains("actix_mesh::message"))
        );
        ours.router.send(Shutdown::new()).await.unwrap();
        log.line(&["actix_mesh::node", "started", &format!("node={}", ours.id)])
            .await;
        log.line(&[
            "actix_mesh::node",
            "shutting down",
            &format!("node={}", ours.id),
        ])
        .await;
        log.line(&["actix_mesh::node", "ended", &format!("node={}", ours.id)])
            .await;
    });
}

#[test]
fn strangers_cannot_fill_the_log() {
    logged(LevelFilter::INFO, |log| async move {
        let node = node("flood").await;
        for _ in 0..200 {
            let stranger = tokio::net::TcpStream::connect(node.addr).await.unwrap();
            drop(stranger);
        }
        let mut refused = 0;
        for _ in 0..1000 {
            refused = node.router.send(Status).await.unwrap().stats.refused;
            if refused >= 200 {
                break;
            }
            sleep(Duration::from_millis(10)).await;
        }
        assert!(refused >= 200);
        let lines = log
            .lines()
            .iter()
            .filter(|line| line.contains("event=\"refused\""))
            .count();
        assert!(lines <= 100, "{lines} lines for {refused} strangers");
        // The suppressed lines are counted.
        log.line(&["event=\"refused\"", "suppressed="]).await;
    });
}

/// A question that no node answers.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
struct Nothing;

impl Payload for Nothing {
    const KIND: &'static str = "nothing/1";
}

impl Query for Nothing {
    type Reply = Self;
}

#[test]
fn what_takes_time_is_a_span() {
    logged(LevelFilter::DEBUG, |log| async move {
        let (a, b) = (node("spans").await, node("spans").await);
        b.router.send(Connect::to(a.addr)).await.unwrap().unwrap();
        let sent = a.router.send(Send::new("x")).await.unwrap().unwrap();
        let (ours, at) = (format!("node={}", b.id), format!("addr=\"{}\"", a.addr));
        let peer = format!("peer={}", a.id);
        let id = format!("message_id={}", sent.id);
        let span = [" connection{", &ours, &at, "direction=\"outgoing\"", &peer];
        let with = |last: &[&'static str]| [&span[..], last].concat();
        log.line(&[&span[..], &[" received ", &id]].concat()).await;
        let asked = b.request(&Nothing).within(Duration::from_millis(50));
        asked.await.unwrap_err();
        let span = " request{kind=\"nothing/1\" within=50ms}: ";
        log.line(&[span, "close", "time.idle="]).await;

        a.router.send(Shutdown::new()).await.unwrap();
        log.line(&with(&["event=\"peer_left\""])).await;
        log.line(&with(&["close"])).await;
    });
}
