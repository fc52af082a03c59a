//! Checks the fixed bounds of `docs/limits.md` against the code, or updates them: where a bound is followed by
//! `file::CONSTANT` in parentheses, it is the value of that constant.

use std::fs;
use std::path::{Path, PathBuf};

use crate::limits::{bytes, number, time};

const DOCUMENT: &str = include_str!("../../docs/limits.md");

/// A value in the page, and the constant it is said to be.
struct Bound {
    told: &'static str,
    constant: &'static str,
}

/// Finds `VALUE (`file::CONSTANT`)` in the rows of the section.
fn bounds() -> Vec<Bound> {
    let (_, rest) = DOCUMENT.split_once("\n## Fixed bounds").unwrap();
    let section = rest.split("\n## ").next().unwrap();
    let found = section.match_indices(" (`").filter_map(|(at, _)| {
        let constant = section[at + 3..].split('`').next()?;
        let (_, name) = constant.split_once("::")?;
        let is_constant = !name.contains(|c: char| c.is_ascii_lowercase());
        is_constant.then_some((at, constant))
    });
    let value = |at: usize| {
        let before = &section[..at];
        let has_unit = before.ends_with(|last: char| last.is_ascii_alphabetic());
        let words = if has_unit { 2 } else { 1 };
        let start = before.rmatch_indices(' ').nth(words - 1).unwrap().0 + 1;
        &section[start..at]
    };
    found
        .map(|(at, constant)| Bound {
            told: value(at),
            constant,
        })
        .collect()
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .flat_map(|path| {
            if path.is_dir() {
                sources(&path)
            } else {
                vec![path]
            }
        })
        .filter(|path| path.extension().is_some_and(|it| it == "rs"))
        .collect()
}

/// Returns the module's name: that of its folder for a `mod.rs`.
fn module(path: &Path) -> &str {
    let stem = |path: &Path| {
        path.file_stem()
            .and_then(|stem| stem.to_str())
            .map(str::len)
    };
    let named = match path.ends_with("mod.rs") {
        true => path.parent().unwrap(),
        false => path,
    };
    let name = named.file_name().unwrap().to_str().unwrap();
    &name[..stem(named).unwrap()]
}

/// Returns what stands after the `=` of the only constant of this name in a module of this name.
fn definition(constant: &str, files: &[(PathBuf, String)]) -> String {
    let (file, name) = constant.split_once("::").unwrap();
    let name = name.split('.').next().unwrap();
    let mark = format!("const {name}: ");
    let mut found = files
        .iter()
        .filter(|(path, _)| module(path) == file)
        .filter_map(|(_, text)| text.split_once(&mark))
        .map(|(_, rest)| rest.split_once(" = ").unwrap().1.split(';').next().unwrap());
    let definition = found
        .next()
        .unwrap_or_else(|| panic!("there is no {constant}"));
    assert!(found.next().is_none(), "there are two of {constant}");
    let of_tuple = definition
        .strip_prefix('(')
        .and_then(|rest| rest.strip_suffix(')'));
    match (of_tuple, constant.split_once('.')) {
        (Some(parts), Some((_, at))) => {
            let at: usize = at.parse().unwrap();
            parts.split(", ").nth(at).unwrap().to_owned()
        }
        _ => definition.to_owned(),
    }
}

/// Computes sums of products and shifts of numbers.
fn value(expression: &str) -> u64 {
    let apply = |mark: &str, of: fn(u64, u64) -> u64| {
        let mut depth = 0_i32;
        let parts = expression.match_indices(['(', ')', mark.chars().next().unwrap()]);
        let outside = parts.filter(|(_, it)| {
            depth += i32::from(*it == "(") - i32::from(*it == ")");
            depth == 0 && !["(", ")"].contains(it)
        });
        let at = outside
            .map(|(at, _)| at)
            .find(|at| expression[*at..].starts_with(mark))?;
        let (left, right) = (&expression[..at], &expression[at + mark.len()..]);
        Some(of(value(left.trim()), value(right.trim())))
    };
    let inner = expression
        .strip_prefix('(')
        .and_then(|rest| rest.strip_suffix(')'));
    apply("<<", |left, right| left << right)
        .or_else(|| apply("+", |left, right| left + right))
        .or_else(|| apply("*", |left, right| left * right))
        .or_else(|| inner.map(value))
        .unwrap_or_else(|| {
            let digits = expression.trim_end_matches(".0").replace('_', "");
            digits
                .parse()
                .unwrap_or_else(|_| panic!("cannot read {expression:?}"))
        })
}

/// Writes a constant's value as the page does, in the unit that stands there.
fn written(bound: &Bound, definition: &str) -> String {
    for (call, unit) in [
        ("Duration::from_secs(", 1000),
        ("Duration::from_millis(", 1),
    ] {
        if let Some(count) = definition.strip_prefix(call) {
            let millis = value(count.trim_end_matches(')')) * unit;
            return time(std::time::Duration::from_millis(millis));
        }
    }
    let value = value(definition);
    match bound.told.split_once(' ') {
        Some((_, "B" | "KiB" | "MiB")) => bytes(usize::try_from(value).unwrap()),
        Some((_, unit)) => format!("{} {unit}", number(value)),
        None => number(value),
    }
}

#[test]
fn the_bounds_are_those_of_the_code() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = sources(&root.join("src")).into_iter();
    let files: Vec<_> = files
        .map(|path| (path.clone(), fs::read_to_string(path).unwrap()))
        .collect();
    let bounds = bounds();
    assert!(bounds.len() > 60, "only {} were found", bounds.len());
    let mut page = DOCUMENT.to_owned();
    for bound in &bounds {
        let value = written(bound, &definition(bound.constant, &files));
        let constant = bound.constant;
        let told = format!("{} (`{constant}`)", bound.told);
        page = page.replace(&told, &format!("{value} (`{constant}`)"));
        let agrees = bound.told == value || std::env::var_os("UPDATE").is_some();
        assert!(
            agrees,
            "{constant} is {value}, not {}: UPDATE=1 writes it there",
            bound.told
        );
    }
    if page != DOCUMENT {
        fs::write(root.join("docs/limits.md"), page).unwrap();
    }
}

/// An empty line would split a table.
#[test]
fn no_table_is_split() {
    let lines: Vec<&str> = DOCUMENT.lines().collect();
    for three in lines.windows(3) {
        let is_split =
            three[0].starts_with('|') && three[1].is_empty() && three[2].starts_with('|');
        assert!(!is_split, "a table is split before {}", three[2]);
    }
}
