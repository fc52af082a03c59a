//! `node` as people use it: typed lines and readable output.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::Child;

use serde_json::json;

use super::peer::{Peer, unique};
use super::{piped, run, stdout};

#[test]
fn a_line_piped_in_is_broadcast() {
    let hearer = Peer::ours("hearer");
    let text = unique("hello");
    let output = run(&["node", "--connect", &hearer.listen], format!("{text}\n"));
    assert_eq!(output.status.code(), Some(0));
    let heard = hearer.hears(text);
    assert_eq!(heard["flag"], "broadcast");
    let said = stdout(&output);
    assert!(
        said.contains(heard["sender"].as_str().unwrap()),
        "it says who it is: {said}"
    );
}

/// Types into a node and reads its output.
struct Terminal {
    child: Child,
    said: Vec<String>,
}

impl Terminal {
    fn at(peer: &Peer) -> Self {
        let child = piped(&["node", "--max-outgoing", "0", "--connect", &peer.listen]);
        Self {
            child,
            said: Vec::new(),
        }
    }

    fn types(&mut self, line: &str) {
        writeln!(self.child.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    fn reads(&mut self, what: &str) -> String {
        let output = self.child.stdout.as_mut().unwrap();
        // One line at a time: reading ahead would lose lines.
        let mut output = BufReader::with_capacity(1, output);
        loop {
            let mut line = String::new();
            assert!(
                output.read_line(&mut line).unwrap() > 0,
                "no {what:?} in {:?}",
                self.said
            );
            if line.contains(what) {
                return line;
            }
            self.said.push(line);
        }
    }
}

#[test]
fn a_person_talks_with_a_program() {
    let program = Peer::ours("program");
    let mut person = Terminal::at(&program);
    let id = &program.id[..10];
    person.reads("connected to");

    let (greeting, secret) = (unique("hello"), unique("psst"));
    program.say(&greeting);
    assert_eq!(person.reads(&greeting), format!("<{id}> {greeting}\n"));
    person.types(&format!("/whisper {} {secret}", &program.id[..6]));
    let heard = program.hears(secret);
    assert_eq!(heard["flag"], "whisper");
    program.order(json!({"do": "reply", "to": heard["id"], "packets": ["yes", "\u{1b}[2J"]}));
    assert_eq!(
        person.reads("yes"),
        format!("<{id} whispers> yes \\u{{1b}}[2J\n")
    );

    person.types("/peers");
    assert!(person.reads(&program.listen).starts_with(id));
    person.types(&format!("/id {}", &program.id[..6]));
    assert_eq!(person.reads(&program.id), format!("{}\n", program.id));
    person.types("/status");
    person.reads("1 peer,");
    person.types("/nick Ann");
    let named = program.hears("Ann");
    assert_eq!(
        (&named["flag"], &named["type"]),
        (&json!("broadcast"), &json!("nick"))
    );
    program
        .order(json!({"do": "whisper", "to": named["sender"], "type": "nick", "packets": ["Bob"]}));
    person.reads("wants to be called Bob");
    let greeting = unique("again");
    program.say(&greeting);
    assert_eq!(person.reads(&greeting), format!("<Bob {id}> {greeting}\n"));
    person.types("/dance");
    assert!(person.reads("/help").starts_with("! "));
    person.types("/help");
    person.reads("/whisper ID TEXT");
    person.types(&format!("/disconnect {id}"));
    person.reads("has left");
    person.types("anyone?");
    person.reads("! no peer");
    person.types("/nick Anne");
    person.reads("whoever joins will be told");
    person.types(&format!("/connect {}", program.listen));
    person.reads("connected to Bob");
    let told = program.hears("Anne");
    assert_eq!(
        (&told["flag"], &told["type"]),
        (&json!("whisper"), &json!("nick"))
    );
    person.types("/quit");
    assert_eq!(person.child.wait().unwrap().code(), Some(0));
}

/// A real terminal; needs Python, whose library provides one.
#[test]
fn on_a_terminal_lines_are_edited_and_recalled_below_what_is_said() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/program/terminal.py");
    let ran = std::process::Command::new("python3")
        .args([script, env!("CARGO_BIN_EXE_actix-mesh")])
        .output();
    let Ok(ran) = ran else {
        assert!(
            std::env::var_os("CI").is_none(),
            "Python is needed, and is not there"
        );
        println!("SKIPPED: there is no Python here to make a terminal with");
        return;
    };
    let told = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{told}");
}
