//! Holds the files of `deploy/`, the completions and the manual pages to the program.

use std::fs;

use super::{run, stdout};

fn help() -> String {
    stdout(&run(&["node", "--help"], String::new())).to_owned()
}

/// Returns the words of a text with this prefix, up to the first character that cannot belong to them.
fn words<'a>(text: &'a str, begin: &str) -> Vec<&'a str> {
    let starts = text.match_indices(begin).map(|(at, _)| &text[at..]);
    let word = |rest: &'a str| {
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || "_-".contains(c)));
        &rest[..end.unwrap_or(rest.len())]
    };
    starts.map(word).collect()
}

#[test]
fn what_the_files_set_exists() {
    let help = help();
    let folder = format!("{}/deploy", env!("CARGO_MANIFEST_DIR"));
    let mut seen = 0;
    for file in fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        for name in words(&text, "ACTIX_MESH_") {
            let known = ["=", "]"].map(|end| help.contains(&format!("env: {name}{end}")));
            assert!(known.contains(&true), "{}: {name}", path.display());
            seen += 1;
        }
        for line in text.lines().filter(|line| line.contains("actix-mesh node")) {
            for flag in words(line, "--")
                .into_iter()
                .filter(|flag| *flag != "--help")
            {
                assert!(help.contains(flag), "{}: {flag}", path.display());
            }
        }
    }
    assert!(seen > 8, "{seen} settings");
}

#[test]
fn shells_and_man_are_told_of_each_subcommand() {
    for shell in ["bash", "zsh", "fish"] {
        let output = run(&["completions", shell], String::new());
        let script = stdout(&output);
        for name in ["node", "decode", "encode", "bridge", "--listen"] {
            assert!(
                script.contains(name.trim_start_matches("--")),
                "{shell}: {name}"
            );
        }
    }
    let folder = format!("{}/man-{}", env!("CARGO_TARGET_TMPDIR"), std::process::id());
    let output = run(&["man", &folder], String::new());
    assert_eq!(output.status.code(), Some(0));
    for page in ["actix-mesh.1", "actix-mesh-node.1", "actix-mesh-decode.1"] {
        let text = fs::read_to_string(format!("{folder}/{page}")).unwrap();
        assert!(text.contains(".SH"), "{page}");
    }
    fs::remove_dir_all(folder).unwrap();
}
