//! Nodes in a full mesh that all send as fast as they can: the cost of a delivery as their number grows.
//!
//! All nodes of a mesh run on one thread of a separate process, so that its CPU time is theirs: composing, relaying to
//! all others, recognizing the duplicates from all sides, and delivering.

use std::cell::Cell;
use std::process::Command;
use std::rc::Rc;
use std::time::{Duration, Instant};

use actix::{Actor, Context, Handler};
use actix_mesh::{Config, Connect, Message, Node, Overflow, Peers, Send, Status, Subscribe};
use futures_util::future::join_all;

use super::harness::{median, process_clock};

const NODES: [usize; 5] = [2, 4, 8, 12, 16];
const SIZE: usize = 100;
const ROUNDS: usize = 3;
/// Frames received in total, roughly.
const HEARD: usize = 1_500_000;
/// Messages that a node's user sends at once.
const AT_ONCE: usize = 64;
/// If nothing is delivered for this long, the rest is lost.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn told() {
    println!("\n## Full mesh, all nodes send messages of {SIZE} B, on one thread\n");
    println!(
        "| nodes | heard for each delivered | ns a delivery | ns a frame heard | deliveries/s | delivered |"
    );
    println!("|--:|--:|--:|--:|--:|--:|");
    for nodes in NODES {
        let mut runs: Vec<Vec<f64>> = (0..ROUNDS).map(|_| run_apart(nodes)).collect();
        let mut column =
            |at: usize| median(&mut runs.iter_mut().map(|run| run[at]).collect::<Vec<_>>());
        println!(
            "| {nodes} | {:.2} | {:.0} | {:.0} | {:.0} | {} of {} |",
            column(0),
            column(1),
            column(2),
            column(3),
            column(4),
            column(5),
        );
    }
}

/// Runs a mesh in a separate process; returns the numbers that it printed.
fn run_apart(nodes: usize) -> Vec<f64> {
    let each = HEARD / (nodes * (nodes - 1) * (nodes - 1));
    let mut command = Command::new(std::env::current_exe().unwrap());
    let arguments = [String::from("nodes"), nodes.to_string(), each.to_string()];
    let output = command.args(arguments).output().unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{told}");
    told.split_whitespace()
        .map(|word| word.parse().unwrap())
        .collect()
}

/// Runs this process as a mesh; prints the numbers of its row.
pub(crate) fn run(words: &[String]) {
    let number = |at: usize| words[at].parse::<usize>().unwrap();
    actix::System::new().block_on(measured(number(0), number(1)));
}

async fn measured(count: usize, each: usize) {
    let heard = Rc::new(Cell::new(0));
    let nodes = mesh(count, &heard).await;
    let (start, cpu) = (Instant::now(), process_clock());
    let sending = nodes
        .iter()
        .enumerate()
        .map(|(at, node)| send_all(node, at, each));
    join_all(sending).await;
    let expected = (count * each * (count - 1)) as u64;
    settle(&heard, expected).await;
    let (took, spent) = (start.elapsed().as_secs_f64(), process_clock() - cpu);
    tokio::time::sleep(Duration::from_millis(100)).await;
    let frames: u64 = join_all(nodes.iter().map(received)).await.iter().sum();
    let (delivered, spent) = (heard.get(), spent.as_secs_f64() * 1e9);
    assert_eq!(delivered, expected, "each is delivered exactly once");
    let of = |count: u64| spent / count as f64;
    let (copies, rate) = (frames as f64 / delivered as f64, delivered as f64 / took);
    println!(
        "{copies} {} {} {rate} {delivered} {expected}",
        of(delivered),
        of(frames)
    );
}

async fn received(node: &Node) -> u64 {
    node.router.send(Status).await.unwrap().stats.received
}

/// Counts the messages a node receives.
struct Counter {
    heard: Rc<Cell<u64>>,
}

impl Actor for Counter {
    type Context = Context<Self>;
}

impl Handler<Message> for Counter {
    type Result = ();

    fn handle(&mut self, _: Message, _: &mut Context<Self>) {
        self.heard.set(self.heard.get() + 1);
    }
}

/// Starts nodes and connects each to all others.
async fn mesh(count: usize, heard: &Rc<Cell<u64>>) -> Vec<Node> {
    let mut nodes: Vec<Node> = Vec::new();
    for _ in 0..count {
        let config = Config::new()
            .max_outgoing(0)
            .inbox_capacity(None)
            .compression([]);
        let node = config.start().await.unwrap();
        let heard = heard.clone();
        let counter = Counter { heard }.start();
        let all = Subscribe::messages(counter).overflow(Overflow::Pause);
        node.router.send(all).await.unwrap();
        for other in &nodes {
            node.router
                .send(Connect::to(other.addr))
                .await
                .unwrap()
                .unwrap();
        }
        nodes.push(node);
    }
    for node in &nodes {
        while node.router.send(Peers).await.unwrap().len() < count - 1 {
            tokio::task::yield_now().await;
        }
    }
    nodes
}

async fn send_all(node: &Node, at: usize, each: usize) {
    let filling = "x".repeat(SIZE - 16);
    for begun in (0..each).step_by(AT_ONCE) {
        let some = begun..each.min(begun + AT_ONCE);
        let some = some.map(|n| {
            node.router
                .send(Send::new(format!("{at:04} {n:010} {filling}")))
        });
        for answer in join_all(some).await {
            answer.unwrap().unwrap();
        }
    }
}

/// Waits until everything is delivered, or deliveries stop.
async fn settle(heard: &Cell<u64>, expected: u64) {
    let (mut last, mut since) = (0, Instant::now());
    while heard.get() < expected && since.elapsed() < PATIENCE {
        tokio::time::sleep(Duration::from_millis(1)).await;
        if heard.get() != last {
            (last, since) = (heard.get(), Instant::now());
        }
    }
}
