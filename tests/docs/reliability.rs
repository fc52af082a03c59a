//! Checks `docs/reliability.md` against the tests and the limits: every threat and fault has its row, every test named
//! there exists, every test named after a threat is listed there, and the defaults are those of `docs/limits.md`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const DOCUMENT: &str = include_str!("../../docs/reliability.md");
const LIMITS: &str = include_str!("../../docs/limits.md");

/// A row of the table of threats and faults.
struct Row {
    id: &'static str,
    promise: &'static str,
    /// Files, and the tests in each.
    tests: Vec<(&'static str, Vec<&'static str>)>,
}

fn cells(row: &'static str) -> Vec<&'static str> {
    row.trim_matches('|').split('|').map(str::trim).collect()
}

/// Returns the texts in backticks.
fn quoted(text: &'static str) -> Vec<&'static str> {
    text.split('`').skip(1).step_by(2).collect()
}

fn rows() -> Vec<Row> {
    let (_, rest) = DOCUMENT.split_once("\n## Threats and faults").unwrap();
    let table = rest.split("\n## ").next().unwrap().lines();
    let rows = table.filter(|line| line.starts_with("| T") || line.starts_with("| F"));
    rows.map(|row| {
        let [id, _, promise, tests, _] = cells(row)[..] else {
            panic!("five cells: {row}");
        };
        let tests = tests.split("<br>").map(|entry| {
            let names = quoted(entry);
            (names[0], names[1..].to_vec())
        });
        Row {
            id,
            promise,
            tests: tests.collect(),
        }
    })
    .collect()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap();
    let mut found = Vec::new();
    for path in entries.map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|it| it == "rs") {
            found.push(path);
        }
    }
    found
}

/// Returns the names of a file's test functions.
fn tests_in(file: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(file).unwrap_or_else(|why| panic!("{}: {why}", file.display()));
    let mut marked = false;
    let mut found = BTreeSet::new();
    for line in text.lines().map(str::trim) {
        let name = line.trim_start_matches("async ").strip_prefix("fn ");
        match name.and_then(|rest| rest.split_once('(')) {
            Some((name, _)) => {
                if marked {
                    found.insert(name.to_owned());
                }
                marked = false;
            }
            None => marked |= ["#[test]", "#[actix::test]", "#[tokio::test]"].contains(&line),
        }
    }
    found
}

/// Returns the threat or fault that a test is named after.
fn named_after(test: &str) -> Option<String> {
    let (id, _) = test.split_once('_')?;
    let number = id.strip_prefix(['t', 'f'])?;
    number.parse::<u32>().ok()?;
    Some(id.to_uppercase())
}

#[test]
fn every_threat_and_fault_has_its_row() {
    let threats = (1..=39).map(|n| format!("T{n}"));
    let expected: Vec<String> = threats.chain((1..=23).map(|n| format!("F{n}"))).collect();
    let rows: Vec<&str> = rows().iter().map(|row| row.id).collect();
    assert_eq!(rows, expected);
}

#[test]
fn every_test_of_the_table_exists_and_each_row_has_one_of_its_own() {
    for row in rows() {
        let mut own = 0;
        for (file, names) in row.tests {
            let there = tests_in(&root().join(file));
            for name in names {
                assert!(there.contains(name), "{}: no {name} in {file}", row.id);
                own += usize::from(named_after(name).is_some_and(|id| id == row.id));
            }
        }
        assert!(own > 0, "{} has no test named after it", row.id);
    }
}

#[test]
fn every_test_named_after_a_threat_stands_in_its_row() {
    let rows = rows();
    for file in [sources(&root().join("src")), sources(&root().join("tests"))].concat() {
        let place = file
            .strip_prefix(root())
            .unwrap()
            .to_string_lossy()
            .replace('\\', "/");
        for test in tests_in(&file) {
            let Some(id) = named_after(&test) else {
                continue;
            };
            let row = rows.iter().find(|row| row.id == id);
            let row = row.unwrap_or_else(|| panic!("{test} is named after nothing"));
            let told = row
                .tests
                .iter()
                .any(|(file, names)| *file == place && names.contains(&&*test));
            assert!(told, "the row of {id} lacks `{place}`: `{test}`");
        }
    }
}

/// Returns the value that limits.md gives for a setting.
fn limit(name: &str) -> Option<&'static str> {
    let quoted_name = format!("`{name}`");
    let mut rows = LIMITS
        .lines()
        .filter(|line| line.starts_with('|'))
        .filter(|row| cells(row)[0] == quoted_name);
    let row = rows.next()?;
    assert!(rows.next().is_none(), "limits.md has two of {name}");
    Some(cells(row)[1])
}

/// `4 MiB (`frame`)`: a number and, in parentheses, the setting.
#[test]
fn the_defaults_it_tells_are_those_of_the_limits() {
    let mut checked = 0;
    for row in rows() {
        for (at, _) in row.promise.match_indices(" (`") {
            let name = row.promise[at + 3..].split('`').next().unwrap();
            let Some(value) = limit(name) else {
                continue;
            };
            let told = &row.promise[..at];
            assert!(
                told.ends_with(value),
                "{}: {name} is {value}, not {told:?}",
                row.id
            );
            checked += 1;
        }
    }
    assert!(checked > 8, "only {checked} were found");
}

#[test]
fn readers_are_led_here() {
    for page in ["README.md", "SECURITY.md"] {
        let text = fs::read_to_string(root().join(page)).unwrap();
        assert!(text.contains("(docs/reliability.md)"), "{page}");
    }
}
