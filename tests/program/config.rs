//! Settings from a file, from the environment and from flags, and which are in force.

use std::process::Command;

use super::{run, stderr, stdout};

fn file(text: &str) -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("mesh.toml");
    std::fs::write(&path, text).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (dir, path)
}

#[test]
fn a_flag_goes_before_its_variable_and_that_before_the_file() {
    let (_dir, path) = file(
        "listen = \"127.0.0.1:0\"\nsubnet = \"of the file\"\nmax_incoming = 10\nmax-outgoing = 7\n\
         connect = [\"127.0.0.1:1\", \"127.0.0.1:2\"]\nallow_binary = true\nkeepalive-interval = 2.5\nhttp = \"127.0.0.1:0\"\nhttp-token = \"secret\"\n",
    );
    let output = Command::new(env!("CARGO_BIN_EXE_actix-mesh"))
        .args(["config", "--config", &path, "--subnet", "of the flag"])
        .env("ACTIX_MESH_MAX_INCOMING", "12")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let said = stdout(&output);
    for line in [
        "listen = \"127.0.0.1:0\"  # file",
        "subnet = \"of the flag\"  # flag",
        "max-incoming = 12  # environment",
        "max-outgoing = 7  # file",
        "connect = [\"127.0.0.1:1\", \"127.0.0.1:2\"]  # file",
        "allow-binary = true  # file",
        "keepalive-interval = \"2.5\"  # file",
        "wire = \"0.4\"  # default",
        "http-token = \"...\"  # file",
        "# advertise is not set",
    ] {
        assert!(
            said.lines().any(|it| it == line),
            "{line} is not in\n{said}"
        );
    }
    // Its output is a valid settings file.
    let (_dir, again) = file(&said.replace("\"...\"", "\"secret\""));
    let output = run(&["config", "--config", &again], "");
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stdout(&output).contains("subnet = \"of the flag\"  # file"));
}

#[test]
fn a_node_starts_from_a_file() {
    let (_dir, path) = file("subnet = \"filed\"\nformat = \"json\"\n");
    let output = run(&["node", "--config", &path], "{\"do\":\"quit\"}\n");
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stdout(&output).contains("\"name\":\"filed\""));
}

#[test]
fn what_is_wrong_with_a_file_is_said() {
    for (text, why) in [
        ("bogus = 1", "bogus: there is no such setting"),
        ("config = \"x\"", "config: there is no such setting"),
        ("max-incoming = {a = 1}", "use a string, a number"),
        ("allow-binary = 3", "true or false"),
        ("listen = ", "mesh.toml"),
    ] {
        let (_dir, path) = file(text);
        let output = run(&["node", "--config", &path], "");
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(stderr(&output).contains(why), "{}", stderr(&output));
    }
    let missing = run(&["node", "--config", "missing.toml"], "");
    assert_eq!(missing.status.code(), Some(1));
    assert!(stderr(&missing).contains("missing.toml"));
}
