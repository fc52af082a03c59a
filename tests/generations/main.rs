//! The program in meshes with the real py2p and js2p of generations 0.5 to 0.7, and the table of what was tried.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../support/mod.rs"]
mod support;

mod ambiguous;
mod reference;
mod snappy;
mod wss;

use std::fmt::Write as _;
use std::process::Command;
use std::thread;

use actix_mesh::Config;
use serde_json::{Value, json};

use reference::{ALL, Language, Reference, js2p};
use support::QUIET;
use support::coprocess::Coprocess;
use support::peer::{Peer, unique};
use support::plain::{Can, questions_each_way};

fn ours(reference: Reference) -> Peer {
    let how = reference.how();
    Peer::ours_with("us", &[&["--max-outgoing", "0"], &how[..]].concat())
}

/// The side that dials.
#[derive(Clone, Copy)]
enum Dialler {
    We,
    They,
}

fn joined(reference: Reference, dialler: Dialler) -> Option<(Peer, Peer)> {
    let them = reference.peer("them")?;
    let us = ours(reference);
    match dialler {
        Dialler::We => us.join(&them),
        Dialler::They => them.join(&us),
    }
    Some((us, them))
}

fn converse(reference: Reference, dialler: Dialler) {
    if let Some((us, them)) = joined(reference, dialler) {
        converse_each_way(&us, &them);
    }
}

/// A broadcast in each direction, and an answer to each.
fn converse_each_way(us: &Peer, them: &Peer) {
    let text = unique("ours");
    us.say(&text);
    let heard = them.hears_once(&text);
    assert_eq!(heard["sender"], *us.id);
    let answer = unique("their answer");
    them.order(json!({"do": "reply", "to": heard["id"], "packets": [answer]}));
    us.hears_once(&answer);

    let text = unique("theirs");
    them.say(&text);
    let heard = us.hears_once(&text);
    assert_eq!(heard["sender"], *them.id);
    let answer = unique("our answer");
    us.order(json!({"do": "reply", "to": heard["id"], "packets": [answer]}));
    them.hears_once(&answer);
    them.is_untroubled();
    assert_eq!(us.peers().len(), 1);
}

fn carries(reference: Reference, packets: &[Value]) {
    if let Some((us, them)) = joined(reference, Dialler::We) {
        carry_each_way(&us, &them, packets);
    }
}

/// Packets of every type the generation has, in both directions, arrive unchanged.
fn carry_each_way(us: &Peer, them: &Peer, packets: &[Value]) {
    for (from, to) in [(us, them), (them, us)] {
        let text = unique("packets");
        let mut all = vec![Value::String(text.clone())];
        all.extend_from_slice(packets);
        from.order(json!({"do": "send", "packets": all}));
        assert_eq!(to.hears(&*text)["packets"], Value::Array(all));
    }
}

fn relays(reference: Reference) {
    let (Some(one), Some(two)) = (reference.peer("one"), reference.peer("two")) else {
        return;
    };
    let us = ours(reference);
    one.join(&us);
    us.join(&two);
    relay_each_way(&us, &one, &two);
}

/// From one of their nodes over ours to another of theirs, and back.
fn relay_each_way(us: &Peer, one: &Peer, two: &Peer) {
    for (from, to) in [(one, two), (two, one)] {
        let text = unique("over us");
        from.say(&text);
        let heard = to.hears_once(&text);
        assert_eq!(heard["sender"], *from.id);
        us.hears_once(&text);
    }
}

/// They disconnect, and the link is made again.
fn parts(reference: Reference) {
    let Some((us, mut them)) = joined(reference, Dialler::They) else {
        return;
    };
    them.order(json!({"do": "disconnect", "peer": us.id}));
    us.until("their leaving", <[_]>::is_empty);
    us.join(&them);
    let text = unique("again");
    us.say(&text);
    them.hears_once(&text);
    them.kill();
    us.until("their end", <[_]>::is_empty);
}

/// A mesh with another name is refused, on both sides.
fn refuses(reference: Reference) {
    let Some(them) = reference.peer("them") else {
        return;
    };
    let how = reference.how();
    let us = Peer::ours_with("us", &[&["--subnet", "another"], &how[..]].concat());
    let error = us.refused(json!({"do": "connect", "addr": them.listen}));
    assert!(
        error["code"] == "other_subnet" || error["code"] == "closed" || error["code"] == "by_peer",
        "{error}"
    );
    thread::sleep(QUIET);
    assert!(us.peers().is_empty());
}

fn texts() -> [Value; 3] {
    [json!(""), json!("é\u{1f600}"), json!("x".repeat(3000))]
}

fn binary() -> [Value; 2] {
    [json!({"hex": "00ff"}), json!({"hex": "6869"})]
}

/// What is tried with each peer, as named on the page.
const CONVERSATIONS: [&str; 8] = [
    "we_dial_and_converse",
    "they_dial_and_converse",
    "text_arrives_as_it_was",
    "values_arrive_as_they_were",
    "we_relay_between_two_of_them",
    "they_leave_and_are_met_again",
    "questions_are_asked_and_answered_each_way",
    "another_subnet_is_refused",
];

macro_rules! conversations {
    ($($name:ident: $reference:expr;)*) => {$(
        mod $name {
            use super::*;

            #[test]
            fn we_dial_and_converse() {
                converse($reference, Dialler::We);
            }

            #[test]
            fn they_dial_and_converse() {
                converse($reference, Dialler::They);
            }

            #[test]
            fn text_arrives_as_it_was() {
                carries($reference, &texts());
            }

            #[test]
            fn values_arrive_as_they_were() {
                if $reference.wire != "0.5" {
                    carries($reference, &binary());
                }
            }

            #[test]
            fn we_relay_between_two_of_them() {
                relays($reference);
            }

            #[test]
            fn they_leave_and_are_met_again() {
                parts($reference);
            }

            #[test]
            fn questions_are_asked_and_answered_each_way() {
                if let Some(peer) = $reference.peer("them") {
                    let wire = $reference.wire.parse().unwrap();
                    let config = Config::new().generation(wire).max_outgoing(0);
                    let config = match $reference.encryption {
                        "SSL" => config.unauthenticated_ssl(),
                        other => config.subnet("mesh", other),
                    };
                    questions_each_way(&peer, Can::SendAndReply, config);
                }
            }

            #[test]
            fn another_subnet_is_refused() {
                refuses($reference);
            }
        }
    )*};
}

conversations! {
    py2p_0_5: ALL[0];
    py2p_0_6: ALL[1];
    py2p_0_7: ALL[2];
    js2p_0_7: ALL[3];
    js2p_0_7_over_websocket: ALL[4];
    py2p_0_5_over_ssl: ALL[5];
    py2p_0_6_over_ssl: ALL[6];
    py2p_0_7_over_ssl: ALL[7];
    js2p_0_7_over_ssl: ALL[8];
}

/// From a py2p 0.4 over the program's bridge to a js2p 0.7, and the answer back.
#[test]
fn a_bridge_carries_a_broadcast_from_0_4_to_0_7_and_the_reply_back() {
    let (Some(package), Some(new)) = (support::package::ready(), ALL[3].peer("new")) else {
        return;
    };
    let mut python = support::package::python("live/py2p/peer.py");
    let process = Coprocess::start("old", python.arg(package));
    // The author is found by a search, so its py2p must advertise an address that can be dialled.
    let started = process.order(json!({"do": "start"}));
    let old = Peer::new(process, &started, &started["subnet"]);
    let side =
        |peer: &Peer, wire: &str| format!("name=of {wire},connect={},wire={wire}", peer.listen);
    let mut bridge = Command::new(env!("CARGO_BIN_EXE_actix-mesh"));
    bridge.args([
        "bridge",
        "--side",
        &side(&old, "0.4"),
        "--side",
        &side(&new, "0.7"),
    ]);
    let _bridge = Coprocess::start("bridge", &mut bridge);
    for peer in [&old, &new] {
        peer.until("the bridge", |peers| !peers.is_empty());
    }
    let text = unique("over the bridge");
    old.say(&text);
    let heard = new.hears_once(&text);
    assert_eq!(heard["sender"], *old.id);
    let answer = unique("and back");
    new.order(json!({"do": "send", "packets": [answer]}));
    let back = old.hears_once(&answer);
    assert_eq!(back["sender"], *new.id);
    let reply = unique("the reply");
    old.order(json!({"do": "reply", "to": back["id"], "packets": [reply]}));
    new.hears_once(&reply);
}

/// Returns why no peer of a language, generation and transport is tried here; those of 0.4 are in `tests/live`.
fn why_not(language: Language, wire: &str, transport: &str) -> &'static str {
    match (language, wire, transport) {
        (Language::JavaScript, "0.4" | "0.5" | "0.6", _) => {
            "js2p of that generation is on no registry"
        }
        (Language::Python, _, "WebSocket" | OVER_TLS) => "py2p has none",
        (Language::JavaScript, "0.7", OVER_TLS) => {
            "js2p can only dial: it has no option for a certificate"
        }
        _ => panic!("{language:?} {wire} {transport} is tried, or a reason is missing"),
    }
}

const OVER_TLS: &str = "WebSocket over TLS";

/// Whether js2p 0.7 tries a case over `wss`, where it can only dial: see `wss`.
fn is_tried_over_tls(case: &str) -> bool {
    wss::CONVERSATIONS.contains(&case)
}

/// Lists every language, generation and transport, and what was tried with it.
fn matrix() -> String {
    let mut table = String::from("| peer | generation | transport |");
    for number in 1..=CONVERSATIONS.len() {
        write!(table, " {number} |").unwrap();
    }
    table.push_str(" why not |\n|---|---|---|");
    table.push_str(&"---|".repeat(CONVERSATIONS.len() + 1));
    for wire in ["0.4", "0.5", "0.6", "0.7"] {
        for language in [Language::Python, Language::JavaScript] {
            for transport in ["plaintext", "SSL", "WebSocket", OVER_TLS] {
                let is_it = |it: &&Reference| {
                    (it.language, it.wire, it.transport()) == (language, wire, transport)
                };
                let over_tls =
                    (language, wire, transport) == (Language::JavaScript, "0.7", OVER_TLS);
                let tried = match over_tls {
                    true => Some(js2p("wss").name()),
                    false => ALL.iter().find(is_it).map(|it| it.name()),
                };
                let in_live = (language, wire) == (Language::Python, "0.4");
                let name = match language {
                    Language::Python if in_live => "py2p 0.4.516".to_owned(),
                    Language::Python => "py2p".to_owned(),
                    Language::JavaScript => "js2p".to_owned(),
                };
                let name = tried.clone().unwrap_or(name);
                write!(table, "\n| {name} | {wire} | {transport} |").unwrap();
                let is_tried = tried.is_some() || in_live && !transport.starts_with("WebSocket");
                for (number, case) in CONVERSATIONS.into_iter().enumerate() {
                    // Over SSL `tests/live` only has both sides dial and converse.
                    let is_tried = is_tried
                        && !(in_live && transport == "SSL" && number > 1)
                        && (!over_tls || is_tried_over_tls(case));
                    let is_left_out = case == "values_arrive_as_they_were" && wire <= "0.5";
                    let cell = match (is_tried, is_left_out) {
                        (false, _) => "-",
                        (true, true) => "no types",
                        (true, false) if in_live => "live",
                        (true, false) => "yes",
                    };
                    write!(table, " {cell} |").unwrap();
                }
                match is_tried && !over_tls {
                    true => table.push_str(" |"),
                    false => write!(table, " {} |", why_not(language, wire, transport)).unwrap(),
                }
            }
        }
    }
    table
}

/// `UPDATE=1 cargo test --test generations the_page` regenerates the table.
#[test]
fn the_page_tells_what_is_tried() {
    const BEGIN: &str = "<!-- the matrix: written by tests/generations -->\n";
    const END: &str = "\n<!-- its end -->";
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/interop.md");
    let page = std::fs::read_to_string(path).unwrap();
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (told, after) = rest.split_once(END).unwrap();
    let matrix = matrix();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(path, [before, BEGIN, &matrix, END, after].concat()).unwrap();
    } else {
        assert_eq!(told, matrix);
    }
    for (number, case) in (1..).zip(CONVERSATIONS) {
        let row = format!("| {number} | `{case}` |");
        assert!(page.contains(&row), "docs/interop.md lacks {row}");
    }
}
