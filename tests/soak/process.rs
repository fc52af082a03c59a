//! The node: a child process that runs this program, and its measurements.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use actix_mesh::wire::{Control, SubFlag};
use actix_mesh::{Config, Status, Subnet};

use crate::support::PATIENCE;
use crate::support::raw::{GENERATION, Raw, compressing, some_id, some_text};

/// The argument that makes this program run a node.
pub(crate) const WORD: &str = "be-a-node";

/// Prints its address, answers each line with its status, and ends on EOF.
pub(crate) fn run(max_incoming: usize) {
    actix::System::new().block_on(async {
        let config = Config::new().max_outgoing(0).max_incoming(max_incoming);
        let node = config.start().await.unwrap();
        println!("{}", node.addr);
        let (asked, mut lines) = tokio::sync::mpsc::channel(1);
        std::thread::spawn(move || {
            for _ in std::io::stdin().lock().lines() {
                asked.blocking_send(()).unwrap();
            }
        });
        while lines.recv().await.is_some() {
            let status = node.router.send(Status).await.unwrap();
            println!("{}", serde_json::to_string(&status).unwrap());
        }
    });
}

pub(crate) struct Process {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    pub(crate) addr: SocketAddr,
}

impl Process {
    pub(crate) fn start(max_incoming: usize) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([WORD, &max_incoming.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = child.stdin.take().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut addr = String::new();
        output.read_line(&mut addr).unwrap();
        Self {
            child,
            input,
            output,
            addr: addr.trim().parse().unwrap(),
        }
    }

    pub(crate) fn status(&mut self) -> serde_json::Value {
        writeln!(self.input).unwrap();
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    }

    /// Counts its open files and sockets.
    pub(crate) fn descriptors(&self) -> usize {
        let folder = format!("/proc/{}/fd", self.child.id());
        std::fs::read_dir(folder).expect("the node lives").count()
    }

    /// Its resident KiB, now (`VmRSS`) or at peak (`VmHWM`).
    pub(crate) fn resident(&self, which: &str) -> usize {
        let file = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(file).expect("the node lives");
        let line = status.lines().find(|line| line.starts_with(which)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Joins the node at this address, if it accepts the handshake.
pub(crate) fn join(addr: SocketAddr) -> Option<Raw> {
    join_with(addr, compressing)
}

/// Joins with a modified handshake.
pub(crate) fn join_with(addr: SocketAddr, change: impl FnOnce(&mut Control)) -> Option<Raw> {
    let stream = TcpStream::connect(addr).ok()?;
    let mut raw = Raw::over(stream, &Subnet::default().id(GENERATION), some_id());
    raw.greet(change);
    while let Some(heard) = raw.next_within(PATIENCE) {
        if heard.kind() == Some(SubFlag::Peers) {
            return Some(raw);
        }
    }
    None
}

/// An honest peer: it reads everything and looks for the messages it expects.
pub(crate) struct Good {
    raw: Raw,
    heard: Receiver<String>,
}

impl Good {
    pub(crate) fn join(addr: SocketAddr) -> Self {
        let raw = join_with(addr, |_| {}).expect("a good peer is let in");
        let (tell, heard) = channel();
        let stream = raw.stream.try_clone().unwrap();
        stream.set_read_timeout(None).unwrap();
        std::thread::spawn(move || listen(stream, &tell));
        Self { raw, heard }
    }

    /// Measures how long a message takes to another peer.
    pub(crate) fn talk_to(&mut self, other: &Self) -> Duration {
        let (text, began) = (format!("<{}>", some_text(GREETING)), Instant::now());
        self.raw.broadcast(&text);
        loop {
            // The attackers take most of the CPU time.
            let left = (PATIENCE * 4).saturating_sub(began.elapsed());
            let heard = other.heard.recv_timeout(left);
            if heard.expect("a good peer is heard") == text {
                return began.elapsed();
            }
        }
    }
}

const GREETING: &str = "how are you";

/// Finds greetings in the byte stream: parsing every frame of a flood would make it a slow peer.
fn listen(mut stream: TcpStream, tell: &Sender<String>) {
    let (mut chunk, mut kept) = ([0; 1 << 16], String::new());
    while let Ok(read @ 1..) = stream.read(&mut chunk) {
        kept.push_str(&String::from_utf8_lossy(&chunk[..read]));
        while let Some(from) = kept.find(&format!("<{GREETING}")) {
            let Some(length) = kept[from..].find('>') else {
                break;
            };
            let text = kept[from..=from + length].to_owned();
            kept.drain(..=from + length);
            if tell.send(text).is_err() {
                return;
            }
        }
        // A greeting may have begun.
        match kept.rfind('<') {
            Some(at) if kept.len() - at < 200 => drop(kept.drain(..at)),
            _ => kept.clear(),
        }
    }
}
