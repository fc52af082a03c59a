//! `examples/rooms` as two processes: a message posted to one is received at the other, in that room only.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use support::{PATIENCE, until};

struct Rooms {
    child: Child,
    /// The port of its pages.
    port: u16,
    /// The address of its node.
    node: String,
}

impl Drop for Rooms {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Rooms {
    fn start(peers: &[&str]) -> Self {
        let built = Path::new(env!("CARGO_BIN_EXE_actix-mesh")).with_file_name("examples/rooms");
        let mut child = Command::new(built)
            .arg("0")
            .args(peers)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut said = || {
            let mut line = String::new();
            output.read_line(&mut line).unwrap();
            line.rsplit(' ').next().unwrap().trim().to_owned()
        };
        let (page, node) = (said(), said());
        let port = page.rsplit(':').next().unwrap().parse().unwrap();
        Self { child, port, node }
    }

    fn request(&self, head: &str, body: &str) -> TcpStream {
        let mut stream = None;
        until("it serves", || {
            stream = TcpStream::connect(("127.0.0.1", self.port)).ok();
            stream.is_some()
        });
        let mut stream = stream.unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let length = body.len();
        write!(
            stream,
            "{head} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        )
        .unwrap();
        stream
    }

    /// Streams what is said in a room, line by line.
    fn hear(&self, room: &str) -> impl Iterator<Item = String> + use<> {
        let stream = self.request(&format!("GET /{room}/heard"), "");
        let lines = BufReader::new(stream).lines().map_while(Result::ok);
        lines.filter(|line| line.starts_with("data: "))
    }

    fn say(&self, room: &str, text: &str) {
        let body = format!(r#"{{"who":"ann","text":"{text}"}}"#);
        let mut stream = self.request(&format!("POST /{room}/say"), &body);
        let mut answer = [0; 15];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200 OK");
    }
}

#[test]
fn what_is_said_in_a_room_is_heard_there_in_every_process() {
    // `cargo test` builds the example; running a single test does not.
    let cargo = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--example", "rooms"])
        .status();
    assert!(cargo.unwrap().success());
    let first = Rooms::start(&[]);
    let second = Rooms::start(&[&first.node]);
    let (mut here, mut there) = (first.hear("tea"), second.hear("tea"));
    let mut coffee = second.hear("coffee");
    // Until the two are connected, the second process misses the first's messages.
    let mut said = 0;
    let (tell, heard) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for line in there.by_ref() {
            if tell.send(line).is_err() {
                return;
            }
        }
    });
    let line = loop {
        first.say("tea", &format!("line {said}"));
        said += 1;
        let pause = std::time::Duration::from_millis(200);
        if let Ok(line) = heard.recv_timeout(pause) {
            break line;
        }
    };
    assert!(
        line.starts_with(r#"data: {"who":"ann","text":"line "#),
        "{line}"
    );
    for number in 0..said {
        let line = here.next().unwrap();
        assert_eq!(
            line,
            format!(r#"data: {{"who":"ann","text":"line {number}"}}"#)
        );
    }
    first.say("coffee", "black");
    assert_eq!(
        coffee.next().unwrap(),
        r#"data: {"who":"ann","text":"black"}"#
    );
}
