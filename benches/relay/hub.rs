//! A hub in a separate process: this program with the first argument `hub`.
//!
//! Owns how hubs are started, their kinds, and how they report the CPU time they spent.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use actix_mesh::{Config, Method};

use super::{by_hand, harness};

/// A kind of hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    words: &'static [&'static str],
}

/// Blocking threads, written by hand.
pub(crate) const BY_HAND: Kind = Kind {
    name: "threads by hand",
    words: &["by-hand"],
};
/// A node that only relays.
pub(crate) const NODE: Kind = Kind {
    name: "node that only relays",
    words: &["node", "inbox=0"],
};
/// A node with all defaults except compression: it keeps received messages for a user.
pub(crate) const NODE_WITH_INBOX: Kind = Kind {
    name: "node with its inbox",
    words: &["node"],
};
/// A node that only relays, with zlib.
pub(crate) const NODE_WITH_ZLIB: Kind = Kind {
    name: "node that only relays, zlib",
    words: &["node", "inbox=0", "zlib"],
};

impl Kind {
    /// Returns the methods that its peers announce.
    pub(crate) fn methods(&self) -> &'static [Method] {
        match self.words.contains(&"zlib") {
            true => &[Method::Zlib],
            false => &[],
        }
    }
}

/// CPU time of a process, and its division.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Spent {
    pub(crate) total: Duration,
    /// In kernel ticks, where available: far coarser than the total.
    pub(crate) user: u64,
    pub(crate) system: u64,
}

/// A hub process, which answers each line with a line.
pub(crate) struct Hub {
    child: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
    pub(crate) addr: SocketAddr,
}

impl Hub {
    /// Starts a hub that remembers that many broadcasts.
    pub(crate) fn start(kind: Kind, capacity: usize) -> Hub {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.arg("hub").arg(capacity.to_string());
        command.args(kind.words).stdin(Stdio::piped());
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut hub = Hub {
            questions: child.stdin.take().unwrap(),
            answers: BufReader::new(child.stdout.take().unwrap()),
            child,
            addr: ([127, 0, 0, 1], 0).into(),
        };
        hub.addr = hub.answer().trim().parse().unwrap();
        hub
    }

    fn answer(&mut self) -> String {
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        line
    }

    /// Returns what it has spent since it started.
    pub(crate) fn spent(&mut self) -> Spent {
        self.questions.write_all(b"cpu\n").unwrap();
        let line = self.answer();
        let mut numbers = line.split_whitespace().map(|word| word.parse().unwrap());
        let mut next = || numbers.next().unwrap();
        Spent {
            total: Duration::from_nanos(next()),
            user: next(),
            system: next(),
        }
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        // It may have exited already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs this process as a hub; does not return before it is killed.
pub(crate) fn run(words: &[String]) {
    let capacity = words[0].parse().unwrap();
    if words[1] == "by-hand" {
        say(by_hand::start(capacity));
        return answer_questions();
    }
    let is = |word: &str| words.iter().any(|given| given == word);
    let methods: &[Method] = if is("zlib") { &[Method::Zlib] } else { &[] };
    let mut config = Config::new()
        .waterfall_capacity(capacity)
        // A node that wants outbound connections would ask its peers for more addresses now and then.
        .max_outgoing(0)
        .keepalive_interval(Duration::from_secs(3600))
        .compression(methods);
    if is("inbox=0") {
        config = config.inbox_capacity(None);
    }
    actix::System::new().block_on(async {
        let node = config.start().await.unwrap();
        say(node.addr);
        std::thread::spawn(answer_questions);
        std::future::pending().await
    })
}

fn say(line: impl std::fmt::Display) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").unwrap();
    out.flush().unwrap();
}

/// Answers until standard input ends.
fn answer_questions() {
    for _ in std::io::stdin().lines() {
        let (user, system) = ticks().unwrap_or_default();
        say(format_args!(
            "{} {user} {system}",
            harness::process_clock().as_nanos()
        ));
    }
    std::process::exit(0);
}

/// Returns user and system time of this process, in ticks.
fn ticks() -> Option<(u64, u64)> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let (_, behind_name) = stat.rsplit_once(')')?;
    let mut fields = behind_name.split_whitespace().skip(11);
    let mut next = || fields.next()?.parse().ok();
    Some((next()?, next()?))
}
