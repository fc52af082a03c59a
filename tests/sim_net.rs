//! Real Routers on a simulated network, in virtual time.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix::{Actor, Context, Handler};
use actix_mesh::{Event, Node, Peers, Recv, Send, SimNet, Status, SubscribeEvents, Whisper};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

async fn heard(node: &Node) -> Vec<String> {
    let messages = node.router.send(Recv::up_to(100)).await.unwrap();
    messages
        .iter()
        .map(|message| message.text().to_string())
        .collect()
}

async fn say(node: &Node, text: &str) {
    node.router.send(Send::new(text)).await.unwrap().unwrap();
}

/// Records its node's events.
struct Notes(Arc<Mutex<Vec<Event>>>);

impl Actor for Notes {
    type Context = Context<Self>;
}

impl Handler<Event> for Notes {
    type Result = ();

    fn handle(&mut self, event: Event, _: &mut Context<Self>) {
        self.0.lock().unwrap().push(event);
    }
}

async fn noted(node: &Node) -> Arc<Mutex<Vec<Event>>> {
    let notes = Arc::default();
    let actor = Notes(Arc::clone(&notes)).start();
    let subscribe = SubscribeEvents::new(actor);
    node.router.send(subscribe).await.unwrap();
    notes
}

#[actix::test]
async fn fifty_nodes_hear_each_broadcast_exactly_once_whatever_is_lost() {
    let net = SimNet::new(11)
        .latency(Duration::from_millis(5)..=Duration::from_millis(120))
        .loss(0.05);
    let nodes = net.start(50).unwrap();
    tokio::time::sleep(seconds(10)).await;
    for number in 0..10 {
        say(&nodes[number * 5], &format!("message {number}")).await;
    }
    tokio::time::sleep(seconds(10)).await;
    for (number, node) in nodes.iter().enumerate() {
        let mut texts = heard(node).await;
        texts.sort();
        let own = (number % 5 == 0).then_some(number / 5);
        let all = (0..10).filter(|number| Some(*number) != own);
        let all: Vec<_> = all.map(|number| format!("message {number}")).collect();
        assert_eq!(texts, all, "node {number}");
    }
    assert!(net.passed() >= seconds(20));
}

#[actix::test]
async fn what_is_parted_comes_together_again() {
    let net = SimNet::new(12);
    let nodes = net.start(12).unwrap();
    tokio::time::sleep(seconds(10)).await;
    net.partition(&nodes[..4]);
    tokio::time::sleep(seconds(60)).await;
    say(&nodes[0], "on the small side").await;
    say(&nodes[11], "on the large side").await;
    tokio::time::sleep(seconds(10)).await;
    for (number, node) in nodes.iter().enumerate() {
        let expected = match number {
            0 | 11 => Vec::new(),
            1..4 => vec!["on the small side"],
            _ => vec!["on the large side"],
        };
        assert_eq!(heard(node).await, expected, "node {number}");
    }
    net.heal();
    tokio::time::sleep(seconds(120)).await;
    say(&nodes[5], "together").await;
    tokio::time::sleep(seconds(5)).await;
    for node in nodes.iter().filter(|node| node.id != nodes[5].id) {
        assert_eq!(heard(node).await, ["together"]);
    }
}

#[actix::test]
async fn a_clock_that_is_off_is_told() {
    let net = SimNet::new(13);
    let nodes = net.start(2).unwrap();
    nodes[1].ready(1, seconds(5)).await.unwrap();
    let notes = noted(&nodes[0]).await;
    net.skew(&nodes[1], 300);
    say(&nodes[1], "from the future").await;
    tokio::time::sleep(seconds(5)).await;
    assert!(heard(&nodes[0]).await.is_empty());
    let told = notes.lock().unwrap();
    let skew = told.iter().find_map(|event| match event {
        Event::ClockSkew { seconds, .. } => Some(*seconds),
        _ => None,
    });
    assert!(
        skew.is_some_and(|skew| (298..=302).contains(&skew)),
        "{told:?}"
    );
}

#[actix::test]
async fn a_whisper_finds_its_peer_through_others() {
    let net = SimNet::new(14).configure(|_, config| config.max_outgoing(2));
    let nodes = net.start(30).unwrap();
    tokio::time::sleep(seconds(10)).await;
    let mut found = 0;
    for node in &nodes[1..] {
        let whispered = nodes[0]
            .router
            .send(Whisper::new(node.id.clone(), "you"))
            .await
            .unwrap();
        found += usize::from(whispered.unwrap().discovered);
    }
    assert!(found > 0, "all were neighbours");
    tokio::time::sleep(seconds(1)).await;
    for node in &nodes[1..] {
        assert_eq!(heard(node).await, ["you"]);
    }
}

/// Runs a mesh; returns each node's peers and counters.
fn run(seed: u64) -> Vec<String> {
    actix::System::new().block_on(async move {
        let net = SimNet::new(seed)
            .latency(Duration::from_millis(1)..=Duration::from_millis(200))
            .loss(0.1);
        let nodes = net.start(20).unwrap();
        tokio::time::sleep(seconds(5)).await;
        for node in &nodes {
            say(node, "hello").await;
        }
        tokio::time::sleep(seconds(20)).await;
        let mut run = Vec::new();
        for node in &nodes {
            let peers = node.router.send(Peers).await.unwrap();
            let peers: Vec<_> = peers.into_iter().map(|peer| peer.id).collect();
            let stats = node.router.send(Status).await.unwrap().stats;
            run.push(format!("{} {peers:?} {stats:?}", node.id));
        }
        run
    })
}

#[test]
fn a_run_is_repeated_from_its_seed() {
    assert_eq!(run(5), run(5));
    assert_ne!(run(5), run(6));
}

/// Signatures are checked against the simulated clocks too.
#[cfg(feature = "tls")]
mod signed {
    use actix::Addr;
    use actix_mesh::Payload;
    use actix_mesh::signed::{Signed, Signer, Verifier, VerifierStatus};
    use actix_mesh::tls::{Authority, Identity};

    use super::*;

    #[derive(serde::Serialize, serde::Deserialize)]
    struct Order {
        pizza: u32,
    }

    impl Payload for Order {
        const KIND: &'static str = "order/1";
    }

    /// Keeps the proven values.
    #[derive(Clone, Default)]
    struct Orders(Arc<Mutex<Vec<(u32, actix_mesh::NodeId)>>>);

    impl Actor for Orders {
        type Context = Context<Self>;
    }

    impl Handler<Signed<Order>> for Orders {
        type Result = ();

        fn handle(&mut self, order: Signed<Order>, _: &mut Context<Self>) {
            let heard = (order.value.pizza, order.author);
            self.0.lock().unwrap().push(heard);
        }
    }

    fn identity() -> Identity {
        let dir = tempfile::tempdir().unwrap();
        let ca = dir.path().join("ca");
        let authority = Authority::init(&ca).unwrap();
        authority.issue("anna", Duration::from_secs(3600)).unwrap();
        let read = |end: &str| std::fs::read(ca.join(format!("anna.{end}"))).unwrap();
        Identity::from_pem(read("crt"), read("key")).unwrap()
    }

    #[actix::test]
    async fn an_author_is_proven_on_nineteen_nodes_in_virtual_time() {
        let identity = identity();
        let id = identity.id().clone();
        let net = SimNet::new(15)
            .latency(Duration::from_millis(5)..=Duration::from_millis(120))
            .loss(0.05)
            .configure(move |number, config| match number {
                3 => config.id(id.clone()).max_outgoing(3),
                _ => config.max_outgoing(3),
            });
        let nodes = net.start(20).unwrap();
        assert_eq!(nodes[3].id, *identity.id());
        let signer = Signer::new(&nodes[3], &identity).unwrap();
        let others = || nodes.iter().filter(|node| node.id != nodes[3].id);
        let orders: Vec<Orders> = others().map(|_| Orders::default()).collect();
        let verifiers: Vec<Addr<Verifier<Order>>> = others()
            .zip(&orders)
            .map(|(node, orders)| Verifier::new(node, orders.clone().start()).start())
            .collect();
        tokio::time::sleep(seconds(10)).await;
        // A skew below the mesh's tolerance also applies to the signature.
        net.skew(&nodes[3], 20);
        for pizza in 0..5 {
            // Then the clock is set right.
            if pizza == 3 {
                net.skew(&nodes[3], 0);
            }
            let order = signer.send(&Order { pizza }).unwrap();
            nodes[3].router.send(order).await.unwrap().unwrap();
            tokio::time::sleep(seconds(2)).await;
        }
        // A node that sends another's signed value proves nothing.
        let stolen = signer.send(&Order { pizza: 9 }).unwrap();
        nodes[5].router.send(stolen).await.unwrap().unwrap();
        tokio::time::sleep(seconds(5)).await;
        for (number, orders) in orders.iter().enumerate() {
            let mut heard = orders.0.lock().unwrap().clone();
            heard.sort();
            let all: Vec<_> = (0..5).map(|pizza| (pizza, nodes[3].id.clone())).collect();
            assert_eq!(heard, all, "listener {number}");
        }
        for (node, verifier) in others().zip(&verifiers) {
            let report = verifier.send(VerifierStatus).await.unwrap();
            let refused = u64::from(node.id != nodes[5].id);
            assert_eq!((report.proven, report.refused), (5, refused));
        }
    }
}
