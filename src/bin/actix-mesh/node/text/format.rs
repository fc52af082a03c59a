//! Formats messages, events and results for a terminal.
//!
//! Owns that only visible text is printed: everything that peers wrote passes through [`visible`].

use std::collections::BTreeSet;
use std::fmt::Write as _;

use actix_mesh::mesh::printable;
use actix_mesh::wire::SubFlag;
use actix_mesh::{
    CloseReason, Direction, Event, Flag, Generation, Message, Node, NodeId, Peer, Sent, Stats,
    StatusReport,
};
use serde_json::Value;

use super::super::command::Done;
use super::nicknames::{Nicknames, short};

/// The most columns of a line of our own.
const COLUMNS: usize = 80;

pub(super) fn ready(node: &Node, wire: Generation) -> String {
    let Node {
        id,
        addr,
        advertised,
        subnet,
        ..
    } = node;
    let mut said = format!(
        "This is node {id}\nof subnet {} ({}), generation {wire}, listening on {addr}",
        subnet.name, subnet.encryption
    );
    if advertised.to_string() != addr.to_string() {
        add(&mut said, format_args!(" (told to peers: {advertised})"));
    }
    said + ".\nWhat you type is broadcast; /help lists the commands."
}

pub(super) fn complaint(why: &str) -> String {
    wrapped(&format!("! {}", visible(why)))
}

pub(super) fn message(message: &Message, wire: Generation, names: &Nicknames) -> String {
    let whispered = match message.flag() {
        Flag::Whisper => " whispers",
        _ => "",
    };
    let kind = match SubFlag::read(message.kind().as_bytes(), wire) {
        Some(SubFlag::Broadcast | SubFlag::Whisper) => String::new(),
        _ => format!(" [{}]", String::from_utf8_lossy(message.kind().as_bytes())),
    };
    let who = names.who(message.sender());
    visible(&format!("<{who}{whispered}>{kind} {}", message.text()))
}

pub(super) fn event(event: &Event, names: &Nicknames) -> Option<String> {
    let said = match event {
        Event::PeerJoined {
            peer,
            addr,
            direction: Direction::Incoming,
        } => {
            format!("{} at {addr} has joined", names.who(peer))
        }
        Event::PeerJoined { peer, addr, .. } => {
            format!("connected to {} at {addr}", names.who(peer))
        }
        Event::PeerLeft {
            reason: CloseReason::ShuttingDown,
            ..
        } => return None,
        Event::PeerLeft {
            peer,
            reason,
            unwritten,
        } => {
            let mut left = format!("{} has left: {reason}", names.who(peer));
            if unwritten.messages > 0 {
                let count = counted(unwritten.messages, "message");
                add(&mut left, format_args!("; {count} not written"));
            }
            left
        }
        Event::Unwritten { peer, unwritten } => {
            let count = counted(unwritten.messages, "message");
            format!("not written for {}: {count}", names.who(peer))
        }
        Event::Refused {
            direction: Direction::Incoming,
            addr,
            reason,
        } => {
            format!("refused a connection from {addr}: {reason}")
        }
        // A command gets its own answer, and peers lists name many peers that are gone.
        Event::Refused { .. }
        | Event::DialFailed { .. }
        | Event::Undeliverable { .. }
        | Event::Sought { .. } => {
            return None;
        }
        Event::IdConflict { peer, addr } => {
            format!(
                "{addr} claims the id of {}, which is connected already",
                names.who(peer)
            )
        }
        Event::ClockSkew { peer, seconds } => {
            format!(
                "the clock of {} differs from ours by {seconds} s; beyond 60 s messages are dropped",
                names.who(peer)
            )
        }
        Event::RelaySkipped { peer, .. } => {
            format!(
                "a non-text message was not relayed to {}: it would hang that peer",
                names.who(peer)
            )
        }
        Event::Lagged { missed, .. } => {
            let count = counted(*missed, "message or event");
            format!("{count} missed: this output is too slow")
        }
        Event::ListenerFailed { reason } => {
            format!("accepting connections failed, and is tried again: {reason}")
        }
        other => match other.peer() {
            Some(peer) => other.to_string().replace(peer.as_str(), &names.who(peer)),
            None => other.to_string(),
        },
    };
    Some(wrapped(&format!("* {}", visible(&said))))
}

/// Announces an author's nickname.
pub(super) fn named(message: &Message) -> String {
    let name = message.body().first().map(|name| name.as_bytes());
    let name = String::from_utf8_lossy(name.unwrap_or_default());
    format!(
        "* {} wants to be called {}",
        short(message.sender()),
        visible(&name)
    )
}

/// Formats a result, unless an event says the same.
pub(super) fn done(done: &Done, names: &Nicknames) -> Option<String> {
    let said = match done {
        Done::Peer { .. } => return None,
        Done::Sent(sent) => return skipped(sent, names),
        Done::Whispered(whispered) => format!("handed to {}", names.who(&whispered.to)),
        Done::Peers { peers } => self::peers(peers, names),
        Done::Status(status) => self::status(status),
        Done::Quitting {} => "ending".into(),
        other => serde_json::to_string(other).ok()?,
    };
    Some(wrapped(&said))
}

/// Lists full ids, one per line.
pub(super) fn ids(ids: &BTreeSet<&NodeId>) -> String {
    if ids.is_empty() {
        return complaint("no known node has an id with this prefix");
    }
    ids.iter()
        .map(|id| id.as_str())
        .collect::<Vec<_>>()
        .join("\n")
}

fn skipped(sent: &Sent, names: &Nicknames) -> Option<String> {
    let skipped: Vec<_> = sent
        .skipped
        .iter()
        .map(|skipped| names.who(&skipped.peer))
        .collect();
    match skipped.is_empty() {
        true => None,
        false => Some(wrapped(&format!(
            "! not sent to {}: it is no text, and would hang them",
            skipped.join(", ")
        ))),
    }
}

fn peers(peers: &[Peer], names: &Nicknames) -> String {
    if peers.is_empty() {
        return "no peers; /connect HOST:PORT finds one".into();
    }
    let lines = peers.iter().map(|peer| {
        let arrow = match peer.direction {
            Direction::Incoming => "from",
            Direction::Outgoing => "to",
        };
        let (received, sent) = (peer.received, peer.sent);
        format!(
            "{} {arrow} {}, {} received, {} sent",
            names.who(&peer.id),
            peer.addr,
            received.messages,
            sent.messages
        )
    });
    visible_lines(lines)
}

fn status(status: &StatusReport) -> String {
    let StatusReport {
        peers,
        awaiting,
        sending,
        waiting,
        stats,
        troubles,
        ..
    } = status;
    let mut said = format!(
        "{}, {awaiting} awaited, {} to send, {} waiting to be sent",
        counted(*peers as u64, "peer"),
        counted(*sending as u64, "byte"),
        counted(*waiting as u64, "message"),
    );
    for (name, count) in all_counted(stats) {
        add(
            &mut said,
            format_args!("\n{count:>10} {}", name.replace('_', " ")),
        );
    }
    for trouble in troubles {
        add(&mut said, format_args!("\n! {}", visible(&trouble.what)));
    }
    said
}

/// Returns the counters that are not zero.
fn all_counted(stats: &Stats) -> Vec<(String, u64)> {
    let Ok(Value::Object(fields)) = serde_json::to_value(stats) else {
        return Vec::new();
    };
    let counted = fields
        .into_iter()
        .filter_map(|(name, count)| Some((name, count.as_u64()?)));
    counted.filter(|(_, count)| *count > 0).collect()
}

fn visible_lines(lines: impl Iterator<Item = String>) -> String {
    lines
        .map(|line| visible(&line))
        .collect::<Vec<_>>()
        .join("\n")
}

/// Makes every character visible that could steer a terminal, change the text direction, or be invisible.
fn visible(text: &str) -> String {
    printable(text, text.len())
}

/// Formats a count with its noun.
fn counted(count: u64, what: &str) -> String {
    match (count, what.split_once(" or ")) {
        (1, _) => format!("1 {what}"),
        (_, Some((one, other))) => format!("{count} {one}s or {other}s"),
        (_, None) => format!("{count} {what}s"),
    }
}

/// Wraps this program's own text at 80 columns. Text from peers is left as it is.
fn wrapped(text: &str) -> String {
    let mut lines = Vec::new();
    for line in text.lines() {
        let (mut rest, mut indent) = (line, "");
        while let Some(space) = break_at(rest, COLUMNS - indent.len()) {
            let (said, left) = rest.split_at(space);
            lines.push(format!("{indent}{said}"));
            (rest, indent) = (left.trim_start(), "  ");
        }
        lines.push(format!("{indent}{rest}"));
    }
    lines.join("\n")
}

/// Returns the last space within `columns` characters, or the first space if a word is longer; `None` if the line fits
/// or has no space.
fn break_at(line: &str, columns: usize) -> Option<usize> {
    let (limit, _) = line.char_indices().nth(columns)?;
    let start = line.len() - line.trim_start().len();
    let spaces = line.match_indices(' ').map(|(at, _)| at);
    let mut spaces = spaces.filter(|at| *at > start).peekable();
    let first = *spaces.peek()?;
    Some(spaces.take_while(|at| *at <= limit).last().unwrap_or(first))
}

fn add(said: &mut String, more: std::fmt::Arguments<'_>) {
    said.write_fmt(more)
        .expect("writing to a String cannot fail");
}

#[cfg(test)]
mod tests {
    use actix_mesh::Packets;

    use super::*;

    fn heard(flag: Flag, packets: impl Into<Packets>) -> String {
        let message = Message::new(
            "M".parse().unwrap(),
            "abcdefghijkmn".parse().unwrap(),
            "B".parse().unwrap(),
            flag,
            7,
            packets,
        );
        super::message(&message, Generation::V0_4, &Nicknames::default())
    }

    #[test]
    fn messages_show_who_says_what() {
        assert_eq!(
            heard(Flag::Broadcast, ["\0", "hello", "you"]),
            "<abcdefghij> hello you"
        );
        assert_eq!(
            heard(Flag::Whisper, ["\u{2}", "hello"]),
            "<abcdefghij whispers> hello"
        );
        assert_eq!(
            heard(Flag::Broadcast, ["chess", "e4"]),
            "<abcdefghij> [chess] e4"
        );
    }

    #[test]
    fn lines_of_ours_have_eighty_columns() {
        let id = "x".repeat(65);
        let told = format!("  {} {id} {}", "word ".repeat(40), "ü".repeat(100));
        let lines = wrapped(&told);
        let words = |text: &str| {
            text.split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        assert_eq!(words(&lines), words(&told));
        for line in lines.lines() {
            let one = line.trim().split(' ').count() == 1;
            assert!(one || line.chars().count() <= COLUMNS, "{line}");
        }
        assert_eq!(wrapped("short\n\n  as it is"), "short\n\n  as it is");
        assert_eq!(counted(1, "peer"), "1 peer");
        assert_eq!(counted(2, "message or event"), "2 messages or events");
    }

    #[test]
    fn nothing_said_is_invisible() {
        let said = heard(Flag::Broadcast, ["\0", "a\u{200b}b\u{2028}c\u{feff}"]);
        assert_eq!(said, "<abcdefghij> a\\u{200b}b\\u{2028}c\\u{feff}");
    }

    #[test]
    fn no_peer_steers_the_terminal() {
        let said = heard(
            Flag::Broadcast,
            ["\u{1b}]0;x\u{7}", "\u{1b}[2J\r\n\u{202e}ß"],
        );
        assert_eq!(
            said,
            "<abcdefghij> [\\u{1b}]0;x\\u{7}] \\u{1b}[2J\\u{d}\\u{a}\\u{202e}ß"
        );
    }

    #[test]
    fn events_are_told_once_and_readably() {
        let names = Nicknames::default();
        let peer = || "abcdefghijkmn".parse::<NodeId>().unwrap();
        let addr = || "127.0.0.1:4444".parse().unwrap();
        let joined = Event::PeerJoined {
            peer: peer(),
            addr: addr(),
            direction: Direction::Incoming,
        };
        assert_eq!(
            event(&joined, &names).unwrap(),
            "* abcdefghij at 127.0.0.1:4444 has joined"
        );
        let left = Event::PeerLeft {
            peer: peer(),
            reason: CloseReason::ByPeer,
            unwritten: actix_mesh::Traffic::default(),
        };
        assert_eq!(
            event(&left, &names).unwrap(),
            "* abcdefghij has left: the peer closed the connection"
        );
        let reason = actix_mesh::DialError::Refused;
        assert_eq!(
            event(
                &Event::DialFailed {
                    addr: addr(),
                    reason
                },
                &names
            ),
            None,
            "the answer says it"
        );
    }
}
