//! Keeps the README true: its program is the crate's first example, and its session runs as shown.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use serde_json::Value;

const README: &str = include_str!("../../README.md");

/// The deadline of everything that must happen here.
const PATIENCE: Duration = Duration::from_secs(20);

/// Returns the first block of the README with this mark that contains this text.
fn block(mark: &str, containing: &str) -> &'static str {
    let blocks = README
        .split("\n```")
        .filter_map(|block| block.strip_prefix(mark));
    let mut found = blocks.filter(|block| block.contains(containing));
    found.next().unwrap().trim()
}

#[test]
fn the_readme_the_crate_page_and_the_example_have_one_program() {
    let program = block("rust\n", "fn main");
    let page = include_str!("../../src/lib.rs").lines().map(|line| {
        line.trim_start_matches("//!")
            .strip_prefix(' ')
            .unwrap_or("")
    });
    let page = page.collect::<Vec<_>>().join("\n");
    let on_page = format!("\n```\n{program}\n```\n");
    assert!(page.contains(&on_page), "the page of the crate has another");
    let example = include_str!("../../examples/hello.rs").lines();
    let example: Vec<_> = example.skip_while(|line| line.starts_with("//!")).collect();
    assert_eq!(example.join("\n").trim(), program);
    let lines = program.lines().filter(|line| !line.trim().is_empty());
    assert_eq!(lines.count(), 15, "the README says fifteen");
}

#[test]
fn the_readme_asks_for_the_rust_that_the_manifest_asks_for() {
    let needed = concat!("Rust ", env!("CARGO_PKG_RUST_VERSION"), " or later");
    assert!(README.contains(needed), "{needed}");
}

/// A node in its own process.
struct Node {
    process: Child,
    input: ChildStdin,
    lines: Receiver<String>,
}

impl Node {
    fn start(arguments: &[&str]) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_actix-mesh"))
            .arg("node")
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = process.stdin.take().unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self {
            process,
            input,
            lines,
        }
    }

    fn write(&mut self, line: &str) {
        writeln!(self.input, "{line}").unwrap();
    }

    fn line(&self) -> String {
        self.lines.recv_timeout(PATIENCE).expect("it says no more")
    }

    fn line_with(&self, text: &str) -> String {
        loop {
            let line = self.line();
            if line.contains(text) {
                return line;
            }
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Maps the README's placeholders to the values of this run.
#[derive(Default)]
struct Names(BTreeMap<String, String>);

impl Names {
    /// Whether the line matches: a shortened id or an address matches any, if it is the same each time, and a number
    /// matches any number.
    fn agree(&mut self, told: &Value, found: &Value) -> bool {
        match (told, found) {
            (Value::String(told), Value::String(found)) if is_name(told) => {
                self.0.entry(told.clone()).or_insert(found.clone()) == found
            }
            (Value::Number(_), Value::Number(_)) => true,
            (Value::Array(told), Value::Array(found)) => {
                told.len() == found.len()
                    && told
                        .iter()
                        .zip(found)
                        .all(|(told, found)| self.agree(told, found))
            }
            (Value::Object(told), Value::Object(found)) => {
                told.keys().eq(found.keys())
                    && told.iter().all(|(key, told)| self.agree(told, &found[key]))
            }
            _ => told == found,
        }
    }

    /// Fills the names of this run into a line to write.
    fn fill(&self, line: &str) -> String {
        let replace = |line: String, (told, found): (&String, &String)| line.replace(told, found);
        self.0.iter().fold(line.to_owned(), replace)
    }
}

fn is_name(text: &str) -> bool {
    text.ends_with("..") || text.parse::<SocketAddr>().is_ok()
}

fn json(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|why| panic!("{line}: {why}"))
}

#[test]
fn the_session_in_the_readme_happens_as_told() {
    let mut other = Node::start(&["--listen", "127.0.0.1:0"]);
    let listening = other.line_with("listening on ");
    let (_, addr) = listening.split_once("listening on ").unwrap();
    let mut names = Names::default();
    let addr = addr.trim_end_matches('.').to_owned();
    names.0.insert("127.0.0.1:4444".to_owned(), addr);
    let mut node = Node::start(&["--format", "json"]);

    let session = block("text\n", "< {");
    let mut expected: Vec<Value> = Vec::new();
    for step in session.lines().chain(["end"]) {
        if let Some(line) = step.strip_prefix("< ") {
            expected.push(json(line));
            continue;
        }
        // The lines of one step may come in any order.
        for _ in 0..expected.len() {
            let found = json(&node.line());
            let at = expected
                .iter()
                .position(|told| told["event"] == found["event"]);
            let told = at.map(|at| expected.remove(at));
            let told = told.unwrap_or_else(|| panic!("nobody told of {found}"));
            assert!(names.agree(&told, &found), "told {told}\nfound {found}");
        }
        if let Some(line) = step.strip_prefix("> ") {
            node.write(&names.fill(line));
        } else if let Some((_, typed)) = step.split_once("types: ") {
            other.line_with("hello mesh");
            other.write(typed);
        }
    }
    assert!(node.process.wait().unwrap().success());
    assert_eq!(
        node.lines.recv().ok(),
        None,
        "it said more than the README tells"
    );
}
