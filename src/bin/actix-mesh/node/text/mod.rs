//! The text interface for people: a typed line is broadcast, a line with a leading slash is a command.
//!
//! Owns the words of the terminal. Text from peers reaches the terminal only after it has been made visible.

mod format;
mod nicknames;

use std::cell::RefCell;

use actix_mesh::{Event, Generation, Message, Node, Packets};

use super::command::{Command, Outcome};
use super::directory::Directory;
use super::interface::{Interface, Read};
use super::seq::Seq;
use crate::lines::Line;
use nicknames::{Heard, Nicknames};

const HELP: &str = "  text                    broadcast it; of //text what follows the first slash
  /connect HOST:PORT [ID] connect to a peer; with an id, only to that one
  /peers                  list the connected peers
  /id [ID]                the ids that begin like this, in full
  /whisper ID TEXT        send to one node, connected or not
  /nick NAME              have a name shown to others beside your id
  /disconnect ID          close the connection to a peer
  /status                 what was counted, and what went wrong lately
  /help                   this list
  /quit                   write what is waiting, and end
Of an id, as much as tells it apart from others is enough.";

/// The style of messages and events: plain unless they go to a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Style {
    /// Whether each line begins with the time of day.
    times: bool,
    colours: bool,
}

impl Style {
    /// Colours unless `NO_COLOR` is set (<https://no-color.org>).
    pub(crate) fn of_terminal() -> Self {
        let times = std::io::IsTerminal::is_terminal(&std::io::stdout());
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|set| !set.is_empty());
        Self {
            times,
            colours: times && !unwanted,
        }
    }

    /// Formats a line from an author or from the node. `unix`: now.
    fn dress(self, line: &str, author: Option<&[u8]>, unix: u64) -> String {
        let (dim, plain) = match self.colours {
            true => ("\x1b[2m", "\x1b[0m"),
            false => ("", ""),
        };
        let time = match self.times {
            true => format!("{dim}{:02}:{:02}{plain} ", unix / 3600 % 24, unix / 60 % 60),
            false => String::new(),
        };
        match (author, line.split_once("> ")) {
            // Each author gets one of six colours, readable on dark and on light backgrounds.
            (Some(author), Some((name, said))) if self.colours => {
                let sum = author
                    .iter()
                    .fold(0_u32, |sum, byte| sum * 31 % 997 + u32::from(*byte));
                format!("{time}\x1b[{}m{name}>{plain} {said}", 31 + sum % 6)
            }
            (None, _) if self.colours => format!("{time}{dim}{line}{plain}"),
            _ => time + line,
        }
    }
}

fn now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

/// The text interface: see the module.
#[derive(Debug)]
pub(crate) struct Text {
    wire: Generation,
    style: Style,
    names: RefCell<Nicknames>,
}

impl Interface for Text {
    fn ready(&self, node: &Node, wire: Generation) -> String {
        format::ready(node, wire)
    }

    fn page(&self, url: &str) -> String {
        format!("page: {url}")
    }

    fn read(&self, line: Line, directory: &Directory) -> Read {
        let command = match line {
            Line::TooLong(limit, _) => Err(format!("a line has at most {limit} bytes")),
            Line::Whole(text) => match String::from_utf8(text) {
                Ok(text) => return self.read_text(text.trim_end_matches('\r'), directory),
                Err(_) => Err("this line is not UTF-8".into()),
            },
        };
        read(command)
    }

    fn answer(&self, _: Seq, outcome: Outcome) -> Option<String> {
        match outcome {
            Ok(done) => format::done(&done, &self.names.borrow()),
            Err(refusal) => Some(format::complaint(&refusal.message)),
        }
    }

    fn message(&self, message: &Message) -> Option<String> {
        match self.names.borrow_mut().heard(message) {
            Heard::Directory => return None,
            Heard::New => return Some(self.style.dress(&format::named(message), None, now())),
            Heard::NoName => {}
        }
        let line = format::message(message, self.wire, &self.names.borrow());
        let author = message.sender().as_bytes();
        Some(self.style.dress(&line, Some(author), now()))
    }

    fn event(&self, event: &Event) -> Option<String> {
        let line = format::event(event, &self.names.borrow())?;
        Some(self.style.dress(&line, None, now()))
    }

    fn before(&self, command: &Command) -> Option<Command> {
        let Command::Send { kind: None, .. } = command else {
            return None;
        };
        self.names.borrow_mut().due().map(call_me)
    }

    fn introduce(&self, event: &Event) -> Option<Command> {
        let Event::PeerJoined { peer, .. } = event else {
            return None;
        };
        let name = self.names.borrow().own()?.to_owned();
        Some(Command::Whisper {
            to: peer.clone(),
            packets: Packets::from(name.as_str()),
            kind: Some(nicknames::KIND.into()),
            within: None,
        })
    }
}

impl Text {
    pub(crate) fn new(wire: Generation, style: Style) -> Self {
        let names = RefCell::default();
        Self { wire, style, names }
    }

    fn read_text(&self, text: &str, directory: &Directory) -> Read {
        match text.strip_prefix('/') {
            None if text.is_empty() => Read::Nothing,
            None => read(Ok(broadcast(text))),
            Some(rest) if rest.starts_with('/') => read(Ok(broadcast(rest))),
            Some("help") => Read::Say(HELP.into()),
            Some(rest) if word(rest).0 == "id" => {
                Read::Say(format::ids(&directory.ids(word(rest).1)))
            }
            Some(rest) if word(rest).0 == "nick" => self.nick(word(rest).1, directory),
            Some(rest) => read(command(rest, directory)),
        }
    }

    fn nick(&self, name: &str, directory: &Directory) -> Read {
        let taken = match name {
            "" => Err("type /nick NAME".into()),
            name => self.names.borrow_mut().take(name),
        };
        match taken {
            Err(why) => Read::Say(format::complaint(&why)),
            Ok(()) if directory.has_peers() => read(Ok(call_me(name))),
            Ok(()) => Read::Say("nobody is connected yet; whoever joins will be told".into()),
        }
    }
}

/// Builds the broadcast that announces the user's nickname.
fn call_me(name: &str) -> Command {
    Command::Send {
        packets: Packets::from(name),
        flag: None,
        kind: Some(nicknames::KIND.into()),
    }
}

fn read(command: Result<Command, String>) -> Read {
    match command {
        Ok(command) => Read::Do {
            seq: Seq::default(),
            command,
        },
        Err(why) => Read::Say(format::complaint(&why)),
    }
}

fn broadcast(text: &str) -> Command {
    Command::Send {
        packets: Packets::from(text),
        flag: None,
        kind: None,
    }
}

/// Parses the text after the slash.
fn command(typed: &str, directory: &Directory) -> Result<Command, String> {
    let (name, rest) = word(typed);
    match name {
        "connect" => connect(rest),
        "whisper" => whisper(rest, directory),
        "disconnect" => Ok(Command::Disconnect {
            peer: directory.named(needed(rest, "/disconnect ID")?)?,
        }),
        "peers" => Ok(Command::Peers {}),
        "status" => Ok(Command::Status {}),
        "quit" => Ok(Command::Quit {}),
        _ => Err(format!(
            "there is no /{name}: /help lists the commands, and // begins a text with a slash"
        )),
    }
}

fn connect(rest: &str) -> Result<Command, String> {
    let (addr, id) = word(needed(rest, "/connect HOST:PORT [ID]")?);
    let addr = addr.parse().map_err(|why| format!("{addr}: {why}"))?;
    let expect = match id {
        "" => None,
        id => Some(id.parse().map_err(|why| format!("{id}: {why}"))?),
    };
    Ok(Command::Connect { addr, expect })
}

fn whisper(rest: &str, directory: &Directory) -> Result<Command, String> {
    let (id, text) = word(rest);
    let text = needed(text, "/whisper ID TEXT")?;
    Ok(Command::Whisper {
        to: directory.named(id)?,
        packets: Packets::from(text),
        kind: None,
        within: None,
    })
}

fn needed<'a>(rest: &'a str, usage: &str) -> Result<&'a str, String> {
    match rest.is_empty() {
        true => Err(format!("type {usage}")),
        false => Ok(rest),
    }
}

/// Splits off the first word.
fn word(text: &str) -> (&str, &str) {
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    (word, rest.trim())
}

#[cfg(test)]
mod tests {
    use actix_mesh::NodeId;

    use super::super::directory::tests::message;
    use super::*;

    const PLAIN: Style = Style {
        times: false,
        colours: false,
    };

    #[test]
    fn a_terminal_shows_who_and_when_and_a_pipe_gets_plain_lines() {
        let style = |times, colours| Style { times, colours };
        let (line, author) = ("<4aAtL1UK1r> hello", Some(&b"4aAtL1UK1r"[..]));
        assert_eq!(style(false, false).dress(line, author, 3_720), line);
        assert_eq!(
            style(true, false).dress(line, author, 3_720),
            format!("01:02 {line}")
        );
        let coloured = style(true, true).dress(line, author, 3_720);
        assert!(
            coloured.contains("m<4aAtL1UK1r>\x1b[0m hello"),
            "{coloured:?}"
        );
        let event = style(true, true).dress("* somebody has left", None, 0);
        assert_eq!(
            event,
            "\x1b[2m00:00\x1b[0m \x1b[2m* somebody has left\x1b[0m"
        );
    }

    fn read(line: &str) -> Read {
        let mut directory = Directory::default();
        directory.heard(&message("M", "abcdef"));
        Text::new(Generation::V0_4, PLAIN).read(Line::Whole(line.into()), &directory)
    }

    fn command(line: &str) -> Command {
        match read(line) {
            Read::Do { command, .. } => command,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn every_command_is_read() {
        let id = |text: &str| text.parse::<NodeId>().unwrap();
        let addr = || "localhost:4444".parse().unwrap();
        let rows = [
            ("hello  you", broadcast("hello  you")),
            ("//etc\r", broadcast("/etc")),
            (
                "/connect localhost:4444",
                Command::Connect {
                    addr: addr(),
                    expect: None,
                },
            ),
            (
                "/connect localhost:4444  A ",
                Command::Connect {
                    addr: addr(),
                    expect: Some(id("A")),
                },
            ),
            (
                "/whisper abc hi there",
                Command::Whisper {
                    to: id("abcdef"),
                    packets: "hi there".into(),
                    kind: None,
                    within: None,
                },
            ),
            (
                "/whisper xyz hi",
                Command::Whisper {
                    to: id("xyz"),
                    packets: "hi".into(),
                    kind: None,
                    within: None,
                },
            ),
            ("/disconnect a", Command::Disconnect { peer: id("abcdef") }),
            ("/peers", Command::Peers {}),
            ("/status ", Command::Status {}),
            ("/quit", Command::Quit {}),
        ];
        for (line, meant) in rows {
            assert_eq!(command(line), meant, "{line}");
        }
    }

    #[test]
    fn what_cannot_be_done_is_explained() {
        for line in [
            "/",
            "/dance",
            "/connect",
            "/connect nowhere",
            "/connect a:1 0",
            "/whisper",
            "/whisper abc",
            "/whisper 0 hi",
            "/disconnect",
            "/nick",
            "/nick Ann Other",
        ] {
            assert!(
                matches!(read(line), Read::Say(said) if said.starts_with("! ")),
                "{line}"
            );
        }
        assert_eq!(read("/help"), Read::Say(HELP.into()));
        assert_eq!(read(""), Read::Nothing);
        assert_eq!(read("/id abc"), Read::Say("abcdef".into()));
        assert_eq!(read("/id"), Read::Say("abcdef".into()));
        assert_eq!(
            read("/id xyz"),
            Read::Say("! no known node has an id with this prefix".into())
        );
        assert!(HELP.lines().all(|line| line.chars().count() <= 80));
        let text = Text::new(Generation::V0_4, PLAIN);
        for line in [Line::TooLong(3, Seq::default()), Line::Whole(vec![0xff])] {
            assert!(matches!(
                text.read(line, &Directory::default()),
                Read::Say(_)
            ));
        }
    }

    #[test]
    fn a_name_is_told_to_everybody_and_to_whoever_joins() {
        let text = Text::new(Generation::V0_4, PLAIN);
        let mut directory = Directory::default();
        let addr = "127.0.0.1:4444".parse().unwrap();
        let peer = || "abcdef".parse::<NodeId>().unwrap();
        let joined = Event::PeerJoined {
            peer: peer(),
            addr,
            direction: actix_mesh::Direction::Incoming,
        };
        assert_eq!(text.introduce(&joined), None);
        let typed = || Line::Whole("/nick Ann".into());
        assert!(matches!(text.read(typed(), &directory), Read::Say(_)));
        directory.told(&joined);
        let Read::Do { command, .. } = text.read(typed(), &directory) else {
            panic!("nothing to do")
        };
        assert_eq!(command, call_me("Ann"));
        assert_eq!(
            text.introduce(&joined),
            Some(Command::Whisper {
                to: peer(),
                packets: "Ann".into(),
                kind: Some("nick".into()),
                within: None
            })
        );
        assert_eq!(text.before(&broadcast("hello")), None, "it was just told");
    }
}
