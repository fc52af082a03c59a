//! The source, as far as its shape can be held to a rule.
//!
//! Reads text and knows no syntax: a line is what it looks like.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A line of the code: its file below `src`, and what stands in it.
pub(crate) type Line = (String, String);

/// The lines of all files below a folder of `src`, without tests and comments.
pub(crate) fn lines(folder: &str) -> Vec<Line> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut lines = Vec::new();
    for file in files(&root.join(folder)) {
        let name = file.strip_prefix(&root).unwrap().display().to_string();
        let text = fs::read_to_string(&file).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap();
        let code = code.lines().map(str::trim);
        let code = code.filter(|line| !line.starts_with("//"));
        lines.extend(code.map(|line| (name.clone(), line.to_owned())));
    }
    lines
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            found.extend(files(&path));
        } else if name.ends_with(".rs") && !["tests.rs", "sim.rs"].contains(&&*name) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The collections that `mesh` and `node` keep: `file field` of a struct, `file Name` of a tuple struct.
pub(crate) fn collections() -> BTreeSet<String> {
    const KINDS: [&str; 8] = [
        "Vec<",
        "VecDeque<",
        "BTreeMap<",
        "BTreeSet<",
        "HashMap<",
        "HashSet<",
        "SmallVec<",
        "BytesMut",
    ];
    let holds = |text: &str| KINDS.iter().any(|kind| text.contains(kind));
    let lines = [lines("mesh"), lines("node")].concat();
    let found = lines.iter().filter_map(|(file, line)| {
        let line = line
            .trim_start_matches("pub(crate) ")
            .trim_start_matches("pub(super) ");
        if let Some(name) = line.strip_prefix("struct ")
            && let Some((name, fields)) = name.split_once('(')
            && holds(fields)
        {
            return Some(format!("{file} {name}"));
        }
        let (field, kind) = line.trim_start_matches("pub ").split_once(": ")?;
        let is_name = field.chars().all(|c| c.is_ascii_lowercase() || c == '_');
        let is_field =
            is_name && kind.ends_with(',') && !kind.contains("::new") && !kind.contains("&mut");
        (is_field && holds(kind)).then(|| format!("{file} {field}"))
    });
    found.collect()
}
