//! `actix-mesh bridge` between two nodes that refuse each other.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};

use serde_json::Value;

struct Program {
    child: Child,
    lines: Box<dyn Iterator<Item = Value>>,
}

impl Program {
    fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_actix-mesh"))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let lines = Box::new(lines.map(|line| serde_json::from_str(&line.unwrap()).unwrap()));
        Self { child, lines }
    }

    fn input(&mut self) -> &mut ChildStdin {
        self.child.stdin.as_mut().unwrap()
    }

    fn until(&mut self, event: &str) -> Value {
        self.lines.find(|line| line["event"] == event).unwrap()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have exited already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn node(subnet: &str) -> (Program, String) {
    let mut node = Program::start(&["node", "--format", "json", "--subnet", subnet]);
    let listen = node.until("ready")["listen"].as_str().unwrap().to_owned();
    (node, listen)
}

#[test]
fn what_is_said_on_one_side_is_heard_on_the_other_and_answered() {
    let ((mut left, at_left), (mut right, at_right)) = (node("left"), node("right"));
    let sides = [
        format!("name=left,subnet=left,connect={at_left}"),
        format!("name=right,subnet=right,connect={at_right}"),
    ];
    let mut bridge = Program::start(&[
        "bridge", "--report", "1", "--side", &sides[0], "--side", &sides[1],
    ]);
    assert_eq!(bridge.until("ready")["sides"][1]["name"], "right");
    left.until("peer_joined");
    right.until("peer_joined");

    left.input()
        .write_all(b"{\"do\":\"send\",\"packets\":[\"who is there?\"]}\n")
        .unwrap();
    let heard = right.until("message");
    assert_eq!(heard["packets"][0], "who is there?");
    let id = heard["id"].as_str().unwrap();
    writeln!(
        right.input(),
        "{{\"do\":\"reply\",\"to\":\"{id}\",\"packets\":[\"me\"]}}"
    )
    .unwrap();
    assert_eq!(left.until("message")["packets"][0], "me");
    let carried = loop {
        let report = bridge.until("report");
        if report["sides"][0]["whispers"]["carried"] == 1 {
            break report;
        }
    };
    assert_eq!(carried["sides"][1]["broadcasts"]["carried"], 1);
}

fn signal(name: &str, program: &Program) {
    let pid = program.child.id().to_string();
    let sent = Command::new("kill").args([name, &pid]).status().unwrap();
    assert!(sent.success());
}

#[test]
fn what_was_carried_and_never_written_is_in_the_report() {
    const COUNT: usize = 300;
    let ((mut left, at_left), (right, at_right)) = (node("left"), node("right"));
    let sides = [
        format!("name=left,subnet=left,connect={at_left}"),
        format!("name=right,subnet=right,connect={at_right}"),
    ];
    let mut bridge = Program::start(&[
        "bridge", "--report", "1", "--side", &sides[0], "--side", &sides[1],
    ]);
    while bridge.until("report")["nodes"][1]["peers"] != 1 {}
    left.until("peer_joined");
    // It reads nothing any more.
    signal("-STOP", &right);
    // Letters by chance: what compresses well would fit into the sockets.
    let mut state = 1_u64;
    let mut letter = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        char::from(b'0' + u8::try_from(state >> 58).unwrap())
    };
    for _ in 0..COUNT {
        let text: String = (0..16_000).map(|_| letter()).collect();
        let send = serde_json::json!({"do": "send", "packets": [text]});
        writeln!(left.input(), "{send}").unwrap();
    }
    let carried = |report: &Value| report["sides"][1]["broadcasts"]["carried"] == COUNT;
    while !carried(&bridge.until("report")) {}
    signal("-TERM", &bridge);
    let last = bridge.lines.by_ref().last().unwrap();
    assert!(carried(&last), "{last}");
    let unwritten = &last["nodes"][1]["unwritten"];
    assert!(unwritten["messages"].as_u64().unwrap() > 0, "{last}");
    assert_eq!(last["nodes"][0]["unwritten"]["messages"], 0, "{last}");
}
