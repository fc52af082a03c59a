//! Checks `docs/limits.md` against the code, or updates it: each default is the one in force, and each setting is
//! listed.

use std::fmt::Debug;
use std::time::Duration;

use actix::{Actor, Context, Handler};
use actix_mesh::mesh::Params;
use actix_mesh::{
    Acceptance, Config, Event, Intercept, Limits, Method, NodeId, Offer, Proposal, Queue, Shutdown,
    Subnet, SubscribeEvents, Validate, Verdict, Whisper,
};

const DOCUMENT: &str = include_str!("../../docs/limits.md");

/// Returns the cells of the rows in a section's tables, including its subsections.
fn section(title: &str) -> Vec<Vec<&'static str>> {
    let (_, rest) = DOCUMENT.split_once(&format!("\n## {title}")).unwrap();
    let rows = rest.split("\n## ").next().unwrap().lines();
    rows.filter(|line| line.starts_with("| ") && !line.starts_with("| what"))
        .filter(|line| !line.starts_with("| setting"))
        .map(|row| row.trim_matches('|').split('|').map(str::trim).collect())
        .collect()
}

/// Returns the names of a struct's fields, from its `Debug` output.
fn fields(of: &impl Debug) -> Vec<String> {
    let text = format!("{of:#?}");
    let inner = text.lines().filter_map(|line| line.strip_prefix("    "));
    let inner = inner.filter(|line| !line.starts_with(' '));
    inner
        .filter_map(|line| Some(line.split_once(": ")?.0.to_owned()))
        .collect()
}

/// Asserts that the rows list all of these fields, in order, with these values.
fn agree(title: &str, of: &impl Debug, values: &[(&str, String)]) {
    let rows = section(title);
    let names: Vec<_> = rows.iter().map(|row| row[0].trim_matches('`')).collect();
    for field in fields(of) {
        assert!(names.contains(&&*field), "{title}: {field} has no row");
    }
    for (name, value) in values {
        let row = names.iter().position(|found| found == name);
        let row = row.unwrap_or_else(|| panic!("{title}: no row of {name}"));
        hold(&rows[row], value);
    }
    assert_eq!(rows.len(), names.len());
}

/// Asserts that the row gives this value. With `UPDATE=1` it writes it instead.
fn hold(row: &[&str], value: &str) {
    let told = row[1].trim_matches('`');
    if told == value {
        return;
    }
    assert!(
        std::env::var_os("UPDATE").is_some(),
        "docs/limits.md says that {} is {told}, and it is {value}: UPDATE=1 writes it there",
        row[0]
    );
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/limits.md");
    let text = std::fs::read_to_string(file).unwrap();
    let (old, new) = (row[1], row[1].replace(told, value));
    let before = format!("| {} | {old} |", row[0]);
    assert_eq!(
        text.matches(&before).count(),
        1,
        "one row begins with {before}"
    );
    let after = format!("| {} | {new} |", row[0]);
    std::fs::write(file, text.replace(&before, &after)).unwrap();
}

pub(crate) fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn count(number_of: usize) -> String {
    number(number_of as u64)
}

pub(crate) fn bytes(bytes: usize) -> String {
    const KIB: usize = 1 << 10;
    const MIB: usize = 1 << 20;
    match bytes {
        MIB.. if bytes.is_multiple_of(MIB) => format!("{} MiB", bytes / MIB),
        KIB.. if bytes.is_multiple_of(KIB) => format!("{} KiB", bytes / KIB),
        _ => format!("{bytes} B"),
    }
}

pub(crate) fn time(time: Duration) -> String {
    match time.subsec_millis() {
        0 => format!("{} s", time.as_secs()),
        _ => format!("{} ms", time.as_millis()),
    }
}

fn text(text: impl ToString) -> String {
    text.to_string()
}

#[test]
fn the_settings_of_a_node_are_told_as_they_are() {
    let config = Config::default();
    let serde_json::Value::Object(settings) = serde_json::to_value(&config).unwrap() else {
        panic!("not a map");
    };
    let value = |name: &str, value: &serde_json::Value| match (name, value) {
        ("advertise", serde_json::Value::Null) => text("the bound address"),
        ("seed", serde_json::Value::Null) => text("random"),
        ("limits", _) => text("see below"),
        ("compression", methods) => {
            assert_eq!(*methods, serde_json::json!(Method::available()));
            text("all that are built in")
        }
        ("connect" | "inbox_kinds" | "origins", list)
            if list.as_array().is_some_and(Vec::is_empty) =>
        {
            text("none")
        }
        (_, serde_json::Value::Null) => text("none"),
        (_, serde_json::Value::Bool(set)) => text(if *set { "yes" } else { "no" }),
        (_, serde_json::Value::String(value)) => value.clone(),
        (_, serde_json::Value::Object(duration)) => {
            time(serde_json::from_value(duration.clone().into()).unwrap())
        }
        (name, value)
            if name.ends_with("_budget")
                || name == "socket_buffer"
                || name == "announce_from"
                || name == "min_peer_drain_rate" =>
        {
            bytes(usize::try_from(value.as_u64().unwrap()).unwrap())
        }
        (_, value) => number(value.as_u64().unwrap()),
    };
    let values: Vec<(&str, String)> = settings
        .iter()
        .map(|(name, set)| (name.as_str(), value(name, set)))
        .collect();
    agree("Settings of a node", &config, &values);
}

#[test]
fn the_readme_tells_the_same() {
    let readme = include_str!("../../README.md");
    let (_, rest) = readme.split_once("\n## Limits and defaults").unwrap();
    let rows = rest.lines().filter(|line| line.ends_with("` |"));
    let settings = section("Settings of a node");
    for row in rows {
        let [_, told, place] = row.trim_matches('|').split('|').collect::<Vec<_>>()[..] else {
            panic!("{row}");
        };
        let name = place.trim().trim_matches('`').strip_prefix("Config::");
        let Some(name) = name else { continue };
        let row = settings.iter().find(|row| row[0].trim_matches('`') == name);
        let row = row.unwrap_or_else(|| panic!("no setting {name}"));
        assert_eq!(told.trim(), row[1], "{name}");
    }
}

#[test]
fn the_sizes_of_frames_are_told_as_they_are() {
    let limits = Limits::default();
    let values = [
        (
            "frame_before_handshake",
            bytes(limits.frame_before_handshake),
        ),
        ("frame", bytes(limits.frame)),
        ("packets", count(limits.packets)),
    ];
    agree("Sizes of frames", &limits, &values);
}

#[test]
fn what_the_core_is_told_is_told_as_it_is() {
    let params = Params::new(Subnet::default(), "127.0.0.1:1".parse().unwrap());
    let rows = section("What the core is told");
    let settings = section("Settings of a node");
    let in_config = |field: &String| {
        let row = |row: &&Vec<&str>| row[0].trim_matches('`') == field;
        settings.iter().any(|it| row(&it)) || ["address", "methods"].contains(&&**field)
    };
    let told: Vec<_> = rows.iter().map(|row| row[0].trim_matches('`')).collect();
    let own = fields(&params)
        .into_iter()
        .filter(|field| !in_config(field));
    assert_eq!(own.collect::<Vec<_>>(), told);
    let values = [
        number(params.window),
        number(params.seconds_ahead),
        count(params.max_waiting_whispers),
    ];
    assert_eq!(rows.len(), values.len());
    rows.iter()
        .zip(values)
        .for_each(|(row, value)| hold(row, &value));
}

struct Nobody;

impl Actor for Nobody {
    type Context = Context<Self>;
}

impl Handler<Event> for Nobody {
    type Result = ();

    fn handle(&mut self, _: Event, _: &mut Context<Self>) {}
}

impl Handler<Offer> for Nobody {
    type Result = Verdict;

    fn handle(&mut self, _: Offer, _: &mut Context<Self>) -> Verdict {
        Verdict::Pass
    }
}

impl Handler<Proposal> for Nobody {
    type Result = Acceptance;

    fn handle(&mut self, _: Proposal, _: &mut Context<Self>) -> Acceptance {
        Acceptance::Accept
    }
}

#[actix::test]
async fn what_messages_set_is_told_as_it_is() {
    let Queue {
        items,
        bytes: size,
        overflow,
        ..
    } = SubscribeEvents::new(Nobody.start()).queue;
    let values = [
        ("Subscribe: items", count(items)),
        ("Subscribe: bytes", bytes(size)),
        ("Subscribe: overflow", format!("{overflow:?}")),
        (
            "Intercept: deadline",
            time(Intercept::by(Nobody.start()).deadline),
        ),
        (
            "Validate: deadline",
            time(Validate::by(Nobody.start()).deadline),
        ),
        (
            "Whisper: within",
            time(Whisper::new(NodeId::parse("1").unwrap(), "").within),
        ),
        ("Shutdown: drain", time(Shutdown::new().drain)),
    ];
    let rows = section("Queues and deadlines");
    let told: Vec<_> = rows.iter().map(|row| row[0].replace('`', "")).collect();
    assert_eq!(told, values.each_ref().map(|(name, _)| *name));
    rows.iter()
        .zip(values)
        .for_each(|(row, (_, value))| hold(row, &value));
}
