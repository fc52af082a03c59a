//! Checks the names in the pages against the repository: every command names an existing target, every path a file.

use std::fs;
use std::path::{Path, PathBuf};

/// Returns the pages with their names.
fn pages() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let entries = [
        root.to_owned(),
        root.join("docs"),
        root.join("tests/vectors"),
    ]
    .into_iter()
    .flat_map(|folder| fs::read_dir(folder).unwrap());
    let paths = entries.map(|entry| entry.unwrap().path());
    let pages: Vec<_> = paths
        .filter(|path| path.extension().is_some_and(|of| of == "md"))
        .map(|path| {
            (
                path.display().to_string(),
                fs::read_to_string(&path).unwrap(),
            )
        })
        .collect();
    assert!(pages.len() > 10, "{} pages", pages.len());
    pages
}

/// Whether the folder has a target with that name.
fn is_target(folder: &str, name: &str) -> bool {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let has = |folder: &Path| {
        folder.join(format!("{name}.rs")).is_file() || folder.join(name).join("main.rs").is_file()
    };
    has(&folder) || has(&folder.join("recipes"))
}

#[test]
fn every_command_names_a_target_that_is_there() {
    let mut named = 0;
    for (page, text) in pages() {
        for (flag, folder) in [
            ("--test ", "tests"),
            ("--example ", "examples"),
            ("--bench ", "benches"),
        ] {
            for rest in text.split(flag).skip(1) {
                let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_');
                let name = &rest[..end.unwrap_or(rest.len())];
                assert!(is_target(folder, name), "{page}: {flag}{name}");
                named += 1;
            }
        }
    }
    assert!(named > 50, "{named} commands");
}

#[test]
fn every_path_names_a_file_that_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut named = 0;
    for (page, text) in pages() {
        for quoted in text.split('`').skip(1).step_by(2) {
            let is_path = ["src/", "tests/", "examples/", "benches/", "docs/", "fuzz/"]
                .iter()
                .any(|folder| quoted.starts_with(folder));
            if is_path && !quoted.contains([' ', '*', '<']) {
                let path: PathBuf = root.join(quoted);
                assert!(path.exists(), "{page}: {quoted}");
                named += 1;
            }
        }
    }
    assert!(named > 100, "{named} paths");
}
