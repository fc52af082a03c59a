//! `actix-mesh top`: what it draws of a node, and of its demo mesh.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_actix-mesh");

fn once(arguments: &[&str]) -> Output {
    let mut top = Command::new(PROGRAM);
    top.args(["top", "--once"]).args(arguments);
    top.output().unwrap()
}

fn text(output: &[u8]) -> String {
    String::from_utf8_lossy(output).into_owned()
}

/// A node with a page, killed on drop.
struct Node {
    child: Child,
    id: String,
    listen: String,
    page: String,
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn node(arguments: &[&str]) -> Node {
    let mut child = Command::new(PROGRAM)
        .args(["node", "--format", "json", "--http", "127.0.0.1:0"])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = || serde_json::from_str::<Value>(&lines.next().unwrap().unwrap()).unwrap();
    let (ready, page) = (next(), next());
    let of = |line: &Value, name: &str| line[name].as_str().unwrap().to_owned();
    // Its output must be read, or the pipe fills.
    std::thread::spawn(move || lines.for_each(drop));
    Node {
        id: of(&ready, "id"),
        listen: of(&ready, "listen"),
        page: of(&page, "url"),
        child,
    }
}

#[test]
fn it_draws_the_peers_of_a_node() {
    let (one, two) = (node(&[]), node(&[]));
    let mut three = Command::new(PROGRAM);
    three.args(["node", "--format", "json"]);
    three.args(["--connect", &one.listen, "--connect", &two.listen]);
    three.stdin(Stdio::piped()).stdout(Stdio::null());
    let mut three = three.spawn().unwrap();
    let until = std::time::Instant::now() + std::time::Duration::from_secs(30);
    loop {
        let drawn = once(&["--http", &one.page]);
        let picture = text(&drawn.stdout);
        assert!(drawn.status.success(), "{}", text(&drawn.stderr));
        assert!(picture.contains(&one.id[..10]), "{picture}");
        if picture.contains("peers (") && picture.contains("joined") && picture.contains("<-") {
            break;
        }
        assert!(std::time::Instant::now() < until, "{picture}");
        std::thread::sleep(std::time::Duration::from_millis(300));
    }
    three.kill().unwrap();
    three.wait().unwrap();
}

#[test]
fn where_no_node_is_it_says_so() {
    let drawn = once(&["--http", "127.0.0.1:1"]);
    assert_eq!(drawn.status.code(), Some(1));
    let told = text(&drawn.stderr);
    assert!(
        told.contains("127.0.0.1:1") && told.contains("started with --http"),
        "{told}"
    );
    // Without a terminal it cannot draw.
    let piped = Command::new(PROGRAM).arg("top").output().unwrap();
    assert_eq!(piped.status.code(), Some(1));
    assert!(text(&piped.stderr).contains("--once"));
}

#[test]
fn a_token_is_asked_for_and_given() {
    let token = "a token of more than sixteen";
    let node = node(&["--http-token", token]);
    let page = node.page.split("?").next().unwrap().to_owned();
    let refused = once(&["--http", &page]);
    assert!(
        text(&refused.stderr).contains("--http-token"),
        "{}",
        text(&refused.stderr)
    );
    let drawn = once(&["--http", &page, "--http-token", token]);
    assert!(drawn.status.success(), "{}", text(&drawn.stderr));
}

#[test]
fn the_mesh_that_it_starts_itself_is_alive() {
    let drawn = once(&["--demo"]);
    let picture = text(&drawn.stdout);
    assert!(drawn.status.success(), "{}", text(&drawn.stderr));
    assert!(picture.contains("demo (Plaintext)"), "{picture}");
    assert!(!picture.contains("delivered 0/s"), "{picture}");
    assert!(picture.contains("joined"), "{picture}");
}
