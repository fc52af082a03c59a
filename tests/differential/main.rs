//! Our reader and py2p's, on the same frames: they accept, refuse and parse alike, except for the differences listed
//! here, each of which is intended (threat T25).
//!
//! `FRAMES=100000 cargo test --test differential` compares that many. Without py2p it says so and is skipped, like the
//! live cases.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod frames;
#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;

use actix_mesh::wire::{Batch, DecodeError, Generation, IdRule, Inflater, Limits, Method, base58};
use frames::Drawn;
use serde_json::Value;
use support::package;

const GENERATION: Generation = Generation::V0_4;

/// The intended differences from py2p, with their reasons: the table of `docs/reliability.md`.
const DIFFERENCES: &[(&str, &str)] = &[
    (
        "sender",
        "py2p takes any bytes for a sender; an id is base58 of at most 128 digits",
    ),
    (
        "many packets",
        "more than 1,024 packets cost many times their size",
    ),
    (
        "large time",
        "a time is a number of 64 bits, in at most 11 digits",
    ),
    (
        "unpacks to too much",
        "a frame unpacks to at most its limit, or a few bytes could fill the memory",
    ),
    (
        "id by js2p's rule",
        "a js2p hashes what is not UTF-8 differently; its neighbours must read it",
    ),
    (
        "second stream",
        "py2p reads consecutive compressed streams as one; no peer writes that",
    ),
    (
        "bytes behind an xz stream",
        "py2p takes them for the beginning of another; we ignore them, and relay the frame without them",
    ),
];

#[test]
fn t25_our_reader_and_py2ps_agree_but_for_what_is_meant() {
    let Some(package) = package::ready() else {
        return;
    };
    let count = std::env::var("FRAMES")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(12_000);
    let frames = frames::draw(count);
    let theirs = judge(package, &frames);
    assert_eq!(frames.len(), theirs.len());
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for (Drawn { frame, halves }, theirs) in frames.iter().zip(theirs) {
        let (ours, rule) = read(frame);
        let kind = match (&ours, &theirs) {
            (Ok(ours), Ok(theirs)) if *ours == theirs.content => "both read the same",
            (Err(_), Err(_)) => "both refuse",
            (ours, theirs) => difference(ours, theirs, rule, Inflater::sniff(&frame[4..]), *halves)
                .unwrap_or_else(|| {
                    panic!(
                        "no difference that is meant: {}\nwe: {ours:?}\npy2p: {theirs:?}",
                        hex(frame)
                    )
                }),
        };
        *seen.entry(kind).or_default() += 1;
    }
    eprintln!("{} frames: {seen:#?}", frames.len());
    for (what, why) in DIFFERENCES {
        assert!(
            seen.contains_key(what),
            "{what} ({why}) never showed: is it no difference any more?"
        );
    }
    assert!(seen["both read the same"] > count / 5 && seen["both refuse"] > count / 10);
}

#[test]
fn the_document_lists_the_same_differences() {
    let document = include_str!("../../docs/reliability.md");
    let (_, rest) = document
        .split_once("\n## Where we and py2p differ")
        .unwrap();
    let section = rest.split("\n## ").next().unwrap();
    let rows: Vec<&str> = section
        .lines()
        .filter(|line| line.starts_with("| "))
        .skip(1)
        .collect();
    let listed = DIFFERENCES
        .iter()
        .map(|(what, why)| format!("| {what} | {why} |"));
    assert_eq!(rows, listed.collect::<Vec<_>>());
}

/// The content of a frame, whichever side read it.
#[derive(Debug, PartialEq, Eq)]
struct Content {
    flag: Vec<u8>,
    sender: Vec<u8>,
    id: Vec<u8>,
    time: String,
    payload: Vec<Vec<u8>>,
}

/// The content as py2p read it.
#[derive(Debug)]
struct Theirs {
    content: Content,
    /// The number of digits of the time: one time has many spellings.
    digits: u64,
}

/// Returns the intended difference, judged by the frame's content and not by our error alone.
fn difference(
    ours: &Result<Content, DecodeError>,
    theirs: &Result<Theirs, String>,
    rule: Option<IdRule>,
    method: Option<Method>,
    halves: bool,
) -> Option<&'static str> {
    let limits = Limits::default();
    match (ours, theirs) {
        (Err(_), Ok(_)) if halves => Some("second stream"),
        (
            Err(why),
            Ok(Theirs {
                content: read,
                digits,
            }),
        ) => match why {
            DecodeError::BadSender(_) if !is_id(&read.sender) => Some("sender"),
            DecodeError::TooManyPackets(_) if read.payload.len() > limits.packets + 1 => {
                Some("many packets")
            }
            DecodeError::BadTime if read.time.parse::<u64>().is_err() || *digits > 11 => {
                Some("large time")
            }
            DecodeError::TooLarge { .. } if read.payload.concat().len() + 200 > limits.frame => {
                Some("unpacks to too much")
            }
            _ => None,
        },
        (Ok(read), Err(_)) if rule == Some(IdRule::LossyText) => {
            let is_text = |packet: &Vec<u8>| std::str::from_utf8(packet).is_ok();
            (!read.payload.iter().all(is_text)).then_some("id by js2p's rule")
        }
        (Ok(_), Err(_)) if method == Some(Method::Lzma) => Some("bytes behind an xz stream"),
        _ => None,
    }
}

fn is_id(bytes: &[u8]) -> bool {
    (1..=128).contains(&bytes.len()) && base58::decode(bytes).is_ok()
}

fn read(frame: &[u8]) -> (Result<Content, DecodeError>, Option<IdRule>) {
    let batch = Batch::from_frames(GENERATION, Limits::default(), frame).unwrap();
    let proven = batch
        .get(0)
        .map_err(|error| *error)
        .and_then(|frame| Ok((frame, frame.verify()?)));
    match proven {
        Err(error) => (Err(error), None),
        Ok((frame, rule)) => {
            let content = Content {
                flag: frame.flag().packet(GENERATION).as_bytes().to_vec(),
                sender: frame.sender().to_vec(),
                id: frame.id().to_vec(),
                time: frame.time().to_string(),
                payload: frame.payload().map(<[u8]>::to_vec).collect(),
            };
            (Ok(content), Some(rule))
        }
    }
}

/// Has py2p read all frames, in one process.
fn judge(package: &Path, frames: &[Drawn]) -> Vec<Result<Theirs, String>> {
    let mut python = package::python("differential/judge.py")
        .arg(package)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = python.stdin.take().unwrap();
    let lines: String = frames
        .iter()
        .map(|drawn| hex(&drawn.frame) + "\n")
        .collect();
    let writing = std::thread::spawn(move || input.write_all(lines.as_bytes()));
    let output = python.wait_with_output().unwrap();
    writing.join().unwrap().unwrap();
    let output = String::from_utf8(output.stdout).unwrap();
    output
        .lines()
        .map(|line| understand(&serde_json::from_str(line).unwrap()))
        .collect()
}

fn understand(said: &Value) -> Result<Theirs, String> {
    if let Some(error) = said.as_str() {
        return Err(error.to_owned());
    }
    let bytes = |value: &Value| unhex(value.as_str().unwrap());
    let content = Content {
        flag: bytes(&said[0]),
        sender: bytes(&said[1]),
        id: bytes(&said[2]),
        time: said[3].as_str().unwrap().to_owned(),
        payload: said[5].as_array().unwrap().iter().map(bytes).collect(),
    };
    let digits = said[4].as_u64().unwrap();
    Ok(Theirs { content, digits })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}
