//! Questions in the plain form, in both directions, between our node and a reference peer that knows no types.

use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use actix::{Actor, Context, Handler};
use actix_mesh::{Asked, Config, Connect, Payload, Query, Received};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};

use super::PATIENCE;
use super::peer::Peer;

#[derive(Debug, Serialize, Deserialize)]
struct Square {
    n: u64,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Squared {
    n: u64,
}

impl Payload for Square {
    const KIND: &'static str = "square/1";
}

impl Payload for Squared {
    const KIND: &'static str = "squared/1";
}

impl Query for Square {
    type Reply = Squared;
}

/// Answers questions, and forwards the values it receives.
struct Worker(std::sync::mpsc::Sender<u64>);

impl Actor for Worker {
    type Context = Context<Self>;
}

impl Handler<Asked<Square>> for Worker {
    type Result = Option<Squared>;

    fn handle(&mut self, asked: Asked<Square>, _: &mut Context<Self>) -> Self::Result {
        let n = asked.value.n * asked.value.n;
        Some(Squared { n })
    }
}

impl Handler<Received<Square>> for Worker {
    type Result = ();

    fn handle(&mut self, got: Received<Square>, _: &mut Context<Self>) {
        let _ = self.0.send(got.value.n);
    }
}

/// If a line is a message whose packet after packet 0 is this kind, returns its value and tag.
fn in_plain_form(line: &Value, kind: &str) -> Option<(Value, String)> {
    let packets = line["packets"].as_array()?;
    let is_one = line["event"] == "message" && packets.first()? == kind;
    let value = serde_json::from_str(packets.get(1)?.as_str()?).ok()?;
    is_one.then(|| {
        (
            value,
            packets
                .get(2)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned(),
        )
    })
}

/// What a peer's program supports beyond sending and replying.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Can {
    SendAndReply,
    WhisperAndSetKinds,
}

fn new_runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// Exchanges a value and questions between the peer and our node, in both directions.
pub(crate) fn questions_each_way(peer: &Peer, can: Can, config: Config) {
    let runtime = new_runtime();
    let node = runtime.block_on(config.start_on_thread()).unwrap();
    let (tell, heard) = std::sync::mpsc::channel();
    let worker = Worker::start_in_arbiter(&node.arbiter(), |_| Worker(tell));
    runtime.block_on(async {
        node.answer::<Square>(worker.clone().recipient())
            .await
            .unwrap();
        node.subscribe::<Square>(worker.recipient()).await.unwrap();
        let addr: SocketAddr = peer.listen.parse().unwrap();
        node.router.send(Connect::to(addr)).await.unwrap().unwrap();
    });
    peer.until("a link", |peers| {
        peers.iter().any(|peer| peer["id"] == node.id.as_str())
    });

    // A value, with its kind as packet 0 and in the plain form.
    if can == Can::WhisperAndSetKinds {
        peer.order(json!({"do": "send", "type": "square/1", "packets": [r#"{"n":3}"#]}));
        assert_eq!(heard.recv_timeout(PATIENCE), Ok(3));
    }
    peer.order(json!({"do": "send", "packets": ["square/1", r#"{"n":4}"#, "id:a"]}));
    assert_eq!(heard.recv_timeout(PATIENCE), Ok(4));

    // The peer asks all nodes, and ours alone.
    peer.order(json!({"do": "send", "packets": ["square/1", r#"{"n":5}"#, "ask:everybody"]}));
    let mut answers = vec![("reply:everybody", 25)];
    if can == Can::WhisperAndSetKinds {
        let packets = ["square/1", r#"{"n":6}"#, "ask:you"];
        peer.order(json!({"do": "whisper", "to": node.id.as_str(), "packets": packets}));
        answers.push(("reply:you", 36));
    }
    for (tag, n) in answers {
        peer.wait_for(tag, |line| {
            in_plain_form(line, "squared/1") == Some((json!({"n": n}), tag.to_owned()))
        });
    }

    // Our node asks the peer, by its id and by broadcast.
    let id: actix_mesh::NodeId = peer.id.parse().unwrap();
    for (n, to) in [(7_u64, Some(id)), (8, None)] {
        let mut request = node.request(&Square { n }).plain();
        if let Some(id) = to {
            request = request.to(id);
        }
        let within = Duration::from_secs(20);
        let asking =
            thread::spawn(move || new_runtime().block_on(async { request.within(within).await }));
        let question = peer.wait_for("a question", |line| {
            in_plain_form(line, "square/1").is_some_and(|(value, _)| value == json!({"n": n}))
        });
        let (_, tag) = in_plain_form(&question, "square/1").unwrap();
        let tag = tag.replacen("ask:", "reply:", 1);
        let packets = ["squared/1", &format!(r#"{{"n":{}}}"#, n * n), &tag];
        peer.order(json!({"do": "reply", "to": question["id"], "packets": packets}));
        let answer = asking.join().unwrap();
        assert_eq!(answer, Ok(Squared { n: n * n }), "{n}");
    }
    runtime.block_on(node.shutdown()).unwrap();
}
