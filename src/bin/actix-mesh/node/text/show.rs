//! How a terminal is told things.
//!
//! Owns that nothing but visible text gets there: what peers wrote goes through [`visible`].

use std::fmt::Write as _;

use actix_mesh::{
    CloseReason, Direction, Event, Flag, Generation, Message, Node, NodeId, Peer, Sent, Stats,
    StatusReport, SubFlag,
};
use serde_json::Value;

use super::super::command::Done;

/// Characters of an id that are shown where it is only to be recognised.
const SHORT: usize = 10;

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
    format!("! {}", visible(why))
}

pub(super) fn message(message: &Message, wire: Generation) -> String {
    let whispered = match message.flag() {
        Flag::Whisper => " whispers",
        _ => "",
    };
    let kind = match SubFlag::read(message.kind().as_bytes(), wire) {
        Some(SubFlag::Broadcast | SubFlag::Whisper) => String::new(),
        _ => format!(" [{}]", String::from_utf8_lossy(message.kind().as_bytes())),
    };
    let who = short(message.sender());
    visible(&format!("<{who}{whispered}>{kind} {}", message.text()))
}

pub(super) fn event(event: &Event) -> Option<String> {
    let said = match event {
        Event::PeerJoined {
            peer,
            addr,
            direction: Direction::Incoming,
        } => {
            format!("{} at {addr} has joined", short(peer))
        }
        Event::PeerJoined { peer, addr, .. } => format!("connected to {} at {addr}", short(peer)),
        Event::PeerLeft {
            reason: CloseReason::ShuttingDown,
            ..
        } => return None,
        Event::PeerLeft {
            peer,
            reason,
            unwritten,
        } => match unwritten.messages {
            0 => format!("{} has left: {reason}", short(peer)),
            1 => format!(
                "{} has left: {reason}; one message was not written",
                short(peer)
            ),
            n => format!(
                "{} has left: {reason}; {n} messages were not written",
                short(peer)
            ),
        },
        Event::Unwritten { peer, unwritten } => {
            format!(
                "not written for {}: {} messages",
                short(peer),
                unwritten.messages
            )
        }
        Event::Refused {
            direction: Direction::Incoming,
            addr,
            reason,
        } => {
            format!("refused a connection from {addr}: {reason}")
        }
        // What was asked for is answered, and peers lists name many who are gone.
        Event::Refused { .. }
        | Event::DialFailed { .. }
        | Event::Undeliverable { .. }
        | Event::Sought { .. } => {
            return None;
        }
        Event::IdConflict { peer, addr } => {
            format!(
                "{addr} claims to be {}, which another connection is",
                short(peer)
            )
        }
        Event::ClockSkew { peer, seconds } => {
            format!(
                "the clock of {} differs from ours by {seconds} s; beyond 60 s messages are dropped",
                short(peer)
            )
        }
        Event::RelaySkipped { peer, .. } => {
            format!(
                "a message that is no text was not passed on to {}: it would hang it",
                short(peer)
            )
        }
        Event::Lagged { missed, .. } => {
            format!("{missed} messages or events were missed: this output is too slow")
        }
        Event::ListenerFailed { reason } => {
            format!("accepting connections failed, and is tried again: {reason}")
        }
        other => serde_json::to_string(other).ok()?,
    };
    Some(format!("* {}", visible(&said)))
}

/// What is worth saying of something done: not what an event says anyway.
pub(super) fn done(done: &Done) -> Option<String> {
    let said = match done {
        Done::Peer { .. } => return None,
        Done::Sent(sent) => return skipped(sent),
        Done::Whispered(whispered) => format!("handed to {}", short(&whispered.to)),
        Done::Peers { peers } => self::peers(peers),
        Done::Status(status) => self::status(status),
        Done::Quitting {} => "ending".into(),
        other => serde_json::to_string(other).ok()?,
    };
    Some(said)
}

fn skipped(sent: &Sent) -> Option<String> {
    let skipped: Vec<_> = sent
        .skipped
        .iter()
        .map(|skipped| short(&skipped.peer))
        .collect();
    match skipped.is_empty() {
        true => None,
        false => Some(format!(
            "! not sent to {}: it is no text, and would hang them",
            skipped.join(", ")
        )),
    }
}

fn peers(peers: &[Peer]) -> String {
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
            peer.id, peer.addr, received.messages, sent.messages
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
        "{peers} peers, {awaiting} awaited, {sending} bytes to send, {waiting} messages wait to be sent"
    );
    for (name, count) in counted(stats) {
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

/// All counters that have counted something.
fn counted(stats: &Stats) -> Vec<(String, u64)> {
    let Ok(Value::Object(fields)) = serde_json::to_value(stats) else {
        return Vec::new();
    };
    let counted = fields
        .into_iter()
        .filter_map(|(name, count)| Some((name, count.as_u64()?)));
    counted.filter(|(_, count)| *count > 0).collect()
}

fn short(id: &NodeId) -> &str {
    id.as_str().get(..SHORT).unwrap_or(id.as_str())
}

fn visible_lines(lines: impl Iterator<Item = String>) -> String {
    lines
        .map(|line| visible(&line))
        .collect::<Vec<_>>()
        .join("\n")
}

/// The text with whatever could steer a terminal, or turn the reading direction, made visible.
fn visible(text: &str) -> String {
    let steers = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match steers(c) {
            true => shown.extend(c.escape_default()),
            false => shown.push(c),
        }
    }
    shown
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
        super::message(&message, Generation::V0_4)
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
    fn no_peer_steers_the_terminal() {
        let said = heard(
            Flag::Broadcast,
            ["\u{1b}]0;x\u{7}", "\u{1b}[2J\r\n\u{202e}ß"],
        );
        assert_eq!(
            said,
            "<abcdefghij> [\\u{1b}]0;x\\u{7}] \\u{1b}[2J\\r\\n\\u{202e}ß"
        );
    }

    #[test]
    fn events_are_told_once_and_readably() {
        let peer = || "abcdefghijkmn".parse::<NodeId>().unwrap();
        let addr = || "127.0.0.1:4444".parse().unwrap();
        let joined = Event::PeerJoined {
            peer: peer(),
            addr: addr(),
            direction: Direction::Incoming,
        };
        assert_eq!(
            event(&joined).unwrap(),
            "* abcdefghij at 127.0.0.1:4444 has joined"
        );
        let left = Event::PeerLeft {
            peer: peer(),
            reason: CloseReason::ByPeer,
            unwritten: actix_mesh::Traffic::default(),
        };
        assert_eq!(
            event(&left).unwrap(),
            "* abcdefghij has left: the peer closed the connection"
        );
        let reason = actix_mesh::DialError::Refused;
        assert_eq!(
            event(&Event::DialFailed {
                addr: addr(),
                reason
            }),
            None,
            "the answer says it"
        );
    }
}
